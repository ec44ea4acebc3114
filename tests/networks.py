"""The architectures of the real networks the tests use, as their authors describe them, for weights kept outside the project.

Each function builds one and says what it is shown: `convscope check tests/networks.py:tiny_darknet --weights FILE IMAGES`.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

Built = tuple[nn.Module, dict[str, Any]]
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def tiny_darknet() -> Built:
    """Tiny Darknet (Redmon 2016): convolutions with batch norm and leaky ReLU, max pools, a convolution as classifier."""
    plan: Sequence[int | str] = (
        *(16, "M", 32, "M", -16, 128, -16, 128, "M", -32, 256, -32, 256, "M", -64, 512, -64, 512, -128),
    )
    features: list[nn.Module] = []
    n_before = 3
    for entry in plan:
        if entry == "M":
            features.append(nn.MaxPool2d(2, 2))
            continue
        n_units, kernel = abs(int(entry)), 1 if int(entry) < 0 else 3
        features += [
            nn.Conv2d(n_before, n_units, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(n_units, eps=1e-3),
        ]
        features += [nn.LeakyReLU(0.1)]
        n_before = n_units
    classifier = nn.Conv2d(n_before, 1000, 1)
    model = nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features), classifier=classifier, pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()
        )
    )
    return model, {"preprocess": {"resize": 256, "crop": (224, 224)}}


class CifarBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters (He et al. 2015, option A)."""

    def __init__(self, n_before: int, n_units: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_before, n_units, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_units)
        self.conv2 = nn.Conv2d(n_units, n_units, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_units)
        self.n_added = n_units // 4 if stride != 1 or n_before != n_units else 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.n_added:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.n_added, self.n_added))
        return F.relu(out + x)


class CifarResNet(nn.Module):
    """The networks of section 4.2 of He et al. 2015 (arXiv:1512.03385), 6n+2 layers deep."""

    def __init__(self, n_blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        stages = []
        for n_before, n_units, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
            rest = [CifarBlock(n_units, n_units, 1) for _ in range(n_blocks - 1)]
            stages.append(nn.Sequential(CifarBlock(n_before, n_units, stride), *rest))
        self.layer1, self.layer2, self.layer3 = stages
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        out = F.avg_pool2d(out, out.size()[3])
        return self.linear(out.view(out.size(0), -1))


CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def resnet20() -> Built:
    """ResNet-20 for CIFAR-10."""
    return CifarResNet(3), {"preprocess": {"crop": (32, 32), **IMAGENET}, "classes": CIFAR10}


def resnet56() -> Built:
    """ResNet-56 for CIFAR-10."""
    return CifarResNet(9), {"preprocess": {"crop": (32, 32), **IMAGENET}, "classes": CIFAR10}


class ConvBN(nn.Sequential):
    """A convolution, its batch norm, and ReLU6."""

    def __init__(self, n_before: int, n_units: int, kernel: int, stride: int, padding: int, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(n_before, n_units, kernel, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(n_units),
            nn.ReLU6(inplace=True),
        )


class InvertedResidual(nn.Module):
    """Expand, filter each unit, project; added to its input where shapes agree (Sandler 2018)."""

    def __init__(self, n_before: int, n_units: int, stride: int, expansion: int) -> None:
        super().__init__()
        n_hidden = n_before * expansion
        self.conv = nn.Sequential(
            ConvBN(n_before, n_hidden, 1, 1, 0),
            ConvBN(n_hidden, n_hidden, 3, stride, 1, groups=n_hidden),
            nn.Conv2d(n_hidden, n_units, 1, bias=False),
            nn.BatchNorm2d(n_units),
        )
        self.residual = stride == 1 and n_before == n_units

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class DepthwiseSeparable(nn.Module):
    """A filter for each unit, then a mixture of them."""

    def __init__(self, n_before: int, n_units: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(n_before, n_before, 3, 1, 1, groups=n_before, bias=False)
        self.pointwise = nn.Conv2d(n_before, n_units, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_before)
        self.bn2 = nn.BatchNorm2d(n_units)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.depthwise(x)))
        return self.relu(self.bn2(self.pointwise(x)))


class GlobalDepthwise(nn.Module):
    """One weight for each position of each unit, instead of a mean."""

    def __init__(self, n_units: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(n_units, n_units, 7, groups=n_units, bias=False)
        self.bn = nn.BatchNorm2d(n_units)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.depthwise(x))


class MobileFaceNet(nn.Module):
    """A face embedding of 128 numbers (Chen 2018, arXiv:1804.07573)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvBN(3, 64, 3, 2, 1)
        self.dw_conv = DepthwiseSeparable(64, 64)
        blocks, n_before = [], 64
        for expansion, n_units, n_blocks, stride in (
            (2, 64, 5, 2),
            (4, 128, 1, 2),
            (2, 128, 6, 1),
            (4, 128, 1, 2),
            (2, 128, 2, 1),
        ):
            for i in range(n_blocks):
                blocks.append(InvertedResidual(n_before, n_units, stride if i == 0 else 1, expansion))
                n_before = n_units
        self.features = nn.Sequential(*blocks)
        self.conv2 = ConvBN(128, 512, 1, 1, 0)
        self.gdconv = GlobalDepthwise(512)
        self.conv3 = nn.Conv2d(512, 128, 1)
        self.bn = nn.BatchNorm2d(128)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv2(self.features(self.dw_conv(self.conv1(x))))
        return self.bn(self.conv3(self.gdconv(x))).flatten(1)


def mobilefacenet() -> Built:
    """MobileFaceNet: the output is an embedding, not classes."""
    return MobileFaceNet(), {"preprocess": {"resize": (112, 112), **IMAGENET}, "input_shape": (3, 112, 112)}


FACE = ("no face", "face")
MTCNN_RANGE = {"mean": (0.5,) * 3, "std": (128 / 255,) * 3}  # (x - 127.5) / 128


class PNet(nn.Module):
    """The proposal network of MTCNN (Zhang 2016, arXiv:1604.02878); here its face / no-face head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.pool1 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).flatten(1)


class RNet(nn.Module):
    """The refinement network of MTCNN; here its face / no-face head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.prelu3(self.conv3(self.pool2(self.prelu2(self.conv2(x)))))
        x = self.prelu4(self.dense4(x.permute(0, 3, 2, 1).flatten(1)))
        return self.dense5_1(x)


class ONet(nn.Module):
    """The output network of MTCNN; here its face / no-face head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.pool3 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.prelu4(self.conv4(self.pool3(self.prelu3(self.conv3(x)))))
        x = self.prelu5(self.dense5(x.permute(0, 3, 2, 1).flatten(1)))
        return self.dense6_1(x)


def _mtcnn(model: nn.Module, size: int) -> Built:
    return model, {
        "preprocess": {"resize": (size, size), **MTCNN_RANGE},
        "classes": FACE,
        "input_shape": (3, size, size),
    }


def mtcnn_pnet() -> Built:
    """P-Net on windows of 12 px."""
    return _mtcnn(PNet(), 12)


def mtcnn_rnet() -> Built:
    """R-Net on windows of 24 px."""
    return _mtcnn(RNet(), 24)


def mtcnn_onet() -> Built:
    """O-Net on windows of 48 px."""
    return _mtcnn(ONet(), 48)
