"""Are filters the weights a unit is computed with, are connections those to the right units, and are families what was planted?"""

import numpy as np
import pytest
import torch
from small_networks import Pooled, network, randomized
from torch import nn

from convscope.errors import UsageError
from convscope.images import Preprocess
from convscope.instruments.appearance.colour import channels_of, image_rgb, signed_rgb
from convscope.instruments.appearance.families import families, family_order, measure_filters
from convscope.instruments.appearance.filters import connections, filters, first_layers, weights_of
from convscope.instruments.appearance.sources import NOTHING


class Shuffled(nn.Module):
    """A convolution that reads channels cut, flipped, padded with zeros and shuffled; grouped, its norm folded."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3), nn.Conv2d(3, 4, 3)
        self.grouped, self.norm = nn.Conv2d(12, 8, (3, 1), groups=2, bias=False), nn.BatchNorm2d(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, two = self.first(x).relu(), self.second(x).relu()
        mixed = torch.cat([one.flip(1), nn.functional.pad(two, (0, 0, 0, 0, 1, 1))], 1)
        shuffled = mixed.reshape(-1, 2, 6, *mixed.shape[2:]).transpose(1, 2).flatten(1, 2)
        return self.norm(self.grouped(shuffled)).relu().mean((2, 3))


def test_connections_are_those_the_unit_is_computed_with() -> None:
    """What a connection says is what adding its unit's map alone changes, summed over positions."""
    module = randomized(Shuffled())
    net = network(module)
    found = weights_of(net, "norm")
    assert found.folded == "norm"
    assert found.values.shape == (8, 6, 3, 1)
    cat = net.layers["grouped"].reads[0]
    maps = torch.randn(1, 12, 9, 11).relu()
    shuffled = maps.reshape(1, 2, 6, 9, 11).transpose(1, 2).flatten(1, 2)
    module.double()
    with torch.no_grad():
        expected = module.norm(module.grouped(shuffled.double()))[0]
        bias = module.norm(module.grouped(torch.zeros_like(shuffled.double())))[0]
        for unit in range(8):
            total = torch.zeros(7, 11, dtype=torch.float64)
            for one in connections(found, unit, None):
                assert one.source[0] == cat
                kernel = torch.from_numpy(one.kernel).double()[None, None]
                total += nn.functional.conv2d(maps[:, one.source[1]][None].double(), kernel)[0, 0]
            assert torch.allclose(total, (expected - bias)[unit], atol=1e-5)


def test_units_are_found_through_slices_flips_and_zeros() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.top = nn.Conv2d(3, 6, 3), nn.Conv2d(5, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            cut = self.first(x).flip(1)[:, 1:4]
            return self.top(nn.functional.pad(cut, (0, 0, 0, 0, 1, 1))).mean((2, 3))

    found = weights_of(network(randomized(Cut())), "top")
    assert found.sources == (NOTHING, ("first", 4), ("first", 3), ("first", 2), NOTHING)
    assert len(connections(found, 0, None)) == 3


def test_a_dense_layer_over_maps_has_kernels_over_maps() -> None:
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 4 * 6, 7))
    net = network(randomized(module, (6, 8)), 6, 8)
    found = weights_of(net, "3")
    assert found.values.shape == (7, 5, 4, 6)
    assert found.sources == tuple(("1", unit) for unit in range(5))
    maps = torch.randn(5, 4, 6)
    by_hand = (torch.from_numpy(found.values) * maps).sum((1, 2, 3))
    assert torch.allclose(by_hand, module[3].weight.detach() @ maps.flatten(), atol=1e-5)


def test_depthwise_units_have_one_connection_and_activity_counts() -> None:
    module = Pooled(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6), nn.ReLU(), nn.Conv2d(6, 2, 1))
    net = network(randomized(module))
    assert [one.source for one in connections(weights_of(net, "3"), 4)] == [("1", 4)]
    found = weights_of(net, "4")
    weights = np.abs(found.values[1, :, 0, 0])
    assert [one.source[1] for one in connections(found, 1, 3)] == list(np.argsort(-weights)[:3])
    loud = {"3": np.where(np.arange(6) == 2, 1000.0, 1.0)}
    first = connections(found, 1, 1, loud)[0]
    assert first.source == ("3", 2)
    assert first.share == pytest.approx(1, abs=1e-2)
    assert sum(one.share for one in connections(found, 1, None)) == pytest.approx(1)


def test_first_filters_are_folded_where_the_norm_is_asked_for() -> None:
    module = randomized(Pooled(nn.Conv2d(3, 6, (3, 5), bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 2, 1)))
    net = network(module)
    assert first_layers(net) == ("0",)
    norm = module[1]
    factor = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
    own = module[0].weight.detach()
    assert np.allclose(filters(net).values, own)
    for layer in ("1", "2"):
        assert np.allclose(filters(net, layer).values, own * factor[:, None, None, None], rtol=1e-5)


@pytest.mark.parametrize("n_channels", [1, 4])
def test_grey_and_four_channel_images(n_channels: int) -> None:
    module = randomized(Pooled(nn.Conv2d(n_channels, 5, 3), nn.ReLU(), nn.Conv2d(5, 2, 1)), n_channels=n_channels)
    net = network(module, channels=n_channels)
    found = filters(net)
    measured = measure_filters(found.values)
    assert all(np.isnan(one.color_share) for one in measured)
    assert net.preprocess.n_channels == n_channels
    note = channels_of(net.preprocess).note
    assert ("first three" in note) == (n_channels == 4)
    assert image_rgb(torch.zeros(1, n_channels, 5, 7), net.preprocess).shape == (5, 7, 3)


def test_what_has_no_weights_is_told() -> None:
    net = network(randomized(Pooled(nn.Conv2d(3, 6, 3), nn.MaxPool2d(2), nn.Conv2d(6, 2, 1))))
    with pytest.raises(UsageError, match="no convolution or dense layer"):
        weights_of(net, "1")
    with pytest.raises(UsageError, match="It reads 1"):
        filters(net, "2")
    with pytest.raises(UsageError, match="It has 2 units"):
        connections(weights_of(net, "2"), 2)
    two = network(randomized(Shuffled()))
    with pytest.raises(UsageError, match="2 layers read the image itself: first, second"):
        filters(two)


# Colours and families


def test_pictures_are_symmetric_about_zero() -> None:
    values = np.array([[[-2.0, 0, 1, 2]], [[0, 0, 0, 0]], [[0, 0, 0, 4]]])
    rgb = signed_rgb(values, Preprocess())
    assert rgb[0, :, 0].tolist() == [64, 128, 159, 191]
    assert rgb[0, :, 2].tolist() == [128, 128, 128, 255]
    bgr = signed_rgb(values, Preprocess(channels="BGR"))
    assert np.array_equal(bgr[..., ::-1], rgb)
    assert (signed_rgb(np.zeros((3, 2, 2)), Preprocess()) == 128).all()


def grating(direction_deg: float, frequency: float, side: int = 11, phase: float = 0.6) -> np.ndarray:
    """A Gabor whose bars run in a direction, counter-clockwise from horizontal."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    angle = np.radians(direction_deg)
    across = x * np.sin(angle) + y * np.cos(angle)  # y runs downward
    return np.cos(2 * np.pi * frequency * across + phase) * np.exp(-(x**2 + y**2) / (2 * (side / 5) ** 2))


@pytest.mark.parametrize("direction", [0, 20, 45, 67.5, 90, 110, 135, 160])
@pytest.mark.parametrize("frequency", [0.15, 0.25])
def test_planted_gratings_are_measured(direction: float, frequency: float) -> None:
    values = np.stack([grating(direction, frequency)] * 3)[None]
    (found,) = measure_filters(values)
    off = abs(found.direction_deg - direction) % 180
    assert min(off, 180 - off) < 1
    assert found.frequency == pytest.approx(frequency, abs=0.03)
    assert found.color_share == pytest.approx(0, abs=1e-9)
    assert found.family == f"edge {22.5 * (round(direction / 22.5) % 8):g} deg"


def test_direction_turns_with_the_picture() -> None:
    """A quarter turn counter-clockwise adds 90 deg, whatever the filter."""
    values = np.random.default_rng(0).standard_normal((20, 3, 7, 7))
    for one, turned in zip(measure_filters(values), measure_filters(np.rot90(values, axes=(2, 3))), strict=True):
        assert (one.direction_deg + 90) % 180 == pytest.approx(turned.direction_deg, abs=1e-6)
        assert one.frequency == pytest.approx(turned.frequency)
        assert one.directed == pytest.approx(turned.directed)


def test_colours_blobs_and_dead_filters_are_told_apart() -> None:
    y, x = np.mgrid[:9, :9] - 4.0
    bump = np.exp(-(x**2 + y**2) / 18)
    ring = np.cos(np.hypot(x, y) * 1.9) * np.exp(-(x**2 + y**2) / 18)
    ring -= ring.mean()
    planted = {
        "edge 135 deg": np.stack([grating(135, 0.2, 9)] * 3),
        "blob": np.stack([bump] * 3),
        "undirected": np.stack([ring] * 3),
        "colour red": np.stack([bump, -bump, -bump]),
        "colour blue": np.stack([-bump, -bump, bump]),
        "colour yellow": np.stack([bump, bump, -bump]),
        "colour edge green-magenta": np.stack([-1, 1, -1])[:, None, None] * grating(45, 0.15, 9),
        "dead": np.zeros((3, 9, 9)),
    }
    values = np.stack(list(planted.values()))
    measured = measure_filters(values)
    assert [one.family for one in measured] == list(planted)
    assert sorted(family_order(measured)) == list(range(8))
    assert family_order(measured)[-1] == 7
    assert next(iter(families(measured))) == "edge 135 deg"
    bgr = measure_filters(values[:, ::-1], rgb=(2, 1, 0))
    assert [one.family for one in bgr] == [one.family for one in measured]
