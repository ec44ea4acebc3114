"""Is a value that is held channels-last, in windows or as tokens shown as the maps it stands for?

Every entry of the planted value says which image, unit, row and column it belongs to, so a map that mixes them up is seen.
"""

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_networks import network
from torch import nn

from convscope.graph import axes
from convscope.graph.layout import OTHER, Layout, plain, regroup

SHAPE = (2, 12, 6, 8)  # batch unit y x


def planted(batch: int = SHAPE[0], unit: int = SHAPE[1], y: int = SHAPE[2], x: int = SHAPE[3]) -> torch.Tensor:
    """Each entry names its place: batch * 10^6 + unit * 10^4 + y * 100 + x."""
    along = [torch.arange(n, dtype=torch.float64) for n in (batch, unit, y, x)]
    b, u, v, w = torch.meshgrid(*along, indexing="ij")
    return b * 1e6 + u * 1e4 + v * 100 + w


def assert_in_place(maps: torch.Tensor) -> None:
    """Images, rows and columns stand where they belong, and every unit has one plane of its own, in whatever order."""
    assert maps.shape == SHAPE
    units = (maps % 1e6) // 1e4
    assert torch.equal(maps - units * 1e4, planted() - (planted() % 1e6) // 1e4 * 1e4)
    assert torch.equal(units, units[:1, :, :1, :1].expand(SHAPE))
    assert units[0, :, 0, 0].sort().values.tolist() == list(range(SHAPE[1]))


@st.composite
def rearrangements(draw: st.DrawFn) -> tuple[torch.Tensor, Layout]:
    """The planted value after a few permutations, cuts and merges, with the layout the rules derive for it."""
    value, layout = planted(), plain(*SHAPE)
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["permute", "cut", "merge"]))
        n_dims = value.dim()
        if kind == "permute":
            order = list(draw(st.permutations(range(n_dims))))
            (layout,) = axes.layouts("permute", [layout, order], [tuple(value.shape[i] for i in order)], SHAPE[0])
            value = value.permute(order)
            continue
        shape = list(value.shape)
        dim = draw(st.integers(0, n_dims - 1))
        if kind == "cut":
            factor = draw(st.sampled_from([n for n in range(1, shape[dim] + 1) if shape[dim] % n == 0]))
            shape[dim : dim + 1] = [factor, shape[dim] // factor]
        elif dim + 1 < n_dims:
            shape[dim : dim + 2] = [shape[dim] * shape[dim + 1]]
        assume(len(shape) <= 7)
        assume(regroup(layout.dims, tuple(shape)) is not None)
        (layout,) = axes.layouts("reshape", [layout, shape], [tuple(shape)], SHAPE[0])
        value = value.reshape(shape)
    return value, layout


@settings(max_examples=300, deadline=None)
@given(rearrangements())
def test_rearranged_values_are_shown_as_they_were(found: tuple[torch.Tensor, Layout]) -> None:
    value, layout = found
    assert layout.shape == tuple(value.shape)
    assert layout.map_shape == SHAPE[1:]
    assert_in_place(layout.to_map(value))


@settings(max_examples=200, deadline=None)
@given(rearrangements())
def test_maps_go_back_to_the_value_they_came_from(found: tuple[torch.Tensor, Layout]) -> None:
    value, layout = found
    assert torch.equal(layout.from_map(layout.to_map(value)), value)
    maps = torch.randn(SHAPE)
    assert torch.equal(layout.to_map(layout.from_map(maps)), maps)


def _windows(x: torch.Tensor) -> torch.Tensor:
    batch, unit, height, width = x.shape
    cut = x.permute(0, 2, 3, 1).reshape(batch, height // 2, 2, width // 4, 4, unit)
    return cut.permute(0, 1, 3, 2, 4, 5).reshape(-1, 8, unit)


def _heads(x: torch.Tensor) -> torch.Tensor:
    batch, unit, height, width = x.shape
    return x.flatten(2).transpose(1, 2).reshape(batch, height * width, 3, unit // 3).permute(0, 2, 1, 3)


def _groups(x: torch.Tensor) -> torch.Tensor:
    batch, unit, height, width = x.shape
    return x.reshape(batch, 2, unit // 2, height, width)


FORMS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "as it is": lambda x: x,
    "channels last": lambda x: x.permute(0, 2, 3, 1),
    "tokens": lambda x: x.flatten(2).transpose(1, 2),
    "tokens by unit": lambda x: x.flatten(2),
    "windows": _windows,
    "heads": _heads,
    "groups": _groups,
    "columns first": lambda x: x.transpose(2, 3),
}


class _Held(nn.Module):
    """Its only layer, a multiplication by one, holds the image in another form."""

    def __init__(self, form: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.form = form

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        held = self.form(x * 1.0) * 1.0
        return torch.stack([held.flatten(1).sum(1) if held.shape[0] == x.shape[0] else held.sum() * x[:, 0, 0, 0]], 1)


@pytest.mark.parametrize("form", FORMS)
def test_a_layer_shows_its_maps_whatever_form_holds_them(form: str) -> None:
    module = _Held(FORMS[form]).double()
    images = planted()
    net = network(_Channels(module), *SHAPE[2:])
    layers = [layer.name for layer in net.layers if layer.op == "mul"][:2]
    for maps in net.to(dtype=torch.float64).run(images, layers).values():
        assert torch.equal(maps.double(), images.float().double())


class _Channels(nn.Module):
    """Says how many channels the network takes, which is read from the first convolution."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.weigh = nn.Conv2d(SHAPE[1], 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) + self.weigh(x).mean((1, 2, 3))[:, None]


def test_a_channel_shuffle_numbers_the_units_anew() -> None:
    value = planted()
    layout = plain(*SHAPE)
    (cut,) = axes.layouts("reshape", [layout, None], [(2, 2, 6, 6, 8)], 2)
    (turned,) = axes.layouts("transpose", [cut, 1, 2], [(2, 6, 2, 6, 8)], 2)
    (shuffled,) = axes.layouts("reshape", [turned, None], [SHAPE], 2)
    held = value.reshape(2, 2, 6, 6, 8).transpose(1, 2).reshape(SHAPE)
    assert torch.equal(shuffled.to_map(held), held)
    assert shuffled.is_plain


def test_positions_that_lost_their_place_are_tokens() -> None:
    tokens = axes.layouts("reshape", [plain(2, 5, 3, 4), None], [(2, 5, 12)], 2)[0]
    with_class = axes.layouts("cat", [[None, tokens], 2], [(2, 5, 13)], 2)[0]
    assert with_class.has(OTHER)
    assert with_class.map_shape == (5, 13)
    value = torch.arange(2 * 5 * 13.0).reshape(2, 5, 13)
    assert torch.equal(with_class.to_map(value), value)
