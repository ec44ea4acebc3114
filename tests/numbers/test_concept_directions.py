"""Are read-outs of several units what explicit least squares gives, is what was planted found, and nothing where nothing is?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.metrics import average_precision_score
from small_networks import Pooled, network, randomized
from torch import nn

import convscope as cs
from convscope.errors import UsageError
from convscope.images import Picture, Preprocess
from convscope.images.concepts.concept import Concept, Masks
from convscope.images.concepts.opened import open_concepts
from convscope.instruments.concepts.collect import Collected, collect
from convscope.instruments.concepts.counting import overlap_gauges, place_of, shapes_of
from convscope.instruments.concepts.single_units import UnitConcepts, evaluated
from convscope.instruments.concepts.together.directions import Directions, directions
from convscope.instruments.concepts.together.forward import SELECTING, forward, refitted
from convscope.instruments.concepts.together.least_squares import SIZES, STRENGTHS
from convscope.instruments.concepts.together.parts import cuts
from convscope.instruments.concepts.together.versus import _draws
from convscope.sweep.engine import keys_of, sweep
from convscope.sweep.gauges import AtPixels, Overlap
from convscope.sweep.gauges.at_pixels import UnitsAtPixels
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE
from convscope.sweep.gauges.levels import levels_from
from convscope.sweep.gauges.pixels import Pixels, stretched, values_at
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


def fields(shape: tuple[int, ...], seed: int, smooth: float = 2.0) -> np.ndarray:
    """Smooth random maps of unit variance, float32, independent but along the last two axes."""
    found = np.random.default_rng(seed).normal(size=shape)
    found = gaussian_filter(found, [0] * (len(shape) - 2) + [smooth] * 2)
    return (found / found.std()).astype(np.float32)


def given(masks: np.ndarray, known: np.ndarray | None = None, n_pixels: int = 100, **settings: Any) -> Collected:
    """What is collected of masks `image concept y x` (`known`: the same); the images are black."""
    images = cs.images(np.zeros((len(masks), *masks.shape[2:], 3), np.uint8))
    void = np.zeros_like(masks) if known is None else ~known
    every = np.ones(masks.shape[1], bool)
    by_id = {name: Masks(m, every, v) for name, m, v in zip(images.ids, masks, void, strict=True)}
    source = Given(tuple(f"concept {i}" for i in range(masks.shape[1])), by_id)
    return collect(images, source, PLAIN, size=masks.shape[2:], n_pixels=n_pixels, **settings)


def measured(maps: np.ndarray, found: Collected) -> tuple[UnitsAtPixels, UnitConcepts]:
    """Values at the labelled pixels, and single units, of maps `image unit y x` by key."""
    keys, size = np.arange(len(maps)), found.labelled.pixels.size
    place = stretched((maps.shape[2], maps.shape[3]), size)
    response = Response("layer", torch.from_numpy(maps), keys)
    at_pixels = AtPixels(maps.shape[1], found.labelled.pixels, place, len(maps), (maps.shape[2], maps.shape[3]))
    at_pixels.update(response)
    levels = levels_from(maps.transpose(1, 0, 2, 3).reshape(maps.shape[1], -1))
    overlap = Overlap(maps.shape[1], found.labelled, levels, place, (maps.shape[2], maps.shape[3]))
    overlap.update(response)
    return at_pixels.result(), evaluated(found, {"layer": {"overlap": overlap.result()}}).layers["layer"]


def read(maps: np.ndarray, found: Collected, **settings: Any) -> Directions:
    values, single = measured(maps, found)
    return directions(found, "layer", values, single, **settings)


# The gauge


def test_values_are_kept_whatever_their_size_and_however_images_are_split() -> None:
    maps = fields((11, 5, 7, 10), seed=0)
    maps[3] *= 1e9
    maps[4] *= 1e-9
    maps[5] = 0
    pixels, place = Pixels(SIZE, 60), stretched((7, 10), SIZE)
    whole = AtPixels(5, pixels, place, 12)
    whole.update(Response("layer", torch.from_numpy(maps), np.arange(11)))
    parts = [AtPixels(5, pixels, place, 12, in_memory=0) for _ in range(3)]
    for i in (7, 2, 10, 0, 5, 1, 9, 3, 8, 4, 6):
        parts[i % 2].update(Response("layer", torch.from_numpy(maps[i : i + 1]), np.array([i])))
    parts[2].restore({name: np.array(array) for name, array in parts[0].state().items()})
    parts[2].merge(parts[1])
    assert isinstance(parts[2].values, np.memmap)
    for name, array in whole.state().items():
        np.testing.assert_array_equal(array, parts[2].state()[name], err_msg=name)
    result = parts[2].result()
    assert result.seen.tolist() == [True] * 11 + [False]
    exact = values_at(torch.from_numpy(maps), *pixels.places(np.arange(11)), place).transpose(1, 2).numpy()
    found = result.of(np.arange(11))
    largest = np.abs(exact).max(axis=(1, 2), keepdims=True)
    assert (np.abs(found - exact) <= np.abs(exact) * 2**-11 + largest * 2.0**-39).all()


def test_maps_of_another_size_are_left_out() -> None:
    gauge = AtPixels(2, Pixels(SIZE, 20), stretched((4, 6), SIZE), 3, (4, 6))
    gauge.update(Response("layer", torch.ones(2, 2, 4, 5), np.arange(2)))
    gauge.update(Response("layer", torch.ones(1, 2, 4, 6), np.array([2])))
    assert gauge.result().seen.tolist() == [False, False, True]


# The path, and how images are cut


def explicit(x: np.ndarray, y: np.ndarray, ridge: float) -> np.ndarray:
    """Weights of centred units `row unit` by least squares, the ridge as further rows."""
    x, y = x - x.mean(axis=0), y - y.mean()
    further = np.sqrt(ridge * len(x)) * np.eye(x.shape[1])
    return np.linalg.lstsq(np.concatenate([x, further]), np.concatenate([y, np.zeros(len(further))]), rcond=None)[0]


def explicit_path(x: np.ndarray, y: np.ndarray, n_most: int) -> list[int]:
    """Each next unit by trying all."""
    taken: list[int] = []
    for _ in range(n_most):
        losses = {}
        for unit in set(range(x.shape[1])) - set(taken):
            own = x[:, [*taken, unit]]
            w = explicit(own, y, SELECTING)
            rest = (y - y.mean()) - (own - own.mean(axis=0)) @ w
            losses[unit] = (rest**2).mean() + SELECTING * (w**2).sum()
        taken.append(min(losses, key=losses.__getitem__))
    return taken


def test_the_path_takes_the_unit_that_adds_most() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 9)) @ rng.normal(size=(9, 9))
    x /= x.std(axis=0)
    y = (x[:, :6] @ rng.normal(size=(6, 4)) + rng.normal(size=(80, 4)) > 1).astype(float)
    centred = x - x.mean(axis=0)
    among, along = centred.T @ centred / 80, centred.T @ (y - y.mean(axis=0)) / 80
    path = forward(among, along, 7)
    weights = refitted(among, along, path[:, :5], np.full(4, 0.3))
    for target in range(4):
        assert path[target].tolist() == explicit_path(x, y[:, target], 7)
        np.testing.assert_allclose(weights[target], explicit(x[:, path[target, :5]], y[:, target], 0.3), atol=1e-10)


def test_images_are_cut_into_as_few_runs_as_leave_a_concept_in_both_parts() -> None:
    has = np.zeros((12, 5), bool)
    has[:, 0] = True
    has[:5, 1] = True  # the first class of a folder
    has[6:8, 2] = True  # two neighbours
    has[4, 3] = True  # a single image
    found = cuts(has)
    assert found.part[0].tolist() == [0] * 6 + [1] * 6
    assert found.of[0] == 0
    assert found.of[1] == 1
    assert found.part[1].tolist() == [0] * 3 + [1] * 3 + [0] * 3 + [1] * 3
    assert {int(found.part[found.of[2], image]) for image in (6, 7)} == {0, 1}
    assert found.of[3:].tolist() == [-1, -1]


# Everything, against a naive procedure


@dataclass
class Naive:
    curve: list[float]
    held_out: list[float]
    n_units: int
    precision: float


def naive(values: np.ndarray, there: np.ndarray, known: np.ndarray, halves: list[np.ndarray], cut: np.ndarray) -> Naive:
    """Read-outs of one concept from values `image pixel unit`, labels and what is known `image pixel`, on all rows."""
    x = (values - values[halves[CHOOSE]].mean((0, 1))) / values[halves[CHOOSE]].std((0, 1))

    def rows(images: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = known[images]
        return x[images][own], there[images][own]

    def on(fit: np.ndarray, to: np.ndarray, size: int | None, ridge: float) -> np.ndarray:
        own, label = rows(fit)
        units = explicit_path(own, label.astype(float), size) if size else list(range(x.shape[2]))
        w = explicit(own[:, units], label.astype(float), ridge)
        return (rows(to)[0][:, units] - own[:, units].mean(axis=0)) @ w + label.mean()

    parts = [halves[CHOOSE][cut == side] for side in (0, 1)]
    label = np.concatenate([rows(parts[1])[1], rows(parts[0])[1]])
    found = Naive([], [], 0, 0.0)
    scores = []
    for size in (*(size for size in SIZES if size <= x.shape[2]), None):
        tried = [np.concatenate([on(*parts, size, r), on(*parts[::-1], size, r)]) for r in STRENGTHS]
        best = int(np.argmin([((score - label) ** 2).sum() for score in tried]))
        ordered = np.unique(tried[best])
        middles = np.concatenate([[-np.inf], (ordered[1:] + ordered[:-1]) / 2])
        overlaps = [(label & (tried[best] > t)).sum() / (label | (tried[best] > t)).sum() for t in middles]
        found.held_out.append(max(overlaps))
        score, seen = on(halves[CHOOSE], halves[MEASURE], size, STRENGTHS[best]), rows(halves[MEASURE])[1]
        beyond = score > middles[int(np.argmax(overlaps))]
        found.curve.append((seen & beyond).sum() / (seen | beyond).sum())
        scores.append(score)
    chosen = int(np.argmax(found.held_out[:-1]))
    found.n_units = SIZES[chosen]
    found.precision = average_precision_score(rows(halves[MEASURE])[1], scores[chosen])
    return found


def test_read_outs_equal_explicit_least_squares_on_all_rows() -> None:
    rng = np.random.default_rng(1)
    maps = np.maximum(fields((26, 8, 7, 11), seed=1), 0)
    masks = np.stack([maps[:, i] + maps[:, i + 1] - maps[:, i + 2] for i in range(3)], axis=1)
    masks = masks + 0.5 * fields(masks.shape, seed=2) > 1
    known = np.ones_like(masks)
    known[:, 2] = rng.random((26, 7, 11)) < 0.7  # a group of its own
    masks[9:13, 1] = masks[:2, 1] = False
    found = given(masks, known, n_pixels=40)
    values, single = measured(maps, found)
    result = directions(found, "layer", values, single)
    halves = [np.flatnonzero(found.labelled.half == half) for half in (CHOOSE, MEASURE)]
    columns = np.stack([found.labelled.columns_of(key) for key in range(26)]).astype(bool)
    exact = values.of(np.arange(26)).astype(np.float64)
    for concept in range(3):
        there = columns[:, :, concept]
        seen = columns[:, :, found.labelled.totals][:, :, found.labelled.groups[concept]]
        ways = cuts(there[halves[CHOOSE]].any(axis=1)[:, None])
        expected = naive(exact, there, seen, halves, ways.part[ways.of[0]])
        np.testing.assert_allclose(result.curve[:, concept], expected.curve, atol=1e-5)
        np.testing.assert_allclose(result.held_out[:, concept], expected.held_out, atol=1e-5)
        assert result.n_units[concept] == expected.n_units
        assert result.average_precision[concept] == pytest.approx(expected.precision, abs=1e-5)
        # from the record alone
        own = halves[MEASURE]
        said = ((exact[own] - result.mean) / result.scale) @ result.weights[:, concept] + result.constant[concept]
        on, label = said[seen[own]] > result.threshold[concept], there[own][seen[own]]
        assert result.iou[concept] == pytest.approx((on & label).sum() / (on | label).sum())
        assert result.area[concept] == pytest.approx(on.mean())
        assert result.frequency[concept] == pytest.approx(label.mean())
        share = result.area[concept] * label.mean()
        assert result.versus.chance[concept] == pytest.approx(share / (result.area[concept] + label.mean() - share))
        assert (result.weights[:, concept] != 0).sum() == result.n_units[concept]


def test_intervals_draw_runs_of_images() -> None:
    drawn = _draws(30, seed=0)
    assert (drawn.sum(axis=1) == 30).all()
    assert np.abs(drawn.mean(axis=0) - 1).max() < 0.12
    neighbours = np.corrcoef(drawn[:, :-1].ravel(), drawn[:, 1:].ravel())[0, 1]
    assert 0.5 < neighbours < 0.75  # runs of 3
    maps = fields((40, 6, 9, 14), seed=0)
    masks = (maps[:, :2] + maps[:, 2:4] > 1.5).copy()
    found = given(masks)
    one, again, other = (read(maps, found, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.versus.low, again.versus.low)
    assert (one.versus.low != other.versus.low).all()
    np.testing.assert_array_equal(one.curve, other.curve)
    assert (one.versus.low < one.versus.gain).all()
    assert (one.versus.gain < one.versus.high).all()


# What was planted


def test_a_concept_of_four_units_is_found_with_those_four_and_one_of_one_unit_needs_one() -> None:
    maps = fields((80, 24, *SIZE), seed=4, smooth=1)
    four, one = [3, 8, 13, 20], 17
    masks = np.stack([maps[:, four].sum(axis=1) > 3, maps[:, one] > 1.3], axis=1)
    found = given(masks, n_pixels=150)
    values, single = measured(maps, found)
    result = directions(found, "layer", values, single, n_wrong=4)
    assert result.versus.best_iou[0] < 0.25
    assert result.curve[3, 0] > 0.9
    assert sorted(result.path[0, :4].tolist()) == four
    assert result.path[1, 0] == one == result.best_unit[1]
    assert result.to_most.tolist() == [4, 1]
    assert sorted(np.flatnonzero(result.serves).tolist()) == sorted([*four, one])
    assert result.versus.beats[0]
    assert result.versus.low[0] > 0.6
    assert result.versus.iou[1] > 0.9
    assert result.versus.gain[1] < 0.1
    assert result.wrong_share.value == 0
    assert np.abs([dealt.gain for dealt in result.wrong]).max() < 0.05


def test_where_nothing_can_be_read_several_units_gain_nothing() -> None:
    """Over 20 seeds: labels that have nothing to do with the units beat the best unit in at most 5 % of the concepts."""
    beats, gains = [], []
    for seed in range(20):
        maps = np.maximum(fields((40, 20, 9, 14), seed=seed), 0)
        masks = fields((40, 6, 9, 14), seed=1000 + seed) > np.array([0.2, 0.5, 0.8, 1.2, 1.6, 2.0])[:, None, None]
        result = read(maps, given(masks, seed=seed, n_pixels=60), seed=seed)
        for own in (result.versus, *result.wrong):
            beats.append(own.beats)
            gains.append(own.gain)
    assert np.concatenate(beats).size == 240
    assert np.concatenate(beats).mean() <= 0.05
    assert abs(np.nanmean(gains)) < 0.02


def test_the_best_unit_is_that_of_a_search_over_all_units_and_thresholds() -> None:
    """On a network's own maps, not square, at the pixels that are labelled."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (30, *SIZE, 3)).astype(np.uint8)
    images = cs.images(pixels)
    masks = gaussian_filter(pixels[..., :2].astype(float), (0, 2, 2, 0)).transpose(0, 3, 1, 2) > 135
    source = Given(("red", "green"), {n: Masks(m, np.ones(2, bool)) for n, m in zip(images.ids, masks, strict=True)})
    net = network(randomized(Pooled(nn.Conv2d(3, 9, 5, padding=2, stride=(1, 2)), nn.ReLU()), SIZE), *SIZE)
    found = collect(images, source, net.preprocess, size=SIZE)
    gauges = overlap_gauges(net, images, found, shapes_of(net, ["1"]))
    gauges["1"]["at_pixels"] = AtPixels(9, found.labelled.pixels, place_of(net, found, "1"), 30)
    swept = sweep(net, images, gauges, batch_size=7).gauges["1"]
    single = evaluated(found, {"1": {"overlap": swept["overlap"].result()}}).layers["1"]
    result = directions(found, "1", swept["at_pixels"].result(), single)
    np.testing.assert_allclose(result.single_iou, single.iou[single.chosen.argmax(axis=0), [0, 1]])
    columns = np.stack([found.labelled.columns_of(key) for key in range(30)]).astype(bool)
    values = swept["at_pixels"].result().of(np.arange(30))
    choose, measure = (found.labelled.half == half for half in (CHOOSE, MEASURE))
    for concept in range(2):
        there, reached = columns[:, :, concept], {}
        for unit, sign in product(range(9), (1, -1)):  # on above a threshold, or below it
            own = sign * values[..., unit]
            for cut in np.unique(own[choose]):
                on = own[choose] >= cut
                reached[unit, sign, cut] = (on & there[choose]).sum() / (on | there[choose]).sum()
        unit, sign, cut = max(reached, key=reached.__getitem__)
        assert result.best_unit[concept] == unit
        assert reached[unit, sign, cut] >= single.chosen[:, concept].max() - 1e-3
        below = sign * values[choose][..., unit]
        on = sign * values[measure][..., unit] > (cut + below[below < cut].max(initial=-np.inf)) / 2
        expected = (on & there[measure]).sum() / (on | there[measure]).sum()
        assert result.versus.best_iou[concept] == pytest.approx(expected)
    assert keys_of(images).tolist() == list(range(30))


def test_what_a_unit_tells_by_its_low_values_needs_no_second_unit() -> None:
    maps = fields((60, 6, *SIZE), seed=2)
    result = read(maps, given((maps[:, 3] < np.quantile(maps[:, 3], 0.1))[:, None]))
    assert result.best_unit[0] == 3
    assert result.versus.best_iou[0] > 0.9
    assert not result.versus.beats[0]


def test_where_the_sum_of_four_units_is_a_unit_nothing_is_spread() -> None:
    maps = fields((80, 9, *SIZE), seed=7)
    total = maps[:, :4].sum(axis=1)
    result = read(maps, given((total > np.quantile(total, 0.9))[:, None]))
    assert result.versus.beats[0]
    assert result.made.best_iou[0] == pytest.approx(result.iou[0], abs=0.03)
    assert not result.made.beats[0]


# Little to go by


def test_fewer_images_than_units_neither_fail_nor_pass_for_more() -> None:
    maps = fields((12, 70, 9, 14), seed=5)
    maps[:, 11] = 3.5  # the same everywhere
    maps[:, 12] = 0
    masks = np.stack([maps[:, 0] + maps[:, 1] > 1, fields((12, 9, 14), seed=6) > 1], axis=1)
    result = read(maps, given(masks, n_pixels=30))
    assert "6 images chose how 70 units are weighed" in result.caution
    assert result.iou[0] > result.versus.best_iou[0]
    assert not result.versus.told[1]
    assert not result.versus.beats[1]
    assert result.to_most[1] == 0
    assert result.sizes.tolist() == [*SIZES, 70]
    assert not result.weights[11:13].any()
    few = read(maps[:, :3], given(masks, n_pixels=30))
    assert few.sizes.tolist() == [1, 2, 3, 3]
    silent = read(np.zeros((12, 4, 9, 14), np.float32), given(masks, n_pixels=30))
    np.testing.assert_allclose(silent.iou, silent.frequency)
    assert not silent.versus.told.any()


def test_concepts_that_cannot_be_read_are_said() -> None:
    maps = fields((20, 6, 9, 14), seed=7)
    masks = np.zeros((20, 5, 9, 14), bool)
    masks[:, 0] = maps[:, 0] > 1
    masks[4, 1] = masks[15, 1] = True  # in one image that chooses
    masks[:, 2] = True
    masks[15, 3] = True
    found = given(masks)
    result = read(maps, found, n_wrong=9)
    assert len(result.wrong) == found.labelled.n_null == 4
    said = [result.remarks.get(concept, "") for concept in result.concepts]
    assert said[0] == ""
    assert "it takes two" in said[1]
    assert "everywhere" in said[2]
    assert "other half" in said[3]
    assert "none of the" in said[4]
    assert np.isfinite(result.iou).tolist() == [True, False, False, False, False]
    assert result.versus.share.value == float(result.versus.beats[0])
    assert not result.versus.beats[1:].any()
    nothing = read(maps, given(masks[:, 1:]))
    assert np.isnan(nothing.iou).all()
    assert np.isnan(nothing.versus.share.value)
    assert len(nothing.serves) == 6
    assert directions(given(masks, n_null=0), "layer", *measured(maps, found)).wrong == ()


def test_what_does_not_belong_together_is_refused() -> None:
    maps = fields((10, 5, 9, 14), seed=8)
    found = given(maps[:, :2] > 1)
    values, single = measured(maps, found)
    with pytest.raises(UsageError, match="Give those of one layer"):
        directions(found, "layer", measured(maps[:, :4], found)[0], single)
    with pytest.raises(UsageError, match="no masks"):
        directions(replace(found, per_pixel=False), "layer", values, single)


@pytest.mark.data
def test_scenes_are_read_better_by_several_units(data_dir: Path) -> None:
    """CamVid and SqueezeNet 1.1: naive read-outs gave building .52, road .75, tree .86, where single units reach .32, .47, .55."""
    folder = data_dir / "datasets" / "camvid"
    weights = data_dir / "weights" / "squeezenet1_1_imagenet.safetensors"
    net = cs.load("torchvision:squeezenet1_1", weights=str(weights))
    images = cs.images(str(folder / "images"))
    source = open_concepts(f"labels:{folder / 'labels'}")
    half = (np.arange(len(images)) >= 60).astype(np.int8)
    found = collect(images, source, net.preprocess, size=(224, 224), half=half)
    layer = "features.6.expand3x3"
    gauges = overlap_gauges(net, images, found, shapes_of(net, [layer]))
    gauges[layer]["at_pixels"] = AtPixels(128, found.labelled.pixels, place_of(net, found, layer), len(images))
    swept = sweep(net, images, gauges).gauges[layer]
    single = evaluated(found, {layer: {"overlap": swept["overlap"].result()}}).layers[layer]
    result = directions(found, layer, swept["at_pixels"].result(), single, n_wrong=4)
    names = [concept.name for concept in result.concepts]
    for name, least in (("Building", 0.5), ("Road", 0.75), ("Tree", 0.8)):
        assert result.iou[names.index(name)] > least
        assert result.versus.beats[names.index(name)]
    assert result.versus.share.value > 0.5
    assert result.wrong_share.value <= 0.05
    assert 2 <= np.median(result.to_most[result.versus.told]) <= 32
