"""A network and images whose answers are known, because they were planted: dead units, copies, and a unit for one class alone."""

import numpy as np
import torch
from torch import nn

import convscope as cs

SIZE = (21, 34)  # y x
CLASSES = ("red", "green", "blue", "grey")
DEAD = {"relu1": (1, 5, 9, 20), "relu2": (0, 3, 11)}
COPIES = {"relu1": ((2, 7), (4, 13)), "relu2": ((6, 10),)}  # (a unit, the one that repeats it up to scale)
FOR_BLUE = ("relu1", 6)  # fires where a pixel is bluer than red and green together, which blue images alone have


class Planted(nn.Sequential):
    """Two convolutions and a dense layer, seven units of which are dead and three of which repeat another."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, 3, padding=1)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(24, 16, 3, stride=2)
        self.relu2 = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(16, len(CLASSES))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for conv, scale in ((self.conv1, 0.3), (self.conv2, 0.05), (self.fc, 0.3)):
                conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator) * scale)
                conv.bias.copy_(
                    torch.rand(conv.bias.shape, generator=generator) * 0.2 + 0.5
                )  # they answer to all classes
            for conv, layer in ((self.conv1, "relu1"), (self.conv2, "relu2")):
                for i, (first, second) in enumerate(COPIES[layer]):
                    conv.weight[second], conv.bias[second] = conv.weight[first] * (1 + i), conv.bias[first] * (1 + i)
                conv.bias[list(DEAD[layer])] = -1000
            unit = FOR_BLUE[1]
            self.conv1.weight[unit] = 0
            self.conv1.weight[unit, :, 1, 1] = torch.tensor([-1.0, -1.0, 1.0])
            self.conv1.bias[unit] = -0.2


def planted_network() -> cs.Network:
    settings = {"resize": None, "crop": SIZE, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    return cs.load(Planted().eval(), size=SIZE, preprocess=settings, classes=CLASSES)


def planted_images(n: int = 120, seed: int = 0) -> cs.Images:
    """Noise in which no pixel is coloured, with a patch of the class's colour somewhere."""
    rng = np.random.default_rng(seed)
    pixels = np.repeat(rng.integers(60, 200, (n, *SIZE, 1)), 3, axis=3).astype(np.uint8)
    labels = np.arange(n) % len(CLASSES)
    for image, label in zip(pixels, labels, strict=True):
        y, x = rng.integers(0, SIZE[0] - 6), rng.integers(0, SIZE[1] - 8)
        color = (30, 30, 30) if CLASSES[label] == "grey" else np.eye(3)[label] * 220 + 10
        image[y : y + 6, x : x + 8] = color
    return cs.images(pixels, labels=[CLASSES[label] for label in labels])
