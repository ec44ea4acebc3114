"""Is what is out of the ordinary handled, and said in words?

Dead units, 2,000 units, 1 x 1 maps, dense layers, grey and four-channel images, grouped and depthwise convolutions, images smaller
than the field, maps that are not finite, images that are gone.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import Pooled, network, randomized
from torch import nn

import convscope as cs
from convscope.errors import NetworkError, UsageError
from convscope.instruments.appearance.correspondence import correspondence
from convscope.instruments.appearance.covering import cover
from convscope.instruments.appearance.deconvnet_picture import project
from convscope.instruments.appearance.exemplars import exemplar, exemplars, swept
from convscope.instruments.appearance.families import families, measure_filters
from convscope.instruments.appearance.filters import connections, filters, weights_of
from convscope.instruments.appearance.maps import Maps, maps_of
from convscope.instruments.appearance.mosaic import mosaic
from convscope.instruments.appearance.optimise import Optimise

SIZE = (11, 13)
N_CHANNELS = (1, 3, 4)
DEAD = {"relu": 3, "relu#4": 7, "relu#5": 9}
LAYERS = ("relu", "relu#2", "relu#3", "relu#4", "pool", "relu#5", "out")


class Odd(nn.Module):
    """A grouped and a depthwise convolution whose fields outgrow the image, 2,000 units, 1 x 1 maps, dense layers, dead units."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_channels, 8, 5, stride=2, padding=2)
        self.group, self.depth = nn.Conv2d(8, 12, 3, padding=1, groups=4), nn.Conv2d(12, 12, 5, padding=2, groups=12)
        self.wide, self.pool = nn.Conv2d(12, 2000, 1), nn.AdaptiveAvgPool2d(1)
        self.fc, self.out = nn.Linear(2000, 30), nn.Linear(30, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.depth(self.group(self.conv(x).relu()).relu()).relu()
        return self.out(self.fc(self.pool(self.wide(x).relu()).flatten(1)).relu())


@cache
def odd(n_channels: int) -> tuple[cs.Network, cs.Images]:
    torch.manual_seed(n_channels)
    module = randomized(Odd(n_channels), SIZE, n_channels)
    with torch.no_grad():
        for conv, layer in ((module.conv, "relu"), (module.wide, "relu#4"), (module.fc, "relu#5")):
            conv.bias[DEAD[layer]] = -1000
    settings = {
        "channels": {1: "L", 3: "RGB", 4: 4}[n_channels],
        "mean": (0.5,) * n_channels,
        "std": (0.5,) * n_channels,
    }
    net = cs.load(module, size=SIZE, n_channels=n_channels, preprocess=settings)
    pixels = np.random.default_rng(0).integers(0, 256, (6, *SIZE, n_channels)).astype(np.uint8)
    return net, cs.images(pixels)


@pytest.mark.parametrize("n_channels", N_CHANNELS)
def test_weights_of_grouped_depthwise_and_dense_units(n_channels: int) -> None:
    net, _ = odd(n_channels)
    assert filters(net).values.shape == (8, n_channels, 5, 5)
    assert sum(map(len, families(measure_filters(filters(net).values)).values())) == 8
    grouped = weights_of(net, "group")
    for unit in range(12):
        assert {one.source for one in connections(grouped, unit, None)} == {
            ("relu", 2 * (unit // 3) + i) for i in (0, 1)
        }
        assert [one.source for one in connections(weights_of(net, "depth"), unit)] == [("relu#2", unit)]
    dense = connections(weights_of(net, "fc"), 3, 4)
    assert [one.source[0] for one in dense] == ["pool"] * 4
    assert [one.source[1] for one in dense] == np.argsort(-np.abs(net.module.fc.weight[3].detach().numpy()))[
        :4
    ].tolist()


@pytest.mark.parametrize("n_channels", N_CHANNELS)
@pytest.mark.parametrize("layer", LAYERS)
def test_every_picture_of_every_kind_of_layer(n_channels: int, layer: str) -> None:
    """A unit that is alive and one that is dead, in a layer of any form: pictures of the right size, or words why there is none."""
    net, images = odd(n_channels)
    inputs = net.preprocess(images[0])
    n_units = net.layers[layer].shape[0]
    shown = mosaic(maps_of(net, inputs, layer), "response", marked=2)
    assert len(shown.units) == n_units
    assert len(shown.legend) >= 2
    peaks = net.run(torch.cat([net.preprocess(one) for one in images]), [layer])[layer].reshape(
        len(images), n_units, -1
    )
    alive = int(peaks.amax((0, 2)).argmax())
    units = (alive, DEAD[layer]) if layer in DEAD else (alive,)
    for unit, found in zip(units, exemplars(net, images, layer, units, 2), strict=True):
        if unit != alive:
            assert "it has no exemplars" in found.words
            assert found.patches == ()
            assert unit in maps_of(net, inputs, layer).off
        for patch in found.patches:
            top, left, bottom, right = patch.box
            assert patch.pixels.shape == (bottom - top, right - left, 3)
            assert 0 <= top < bottom <= SIZE[0]
            assert 0 <= left < right <= SIZE[1]
            assert patch.projection.signal.shape == (n_channels, *SIZE)
            assert np.isnan(patch.projection.inside_frac) or patch.projection.inside_frac == pytest.approx(1)
    for unit, made in zip(
        units, Optimise(n_steps=2, n_restarts=1)(net, [f"{layer}:{unit}" for unit in units]), strict=True
    ):
        assert made.images.shape == (1, n_channels, *made.canvas.size)
        assert made.canvas.size == SIZE or layer == "relu"
        assert made.silent or unit == alive


def test_one_patch_is_one_and_few_are_counted() -> None:
    net, images = odd(3)
    unit = int(maps_of(net, net.preprocess(images[0]), "relu").highest.argmax())
    (found,) = exemplars(net, images, "relu", (unit,), 1)
    (only,) = found.patches
    assert found.words.startswith(f"relu:{unit}: the strongest patch of 6 images, response {only.value:.3g}.")
    (more,) = exemplars(net, images, "relu", (unit,), 3)
    assert more.words.startswith(f"relu:{unit}: the 3 strongest patches of 6 images, responses ")


# Values that are not finite


class Logarithm(nn.Module):
    """NaN where an image is dark: the logarithm of what is below zero."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.conv.weight.data.fill_(1 / 27)
        self.conv.bias.data.copy_(torch.tensor([0.0, 0.5, 1.0, 9.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).log().mean((2, 3))


def test_maps_that_are_not_finite_are_named_and_projected_by_nobody() -> None:
    net = network(Logarithm(), *SIZE)
    inputs = torch.full((1, 3, *SIZE), 0.9)
    inputs[:, :, 4:8, 3:9] = -2
    maps = maps_of(net, inputs, "log")
    assert maps.not_finite == (0, 1, 2)
    assert maps.strongest(4) == (3,)
    assert "Not finite (pink): 0, 1, 2." in mosaic(maps, "response", marked=3).words
    assert maps.order("response")[0] == 3
    with pytest.raises(NetworkError, match="nan"):
        project(net, inputs, "log", [0])
    (finite,) = project(net, inputs, "log", [0], [(0, 0)])
    assert not cover(net, inputs, finite.place, finite.seen, finite.energy).ran
    (third,) = project(net, inputs, "log", [3])
    covered = cover(net, inputs, third.place, third.seen, third.energy)
    assert covered.ran
    beyond = inputs.clone()
    beyond[:, :, 0, 0] = torch.inf
    odd_one = cover(net, beyond, third.place, third.seen, third.energy)
    assert not odd_one.ran or np.isfinite(odd_one.top)


def test_parts_whose_changes_are_not_finite_are_refused() -> None:
    net = network(Logarithm(), *SIZE)
    inputs = torch.rand(4, 3, *SIZE)
    inputs[2] = -2
    with pytest.raises(NetworkError, match="image 2"):
        correspondence(net, inputs, [[2, 2, 5, 6]] * 4, ["log"], n_draws=1, n_bootstrap=5)


def test_images_with_such_maps_give_no_exemplars() -> None:
    """The sweep leaves them out; the others are shown."""
    settings = {"resize": None, "crop": SIZE, "mean": (0.5,) * 3, "std": (0.1,) * 3}
    net = cs.load(Logarithm().eval(), size=SIZE, preprocess=settings)
    pixels = np.full((5, *SIZE, 3), 230, np.uint8)
    pixels[1, 3:7, 4:9] = 0
    (found,) = exemplars(net, cs.images(pixels), "log", (0,), 5)
    assert [patch.index for patch in found.patches] == [0, 2, 3, 4]


# An image that is gone


def test_an_exemplar_that_cannot_be_read_again_is_named(tmp_path: Path) -> None:
    net, _ = odd(3)
    generator = np.random.default_rng(1)
    for i in range(4):
        Image.fromarray(generator.integers(0, 256, (*SIZE, 3)).astype(np.uint8)).save(tmp_path / f"{i}.png")
    images = cs.images(tmp_path)
    whole = exemplars(net, images, "relu", (1,), 4)[0]
    table = swept(net, images, "relu", 4)
    gone = whole.patches[1].id
    (tmp_path / gone).write_bytes(b"no image")
    (found,) = exemplars(net, images, "relu", (1,), 4, table=table)
    assert [one.id for one in found.patches] == [one.id for one in whole.patches if one.id != gone]
    assert "could not be read again" in found.words
    assert gone in found.words
    assert found.n_images == 4
    (told,) = exemplars(net, images, "relu", (1,), 4, table=table, n_images=3)
    assert told.n_images == 3
    (swept_again,) = exemplars(net, images, "relu", (1,), 4)
    assert swept_again.n_images == 3
    assert " of 3 images" in swept_again.words


# Fields and images


def test_an_image_smaller_than_the_field_is_seen_whole() -> None:
    module = randomized(
        Pooled(nn.Conv2d(3, 4, 7, padding=3), nn.ReLU(), nn.Conv2d(4, 3, 9, padding=4), nn.ReLU()), (5, 8)
    )
    net = network(module, 5, 8)
    for position in ((0, 0), (2, 4), (4, 7)):
        found = exemplar(net, torch.rand(1, 3, 5, 8), "3", 1, position)
        top, left, bottom, right = found.box
        assert (top, bottom) == (0, 5)
        assert (left, right) == (max(0, position[1] - 7), min(8, position[1] + 8))
        if found.covered is not None and found.covered.ran:
            assert found.covered.n_px == max(1, round(0.1 * found.projection.seen.n_px))


def test_a_field_of_one_pixel_cannot_be_compared_and_is_not_checked() -> None:
    """Whatever is covered is all there is: random pixels are the same pixel."""
    module = randomized(Pooled(nn.Conv2d(3, 4, 1), nn.ReLU()), SIZE)
    net = network(module, *SIZE)
    found = exemplar(net, torch.rand(1, 3, *SIZE), "1", 0)
    assert found.pixels.shape == (1, 1, 3)
    assert found.value > 0
    assert found.covered is not None
    assert not found.covered.confirmed
    assert found.covered.words == "Not checked: there is nothing else to cover."


@pytest.mark.parametrize("outline", ["deconvnet", "guided", "occlusion"])
def test_a_neuron_that_sees_padding_only_has_an_empty_patch_and_says_so(outline: str) -> None:
    """At the corners of a padded 1 x 1 convolution there is the bias alone."""
    module = randomized(Pooled(nn.Conv2d(3, 4, 1, padding=2), nn.ReLU()), SIZE)
    with torch.no_grad():
        module[0].bias[2] = 50
    net = network(module, *SIZE)
    for position in ((0, 0), (0, 5), (14, 16)):
        found = exemplar(net, torch.rand(1, 3, *SIZE), "1", 2, position, outline=outline)
        assert found.value == pytest.approx(50)
        assert found.part.size == found.pixels.size == 0
        assert found.part.shape == found.pixels.shape[:2]
        assert found.projection.notes[-1] == "It sees padding only."
        assert found.covered is not None
        assert found.covered.words == "Not checked: it sees padding only."
    pixels = np.zeros((3, *SIZE, 3), np.uint8)
    (shown,) = exemplars(net, cs.images(pixels), "1", (2,), 2, outline=outline)
    assert len(shown.patches) == 2


# Mosaics


def test_groups_begin_rows_and_their_names_head_them() -> None:
    values = np.abs(np.random.default_rng(2).standard_normal((9, 4, 5))).astype(np.float32)
    groups = {"edge 0 deg": [4, 1, 7, 0, 8], "blob": [2], "nobody": [], "colour edge yellow-blue": [6, 3]}
    shown = mosaic(Maps("conv", values), groups, marked=2, columns=3)
    assert shown.cells.tolist() == [[4, 1, 7], [0, 8, -1], [2, -1, -1], [6, 3, -1]]
    assert shown.groups == ((0, "edge 0 deg"), (2, "blob"), (3, "colour edge yellow-blue"))
    assert shown.units.tolist() == [4, 1, 7, 0, 8, 2, 6, 3]
    image = np.asarray(shown.image)
    for unit in shown.units.tolist():
        top, left, bottom, right = shown.box(unit)
        assert shown.unit_at(top, left) == shown.unit_at(bottom - 1, right - 1) == unit
        expected = np.round(246 * np.clip(values[unit] / shown.tops[unit], 0, 1))
        tile = image[top : bottom : shown.zoom, left : right : shown.zoom].astype(int)
        assert np.abs(tile - expected)[1:-1, 1:-1].max() <= 1
    top, left, _, _ = shown.box(2)
    assert shown.unit_at(top, left + shown.pitch[1]) is None  # nobody is there
    assert shown.unit_at(top, left - 2) is None
    assert "framed: " in shown.framed
    assert str(shown.marked[0]) in shown.framed
    written = image[: shown.cells.shape[0] * shown.pitch[0], : shown.left]
    assert (written != 247).any()
    with pytest.raises(UsageError, match="at most once"):
        mosaic(Maps("conv", values), {"a": [1, 2], "b": [2]})
    with pytest.raises(UsageError, match="No unit"):
        mosaic(Maps("conv", values), {"a": []})


def test_the_rows_of_two_thousand_units_are_headed_by_numbers() -> None:
    for shape in ((2000, 1, 1), (2000, 7, 7), (2000, 3, 31)):
        values = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
        shown = mosaic(Maps("layer", values), marked=3)
        assert len(shown.heads) == shown.cells.shape[0]
        assert shown.heads[1] == (1, str(shown.columns))
        assert max(shown.tile) >= 20
        assert max(shown.image.size) < 2600
        head = np.asarray(shown.image)[: shown.pitch[0], : shown.left]
        assert (head != 247).any()
