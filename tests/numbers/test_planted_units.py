"""Is what a unit was built to look for found in its exemplars, its deconvnet pictures and its optimised picture, by a measurement?

Four units are planted: a wheel, a ring, red, and an edge of 45 deg. Each has a measure: correlation with the matched filter, hue,
direction by the structure tensor. Each kind of picture of each unit must pass its own measure and fail those of the others; random
pixels, flat pictures and other units are the controls. Then the wheel of the built-in world, in the network that learnt it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from planted import DARK, DIRECTION_DEG, EDGE_2, LIGHT, RADIUS, RED_2, RING, WHEEL, detectors, wheel_parts
from scipy import ndimage
from sklearn.metrics import average_precision_score

import convscope as cs
from convscope.instruments.appearance.exemplars import UnitExemplars, exemplars
from convscope.instruments.appearance.optimise import Optimise, Optimised

SIZE = (47, 61)
UNITS = {"wheel": WHEEL, "ring": RING, "red": RED_2, "edge": EDGE_2}
KINDS = (*UNITS, "edge the other way", "square", "disc", "nothing")
N_IMAGES, N_PATCHES = 64, 6
LEAST_ALIKE, LEAST_COLOR, LEAST_DIRECTED = 0.6, 0.5, 0.6
MOST_OFF_HUE_DEG, MOST_OFF_DEG = 20.0, 10.0


# What is shown


@cache
def scenes() -> tuple[np.ndarray, np.ndarray]:
    """Grey noise with one thing each, somewhere, and where its middle is."""
    generator = np.random.default_rng(6)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    pixels, middles = np.empty((N_IMAGES, *SIZE, 3), np.uint8), np.empty((N_IMAGES, 2), int)
    for i, image in enumerate(pixels):
        middles[i] = cy, cx = generator.integers(14, (SIZE[0] - 14, SIZE[1] - 14))
        scene = np.full((*SIZE, 3), 120.0)
        r, side = np.hypot(y - cy, x - cx), np.maximum(abs(y - cy), abs(x - cx))
        kind = KINDS[i % len(KINDS)]
        if kind == "wheel":
            tyre, hub, _ = wheel_parts(r)
            scene[r <= RADIUS + 2.5], scene[tyre], scene[hub] = 160, 25, 235
        elif kind == "ring":
            scene[abs(r - 5) < 0.8] = 215
        elif kind == "red":
            scene[r < 5] = 200, 60, 50
        elif kind.startswith("edge"):
            across = (y - cy) + (x - cx if kind == "edge" else cx - x)
            inside = r < 7
            scene[inside & (across < 0)], scene[inside & (across >= 0)] = 220, 40
        elif kind != "nothing":
            scene[side < 5 if kind == "square" else r < 6] = 215
        image[...] = np.clip(scene + generator.normal(0, 8, (*SIZE, 1)), 0, 255)
    return pixels, middles


# The measures: each of a picture `y x 3` whose background is zero, and of how much each pixel counts


@dataclass(frozen=True)
class Picture:
    values: np.ndarray  # `y x 3`, zero where there is nothing
    weight: np.ndarray  # `y x`


def matched(unit: int) -> np.ndarray:
    """The filter that the unit's own weights are, over grey: what lightness adds, less what darkness does."""
    held = detectors(SIZE).module.conv2.weight[unit].detach().numpy()
    return held[LIGHT] - held[DARK]


def correlation(values: np.ndarray, template: np.ndarray) -> float:
    """The highest correlation of a picture `y x 3`, in grey, with a template, wherever in it."""
    template = template - template.mean()
    windows = np.lib.stride_tricks.sliding_window_view(values.mean(2), template.shape).reshape(-1, template.size)
    windows = windows - windows.mean(1, keepdims=True)
    sizes = np.linalg.norm(windows, axis=1) * np.linalg.norm(template)
    return float(np.max(windows @ template.ravel() / np.where(sizes > 0, sizes, np.inf)))


def alike(picture: Picture, unit: int) -> float:
    """The highest correlation with the unit's matched filter."""
    return correlation(np.pad(picture.values, ((6, 6), (6, 6), (0, 0))), matched(unit))


def is_red(picture: Picture) -> bool:
    """Whether the weighted mean colour holds most of the energy, most of it lies across the grey axis, and its hue is red."""
    weight = picture.weight / picture.weight.sum()
    mean = np.einsum("yx,yxc->c", weight, picture.values)
    energy = float(np.einsum("yx,yxc->", weight, picture.values**2))
    across = float(((mean - mean.mean()) ** 2).sum())
    hue = np.degrees(np.arctan2(np.sqrt(3) * (mean[1] - mean[2]), 2 * mean[0] - mean[1] - mean[2]))
    return across > LEAST_COLOR * energy and abs(hue) < MOST_OFF_HUE_DEG


def direction(picture: Picture) -> tuple[float, float]:
    """The direction of edges by the structure tensor, deg from horizontal, and how directed they are, 0 to 1."""
    gy, gx = np.gradient(picture.values.mean(2))
    moment = complex(((gx - 1j * gy) ** 2 * picture.weight).sum())
    total = float(((gx**2 + gy**2) * picture.weight).sum())
    return float(np.degrees(np.angle(moment)) / 2 + 90) % 180, abs(moment) / total if total else 0.0


def is_edge(picture: Picture) -> bool:
    found, directed = direction(picture)
    off = abs(found - DIRECTION_DEG) % 180
    return directed > LEAST_DIRECTED and min(off, 180 - off) < MOST_OFF_DEG


MEASURES: dict[str, Callable[[Picture], bool]] = {
    "wheel": lambda picture: alike(picture, WHEEL) > LEAST_ALIKE,
    "ring": lambda picture: alike(picture, RING) > LEAST_ALIKE,
    "red": is_red,
    "edge": is_edge,
}


# The pictures


@cache
def strongest(unit: int) -> UnitExemplars:
    return exemplars(detectors(SIZE), cs.images(scenes()[0]), "pool", (unit,), N_PATCHES)[0]


@cache
def optimised() -> dict[str, Optimised]:
    method = Optimise(n_steps=64, n_restarts=2)
    found = method(detectors(SIZE), [f"relu2:{unit}" for unit in UNITS.values()])
    return dict(zip(UNITS, found, strict=True))


def patches(name: str) -> list[Picture]:
    """The exemplars, less the grey of the scenes; what is outlined counts."""
    return [Picture(one.pixels / 255 - 120 / 255, one.part.astype(float)) for one in strongest(UNITS[name]).patches]


def projections(name: str) -> list[Picture]:
    """The deconvnet pictures; what has energy counts."""
    found = [one.projection for one in strongest(UNITS[name]).patches]
    return [Picture(one.crop.transpose(1, 2, 0), one.energy[one.seen.slices]) for one in found]


def made(name: str) -> list[Picture]:
    """The optimised picture, less its middle grey; what the response depended on counts."""
    found = optimised()[name]
    rows, columns = found.canvas.seen
    values = found.images[0].permute(1, 2, 0).numpy()[rows, columns]
    weight = found.importance[0].numpy()[rows, columns]
    return [Picture(values - 0.5, weight * (weight > 0.1))]


PICTURES = {"exemplars": patches, "deconvnet pictures": projections, "optimised picture": made}


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("name", UNITS)
def test_each_planted_thing_is_found_and_no_other(kind: str, name: str) -> None:
    """All pictures of a unit pass its own measure; of another unit's they pass a third at most, as any round thing has a border."""
    shown = PICTURES[kind](name)
    assert len(shown) == (1 if kind == "optimised picture" else N_PATCHES)
    for measure, passes in MEASURES.items():
        share = np.mean([passes(one) for one in shown])
        assert share == 1 if measure == name else share <= 1 / 3, f"{measure} in {kind} of {name}"


def test_random_pixels_and_flat_pictures_pass_no_measure() -> None:
    generator = np.random.default_rng(8)
    even = np.ones((24, 23))
    for values in (*generator.normal(0, 0.2, (20, 24, 23, 3)), np.full((24, 23, 3), 0.2)):
        for name, passes in MEASURES.items():
            assert not passes(Picture(values, even)), name


def test_exemplars_are_the_images_and_the_places_where_things_were_put() -> None:
    _, middles = scenes()
    for name, unit in UNITS.items():
        found = strongest(unit)
        assert found.confirmed == (N_PATCHES, N_PATCHES), name
        for patch in found.patches:
            assert KINDS[patch.index % len(KINDS)] == name
            away = np.array(patch.projection.seen.middle) - middles[patch.index] - 0.5
            assert np.abs(away).max() <= (7 if name == "edge" else 5 if name == "red" else 2)


# The wheel of the built-in world: which of the built-in network's units it is, is found by the exact masks

LAYER, N_SCENES = "relu4", 240
WHEELED, OTHERS = ("car", "bus", "bicycle"), ("face", "house", "tree")


@cache
def world() -> tuple[cs.Network, np.ndarray, np.ndarray]:
    """The network, scenes, and where in them wheels are; half of the scenes have some."""
    names = np.resize(np.array([*WHEELED, *OTHERS]), N_SCENES)
    drawn = cs.World().scenes(N_SCENES, seed=11, label=names)
    return cs.load("builtin:world"), drawn.images, drawn.mask("part", "wheel")


@cache
def maps() -> torch.Tensor:
    net, pixels, _ = world()
    return net.run(torch.cat([net.preprocess(one) for one in cs.images(pixels)]), [LAYER])[LAYER]


@cache
def by_overlap() -> tuple[np.ndarray, np.ndarray, float]:
    """Average precision of each unit for wheels, on one half of the scenes and on the other; and the share of wheels."""
    mask = world()[2]
    cells = torch.nn.functional.avg_pool2d(torch.from_numpy(mask).float()[:, None], 64 // maps().shape[2])[:, 0] > 0.5
    halves = [
        np.array(
            [average_precision_score(cells[half].flatten(), unit.flatten()) for unit in maps()[half].movedim(1, 0)]
        )
        for half in (slice(0, N_SCENES // 2), slice(N_SCENES // 2, None))
    ]
    return halves[0], halves[1], float(cells.float().mean())


@cache
def wheel_and_others() -> list[int]:
    """The unit that overlaps wheels most, and the four whose peaks say most clearly that there is no wheel in the scene."""
    chosen, _, _ = by_overlap()
    half = slice(0, N_SCENES // 2)
    peaks, wheeled = maps()[half].amax((2, 3)), torch.from_numpy(world()[2][half].any((1, 2)))
    apart = (peaks[wheeled].mean(0) - peaks[~wheeled].mean(0)) / peaks.std(0).clamp_min(1e-6)
    return [int(chosen.argmax()), *apart.argsort()[:4].tolist()]


@cache
def units_of_the_world() -> tuple[UnitExemplars, ...]:
    net, pixels, _ = world()
    return exemplars(net, cs.images(pixels), LAYER, wheel_and_others(), N_PATCHES, check=False)


def test_the_networks_wheel_unit_overlaps_wheels_it_was_not_chosen_by() -> None:
    _, held_out, share = by_overlap()
    wheel, *others = wheel_and_others()
    assert held_out[wheel] > 10 * share
    assert max(held_out[others]) < 2 * share


def test_its_exemplars_and_deconvnet_pictures_are_on_wheels() -> None:
    """Of what is outlined, and of the energy, more lies on wheels than of the patches; for other units, next to nothing does."""
    mask = world()[2]
    found = []
    for unit in units_of_the_world():
        on = []
        for patch in unit.patches:
            top, left, bottom, right = patch.box
            here, energy = mask[patch.index][top:bottom, left:right], patch.projection.energy[top:bottom, left:right]
            on.append((here[patch.part].mean(), energy[here].sum() / energy.sum(), here.mean()))
        found.append(np.mean(on, 0))
    (outlined, energy, area), *others = found
    assert outlined > 3 * area
    assert energy > 2.5 * area
    assert outlined > 0.4
    assert max(other[0] for other in others) < outlined / 4


def test_its_optimised_picture_correlates_with_wheels() -> None:
    """The highest correlation, anywhere in it, with the mean of wheels it has not seen, in grey; other units' do not reach it."""
    net, pixels, mask = world()
    side, wheels = 17, []
    for image, here in zip(pixels[N_SCENES // 2 :], mask[N_SCENES // 2 :], strict=True):
        labels, n = ndimage.label(here)
        for k in range(1, n + 1):
            cy, cx = (round(at) for at in ndimage.center_of_mass(labels == k))
            top, left = cy - side // 2, cx - side // 2
            if (labels == k).sum() >= 30 and min(top, left) >= 0 and max(top, left) + side <= 64:
                wheels.append(image[top : top + side, left : left + side].mean(2))
    assert len(wheels) > 50
    mean = np.mean(wheels, 0)
    drawn = Optimise(n_steps=96)(net, [f"{LAYER}:{unit}" for unit in wheel_and_others()])
    own, *others = [correlation(one.images[0].permute(1, 2, 0).numpy(), mean) for one in drawn]
    random = correlation(np.random.default_rng(0).uniform(size=(40, 40, 3)), mean)
    assert own > 0.5
    assert own > max(others) + 0.05
    assert own > np.mean(others) + 0.2
    assert random < 0.3
