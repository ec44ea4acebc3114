"""Is a neuron projected back as Zeiler and Fergus say, into what it sees; and does the check tell what drives it?"""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import Pooled, network, randomized, relative_error
from torch import nn
from torch.nn import functional as F

import convscope as cs
from convscope.errors import NetworkError, UsageError
from convscope.instruments.appearance.covering import Covered, cover, occlusion_energy, top_pixels
from convscope.instruments.appearance.deconvnet_picture import project
from convscope.instruments.appearance.seen import Seen
from convscope.sweep.engine import gauges_for, keys_of, sweep
from convscope.sweep.gauges import Exemplars

SIZE = (27, 34)
IMAGES = torch.randn(3, 3, *SIZE, generator=torch.Generator().manual_seed(5))


class Fire(nn.Module):
    """Overlapping pools in ceil mode, two branches joined, strides, padding: what SqueezeNet is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze = nn.Conv2d(3, 6, 3, stride=2), nn.Conv2d(6, 4, 1)
        self.one, self.three = nn.Conv2d(4, 5, 1), nn.Conv2d(4, 5, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.conv(x).relu(), 3, 2, ceil_mode=True)
        x = self.squeeze(x).relu()
        x = torch.cat([self.one(x).relu(), self.three(x).relu()], 1)
        return F.max_pool2d(x, 3, 2, ceil_mode=True).mean((2, 3))


def explicit(module: Fire, x: torch.Tensor, unit: int, at: tuple[int, int], guided: bool) -> torch.Tensor:
    """Unpool by the switches, rectify, filter with the transposed filters: written out, operation by operation."""

    def rectify(signal: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        return F.relu(signal) * (before > 0) if guided else F.relu(signal)

    def unpool(signal: torch.Tensor, switches: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        up = torch.zeros(shape).flatten(2)
        return up.scatter_add(2, switches.flatten(2), signal.flatten(2)).reshape(shape)  # windows overlap: sums

    def transposed(signal: torch.Tensor, conv: nn.Conv2d, like: torch.Tensor) -> torch.Tensor:
        down = F.conv_transpose2d(signal, conv.weight, stride=conv.stride, padding=conv.padding)
        missing = [a - b for a, b in zip(like.shape[2:], down.shape[2:], strict=True)]
        return F.pad(down, (0, missing[1], 0, missing[0]))

    with torch.no_grad():
        a = module.conv(x)
        p, switches1 = F.max_pool2d(a.relu(), 3, 2, ceil_mode=True, return_indices=True)
        s = module.squeeze(p)
        one, three = module.one(s.relu()), module.three(s.relu())
        joined = torch.cat([one, three], 1).relu()
        top, switches2 = F.max_pool2d(joined, 3, 2, ceil_mode=True, return_indices=True)
        signal = torch.zeros_like(top)
        signal[:, unit, at[0], at[1]] = top[:, unit, at[0], at[1]]
        signal = unpool(signal, switches2, joined.shape)
        from_one = transposed(rectify(signal[:, :5], one), module.one, s)
        from_three = transposed(rectify(signal[:, 5:], three), module.three, s)
        signal = transposed(rectify(from_one + from_three, s), module.squeeze, p)
        signal = rectify(unpool(signal, switches1, a.shape), a)
        return transposed(signal, module.conv, x)


@pytest.mark.parametrize("way", ["deconvnet", "guided"])
@pytest.mark.parametrize(("unit", "at"), [(0, (1, 2)), (7, (0, 0)), (9, (2, 3)), (6, (2, 1))])
def test_both_ways_equal_unpool_and_transpose(way: str, unit: int, at: tuple[int, int]) -> None:
    torch.manual_seed(1)
    module = Fire()
    net = network(module, *SIZE)
    pool = next(row.name for row in reversed(net.layers) if row.kind == "pool")
    found = project(net, IMAGES, pool, [unit] * 3, [at] * 3, way)
    expected = explicit(module, IMAGES, unit, at, way == "guided")
    on = [i for i, one in enumerate(found) if one.value > 0]
    assert on
    for i, one in enumerate(found):
        assert relative_error(torch.from_numpy(one.signal), expected[i]) < 1e-5 or i not in on
        assert one.inside_frac == pytest.approx(1, abs=1e-12) or i not in on
        (alone,) = project(net, IMAGES[i : i + 1], pool, [unit], [at], way)
        assert np.allclose(one.signal, alone.signal, atol=1e-6)


@pytest.mark.parametrize("unit", range(4))
def test_energy_lies_in_what_the_neuron_sees_everywhere(unit: int) -> None:
    module = randomized(Fire(), SIZE)
    net = network(module, *SIZE)
    layer = net.layers["squeeze"]
    places = [(y, x) for y in range(layer.shape[1]) for x in range(layer.shape[2])]
    for one in project(net, IMAGES[:1], "squeeze", [unit] * len(places), places):
        held = np.zeros(SIZE, bool)
        held[one.seen.slices] = True
        assert not one.energy[~held].any()
        assert one.crop.shape[1:] == one.seen.size


def test_without_a_position_it_is_the_peak_and_units_share_one_walk() -> None:
    module = randomized(Fire(), SIZE)
    net = network(module, *SIZE)
    maps = net.run(IMAGES[:1], ["three"])["three"][0]
    for unit, one in zip((4, 0, 2), project(net, IMAGES[:1], "three", (4, 0, 2)), strict=True):
        assert one.value == pytest.approx(float(maps[unit].max()))
        assert one.place.unit == unit
        y, x = one.place.position
        assert float(maps[unit, y, x]) == pytest.approx(one.value)


def test_what_is_off_or_below_zero_says_so() -> None:
    module = randomized(Pooled(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)), SIZE)
    with torch.no_grad():
        module[0].bias[1] = -1000
    net = network(module, *SIZE)
    off, below = project(net, IMAGES[:1], "1", [1]) + project(net, IMAGES[:1], "0", [1])
    assert "off in this image" in off.notes[0]
    assert not off.signal.any()
    assert np.isnan(off.inside_frac)
    assert "below zero" in below.notes[0]
    checked = cover(net, IMAGES[:1], off.place, off.seen, off.energy)
    assert checked.words == "Not checked: the neuron is not above zero in this image."
    assert not checked.confirmed


def test_vectors_grey_and_four_channels() -> None:
    for n_channels in (1, 4):
        module = nn.Sequential(nn.Conv2d(n_channels, 5, 3), nn.ReLU(), nn.MaxPool2d(3), nn.Flatten(), nn.Linear(400, 4))
        net = network(randomized(module, SIZE, n_channels), *SIZE, channels=n_channels)
        inputs = torch.randn(2, n_channels, *SIZE)
        one, two = project(net, inputs, "4", [3, 0])
        assert one.signal.shape == (n_channels, *SIZE)
        assert one.place.position is None
        assert two.seen.size == (26, 32)  # the pool leaves out the last row and columns
        (first,) = project(net, inputs[:1], "1", [2])
        assert cover(net, inputs[:1], first.place, first.seen, first.energy).ran


def test_wrong_use_is_told() -> None:
    net = network(randomized(Fire(), SIZE), *SIZE)
    for message, ask in {
        "Use deconvnet, guided": lambda: project(net, IMAGES, "three", [1], way="gradient"),
        "It has 5 units": lambda: project(net, IMAGES[:1], "three", [5]),
        r"Its maps are 6 x 8": lambda: project(net, IMAGES[:1], "three", [1], [(6, 0)]),
        "3 images and": lambda: project(net, IMAGES, "three", [1, 2]),
        "It is the image itself": lambda: project(net, IMAGES[:1], "input", [1]),
    }.items():
        with pytest.raises(UsageError, match=message):
            ask()
    with pytest.raises(NetworkError, match="nan"):
        project(net, IMAGES[:1] * float("nan"), "three", [1])


# The check


class Reads(nn.Module):
    """A unit that sums given pixels of a field of 11 x 11, and nothing else."""

    def __init__(self, mask: np.ndarray) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 11, bias=False)
        self.conv.weight.data = torch.from_numpy(mask).float().expand(2, 3, 11, 11).clone()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).relu().mean((2, 3))


def planted(mask: np.ndarray) -> tuple[cs.Network, torch.Tensor]:
    net = network(Reads(mask), *SIZE)
    return net, torch.ones(1, 3, *SIZE)


def test_covering_counts_what_it_should() -> None:
    """A response that is a sum of pixels falls by exactly the share of them that is covered."""
    mask = np.zeros((11, 11))
    mask[1:4, 2:6] = 1
    net, ones = planted(mask)
    (found,) = project(net, ones, "relu", [1], [(3, 7)])
    checked = cover(net, ones, found.place, found.seen, found.energy, n_draws=5)
    assert checked.n_px == 12
    assert checked.top == pytest.approx(1)
    assert checked.centre == pytest.approx((mask * found.seen.nearest(12)).sum() / 12)
    assert checked.confirmed
    assert checked.beyond_centre
    assert checked.random < 0.4
    assert 0 <= min(checked.random_each) <= checked.random <= max(checked.random_each) <= 1
    assert checked.shifted == pytest.approx(np.mean(checked.shifted_each))
    assert checked.words.startswith("Confirmed: with the 9.9 % of the pixels")
    wrong = np.zeros(SIZE)
    wrong[found.seen.rows.stop - 2, found.seen.slices[1]] = 1
    refuted = cover(net, ones, found.place, found.seen, wrong)
    assert refuted.top == pytest.approx(0)
    assert not refuted.confirmed
    assert refuted.words.startswith("Not confirmed")


def test_a_disc_in_the_middle_that_does_as_much_is_told() -> None:
    y, x = np.mgrid[:11, :11] - 5.0
    net, ones = planted(np.hypot(y, x) < 2)
    (found,) = project(net, ones, "relu", [0], [(8, 8)])
    checked = cover(net, ones, found.place, found.seen, found.energy)
    assert checked.confirmed
    assert checked.centre_passes
    assert "But a disc in the middle" in checked.words


def test_a_unit_that_needs_everything_alike_is_not_confirmed() -> None:
    net, ones = planted(np.ones((11, 11)))
    (found,) = project(net, ones, "relu", [0], [(0, 0)])
    checked = cover(net, ones, found.place, found.seen, found.energy)
    assert checked.top == pytest.approx(checked.random, abs=1e-5)
    assert not checked.confirmed


def test_where_random_dots_silence_a_unit_fewer_are_covered() -> None:
    """A unit that fires only if nearly all pixels are there: a tenth of any of them is too much to tell anything by."""
    mask = np.full((11, 11), 0.1)
    mask[2:7, 1:9] = 1
    net, ones = planted(mask)
    with torch.no_grad():
        net.module.conv.bias = nn.Parameter(torch.full((2,), -0.85 * 3 * float(mask.sum())))
    net = network(net.module, *SIZE)
    (found,) = project(net, ones, "relu", [0], [(4, 4)])
    tenth = cover(net, ones, found.place, found.seen, found.energy, fewer=False)
    assert tenth.n_px == 12
    assert tenth.random > 0.5
    assert not tenth.confirmed
    less = cover(net, ones, found.place, found.seen, found.energy)
    assert less.n_px == 6
    assert less.confirmed
    assert "9.9 %" not in less.words


def test_drops_equal_those_of_images_covered_one_by_one() -> None:
    net = network(randomized(Fire(), SIZE), *SIZE)
    (found,) = project(net, IMAGES[:1], "cat", [7])
    checked = cover(net, IMAGES[:1], found.place, found.seen, found.energy, fill="mean")
    mask = np.zeros(SIZE, bool)
    mask[found.seen.slices] = top_pixels(found.energy[found.seen.slices], checked.n_px)
    covered = torch.where(torch.from_numpy(mask), IMAGES[:1].mean((2, 3), keepdim=True), IMAGES[:1])
    y, x = found.place.position
    value = float(net.run(covered, ["cat"])["cat"][0, 7, y, x])
    assert checked.top == pytest.approx(1 - value / found.value, abs=1e-4)
    again = cover(net, IMAGES[:1], found.place, found.seen, found.energy, fill="mean")
    assert again == checked
    assert (
        cover(net, IMAGES[:1], found.place, found.seen, found.energy, seed=1, fill="mean").random_each
        != checked.random_each
    )


def test_occlusion_finds_the_pixels_that_are_needed() -> None:
    mask = np.zeros((11, 11))
    mask[2:4, 6:10] = 1
    net, ones = planted(mask)
    (found,) = project(net, ones, "relu", [0], [(5, 6)])
    energy = occlusion_energy(net, ones, found.place, found.seen)
    assert energy.shape == SIZE
    assert not energy[: found.seen.rows.start].any()
    crop = energy[found.seen.slices]
    assert crop[mask > 0].min() > crop[mask == 0].mean() * 3


def test_the_middle_of_a_field_at_the_border_is_the_neurons() -> None:
    net = network(Reads(np.ones((11, 11))), *SIZE)
    region = Seen(net, IMAGES).from_neuron("relu", (2, 3))
    assert region.middle == (7.5, 8.5)
    disc = region.nearest(5)
    assert disc[5, 5]
    assert disc.sum() == 5
    padded = network(Pooled(nn.Conv2d(3, 2, 7, padding=3), nn.ReLU()), *SIZE)
    region = Seen(padded, IMAGES).from_neuron("1", (0, 0))
    assert region.size == (4, 4)
    assert region.nearest(1)[0, 0]


def test_an_operation_without_a_rule_is_refused() -> None:
    class Signs(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sign(x).mean((2, 3))

    with pytest.raises(NetworkError, match="sign in 'sign'"):
        project(network(Signs(), *SIZE), IMAGES[:1], "sign", [1])


# Real


@pytest.mark.data
@pytest.mark.slow
def test_squeezenet_pictures_show_what_drives_units(data_dir: Path) -> None:
    """100 units of 4 layers, spread over their numbers, each in its strongest of 800 photographs."""
    net = cs.load("torchvision:squeezenet1_1", weights=data_dir / "weights" / "squeezenet1_1_imagenet.safetensors")
    images = cs.images(data_dir / "images" / "imagenet1k_sample")
    layers = ("features.3.cat", "features.6.expand3x3_activation", "features.7.cat", "features.12.expand3x3_activation")
    gauges = gauges_for(net, layers, lambda n_units: [Exemplars(n_units, 1)])
    sweep(net, images, gauges)
    index_of = np.argsort(keys_of(images))
    checked: list[Covered] = []
    for layer in layers:
        table = gauges[layer]["exemplars"].result()
        live = np.flatnonzero(table.values[:, 0] > 0)
        for unit in live[np.linspace(0, len(live) - 1, 25).round().astype(int)]:
            inputs = net.preprocess(images[int(index_of[table.keys[unit, 0]])])
            (found,) = project(net, inputs, layer, [int(unit)], [(int(table.y[unit, 0]), int(table.x[unit, 0]))])
            assert found.value == pytest.approx(float(table.values[unit, 0]), rel=1e-3)
            assert found.inside_frac == pytest.approx(1, abs=1e-12)
            checked.append(cover(net, inputs, found.place, found.seen, found.energy))
    assert np.mean([one.beyond_shifted for one in checked]) >= 0.8
    assert np.mean([one.beyond_random for one in checked]) >= 0.7
    assert np.mean([one.confirmed for one in checked]) >= np.mean([one.centre_passes for one in checked])
