"""Does it matter how a network is written?  In-place, reused and functional operations show the same layers and values."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from small_networks import hooked, network, relative_error
from torch import nn
from torch.nn import functional as F

from convscope.network import Layer, Network

STYLES = ("modules", "in place", "reused", "functional", "functional in place")
IMAGES = torch.randn(2, 3, 20, 28, generator=torch.Generator().manual_seed(3))


class _Written(nn.Module):
    """Two convolutions and a residual one, with the rectification written in one of the ways people write it."""

    def __init__(self, style: str) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.style = style
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.conv3, self.fc = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 5)
        if style == "reused":
            self.relu = nn.ReLU()
        elif style in ("modules", "in place"):
            self.act1, self.act2, self.act3 = (nn.ReLU(inplace=style == "in place") for _ in range(3))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)

    def rectify(self, x: torch.Tensor, i: int) -> torch.Tensor:
        if self.style == "reused":
            return self.relu(x)
        if self.style in ("modules", "in place"):
            return getattr(self, f"act{i}")(x)
        return F.relu(x, inplace=self.style == "functional in place")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.rectify(self.conv1(x), 1)
        after = self.conv3(self.rectify(self.conv2(before), 2))
        if "in place" in self.style:
            after += before
        else:
            after = after + before
        return self.fc(self.rectify(after, 3).mean((2, 3)))


def _facts(net: Network) -> list[tuple[object, ...]]:
    """What a table of layers says, without names."""
    number = {layer.name: i for i, layer in enumerate(net.layers)}

    def fact(layer: Layer) -> tuple[object, ...]:
        field = layer.receptive_field
        assert field is not None
        seen = field.size_px, field.stride_px, field.offset_px, field.is_global, field.region(0, 0)
        reads = tuple(number.get(name, -1) for name in layer.reads)
        return layer.op, layer.kind, layer.shape, seen, layer.n_parameters, layer.n_macs, reads

    return [fact(layer) for layer in net.layers]


@pytest.mark.parametrize("style", STYLES[1:])
def test_the_same_network_has_the_same_layers_and_values(style: str) -> None:
    plain, other = network(_Written("modules")), network(_Written(style))
    assert _facts(other) == _facts(plain)
    expected = plain.run(IMAGES, plain.layers.names)
    found = other.run(IMAGES, other.layers.names)
    for mine, theirs in zip(found.values(), expected.values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("style", "names"),
    [
        ("modules", ["act1", "act2", "act3"]),
        ("in place", ["act1", "act2", "act3"]),
        ("reused", ["relu", "relu#2", "relu#3"]),
        ("functional", ["relu", "relu#2", "relu#3"]),
        ("functional in place", ["relu", "relu#2", "relu#3"]),
    ],
)
def test_layers_have_the_names_their_owner_knows(style: str, names: list[str]) -> None:
    net = network(_Written(style))
    assert [layer.name for layer in net.layers.of_kind("activation")] == names
    assert [layer.name for layer in net.layers.of_kind("conv", "linear")] == ["conv1", "conv2", "conv3", "fc"]
    assert [layer.name for layer in net.layers.of_kind("sum")] == ["add"]


@pytest.mark.parametrize("style", STYLES)
def test_values_are_those_of_a_copy_that_writes_into_nothing(style: str) -> None:
    module = _Written(style)
    net = network(module)
    expected = hooked(_Written("modules").eval(), IMAGES)
    for path in ("conv1", "conv2", "conv3", "fc"):
        torch.testing.assert_close(net.run(IMAGES, [path])[path], expected[path], rtol=0, atol=0)
        if path != "fc":
            assert float(net.run(IMAGES, [path])[path].min()) < -0.1, "a rectified value would hide the test's point"


class _Trap(nn.Module):
    """A convolution, a body that writes into its value, and a read-out that weighs every entry."""

    def __init__(self, body: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.drop, self.norm = nn.Dropout(0.5), nn.BatchNorm2d(8)
        self.fade, self.alpha = nn.Dropout2d(0.5), nn.AlphaDropout(0.5)
        self.act = nn.ReLU(inplace=True)
        self.body = body
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = self.body(self, x)
        return torch.stack([value.mean((1, 2, 3)), value.square().mean((1, 2, 3)), value.amax((1, 2, 3))], 1)


TRAPS: dict[str, Callable[..., torch.Tensor]] = {}


def trap(body: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    TRAPS[body.__name__.strip("_")] = body
    return body


@trap
def _residual_sum(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    b = m.conv2(a)
    b += a
    return b


@trap
def _rectified_after_the_norm_was_read(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.norm(m.conv1(x))
    b = m.conv2(a)
    return m.act(a) + b


@trap
def _written_between_two_reads(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    before = m.conv2(a)
    a.relu_()
    return before - m.conv2(a)


@trap
def _a_slice_of_units(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    a[:, :4].add_(1)
    return a


@trap
def _a_slice_of_rows(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    b = m.conv2(a)
    a[:, :, ::2].mul_(-2)
    return a + b


@trap
def _a_view(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    a.view(a.shape[0], -1).relu_()
    return a


@trap
def _a_view_made_before_the_write(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    v = a.view(a.shape[0], 8, -1)
    a.add_(1)
    return a * v.mean(2)[:, :, None, None]


@trap
def _a_view_of_a_written_value(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    b = a.relu_()
    v = b.flatten(2)
    a.add_(1)
    return v.mean(2)[:, :, None, None] * a


@trap
def _the_result_of_a_write_is_written_again(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    b = a.relu_()
    b += 1
    return m.conv2(a)


@trap
def _two_names_for_one_value(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    b = m.act(a)
    a.mul_(2)
    return m.conv2(b)


@trap
def _through_dropout(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    m.drop(a).relu_()
    return m.conv2(a)


@trap
def _through_unit_dropout(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    m.fade(a).relu_()
    return m.conv2(m.alpha(a).add_(1)) + a


@trap
def _through_contiguous(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    a.contiguous().relu_()
    return m.conv2(a)


@trap
def _through_contiguous_that_copies(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x).transpose(2, 3)
    b = a.contiguous()
    b.relu_()
    return m.conv2(a) + b


@trap
def _a_clone_is_another_value(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    b = a.clone()
    b.relu_()
    return m.conv2(a) + b


@trap
def _through_detach(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    a.detach().relu_()
    return m.conv2(a)


@trap
def _a_part_of_a_split(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    first, second = a.chunk(2, 1)
    first.mul_(3)
    second += first
    return a


@trap
def _one_of_the_unbound(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    a.unbind(1)[2].zero_()
    return m.conv2(a)


@trap
def _assigned_units(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    b = torch.zeros_like(a)
    b[:, 2:5] = a[:, 2:5]
    b[:, 0] = 1
    return m.conv2(b)


@trap
def _assigned_shifted_positions(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    out = torch.zeros_like(a)
    out[:, :2, :, 1:] = a[:, :2, :, :-1]
    out[:, 2:4, :-1] = a[:, 2:4, 1:]
    out[:, 4:] = a[:, 4:]
    return out


@trap
def _masked_and_copied(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    b = m.conv2(a)
    a.masked_fill_(a < 0, 0.5)
    b[:, :3].copy_(a[:, 3:6])
    return b + a


@trap
def _the_images_themselves(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    x.sub_(0.5).mul_(2)
    return m.conv1(x)


@trap
def _a_counter_and_a_buffer(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    m.norm.num_batches_tracked += 1
    return m.norm(m.conv1(x))


@trap
def _a_transposed_view(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    a.permute(0, 2, 3, 1)[..., :3].mul_(2)
    return m.conv2(a)


@trap
def _broadcast_into(m: _Trap, x: torch.Tensor) -> torch.Tensor:
    a = m.conv1(x)
    b = m.conv2(a)
    a *= a.mean((2, 3), keepdim=True)
    return a + b


@pytest.mark.parametrize("name", TRAPS)
def test_writing_into_a_value_is_followed(name: str) -> None:
    module = _Trap(TRAPS[name]).eval()
    images = IMAGES.clone()
    with torch.no_grad():
        expected = module(images.clone())
    net = network(module, fold=True)
    assert relative_error(net(images), expected) < 1e-5
    assert relative_error(net.unfolded()(images), expected) < 1e-5
    assert torch.equal(images, IMAGES), "the caller's images must stay as they are"
    taps = net.run(images, net.layers.names)
    assert relative_error(taps[net.resolve(net.output)], expected) < 1e-5
    for path, values in hooked(module, images.clone()).items():
        if path in ("conv1", "conv2"):
            layout = net.graph[path].layout[0]  # an image that was turned on its side is shown upright
            assert layout is not None
            torch.testing.assert_close(taps[path], layout.to_map(values), rtol=1e-5, atol=1e-5)


# Networks nobody thought of: a list of instructions over values of four units, any of which may be written into.
_INSTRUCTIONS = (
    "conv",
    "relu",
    "relu_",
    "add",
    "add_",
    "scale_",
    "slice_",
    "rows_",
    "view_",
    "inplace_module",
    "through_",
)
_programs = st.lists(
    st.tuples(st.sampled_from(_INSTRUCTIONS), st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=9
)


class _Generated(nn.Module):
    def __init__(self, program: list[tuple[str, int, int]]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(len(program))
        self.program = program
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for op, _, _ in program if op == "conv")
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.3)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values, convs = [self.stem(x)], iter(self.convs)
        for op, i, j in self.program:
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(self.step(op, a, b, convs))
        return torch.cat([value.mean((2, 3)) for value in values], 1)

    def step(self, op: str, a: torch.Tensor, b: torch.Tensor, convs: object) -> torch.Tensor:
        if op == "conv":
            return next(convs)(a)  # type: ignore[call-overload]
        if op == "relu":
            return F.relu(a)
        if op == "relu_":
            return a.relu_()
        if op == "add":
            return a + b
        if op == "add_":
            return a.add_(b, alpha=0.5)
        if op == "scale_":
            return a.mul_(0.7)
        if op == "slice_":
            a[:, 1:3].add_(0.3)
        elif op == "rows_":
            a[:, :, ::2].mul_(-1)
        elif op == "view_":
            a.view(a.shape[0], -1).relu_()
        elif op == "inplace_module":
            return self.relu(a)
        else:
            self.drop(a).sub_(0.1)
        return a


# A program is short enough to be read as it is; making it shorter would export hundreds of networks.
@settings(
    max_examples=30,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(_programs)
def test_generated_networks_compute_what_their_module_computes(program: list[tuple[str, int, int]]) -> None:
    module = _Generated(program).eval()
    images = IMAGES[:, :, :9, :7].clone()
    with torch.no_grad():
        expected = module(images)
    net = network(module, 9, 7)
    assert relative_error(net(images), expected) < 1e-5
    taps = net.run(images, net.layers.names)
    assert relative_error(taps[net.output], expected) < 1e-5
    for path, values in hooked(module, images).items():
        if "conv" in path or path == "stem":
            torch.testing.assert_close(taps[path], values, rtol=1e-4, atol=1e-5)


def test_layers_stand_in_the_order_they_are_computed() -> None:
    net = network(_Written("reused"))
    number = {layer.name: i for i, layer in enumerate(net.layers)}
    for layer in net.layers:
        assert all(number.get(name, -1) < number[layer.name] for name in layer.reads)
    assert all(a != b for a, b in pairwise(net.layers.names))
