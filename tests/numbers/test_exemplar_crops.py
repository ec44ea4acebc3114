"""Are exemplars the strongest patches, cut to what the unit sees; and is what was planted found in them by a measurement?"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from planted import DEAD, EDGE_2, RED_2, RING, WHEEL, detectors, planted_images, planted_network
from scipy.ndimage import binary_dilation
from small_networks import Pooled, network, randomized
from torch import nn

import convscope as cs
from convscope.errors import UsageError
from convscope.instruments.appearance.exemplars import (
    UnitExemplars,
    driving_part,
    exemplar,
    exemplars,
    swept,
)
from convscope.instruments.appearance.families import measure_filters
from convscope.see.swept import swept as swept_for_see
from convscope.see.tiles import LINE
from convscope.see.tiles import patch as outlined

SIZE = (23, 31)


class Clamped(nn.Module):
    def __init__(self, low: float | None, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(self.low, self.high)


# Crops


@pytest.mark.parametrize("unit", [0, 3])
def test_crops_equal_the_support_at_the_borders_too(unit: int) -> None:
    """A neuron's patch is the smallest rectangle round the pixels that its derivative says it can see."""
    module = Pooled(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.AvgPool2d(3, 2, padding=1), nn.Conv2d(4, 5, 3, padding=1)
    )
    net = network(randomized(module, SIZE), *SIZE)
    inputs = torch.rand(1, 3, *SIZE)
    below = nn.Sequential(*module).double()
    leaf = inputs.double().requires_grad_()
    maps = below(leaf)
    image = net.preprocess.pixels(inputs)[0]
    for y in range(maps.shape[2]):
        for x in range(maps.shape[3]):
            (slope,) = torch.autograd.grad(maps[0, unit, y, x], leaf, retain_graph=True)
            rows, columns = (np.flatnonzero(slope[0].abs().sum((0, dim)).numpy()) for dim in (2, 1))
            found = exemplar(net, inputs, "2", unit, (y, x), check=False)
            assert found.box == (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
            top, left, bottom, right = found.box
            assert np.array_equal(found.pixels, image[top:bottom, left:right])
            assert found.part.shape == found.pixels.shape[:2]
            energy = found.projection.energy.copy()
            energy[top:bottom, left:right] = 0
            assert not energy.any()


def test_the_outlined_part_holds_half_of_the_energy() -> None:
    energy = np.zeros((40, 50))
    energy[10:14, 20:28] = 1
    part = driving_part(energy)
    inside = np.zeros_like(part)
    inside[8:16, 18:30] = True
    assert part.any()
    assert not (part & ~inside).any()
    assert 16 <= part.sum() <= 24  # half of 32 pixels, blurred a little
    assert not driving_part(np.zeros((4, 5))).any()
    one = np.zeros((3, 3))
    one[1, 2] = 5
    assert driving_part(one).tolist() == (one > 0).tolist()


# The strongest, against a naive search


def test_they_are_the_strongest_of_all_images() -> None:
    net, images = planted_network(), planted_images(40)
    peaks = []
    for i in range(len(images)):
        maps = net.run(net.preprocess(images[i]), ["relu1"])["relu1"][0].numpy()
        peaks.append([(float(one.max()), np.unravel_index(one.argmax(), one.shape)) for one in maps])
    for one in exemplars(net, images, "relu1", (0, 6, 17), 5):
        order = sorted(range(len(images)), key=lambda i, unit=one.unit: -peaks[i][unit][0])[:5]
        assert [patch.value for patch in one.patches] == pytest.approx([peaks[i][one.unit][0] for i in order])
        for patch in one.patches:
            value, place = peaks[patch.index][one.unit]
            assert patch.value == pytest.approx(value)
            assert patch.place.position == tuple(map(int, place))
            assert patch.id == images.ids[patch.index]


def test_at_a_ceiling_those_come_first_in_which_more_reach_it_however_it_is_written() -> None:
    """Nine of ten images reach 6; the one in which the most neurons do has the last id but one."""
    pixels = np.zeros((10, *SIZE, 3), np.uint8)
    for i in range(1, 10):
        pixels[i, 2 : 3 + i, 4:9] = 255
    pixels[8, 2:20, 4:9] = 255
    ways = (nn.ReLU6(), nn.Hardtanh(0, 6), Clamped(0, 6), nn.Sequential(nn.ReLU(), Clamped(None, 6)))
    for way in ways:
        module = Pooled(nn.Conv2d(3, 2, 1), way)
        with torch.no_grad():
            module[0].weight.fill_(9)
        net = cs.load(module.eval(), size=SIZE, preprocess={"mean": (0.0,) * 3, "std": (1.0,) * 3})
        layer = [row.name for row in net.layers if row.kind in ("activation", "pointwise")][-1]
        images = cs.images(pixels)
        for table in (swept(net, images, layer, 3), swept_for_see(net, images, [layer], 3).layers[layer].exemplars):
            assert table.values[0].tolist() == [6, 6, 6]
            assert table.keys[0].tolist() == [8, 9, 7], layer


def test_a_dead_unit_has_none_and_says_so() -> None:
    net, images = planted_network(), planted_images(20)
    alive, dead = exemplars(net, images, "relu1", (0, DEAD["relu1"][0]), 3)
    assert len(alive.patches) == 3
    assert dead.patches == ()
    assert dead.words == "relu1:1 is above zero in none of 20 images: it has no exemplars."
    assert dead.confirmed == (0, 0)
    table = swept(net, images, "relu1", 3)
    again = exemplars(net, images, "relu1", (0,), 3, table=table)[0]
    assert [p.value for p in again.patches] == [p.value for p in alive.patches]


def test_wrong_use_is_told() -> None:
    net, images = planted_network(), planted_images(8)
    with pytest.raises(UsageError, match="It has 24 units"):
        exemplars(net, images, "relu1", (24,))
    with pytest.raises(UsageError, match="deconvnet, guided, occlusion"):
        exemplars(net, images, "relu1", outline="gradient")


@pytest.mark.parametrize("n_channels", [1, 4])
def test_grey_and_four_channels(n_channels: int) -> None:
    module = randomized(Pooled(nn.Conv2d(n_channels, 5, 3), nn.ReLU()), SIZE, n_channels)
    settings = {"channels": "L" if n_channels == 1 else 4, "mean": (0.5,) * n_channels, "std": (0.5,) * n_channels}
    net = cs.load(module.eval(), size=SIZE, n_channels=n_channels, preprocess=settings)
    pixels = np.random.default_rng(0).integers(0, 256, (6, *SIZE, n_channels)).astype(np.uint8)
    images = cs.images(pixels)
    (found,) = exemplars(net, images, "1", (2,), 2)
    top, left, bottom, right = found.patches[0].box
    shown = pixels[found.patches[0].index][top:bottom, left:right]
    assert np.array_equal(found.patches[0].pixels, shown[..., :3] if n_channels == 4 else shown.repeat(3, 2))
    assert ("first three" in found.words) == (n_channels == 4)
    assert found.patches[0].projection.signal.shape[0] == n_channels


def test_a_class_unit_sees_the_whole_image() -> None:
    net, images = planted_network(), planted_images(12)
    (found,) = exemplars(net, images, "fc", (2,), 2)
    assert found.patches[0].pixels.shape[:2] == (21, 34)
    assert found.patches[0].place.position is None
    for outline in ("guided", "occlusion"):
        (other,) = exemplars(net, images, "relu2", (1,), 1, outline=outline)
        assert other.patches[0].by == outline
        assert other.patches[0].part.any()


# What was planted is found


@cache
def world() -> object:
    calm = {"clutter_count": (0, 2), "warp_frac": (0, 0), "flat_share": 0.8, "scale_frac": (0.75, 0.85)}
    return cs.World(**calm, rotation_deg=(0, 0), aspect_ratio=(1, 1)).scenes(240, seed=4)


@cache
def strongest(unit: int) -> UnitExemplars:
    """In the pooled layer above: max-pools have switches."""
    return exemplars(detectors(), cs.images(world().images), "pool", (unit,), 8)[0]


def direction_of(patch: np.ndarray, part: np.ndarray) -> float:
    """The direction of the edges in a part of a patch, by its gradients (structure tensor), deg from horizontal."""
    gy, gx = np.gradient(patch.astype(float).mean(2))
    moment = ((gx - 1j * gy) ** 2)[part].sum()
    return float(np.degrees(np.angle(moment)) / 2 + 90) % 180


def off_by(found: float, expected: float) -> float:
    return min(abs(found - expected) % 180, 180 - abs(found - expected) % 180)


def test_a_planted_edge_is_found() -> None:
    found = strongest(EDGE_2)
    assert found.confirmed == (8, 8)
    in_patches = []
    for patch in found.patches:
        picture = measure_filters(patch.projection.crop[None])[0]
        assert off_by(picture.direction_deg, 45) < 8
        assert picture.family == "edge 45 deg"
        in_patches.append(off_by(direction_of(patch.pixels, patch.part), 45))
    assert np.median(in_patches) < 12  # edges of the world are not all straight
    assert max(in_patches) < 30


def test_a_planted_colour_is_found() -> None:
    for patch in strongest(RED_2).patches:
        picture = measure_filters(patch.projection.crop[None])[0]
        assert min(picture.hue_deg, 360 - picture.hue_deg) < 15
        assert picture.color_share > 0.5
        red, green, blue = patch.pixels[patch.part].mean(0)
        assert red > 1.5 * max(green, blue)


def test_a_planted_wheel_is_found() -> None:
    """What is outlined, and the energy of the pictures, lies on wheels; of the pixels few do."""
    mask = world().mask("part", "wheel")
    outlined_, energy, area = [], [], []
    for patch in strongest(WHEEL).patches:
        top, left, bottom, right = patch.box
        here = mask[patch.index][top:bottom, left:right]
        outlined_.append(here[patch.part].mean())
        own = patch.projection.energy[top:bottom, left:right]
        energy.append(own[here].sum() / own.sum())
        area.append(here.mean())
    assert np.mean(outlined_) > 0.75
    assert np.mean(energy) > 0.75
    assert np.mean(area) < 0.4
    assert mask.mean() < 0.05


def test_a_planted_ring_is_found() -> None:
    """Among discs, squares and rings in noise the unit finds rings, and its pictures are rings."""
    generator = np.random.default_rng(2)
    y, x = np.mgrid[:64, :64]
    pixels, centres = np.empty((60, 64, 64, 3), np.uint8), []
    for i, image in enumerate(pixels):
        cy, cx = generator.integers(12, 52, 2)
        r, side = np.hypot(y - cy, x - cx), np.maximum(abs(y - cy), abs(x - cx))
        shape = [abs(r - 5) < 0.8, r < 5.8, abs(side - 5) < 0.8][i % 3]
        image[...] = np.clip(70 + 130 * shape + generator.normal(0, 12, (64, 64)), 0, 255)[..., None]
        centres.append((cy, cx))
    (found,) = exemplars(detectors(), cs.images(pixels), "pool", (RING,), 8)
    templates = [abs(np.hypot(y - 32, x - 32) - 5) < 0.8, np.hypot(y - 32, x - 32) < 5.8]
    for patch in found.patches:
        assert patch.index % 3 == 0
        cy, cx = centres[patch.index]
        middle = patch.projection.seen.middle
        assert abs(middle[0] - cy - 0.5) <= 2
        assert abs(middle[1] - cx - 0.5) <= 2
        signal = np.roll(patch.projection.signal.sum(0), (32 - cy, 32 - cx), (0, 1)).clip(min=0)[20:45, 20:45]
        ring, disc = (np.corrcoef(signal.ravel(), one[20:45, 20:45].ravel())[0, 1] for one in templates)
        assert ring > 0.7
        assert ring > disc + 0.2
    assert found.confirmed == (8, 8)


def test_the_outline_goes_round_the_part() -> None:
    """The line lies outside the part, within a pixel of it, on every side that is not the patch's border."""
    found = strongest(WHEEL).patches[0]
    drawn = outlined(found)
    ys, xs = np.nonzero((drawn == LINE).all(2))
    assert len(ys)
    scale = drawn.shape[0] / found.pixels.shape[0], drawn.shape[1] / found.pixels.shape[1]
    rows, columns = (ys / scale[0]).astype(int), (xs / scale[1]).astype(int)
    assert binary_dilation(found.part, np.ones((3, 3)))[rows, columns].all()
    inside = np.asarray(Image.fromarray(found.part).resize(drawn.shape[1::-1], Image.Resampling.NEAREST))
    assert not inside[ys, xs].any()
    around = binary_dilation(inside) & ~inside
    assert (drawn[around] == LINE).all()


@pytest.mark.data
@pytest.mark.slow
def test_squeezenet_exemplars_are_outlined_and_checked(data_dir: Path) -> None:
    net = cs.load("torchvision:squeezenet1_1", weights=data_dir / "weights" / "squeezenet1_1_imagenet.safetensors")
    images = cs.images(data_dir / "images" / "imagenet1k_sample").limited(60)
    found = exemplars(net, images, "features.7.cat", (11, 130, 200), 3)
    for one in found:
        for patch in one.patches:
            assert patch.projection.inside_frac == pytest.approx(1, abs=1e-12)
            assert patch.covered is not None
            assert patch.covered.beyond_shifted
