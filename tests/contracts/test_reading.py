"""Is what a model does in odd ways read as it is: writes into constants, values of several parts, names that clash, precisions?"""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import convscope as cs
from convscope.errors import ExportError, NetworkError

SHAPE = (3, 14, 18)
# torch's own deprecations, met where it is asked for older ways of doing things
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def images(n: int = 2, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(3)).to(dtype)


def same(module: nn.Module, tolerance: float = 1e-5) -> cs.Network:
    """The network read from a module, after its logits have been compared."""
    module = module.eval()
    net = cs.load(module, size=SHAPE[1:])
    with torch.no_grad():
        expected = module(images())
    torch.testing.assert_close(net(images()), expected, rtol=tolerance, atol=tolerance)
    return net


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.scale = nn.Parameter(torch.rand(4))
        self.register_buffer("n", torch.zeros(()))


class WritesConstant(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        offset = torch.zeros(1, 4, 14, 18)
        offset[:, 1] = torch.arange(18.0)
        return (self.conv(x) + offset).mean((2, 3))


class WritesParameterCopy(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.scale.clone()
        scale[1] = 5
        shown = scale.view(1, 4, 1, 1)
        scale.mul_(2)
        return (self.conv(x) * shown).mean((2, 3))


class CountsAndWrites(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.n += 1
        y = self.conv(x)
        z = y[:, 0]
        y.mul_(2)
        return y.mean((2, 3)) + z.mean((1, 2))[:, None]


class CalledInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.input = nn.Conv2d(3, 3, 1)
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.input(x)).mean((2, 3))


class SeveralValues(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.adaptive_max_pool2d(self.conv(x), 3)
        values, places = y.flatten(2).max(2)
        return values + places.float() + y.mean((2, 3))


class LostBatch(Base):
    """The batch is folded into the channels and taken out again, as a convolution with a kernel of each image's own does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        weight = self.conv.weight.repeat(b, 1, 1, 1)
        y = F.conv2d(x.reshape(1, b * c, h, w), weight, groups=b)
        return y.reshape(b, 4, h - 2, w - 2).mean((2, 3))


@pytest.mark.parametrize(
    "kind", [WritesConstant, WritesParameterCopy, CountsAndWrites, CalledInput, SeveralValues, LostBatch]
)
def test_logits_equal_the_models(kind: type[nn.Module]) -> None:
    net = same(kind())
    maps = net.run(images(), net.layers.names)
    for layer in net.layers:
        assert tuple(maps[layer.name].shape[1:]) == layer.shape


def test_a_layer_called_input_is_not_the_images() -> None:
    net = same(CalledInput())
    assert net.layers.names[0] == "input#2"


def test_a_program_that_was_taken_apart_reads_as_one_that_was_not() -> None:
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.GroupNorm(2, 8)]
    module = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).eval()
    module[1].running_mean.normal_()
    program = torch.export.export(module, (images(),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    whole, apart = cs.load(program), cs.load(program.run_decompositions())
    torch.testing.assert_close(apart(images()), whole(images()), rtol=1e-5, atol=1e-6)
    kinds = [layer.kind for layer in apart.layers]
    assert kinds[:5] == ["conv", "norm", "activation", "pool", "norm"]
    assert [layer.shape for layer in apart.layers][:5] == [layer.shape for layer in whole.layers][:5]
    field, expected = (net.layers[3].receptive_field for net in (apart, whole))
    assert field is not None
    assert expected is not None
    assert field.size_px == expected.size_px


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions_are_kept(dtype: torch.dtype) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).to(dtype).eval()
    net = cs.load(module, size=SHAPE[1:])
    assert net.dtype == dtype
    torch.testing.assert_close(net(images()), module(images(dtype=dtype)).float(), rtol=2e-2, atol=1e-3)
    assert net.own_logits(images()) is not None
    assert net(torch.randn(1, 3, 20, 21)).shape == (1, 4)


class Autocast(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.conv(x).mean((2, 3))


class Selects(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return y[y > 0].mean().expand(len(x), 2)


class AlwaysDrops(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(self.conv(x)).mean((2, 3))


@pytest.mark.parametrize(("kind", "said"), [(Autocast, "autocast"), (Selects, "Selects"), (AlwaysDrops, "at random")])
def test_what_cannot_be_read_is_refused_in_words(kind: type[nn.Module], said: str) -> None:
    with pytest.raises(ExportError, match=said):
        cs.load(kind(), size=SHAPE[1:])


def test_a_program_exported_while_training_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()).train()
    program = torch.export.export(module, (images(),))
    before = module[1].running_mean.clone()
    with pytest.raises(NetworkError, match="training"):
        cs.load(program)
    assert torch.equal(module[1].running_mean, before)


def test_statistics_of_the_batch_are_said() -> None:
    net = same(
        nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
    )
    assert any("batch" in note for note in net.notes)
    field = net.layers["1"].receptive_field
    assert field is not None
    assert field.is_global


def test_modules_with_computing_hooks_and_hooks_of_their_owner() -> None:
    import threading

    conv = nn.utils.weight_norm(nn.Conv2d(3, 4, 3)) if hasattr(nn.utils, "weight_norm") else nn.Conv2d(3, 4, 3)
    module = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    class Owner:
        def __init__(self) -> None:
            self.lock, self.calls = threading.Lock(), 0

        def hook(self, *_: object) -> None:
            self.calls += 1

    owner = Owner()
    module[1].register_forward_hook(owner.hook)
    module(images())
    net = cs.load(module, size=SHAPE[1:])
    assert owner.calls == 1
    with torch.no_grad():
        torch.testing.assert_close(net(images()), module(images()))
    assert len(module[1]._forward_hooks) == 1


def test_fingerprints_see_settings_and_wiring(tmp_path: Path) -> None:
    def net(**settings: int) -> cs.Network:
        torch.manual_seed(0)
        return cs.load(
            nn.Sequential(nn.Conv2d(3, 4, 3, **settings), nn.LeakyReLU(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            size=32,
        )

    plain, dilated = net(padding=1), net(padding=2, dilation=2)
    assert plain.fingerprint == net(padding=1).fingerprint != dilated.fingerprint
    assert plain.swap("1", lambda x: x * 2).fingerprint != plain.swap("1", lambda x: x * 3).fingerprint


def test_forward_mode_differentiation_is_not_zero() -> None:
    net = same(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    assert net.module is not None
    x = images()
    ours, theirs = (torch.func.jvp(f, (x,), (x,))[1] for f in (net, net.module))
    torch.testing.assert_close(ours, theirs)
    assert float(ours.abs().sum()) > 0
