"""Are overlaps of units and concepts what two naive passes give, are planted detectors found, and nothing where nothing is?"""

import os
import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pytest
import torch
from small_networks import Pooled, network, randomized
from torch import nn

import convscope as cs
from convscope.errors import ImagesError, UsageError
from convscope.images import Picture, Preprocess
from convscope.images.concepts.concept import Concept, Masks
from convscope.instruments.concepts import chance, counting
from convscope.instruments.concepts.chance import position_prior
from convscope.instruments.concepts.collect import TOGETHER, Collected, _pooled, collect, halves
from convscope.instruments.concepts.counting import rotation
from convscope.instruments.concepts.dissect import labels_of
from convscope.instruments.concepts.image_level import image_level, precisions, ranking
from convscope.instruments.concepts.iou import average_precision, cap, highest_between, tails
from convscope.instruments.concepts.single_units import SingleUnits, evaluated, single_units
from convscope.intervals import false_discovery_rate
from convscope.sweep.engine import keys_of, sweep
from convscope.sweep.gauges import Overlap, Peaks, Values
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE, Labelled
from convscope.sweep.gauges.levels import levels_from
from convscope.sweep.gauges.overlap import n_bytes, product, room
from convscope.sweep.gauges.peaks import UnitPeaks
from convscope.sweep.gauges.pixels import Pixels, anchor_of, stretched, values_at
from convscope.sweep.response import Response

SIZE = (21, 34)
PLAIN = Preprocess(resize=None, crop=None, mean=(0.0,) * 3, std=(1.0,) * 3)


@dataclass(frozen=True, eq=False)
class Given:
    """Masks by the image's id."""

    names: tuple[str, ...]
    by_id: dict[str, Masks]
    per_pixel: bool = True

    @property
    def concepts(self) -> tuple[Concept, ...]:
        return tuple(Concept(name, "object") for name in self.names)

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        return self.by_id[picture.id]

    def strays(self, ids: Any) -> tuple[()]:
        return ()


def blobs(n: int, size: tuple[int, int], n_concepts: int, seed: int) -> np.ndarray:
    """Discs that may overlap, one a concept in most images, bool `image concept y x`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    found = np.zeros((n, n_concepts, *size), bool)
    for mask in found.reshape(-1, *size):
        if rng.random() < 0.8:
            centre = rng.uniform(0, size[0]), rng.uniform(0, size[1])
            mask[:] = np.hypot(y - centre[0], x - centre[1]) < rng.uniform(2, 9)
    return found


def scenes(n: int, seed: int = 0, size: tuple[int, int] = SIZE) -> tuple[cs.Images, Given]:
    """Noise with a red, a light and a dark disc; and discs that are not there, of which some images say nothing."""
    rng = np.random.default_rng(seed)
    masks = blobs(n, size, 5, seed)
    pixels = rng.integers(90, 160, (n, *size, 3)).astype(np.uint8)
    for image, (red, light, dark, *_) in zip(pixels, masks, strict=True):
        image[red] = (230, 40, 40)
        image[light & ~red] = 240
        image[dark & ~red & ~light] = 10
    images = cs.images(pixels)
    by_id = {}
    for i, (name, values) in enumerate(zip(images.ids, masks, strict=True)):
        known, void = np.ones(5, bool), np.zeros(values.shape, bool)
        known[4] = i % 3 > 0
        void[3, :, :5] = True
        by_id[name] = Masks(values, known, void)
    return images, Given(("red", "light", "dark", "nowhere", "seldom known"), by_id)


def read(images: cs.Images, source: Given) -> tuple[np.ndarray, np.ndarray]:
    """Labels and what is known, bool `image concept y x`, in the images' own order."""
    every = [source.by_id[name] for name in images.ids]
    known = np.stack([np.broadcast_to(m.known[:, None, None], m.values.shape) & ~m.void for m in every])
    return np.stack([m.values for m in every]) & known, known


def first_network() -> nn.Module:
    """Padded, pooled, with a stride; the deeper layer saturates."""
    return Pooled(
        nn.Conv2d(3, 7, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(7, 9, 3, stride=2, padding=1), nn.ReLU6()
    )


def second_network() -> nn.Module:
    """Without padding: maps do not cover the image."""
    return Pooled(nn.Conv2d(3, 6, 5, stride=2), nn.SiLU(), nn.Conv2d(6, 8, 3), nn.ReLU())


def third_network() -> nn.Module:
    """Normalised, averaged, and of another stride along y and x."""
    return Pooled(
        nn.Conv2d(3, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.AvgPool2d(3, 2),
        nn.Conv2d(6, 8, 1, stride=(1, 2)),
    )


# Where the neurons of the last layer stand (first centre and step along y and x, px), worked out by hand.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], str, tuple[tuple[float, float], tuple[float, float]]]] = {
    "padded": (first_network, "4", ((1, 4), (1, 4))),
    "unpadded": (second_network, "3", ((4.5, 2), (4.5, 2))),
    "averaged": (third_network, "3", ((1.5, 2), (1.5, 4))),
}


def scaled_up(maps: np.ndarray, centres: tuple[tuple[float, float], tuple[float, float]]) -> np.ndarray:
    """Maps `image unit y x` at the size of the masks: linear between neurons, constant beyond, one axis after the other."""
    for axis, (first, step) in zip((2, 3), centres, strict=True):
        at = np.arange(SIZE[axis - 2]) + 0.5
        stand = first + step * np.arange(maps.shape[axis])
        maps = np.apply_along_axis(lambda line, at=at, stand=stand: np.interp(at, stand, line), axis, maps)
    return maps


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETWORKS)
def test_overlap_equals_two_naive_passes(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    make, layer, centres = NETWORKS[name]
    images, source = scenes(30, seed=3)
    net = network(randomized(make(), SIZE, seed=1), *SIZE)
    found = collect(images, source, net.preprocess, size=SIZE, n_pixels=SIZE[0] * SIZE[1], n_null=1)
    result = single_units(net, images, found, layers=[layer]).layers[layer]
    inputs = net.preprocess([images.picture(i) for i in range(len(images))])
    maps = net.run(inputs, [layer])[layer].double().numpy()
    labels, known = read(images, source)
    up = scaled_up(maps, centres)
    ordered = np.sort(maps.transpose(1, 0, 2, 3).reshape(maps.shape[1], -1), axis=1)[:, ::-1]
    cut = ordered[:, int(np.ceil(0.005 * ordered.shape[1])) - 1]  # on is what is not below
    wrong = []
    for unit in range(maps.shape[1]):
        on = up[:, unit, None] >= cut[unit] - 1e-6 * abs(cut[unit])
        joint, either = (on & labels).sum((0, 2, 3)), ((on & known) | labels).sum((0, 2, 3))
        naive = joint / either
        assert (naive >= result.top.low[unit] - 1e-6).all()
        assert (naive <= result.top.high[unit] + 1e-6).all()
        wrong.append(np.abs(naive - result.top.iou[unit]))
        half = halves(images) == MEASURE  # and at the chosen threshold, on the half that measures
        for c in range(5):
            on = up[half, unit] > result.threshold[unit, c]
            own, seen = labels[half, c], known[half, c]
            iou = (on & own).sum() / ((on & seen) | own).sum()
            assert result.iou[unit, c] == pytest.approx(iou, abs=0.01)  # where a level's edge is rounded
    assert np.max(wrong) < 0.03
    assert np.median(wrong) < 0.004


def test_the_chosen_threshold_is_the_best_of_the_other_half_and_none_in_between_is_much_better() -> None:
    images, source = scenes(24, seed=5)
    net = network(randomized(second_network(), SIZE), *SIZE)
    found = collect(images, source, net.preprocess, size=SIZE, n_pixels=SIZE[0] * SIZE[1], n_null=1)
    layer = "3"
    counted = counts(net, images, found, layer)
    choose = tails(counted.counts[CHOOSE], counted.totals[CHOOSE], counted.labelled)
    maps = net.run(net.preprocess([images.picture(i) for i in range(24)]), [layer])[layer].double().numpy()
    up = scaled_up(maps, NETWORKS["unpadded"][2])[halves(images) == CHOOSE]
    labels, known = (part[halves(images) == CHOOSE] for part in read(images, source))
    most = highest_between(choose)
    precision = average_precision(choose)
    for unit in range(up.shape[1]):
        for c in range(5):
            values, own, seen = up[:, unit].ravel(), labels[:, c].ravel(), known[:, c].ravel()
            ties = np.random.default_rng(0).random(seen.sum())
            order = np.lexsort((ties, -values[seen]))
            right = own[seen][order].cumsum()
            curve = right / (own.sum() + np.arange(1, len(order) + 1) - right)
            assert curve.max() <= most[unit, c] + 0.01
            assert curve.max() >= choose.iou[unit, :, c].max() - 0.01
            exact = (right / np.arange(1, len(order) + 1))[own[seen][order]].mean()
            assert precision[unit, c] == pytest.approx(exact, abs=0.05)


def counts(net: cs.Network, images: cs.Images, found: Collected, layer: str) -> Any:
    n_units, *shape = net.layers[layer].shape
    anchor = anchor_of(net.layers[layer].receptive_field, (shape[0], shape[1]), SIZE)
    pilot = sweep(net, images, {layer: {"values": Values(n_units, Pixels(SIZE, 100), anchor)}})
    levels = pilot.gauges[layer]["values"].result().levels()
    gauge = Overlap(n_units, found.labelled, levels, anchor, (shape[0], shape[1]))
    return sweep(net, images, {layer: {"overlap": gauge}}).gauges[layer]["overlap"].result()


def test_fewer_pixels_err_as_much_as_they_say() -> None:
    images, source = scenes(80, seed=1)
    net = network(randomized(first_network(), SIZE), *SIZE)
    full, few = (
        single_units(
            net, images, collect(images, source, net.preprocess, size=SIZE, n_pixels=n, n_null=1), layers=["1"]
        )
        for n in (SIZE[0] * SIZE[1], 60)
    )
    same = np.isclose(full.layers["1"].threshold, few.layers["1"].threshold, rtol=1e-6)
    off = (few.layers["1"].iou - full.layers["1"].iou) / np.maximum(few.layers["1"].error, 1e-3)
    assert same.mean() > 0.2
    assert np.abs(off[same]).max() < 4
    assert np.sqrt((off[same] ** 2).mean()) < 1.5


def gauge_of(maps: torch.Tensor, labelled: Labelled, in_memory: int = 1 << 20) -> Overlap:
    values = maps.transpose(0, 1).flatten(1).numpy()
    shape = (int(maps.shape[2]), int(maps.shape[3]))
    return Overlap(maps.shape[1], labelled, levels_from(values), stretched(shape, SIZE), shape, in_memory=in_memory)


@pytest.fixture
def small() -> tuple[torch.Tensor, Labelled]:
    images, source = scenes(23)
    found = collect(images, source, PLAIN, size=SIZE, n_pixels=40, n_null=2)
    maps = torch.randn(23, 4, 7, 9, generator=torch.Generator().manual_seed(0)).relu()
    return maps, found.labelled


def test_any_split_and_order_gives_the_same_bytes(small: tuple[torch.Tensor, Labelled]) -> None:
    maps, labelled = small
    whole = gauge_of(maps, labelled)
    whole.update(Response("layer", maps, np.arange(23)))
    parts = [gauge_of(maps, labelled) for _ in range(3)]
    for part, own in zip(parts, (np.arange(0, 23, 3), np.arange(2, 23, 3), np.arange(1, 23, 3)), strict=True):
        for image in own:
            part.update(Response("layer", maps[image : image + 1], np.array([image])))
    parts[0].merge(parts[2])
    restored = gauge_of(maps, labelled, in_memory=0)  # in a file
    restored.restore({name: np.array(array) for name, array in parts[0].state().items()})
    restored.merge(parts[1])
    assert isinstance(restored.counts, np.memmap)
    for name, array in whole.state().items():
        np.testing.assert_array_equal(array, restored.state()[name], err_msg=name)
    assert whole.counts.sum() > 0


def test_room_is_what_is_said(small: tuple[torch.Tensor, Labelled]) -> None:
    maps, labelled = small
    # the three groups (fully known, partly void, known in some images) take two columns more than is counted there
    assert labelled.n_groups == 3
    said = n_bytes(4, 5, 2, 23, labelled.labels.shape[1])
    assert gauge_of(maps, labelled).counts.nbytes == pytest.approx(said, rel=0.2)
    assert n_bytes(20_000, 1000, 2, 500, 64) < 6e9


def test_counts_that_lie_in_a_file_take_little_memory() -> None:
    """20,000 units and 1,000 concepts in small: 800 and 200."""
    rng = np.random.default_rng(0)
    pixels = Pixels(SIZE, 16)
    n_pixels = pixels.shape[0] * pixels.shape[1]
    bits = np.packbits(rng.random((40, n_pixels, 200)) < 0.1, axis=2)
    labelled = Labelled(pixels, 200, bits, np.full_like(bits, 255), (np.arange(40) % 2).astype(np.int8), 2)
    levels = levels_from(rng.standard_normal((800, 500), np.float32))
    responses = [Response("layer", torch.randn(4, 800, 5, 7), np.arange(at, at + 4)) for at in range(0, 40, 4)]
    found, most = [], []
    for in_memory in (1 << 30, 0):
        tracemalloc.start()
        gauge = Overlap(800, labelled, levels, stretched((5, 7), SIZE), (5, 7), in_memory=in_memory)
        for response in responses:
            gauge.update(response)
        found.append(gauge.result().counts)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert isinstance(found[1], np.memmap)
    np.testing.assert_array_equal(*found)
    assert most[0] > found[0].nbytes > 4 * most[1]


def test_many_layers_that_are_too_much_together_lie_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    images, source = scenes(12)
    net = network(randomized(first_network(), SIZE), *SIZE)
    found = collect(images, source, net.preprocess, size=SIZE, n_null=2)
    for most, kind in ((1 << 30, np.ndarray), (1000, np.memmap)):
        monkeypatch.setattr(counting, "ALL_IN_MEMORY", most)
        made = counting.overlap_gauges(net, images, found, counting.shapes_of(net, None), n_rotated=2)
        assert {type(gauge.counts) for own in made.values() for gauge in own.values()} == {kind}


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(UsageError, match=r"(?s)0.0 GB .* No space left on device.*TMPDIR"):
        room((10,), np.uint16, 0)


def test_images_of_another_size_or_without_labels_are_left_out(small: tuple[torch.Tensor, Labelled]) -> None:
    maps, labelled = small
    half = labelled.half.copy()
    half[3] = -1
    gauge = gauge_of(maps, replace(labelled, half=half, _made={}))
    gauge.update(Response("layer", maps, np.arange(23)))
    gauge.update(Response("layer", maps[:2, :, :, :5], np.arange(2)))
    found = gauge.result()
    assert found.n_left_out == 3
    assert found.n_images.sum() == 22


def test_products_are_exact_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    on, there = (torch.from_numpy(rng.integers(0, 2, shape).astype(np.int8)) for shape in ((33, 515), (515, 21)))
    exact = on.numpy().astype(np.int64) @ there.numpy().astype(np.int64)
    assert (product(on, there).numpy() == exact).all()
    monkeypatch.delattr(torch, "_int_mm", raising=False)
    assert (product(on, there).numpy() == exact).all()


def test_every_pixel_is_as_likely_and_values_are_read_where_neurons_stand() -> None:
    pixels = Pixels(SIZE, 48)
    rows, columns = pixels.places(np.arange(4000))
    assert rows.shape[1] * columns.shape[1] == pytest.approx(48, rel=0.15)
    for places, size in zip((rows, columns), SIZE, strict=True):
        share = np.bincount(places.ravel(), minlength=size) / places.size * size
        assert np.abs(share - 1).max() < 0.05
    full = Pixels(SIZE, 10_000).places(np.arange(3))
    assert all((part == np.arange(size)).all() for part, size in zip(full, SIZE, strict=True))
    maps = torch.rand(2, 3, 5, 6)
    found = values_at(maps, *Pixels(SIZE, 10_000).places(np.arange(2)), stretched((5, 6), SIZE))
    expected = torch.nn.functional.interpolate(maps, size=SIZE, mode="bilinear").flatten(2)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_thresholds_isolate_silence_and_saturation() -> None:
    rng = np.random.default_rng(0)
    values = np.clip(rng.normal(0, 3, (3, 20_000)), 0, 6).astype(np.float32)
    values[1] = 0
    values[2] = rng.exponential(1, 20_000)
    levels = levels_from(values)
    codes = levels.levels_of(torch.from_numpy(values)[None])[0].numpy()
    assert (codes[0] == 0).mean() == pytest.approx((values[0] == 0).mean(), abs=1e-3)
    assert (codes[1] == 0).all()
    above = np.array([(codes[2] >= first).mean() for first in levels.first[2]])
    assert (np.diff(above) <= 0).all()
    assert 0.5 < np.median(above[2:] / above[1:-1]) < 0.9
    assert np.abs(above / 0.005 - 1).min() < 0.1
    edge = np.flatnonzero([(codes[0] >= first).mean() > 0.005 for first in levels.first[0]])[-1]
    assert levels.tied[0][edge]  # 2.3 % saturate at 6, the top .5 % among them


@pytest.mark.parametrize("n_above", [5, 14, 15, 16, 40])
def test_a_tie_is_on_as_a_whole_or_not_at_all(n_above: int) -> None:
    """60 of 3,000 neurons tie, some are barely above them: the top 15 end above, at, or within the tie."""
    rng = np.random.default_rng(0)
    maps = rng.uniform(0, 0.6, (30, 1, 10, 10)).astype(np.float32)
    places = rng.permutation(3000)
    maps.reshape(-1)[places[:60]] = 0.7
    maps.reshape(-1)[places[60 : 60 + n_above]] = 0.7005 + 0.003 * np.arange(n_above)  # steps are .003
    masks = blobs(30, (10, 10), 3, 0)
    images = cs.images(np.zeros((30, 10, 10, 3), np.uint8))
    by_id = {name: Masks(mask, np.ones(3, bool)) for name, mask in zip(images.ids, masks, strict=True)}
    found = collect(images, Given(("a", "b", "c"), by_id), PLAIN, size=(10, 10), n_pixels=200, n_null=1)
    first = maps[:24].transpose(1, 0, 2, 3).reshape(1, -1)  # as if these had chosen the thresholds
    gauge = Overlap(1, found.labelled, levels_from(first), stretched((10, 10), (10, 10)), (10, 10))
    gauge.update(Response("layer", torch.from_numpy(maps), np.arange(30)))
    top = evaluated(found, {"layer": {"overlap": gauge.result()}}).layers["layer"].top
    cut = np.sort(maps.ravel())[-15]
    on = maps >= cut
    naive = (on & masks).sum((0, 2, 3)) / (on | masks).sum((0, 2, 3))
    np.testing.assert_allclose(
        top.iou[0], naive, atol=0.002 if cut > 0.7 else 1e-6
    )  # within a step nothing is told apart


def test_a_unit_that_is_silent_but_at_a_rare_concept_is_on_there_and_a_dead_one_nowhere() -> None:
    """Fewer neurons than the top .5 % are on: the conventional threshold is silence, above which the original asks a unit to be."""
    rng = np.random.default_rng(0)
    masks = np.zeros((40, 2, *SIZE), bool)
    for rare, other in masks:
        y, x = rng.integers(0, SIZE[0] - 1), rng.integers(0, SIZE[1] - 2)
        rare[y : y + 1, x : x + 2] = True  # 2 of 714 pixels
        other[rng.integers(0, 10) :, : rng.integers(5, 20)] = True
    maps = np.zeros((40, 2, *SIZE), np.float32)
    maps[:, 0] = masks[:, 0] * rng.uniform(1, 2, (40, *SIZE))
    images = cs.images(np.zeros((40, *SIZE, 3), np.uint8))
    by_id = {name: Masks(mask, np.ones(2, bool)) for name, mask in zip(images.ids, masks, strict=True)}
    found = collect(images, Given(("rare", "other"), by_id), PLAIN, size=SIZE, n_pixels=SIZE[0] * SIZE[1], n_null=1)
    gauge = gauge_of(torch.from_numpy(maps), found.labelled)
    gauge.update(Response("layer", torch.from_numpy(maps), keys_of(images)))
    result = evaluated(found, {"layer": {"overlap": gauge.result()}}).layers["layer"]
    assert result.top.area[:, 0] == pytest.approx([masks[:, 0].mean(), 0], abs=1e-6)
    assert result.top.iou[:, 0] == pytest.approx([1, 0], abs=1e-6)
    assert result.top.lift[0, 0] == pytest.approx(1 / masks[:, 0].mean(), rel=1e-3)
    assert result.at_its_strongest[:, 0].tolist() == [True, False]


def planted_scenes(n: int, seed: int = 0) -> tuple[cs.Images, Given]:
    """Grey noise with a red square, a wheel (its hub is labelled) and a dark square; and a disc that is not there."""
    rng = np.random.default_rng(seed)
    size = (48, 60)
    y, x = np.mgrid[: size[0], : size[1]]
    pixels = rng.integers(100, 130, (n, *size, 1)).repeat(3, axis=3).astype(np.uint8)
    masks = np.zeros((n, 4, *size), bool)
    for image, (red, wheel, square, nothing) in zip(pixels, masks, strict=True):
        centres = rng.permutation([(14, 14), (14, 45), (34, 14), (34, 45)]) + rng.integers(-4, 5, (4, 2))
        distance = [np.hypot(y - a, x - b) for a, b in centres]
        tyre, hub, around = planted.wheel_parts(distance[1])
        boxed = [np.maximum(abs(y - a), abs(x - b)) for a, b in centres]
        red[:], wheel[:] = boxed[0] < 6, hub
        square[:], nothing[:] = boxed[2] < 5, distance[3] < 6
        image[red], image[square] = (220, 20, 20), 20
        image[tyre], image[hub], image[around] = 20, 235, 150
    images = cs.images(pixels)
    by_id = {name: Masks(mask, np.ones(4, bool)) for name, mask in zip(images.ids, masks, strict=True)}
    return images, Given(("red", "wheel", "dark square", "nothing"), by_id)


@pytest.fixture(scope="module")
def planted_units() -> SingleUnits:
    images, source = planted_scenes(60)
    net = planted.detectors((48, 60))
    found = labels_of(net, images, [source], n_pixels=700).pixels  # as for everyone
    assert found is not None
    return single_units(net, images, found, layers=["relu1", "relu2"], n_rotated=4)


def test_planted_units_are_found(planted_units: SingleUnits) -> None:
    red, wheel, square, nothing = range(4)
    detects = planted_units.detectors()
    assert detects["relu1"][planted.RED, red]
    assert detects["relu2"][planted.RED_2, red]
    assert planted_units.layers["relu1"].iou[planted.RED, red] > 0.8
    assert detects["relu2"][planted.WHEEL, wheel]
    assert planted_units.meaning("relu2")[planted.WHEEL] == wheel
    assert planted_units.layers["relu2"].corrected[planted.WHEEL, wheel] > 0.15
    assert not any(found[:, nothing].any() for found in detects.values())
    assert not detects["relu2"][planted.WHEEL, square]
    assert planted_units.by_category("relu1") == {"object": (pytest.approx(3, abs=1), pytest.approx(2, abs=1))}


@pytest.mark.parametrize("trivial", ["prior", "everywhere"])
def test_what_the_mean_mask_or_being_on_everywhere_does_as_well_is_no_detector(
    planted_units: SingleUnits, trivial: str
) -> None:
    detects = planted_units.detectors()["relu1"]
    unit, concept = planted.RED, int(detects[planted.RED].argmax())
    assert detects[unit, concept]
    reached = float(planted_units.layers["relu1"].iou[unit, concept])
    for value, expected in ((reached - 1e-3, True), (reached, False)):
        own = np.zeros(len(planted_units.concepts))
        own[concept] = value
        beside = replace(planted_units, **{"prior": np.zeros_like(own), "everywhere": np.zeros_like(own), trivial: own})
        assert beside.detectors()["relu1"][unit, concept] == expected


def test_what_is_on_everywhere_and_the_cap_are_beside_it(planted_units: SingleUnits) -> None:
    frequency = planted_units.everywhere
    found = planted_units.layers["relu1"]
    np.testing.assert_allclose(found.frequency, frequency, atol=0.01)
    np.testing.assert_allclose(planted_units.cap, np.minimum(0.005, frequency) / frequency, rtol=0.1)
    assert (found.top.iou <= found.top.area / found.frequency * 1.1 + 1e-6).all()  # the halves differ a little
    assert (found.lift >= 0).all()
    assert found.lift[planted.RED, 0] > 5
    rows = rotation(9, 4, 0)
    np.testing.assert_allclose(rows @ rows.T, np.eye(4), atol=1e-6)
    assert planted_units.rotated["relu1"].iou.shape == (4, 4)
    assert cap(np.array([0.1, 0.005, 0.001])) == pytest.approx([0.05, 1, 0.2])


def landscape(n: int, seed: int) -> tuple[cs.Images, np.ndarray]:
    """Sky above, ground below, trees at the border: images of one layout; and masks bool `image concept y x`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    pixels, masks = rng.integers(0, 60, (n, *SIZE, 3)), np.zeros((n, 4, *SIZE), bool)
    for image, (sky, ground, tree, cloud) in zip(pixels, masks, strict=True):
        horizon = rng.normal(10, 1.5) + np.sin(x / 5 + rng.uniform(0, 6))
        sky[:] = y < horizon
        tree[:] = np.hypot(y - 10, x - rng.uniform(0, 34)) < rng.uniform(2, 5)
        cloud[:] = sky & (np.hypot(y - 3, x - rng.uniform(0, 34)) < rng.uniform(2, 4))
        ground[:] = ~sky & ~tree
        for mask, color in ((sky, (60, 110, 190)), (ground, (120, 90, 50)), (tree, (20, 120, 20)), (cloud, (190,) * 3)):
            image[mask] += color
    return cs.images(pixels.astype(np.uint8)), masks


def test_wrong_labels_give_no_detectors() -> None:
    """Over 20 seeds, masks dealt to other images and rolled, by the test itself: at most 5 % of the seeds find anything."""
    images, masks = landscape(50, seed=0)
    net = network(randomized(Pooled(nn.Conv2d(3, 12, 5, padding=2), nn.ReLU()), SIZE), *SIZE)
    maps = net.run(net.preprocess([images.picture(i) for i in range(50)]), ["1"])["1"]
    true = Given(
        ("sky", "ground", "tree", "cloud"),
        {n: Masks(m, np.ones(4, bool)) for n, m in zip(images.ids, masks, strict=True)},
    )
    assert n_found(images, true, maps, 0) > 5
    found = []
    for seed in range(20):
        rng = np.random.default_rng(100 + seed)
        dealt = masks[rng.permutation(50)]
        rolled = [np.roll(mask, tuple(rng.integers(0, SIZE)), axis=(1, 2)) for mask in dealt]
        by_id = {name: Masks(mask, np.ones(4, bool)) for name, mask in zip(images.ids, rolled, strict=True)}
        found.append(n_found(images, Given(true.names, by_id), maps, seed))
    assert sum(found) <= 0.05 * 20 * 48
    assert sum(n > 0 for n in found) <= 3  # 1 is expected; more than 3 of 20 has a chance of 2 % at a rate of 5 %


def n_found(images: cs.Images, source: Given, maps: torch.Tensor, seed: int) -> int:
    found = collect(images, source, PLAIN, size=SIZE, n_pixels=120, n_null=20, seed=seed)
    gauge = gauge_of(maps, found.labelled)
    gauge.update(Response("1", maps, keys_of(images)))
    return int(false_discovery_rate(evaluated(found, {"1": {"overlap": gauge.result()}}).layers["1"].p_values).sum())


def test_the_mean_mask_is_hard_to_beat_where_a_concept_keeps_its_place() -> None:
    images, masks = landscape(40, seed=1)
    by_id = {name: Masks(mask, np.ones(4, bool)) for name, mask in zip(images.ids, masks, strict=True)}
    found = collect(images, Given(("sky", "ground", "tree", "cloud"), by_id), PLAIN, size=SIZE)
    prior = position_prior(found)
    assert prior[:2].min() > 0.7
    assert prior[2:].max() < 0.45
    half = halves(images)
    mean = masks[half == CHOOSE].mean(axis=0)  # every pixel is a cell of its own here
    for concept in range(4):
        cuts = np.unique(mean[concept])
        ious = [
            [(m & (mean[concept] >= cut)).sum() / (m | (mean[concept] >= cut)).sum() for cut in cuts]
            for m in (masks[half == CHOOSE, concept], masks[half == MEASURE, concept])
        ]
        assert prior[concept] == pytest.approx(ious[1][int(np.argmax(ious[0]))], abs=0.02)


def test_average_precision_of_images_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 12, 60).astype(float)
    labels, known = rng.random((60, 3)) < 0.3, rng.random((60, 3)) < 0.9
    labels &= known
    found = precisions(values, labels, known)
    for c in range(3):
        own = [(labels[:, c] & (values >= v)).sum() / (known[:, c] & (values >= v)).sum() for v in values[labels[:, c]]]
        assert found[c] == pytest.approx(np.mean(own))


def test_units_that_rank_images_are_found_and_no_others() -> None:
    rng = np.random.default_rng(0)
    images = cs.images(rng.integers(0, 255, (80, 5, 6, 3)).astype(np.uint8))
    labels = rng.random((80, 2)) < 0.3
    by_id = {name: Masks(row, np.ones(2, bool)) for name, row in zip(images.ids, labels, strict=True)}
    found = collect(images, Given(("dog", "cat"), by_id, per_pixel=False), PLAIN, size=(5, 6), n_null=20)
    peaks = rng.normal(size=(80, 6)).astype(np.float32)
    peaks[:, 2] += 3 * labels[:, 0]
    peaks[:, 4] += 3 * labels[:, 1]
    gauge, other = Peaks(6, 80), Peaks(6, 80, in_memory=0)
    gauge.update(Response("fc", torch.from_numpy(peaks[:50]), keys_of(images)[:50]))
    other.update(Response("fc", torch.from_numpy(peaks[50:]), keys_of(images)[50:]))
    gauge.merge(other)
    result = image_level(found, gauge.result())
    ranks = ranking({"fc": result})["fc"]
    assert [tuple(map(int, place)) for place in np.argwhere(ranks)] == [(2, 0), (4, 1)]
    assert result.average_precision[2, 0] > 0.8
    assert ranking({}) == {}
    half, known = halves(images), np.ones((40, 2), bool)
    for which, own in ((CHOOSE, result.chosen), (MEASURE, result.measured)):
        each = [precisions(peaks[half == which, unit], labels[half == which], known) for unit in range(6)]
        np.testing.assert_allclose(own, each, rtol=1e-5)
    np.testing.assert_allclose(result.share, labels[half == MEASURE].mean(axis=0))
    with pytest.raises(UsageError, match="no masks"):
        single_units(planted.detectors(), images, found)


def test_layers_that_rank_by_nothing_share_their_false_discoveries() -> None:
    """Forty layers of noise: tested one by one, 5 % of false ones may be found in each; together, in all."""
    rng = np.random.default_rng(0)
    images = cs.images(np.zeros((60, 5, 6, 3), np.uint8))
    labels = rng.random((60, 2)) < 0.3
    by_id = {name: Masks(row, np.ones(2, bool)) for name, row in zip(images.ids, labels, strict=True)}
    found = collect(images, Given(("dog", "cat"), by_id, per_pixel=False), PLAIN, size=(5, 6), n_null=20)
    layers = {}
    for layer in range(40):
        peaks = rng.normal(size=(3, 60)).astype(np.float32)
        peaks[0] += 3 * labels[:, 0] * (layer == 7)
        layers[str(layer)] = image_level(found, UnitPeaks(peaks, np.ones(60, bool)))
    together = ranking(layers)
    assert together["7"][0, 0]
    assert sum(int(one.sum()) for one in together.values()) <= 2
    wrong = np.sort(np.concatenate([one.scaled.wrong for one in layers.values()]))
    p_values = np.array([chance.rare(one.z, wrong, found.testable) for one in layers.values()])
    places = false_discovery_rate(p_values) & (np.array([one.average_precision for one in layers.values()]) > 0)
    np.testing.assert_array_equal(np.array(list(together.values())), places)


def test_p_values_are_even_where_nothing_is() -> None:
    rng = np.random.default_rng(0)
    scale = np.outer(rng.uniform(1, 5, 40), rng.uniform(1, 9, 30))
    scores, wrong = rng.normal(size=(40, 30)) * scale, rng.normal(size=(5, 40, 30)) * scale
    testable = np.arange(30) > 0
    found = chance.scaled(scores, wrong, testable)
    p_values = chance.rare(found.z, found.wrong, testable)
    assert (p_values[:, 0] == 1).all()
    assert np.abs(np.quantile(p_values[:, 1:], (0.1, 0.5, 0.9)) - (0.1, 0.5, 0.9)).max() < 0.05


def test_bad_labels_are_skipped_and_said() -> None:
    images, source = scenes(12)
    by_id = dict(source.by_id)
    by_id[images.ids[2]] = Masks(np.zeros((5, 9, 9), bool), np.ones(5, bool))
    for name, own in by_id.items():
        own.values[3] = False  # never there
        own.values[1] = name == images.ids[0]  # in a single image
        if own.values.shape[1:] == SIZE:
            by_id[name] = Masks(own.values, np.ones(5, bool))
            own.values[2] = True  # everywhere
    found = collect(images, Given(source.names, by_id), PLAIN, size=SIZE)
    assert [skip.id for skip in found.skipped] == [images.ids[2]]
    assert "9 x 9" in found.skipped[0].reason
    said = {concept.name: text for concept, text in found.remarks.items()}
    assert "none of the 11 images" in said["nowhere"]
    assert "in 1 image" in said["light"]
    assert "everywhere" in said["dark"]
    assert found.testable.tolist() == [True, False, False, False, True]
    nothing = {name: Masks(np.zeros((5, 2, 2), bool), np.ones(5, bool)) for name in images.ids}
    with pytest.raises(ImagesError, match=r"None of them could be.*2 x 2 pixels"):
        collect(images, Given(source.names, nothing), PLAIN, size=SIZE)
    with pytest.raises(UsageError, match="names none"):
        collect(images, Given((), {}), PLAIN, size=SIZE)
    with pytest.raises(UsageError, match="no maps"):
        single_units(planted.planted_network(), planted.planted_images(8), found, layers=["fc"])


def test_collecting_says_how_far_it_is_and_an_interrupt_ends_it() -> None:
    images, source = scenes(60)
    told: list[tuple[int, int]] = []
    whole = collect(images, source, PLAIN, size=SIZE, workers=3, progress=lambda *done: told.append(done))
    assert told == [(16, 60), (32, 60), (48, 60), (60, 60)]
    alone = collect(images, source, PLAIN, size=SIZE, workers=1)
    for name in ("n_images", "n_known", "frequency", "cells"):  # whichever thread was first
        np.testing.assert_array_equal(getattr(whole, name), getattr(alone, name))
    np.testing.assert_array_equal(whole.labelled.labels, alone.labelled.labels)
    labels, known = read(images, source)
    half = halves(images)
    for which in (CHOOSE, MEASURE):
        own, seen = (part[half == which].sum((2, 3)) for part in (labels, known))
        np.testing.assert_array_equal(whole.n_images[which], (own > 0).sum(0))
        np.testing.assert_array_equal(whole.n_known[which], (seen > 0).sum(0))
        np.testing.assert_allclose(whole.frequency[which], own.sum(0) / seen.sum(0))
        np.testing.assert_array_equal(whole.cells[:, which], [part[half == which].sum(0) for part in (labels, known)])

    def stop(done: int, n: int) -> None:
        raise KeyboardInterrupt

    most = 4 * TOGETHER  # two batches are there before the first is told of, and two more may have been begun
    images, source = scenes(most + 16)
    asked = []
    listening = replace(source, by_id=_Listening(source.by_id, asked))
    with pytest.raises(KeyboardInterrupt):
        collect(images, listening, PLAIN, size=SIZE, workers=2, progress=stop)
    assert len(asked) <= most
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("images")]


class _Listening(dict[str, Masks]):
    """Masks, and which were asked for."""

    def __init__(self, masks: dict[str, Masks], asked: list[str]) -> None:
        super().__init__(masks)
        self.asked = asked

    def __getitem__(self, id: str) -> Masks:
        self.asked.append(id)
        return super().__getitem__(id)


@pytest.mark.parametrize("size", [(21, 34), (113, 60)])
def test_cells_count_what_is_in_them(size: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random((2, *size)) < 0.3
    found = _pooled(mask, 4)
    for y in range(found.shape[1]):
        for x in range(found.shape[2]):
            np.testing.assert_array_equal(found[:, y, x], mask[:, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4].sum((1, 2)))


def test_halves_are_runs_of_ids_or_whole_scenes(tmp_path: Path) -> None:
    images = cs.images(np.zeros((10, 4, 5, 3), np.uint8))
    assert halves(images).tolist() == [0] * 5 + [1] * 5
    names = ("a", "a", "a", "b", "b", "b", "b", "b", "c", "d")
    assert halves(images, dict(zip(images.ids, names, strict=True))).tolist() == [0] * 3 + [1] * 7
    classes = cs.images(np.zeros((8, 4, 5, 3), np.uint8), labels=["x"] * 4 + ["y"] * 4)
    assert halves(classes).tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
