"""Are the values of any layer, part of the network, size, precision and batch those the module itself would give?"""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from small_networks import Pooled, hooked, network, out_of_place, randomized, relative_error
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from convscope.errors import InputShapeError, UnknownNameError, UsageError
from convscope.network import Network, load
from convscope.network.torchvision_ops import import_torchvision

IMAGES = torch.randn(3, 3, 20, 28, generator=torch.Generator().manual_seed(7))


class _Residual(nn.Module):
    """A residual and a dense block, in the in-place style of torchvision."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv1, self.bn1 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.pool = nn.Conv2d(8, 8, 3, padding=1), nn.MaxPool2d(2)
        self.grow, self.relu, self.fc = nn.Conv2d(8, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.stem(x)))
        out = self.conv2(self.relu(self.bn1(self.conv1(x))))
        out += x
        x = self.pool(out)
        x = torch.cat([x, self.grow(F.leaky_relu(x, 0.1))], 1)
        return self.fc(self.relu(x).mean((2, 3)))


class _ChannelsLast(nn.Module):
    """The block of a ConvNeXt, with a window partition before its dense layers."""

    def __init__(self, windows: bool = False) -> None:
        super().__init__()
        self.stem, self.windows = nn.Conv2d(3, 8, 2, stride=2), windows
        self.depthwise, self.norm = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.LayerNorm(8)
        self.widen, self.narrow, self.head = nn.Linear(8, 16), nn.Linear(16, 8), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        batch, unit, height, width = x.shape
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        if self.windows:
            y = y.reshape(batch, height // 2, 2, width // 2, 2, unit).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, unit)
            y = y + self.narrow(F.gelu(self.widen(y)))
            y = y.reshape(batch, height // 2, width // 2, 2, 2, unit).permute(0, 1, 3, 2, 4, 5)
            y = y.reshape(batch, height, width, unit)
        else:
            y = self.narrow(F.gelu(self.widen(y)))
        x = x + y.permute(0, 3, 1, 2)
        return self.head(x.mean((2, 3)))


MODULES: dict[str, Callable[[], nn.Module]] = {
    "residual": _Residual,
    "channels last": _ChannelsLast,
    "windows": lambda: _ChannelsLast(windows=True),
}


@cache
def _read(name: str) -> tuple[nn.Module, Network]:
    module = randomized(MODULES[name]())
    return module, network(module, fold=True)


@pytest.fixture(scope="module", params=MODULES)
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, Network]:
    return _read(request.param)


def logits_of(module: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return module(images)


def test_logits_and_every_layer_in_one_pass(pair: tuple[nn.Module, Network]) -> None:
    module, net = pair
    maps = net.run(IMAGES, net.layers.names)
    assert {name: value.shape[1:] for name, value in maps.items()} == {layer.name: layer.shape for layer in net.layers}
    assert relative_error(net(IMAGES), logits_of(module, IMAGES)) < 1e-5
    for layer in net.layers:
        torch.testing.assert_close(net.upto(layer.name)(IMAGES), maps[layer.name], rtol=1e-4, atol=1e-5)


def as_maps(value: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """A module's own value as `batch unit y x`, where it is held channels-last."""
    return value if tuple(value.shape[1:]) == shape else value.movedim(-1, 1)


@pytest.mark.parametrize("name", ["residual", "channels last"])
def test_values_are_those_a_hook_sees(name: str) -> None:
    module, net = _read(name)
    assert_values_are_those_a_hook_sees(module, net.unfolded(), IMAGES)


def assert_values_are_those_a_hook_sees(module: nn.Module, net: Network, images: torch.Tensor) -> None:
    seen = {path: value for path, value in hooked(out_of_place(module), images).items() if path in net.layers.names}
    assert len(seen) > 4
    maps = net.run(images, seen)
    for path, value in seen.items():
        assert relative_error(maps[path], as_maps(value, net.layers[path].shape)) < 1e-5, path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("torchvision.models", "resnet18"),
        ("torchvision.models", "shufflenet_v2_x0_5"),
        ("torchvision.models", "mobilenet_v3_small"),
        ("torchvision.models", "squeezenet1_1"),
        ("timm", "convnext_atto"),
        ("timm", "seresnet18"),
    ],
)
def test_values_of_known_networks_are_those_a_hook_sees(library: str, name: str) -> None:
    package = import_torchvision(library)
    module = (package.create_model if library == "timm" else package.get_model)(name)
    module = randomized(module, (64, 96))
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    assert_values_are_those_a_hook_sees(module, network(module, 64, 96), images)


def test_only_what_was_asked_for_is_shown_under_the_name_it_was_asked_by(pair: tuple[nn.Module, Network]) -> None:
    _, net = pair
    assert list(net.run(IMAGES, ["input", "stem", "stem"])) == ["input", "stem"]
    assert torch.equal(net.run(IMAGES, ["input"])["input"], IMAGES)
    with pytest.raises(UnknownNameError, match="stem"):
        net.run(IMAGES, ["stemm"])


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_batch_is_its_images_one_by_one(pair: tuple[nn.Module, Network], batch: int) -> None:
    _, net = pair
    images = torch.randn(batch, 3, 20, 28, generator=torch.Generator().manual_seed(batch))
    names = net.layers.names
    together = net.run(images, names)
    for i in range(batch):
        for name, alone in net.run(images[i : i + 1], names).items():
            torch.testing.assert_close(together[name][i : i + 1], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(12, 36), (32, 8)])
def test_images_of_another_size_are_taken(pair: tuple[nn.Module, Network], size: tuple[int, int]) -> None:
    module, net = pair
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    assert relative_error(net(images), logits_of(module, images)) < 1e-5
    there = net.at(*size)
    assert there.input_shape == (3, *size)
    assert {name: value.shape[1:] for name, value in there.run(images, there.layers.names).items()} == {
        layer.name: layer.shape for layer in there.layers
    }
    assert relative_error(net(IMAGES), logits_of(module, IMAGES)) < 1e-5


@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_other_channels_are_taken(channels: int) -> None:
    module = Pooled(nn.Conv2d(channels, 6, 3), nn.ReLU(inplace=True), nn.Conv2d(6, 4, 3))
    net = network(module)
    images = torch.randn(2, channels, 20, 28)
    assert net.input_shape == (channels, 20, 28)
    assert relative_error(net(images), logits_of(module, images)) < 1e-5


@pytest.mark.parametrize(
    "inputs",
    [
        torch.zeros(3, 20, 28),
        torch.zeros(1, 3, 20, 28, dtype=torch.uint8),
        torch.zeros(1, 4, 20, 28),
        [[0.0]],
    ],
    ids=["no batch", "not float", "channels", "not a tensor"],
)
def test_inputs_of_another_form_are_refused(inputs: object) -> None:
    net = network(_Residual())
    with pytest.raises(InputShapeError):
        net(inputs)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"dtype": torch.bfloat16}, {"dtype": torch.bfloat16, "channels_last": True}])
def test_bfloat16_says_nearly_the_same(pair: tuple[nn.Module, Network], options: dict[str, object]) -> None:
    module, net = pair
    low = net.to(**options)  # type: ignore[arg-type]
    logits = low(IMAGES)
    assert logits.dtype == torch.float32
    expected = logits_of(module, IMAGES)
    assert float(torch.corrcoef(torch.stack([logits.flatten(), expected.flatten()]))[0, 1]) > 0.99
    assert relative_error(low(IMAGES[:, :, :12, :16]), logits_of(module, IMAGES[:, :, :12, :16])) < 0.2
    assert not torch.equal(logits, expected), "nothing was computed in another precision"


def test_channels_last_says_the_same(pair: tuple[nn.Module, Network]) -> None:
    module, net = pair
    last = net.to(channels_last=True)
    assert relative_error(last(IMAGES), logits_of(module, IMAGES)) < 1e-5
    maps, expected = (each.run(IMAGES, net.layers.names) for each in (last, net))
    for name in net.layers.names:
        torch.testing.assert_close(maps[name], expected[name], rtol=1e-4, atol=1e-5)
    assert last.graph.tensors["stem.weight"].is_contiguous(memory_format=torch.channels_last)


def test_onward_from_every_layer_ends_where_the_network_does(pair: tuple[nn.Module, Network]) -> None:
    _, net = pair
    for layer in net.layers:
        above = net.onward(layer.name, IMAGES)
        assert above.maps.shape == (3, *layer.shape)
        assert relative_error(above(above.maps), net(IMAGES)) < 1e-5, layer.name


def _variants(maps: torch.Tensor, n: int) -> torch.Tensor:
    """n maps for each image, one after the other: the k-th with its first units set to k."""
    variants = maps.repeat_interleave(n, dim=0)
    for k in range(n):
        variants[k::n, :2] = float(k)
    return variants


class _Replaced(nn.Module):
    """A module whose value is replaced."""

    def __init__(self, values: torch.Tensor) -> None:
        super().__init__()
        self.values = values

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.values


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("residual", "stem"),
        ("residual", "norm"),
        ("residual", "conv1"),
        ("residual", "bn1"),
        ("residual", "conv2"),
        ("residual", "grow"),
        ("channels last", "depthwise"),
        ("channels last", "norm"),
        ("channels last", "widen"),
        ("windows", "depthwise"),
        ("windows", "widen"),
        ("windows", "narrow"),
    ],
)
@pytest.mark.parametrize("n", [1, 3])
def test_onward_is_the_module_with_that_value_replaced(name: str, layer: str, n: int) -> None:
    module, net = _read(name)
    above = net.onward(layer, IMAGES)
    maps = _variants(above.maps, n)
    found = above(maps)
    assert found.shape == (3 * n, 5)
    assert not torch.allclose(found[:1], above(above.maps)[:1], rtol=1e-3), "the replaced values must matter"
    for i in range(3):
        for k in range(n):
            twin = copy.deepcopy(module)
            held = twin.get_submodule(layer)(torch.zeros(_held_shape(module, layer))).detach()
            value = above.layout.from_map(maps[i * n + k : i * n + k + 1])
            assert value.shape == held.shape
            setattr(twin, layer, _Replaced(value))
            assert relative_error(found[i * n + k], logits_of(twin, IMAGES[i : i + 1])[0]) < 1e-5


def _held_shape(module: nn.Module, layer: str) -> tuple[int, ...]:
    """The shape of what enters a layer for one image."""
    seen: list[tuple[int, ...]] = []
    handle = module.get_submodule(layer).register_forward_hook(
        lambda part, args, value: seen.append(tuple(args[0].shape))
    )
    logits_of(module, IMAGES[:1])
    handle.remove()
    return seen[0]


def test_onward_from_the_images_and_at_another_size(pair: tuple[nn.Module, Network]) -> None:
    module, net = pair
    images = IMAGES[:, :, :16, :12]
    above = net.onward("input", images)
    assert relative_error(above(images * 0.5), logits_of(module, images * 0.5)) < 1e-5
    above = net.onward("stem", images)
    assert relative_error(above(above.maps), logits_of(module, images)) < 1e-5


def test_onward_refuses_maps_of_another_shape_and_layers_that_lead_nowhere(pair: tuple[nn.Module, Network]) -> None:
    _, net = pair
    above = net.onward("stem", IMAGES)
    for wrong in (above.maps[:, 1:], above.maps[:, :, 1:], above.maps[:2]):
        with pytest.raises(UsageError):
            above(wrong)
    with pytest.raises(UnknownNameError):
        net.onward("stam", IMAGES)


def test_onward_refuses_a_layer_beside_the_output() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.one(x).mean((2, 3)), "beside": self.two(x).mean((2, 3))}

    net = network(Two())
    with pytest.raises(UsageError, match="does not depend"):
        net.onward("two", IMAGES)


def test_gradients_are_the_modules_own(pair: tuple[nn.Module, Network]) -> None:
    module, net = pair
    mine, theirs = (IMAGES.clone().requires_grad_() for _ in range(2))
    net(mine)[:, 2].sum().backward()
    module(theirs)[:, 2].sum().backward()
    assert relative_error(mine.grad, theirs.grad) < 1e-5
    assert all(tensor.grad is None and not tensor.requires_grad for tensor in net.graph.tensors.values())


def test_gradients_flow_through_a_layer(pair: tuple[nn.Module, Network]) -> None:
    _, net = pair
    above = net.onward("stem", IMAGES)
    maps = above.maps.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(above(maps)[:, 1].sum(), maps)
    step = 1e-2 * torch.randn(maps.shape, generator=torch.Generator().manual_seed(0))
    precise = net.to(dtype=torch.float64).onward("stem", IMAGES.double())
    change = (precise(maps.detach() + step) - precise(maps.detach() - step))[:, 1].sum() / 2
    assert float((gradient * step).sum()) == pytest.approx(float(change), rel=0.05, abs=1e-3)


def test_values_kept_for_the_caller_are_never_overwritten(pair: tuple[nn.Module, Network]) -> None:
    _, net = pair
    images = IMAGES.clone()
    with torch.no_grad():
        expected = {layer.name: net.run(images, [layer.name])[layer.name].clone() for layer in net.layers}
        together = net.run(images, net.layers.names)
        above = net.onward("stem", images)
        maps = above.maps.clone()
        first = above(maps)
        assert torch.equal(above(maps), first), "a second call must find the same values"
        assert torch.equal(maps, above.maps)
    assert torch.equal(images, IMAGES)
    for name, values in together.items():
        torch.testing.assert_close(values, expected[name], rtol=1e-4, atol=1e-5)
    later = net.run(IMAGES * 2, net.layers.names)
    assert not torch.equal(later["stem"], together["stem"])


class _Writes(TorchDispatchMode):
    """Counts the operations that write into a value."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n += function._schema.is_mutable
        return function(*args, **kwargs or {})


def test_memory_is_written_over_only_without_gradients() -> None:
    """It must be somewhere, or the tests of overwriting test nothing."""
    net = network(_Residual())
    with torch.no_grad(), _Writes() as without:
        net(IMAGES)
    with _Writes() as with_gradients:
        net(IMAGES.clone().requires_grad_())
    assert without.n > 0
    assert with_gradients.n == 0


def test_an_exported_program_of_any_size_is_taken() -> None:
    module = randomized(_ChannelsLast())
    dynamic = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        module, (torch.zeros(3, 3, 20, 28),), dynamic_shapes=({0: dynamic, 2: dynamic, 3: dynamic},)
    )
    net = load(program, fold=False)
    assert net.graph.any_size
    for size in ((20, 28), (12, 18)):
        images = torch.randn(2, 3, *size)
        assert relative_error(net(images), logits_of(module, images)) < 1e-5
        above = net.onward("widen", images)
        assert above.maps.shape == (2, 16, size[0] // 2, size[1] // 2)
        assert relative_error(above(above.maps), logits_of(module, images)) < 1e-5


def test_folding_is_a_choice(pair: tuple[nn.Module, Network]) -> None:
    module, net = pair
    assert relative_error(net.unfolded()(IMAGES), logits_of(module, IMAGES)) < 1e-6
