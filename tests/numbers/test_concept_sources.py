"""Are concepts where the sources say?  Known patches, gratings, blurred steps, naive decoding, hand-made files, the world."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy import ndimage
from skimage.color import lab2rgb, rgb2lab

import convscope as cs
from convscope.answer.given import MaskSource
from convscope.errors import ImagesError, InputError, MissingExtraError, UnknownNameError, UsageError, WeightsError
from convscope.images import Picture, Preprocess, images
from convscope.images.as_seen import as_seen
from convscope.images.concepts import (
    COCO,
    VOC,
    Brightness,
    ClassLabels,
    Colours,
    Concept,
    Corners,
    EdgeScales,
    Examples,
    LabelMaps,
    Masks,
    Orientations,
    PascalPart,
    Several,
    TextLabels,
    TextureFrequencies,
    WorldMasks,
    open_concepts,
)
from convscope.images.concepts.colours import COLOURS, colour_of
from convscope.images.concepts.filters import Gaussian, filtered, gradients, largest, opened
from convscope.images.concepts.label_names import label_names
from convscope.images.concepts.oklab import oklab
from convscope.images.concepts.part_words import part_word
from convscope.images.concepts.runs import counts_of, from_counts, from_polygon, from_segmentation
from convscope.images.concepts.structure import structure
from convscope.images.concepts.textures import amplitudes
from convscope.images.world import World
from convscope.images.world.paint import COLORS
from convscope.instruments.concepts.collect import collect
from convscope.registry import items
from convscope.torchvision_ops import declare_missing_operators

PLAIN = Preprocess()
Y, X = np.mgrid[:61, :94].astype(np.float32)  # odd and even, not square


def of(
    source: Any, pixels: np.ndarray, name: str = "a.png", recipe: Preprocess = PLAIN, label: int | None = None
) -> Masks:
    """The masks of one image: `y x` or `y x 3`, 0-1 or uint8."""
    held = np.repeat(pixels[..., None], 3, -1) if pixels.ndim == 2 else pixels
    picture = Picture(name, held if held.dtype == np.uint8 else held.astype(np.float32), label)
    return source.masks(picture, recipe, recipe(picture))


def place(source: Any, name: str, category: str | None = None) -> int:
    found = [i for i, one in enumerate(source.concepts) if one.name == name and category in (None, one.category)]
    assert len(found) == 1, (name, found)
    return found[0]


def save(path: Path, values: np.ndarray, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **how)
    return path


# --- the image's own way -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipe",
    [
        Preprocess(resize=40, crop=(33, 29)),
        Preprocess(resize=17),
        Preprocess(resize=(20, 51)),
        Preprocess(resize=(40, 40), fit="cover", crop=(40, 40)),
        Preprocess(resize=(30, 44), fit="contain", crop=(50, 45), center="floor"),
        Preprocess(crop=(70, 31)),
        Preprocess(),
    ],
    ids=str,
)
def test_masks_go_the_way_of_their_image(recipe: Preprocess) -> None:
    """Held against the recipe itself, with nearest resizing, applied to an image that is the mask."""
    rng = np.random.default_rng(0)
    for shape in ((31, 47), (53, 20), (64, 64), (7, 90)):
        mask = rng.random(shape) < 0.4
        way = replace(recipe, interpolation="nearest", channels=1, mean=(0.0,), std=(1.0,))
        expected = way.prepare_one(mask[..., None])[0].numpy() > 0.5
        seen = as_seen(shape, recipe)
        assert seen.shape == expected.shape == tuple(recipe(np.zeros((*shape, 3), np.uint8)).shape[-2:])
        assert np.array_equal(seen(mask), expected)
        numbers = rng.integers(1, 900, (2, *shape))
        assert np.array_equal(seen(numbers) > 0, np.broadcast_to(seen.inside, (2, *seen.shape)))


# --- colours -----------------------------------------------------------------------------------------------------------


def test_oklab_is_that_of_its_author() -> None:
    """XYZ to OKLab by the pairs he publishes, which are given to three digits; here through sRGB, where they lie inside."""
    assert np.allclose(oklab(np.array([[1.0, 1, 1], [0, 0, 0]])), [[1, 0, 0], [0, 0, 0]], atol=2e-6)
    known = {
        (255, 0, 0): (0.628, 0.225, 0.126),
        (0, 255, 0): (0.866, -0.234, 0.179),
        (0, 0, 255): (0.452, -0.032, -0.312),
    }
    for rgb, lab in known.items():
        assert np.allclose(oklab(np.array(rgb) / 255), lab, atol=6e-4)


PATCHES = {
    "red": [(255, 0, 0), (200, 20, 30), (128, 0, 0), (220, 20, 60)],
    "orange": [(255, 165, 0), (255, 140, 0), (240, 110, 20)],
    "yellow": [(255, 255, 0), (255, 230, 40), (255, 215, 0)],
    "green": [(0, 128, 0), (0, 255, 0), (34, 139, 34), (60, 110, 60)],
    "blue": [(0, 0, 255), (0, 0, 128), (65, 105, 225), (135, 206, 235)],
    "purple": [(128, 0, 128), (75, 0, 130), (138, 43, 226)],
    "brown": [(139, 69, 19), (101, 67, 33), (92, 51, 23)],
    "pink": [(255, 192, 203), (255, 105, 180), (255, 20, 147)],
    "white": [(255, 255, 255), (245, 245, 245)],
    "grey": [(128, 128, 128), (90, 92, 91), (180, 180, 180)],
    "black": [(0, 0, 0), (30, 30, 30), (6, 4, 9)],
}


@pytest.mark.parametrize("name", COLOURS)
def test_patches_of_known_colours(name: str) -> None:
    for rgb in PATCHES[name]:
        found = of(Colours(), np.full((5, 8, 3), rgb, np.uint8))
        assert [c.name for c, v in zip(Colours.concepts, found.values.all((1, 2)), strict=True) if v] == [name], rgb
        assert found.values.sum() == 40


def test_colours_of_the_built_in_world_keep_their_names() -> None:
    for name, rgb in COLORS.items():
        assert COLOURS[colour_of(oklab(np.array(rgb)))] == name


# The borders of hue of Benavente et al. 2008, degrees in CIELAB, where each colour begins; lightness at which a level ends.
MODEL = (
    (31, {"red": 357.8, "brown": 33.5, "green": 104.6, "blue": 224.6, "purple": 302.8}),
    (42, {"red": 2.2, "brown": 41.2, "green": 96.9, "blue": 210.5, "purple": 301.5, "pink": 344.3}),
    (51, {"red": 13.6, "orange": 44.5, "brown": 61.2, "green": 96.7, "blue": 199.4, "purple": 301.8, "pink": 337.4}),
    (66, {"red": 26.5, "orange": 33.0, "yellow": 79.0, "green": 95.7, "blue": 198.3, "purple": 301.2, "pink": 326.1}),
    (76, {"orange": 25.7, "yellow": 74.2, "green": 102.3, "blue": 188.6, "purple": 299.2, "pink": 327.5}),
    (101, {"orange": 25.7, "yellow": 72.4, "green": 106.2, "blue": 190.0, "purple": 300.6, "pink": 327.6}),
)


def in_model(lab: np.ndarray) -> str:
    lightness, chroma = lab[0], np.hypot(lab[1], lab[2])
    if chroma < 7:
        return "black" if lightness < 28.3 else "grey" if lightness < 79.6 else "white"
    hue = np.degrees(np.arctan2(lab[2], lab[1])) % 360
    starts = next(table for end, table in MODEL if lightness < end)
    before = [name for name, start in starts.items() if start <= hue]
    return max(before or starts, key=lambda name: starts[name])


def test_colours_agree_with_the_model_that_the_borders_are_from() -> None:
    """Where that model was fitted: chroma up to 50, on screen, not near black."""
    rng = np.random.default_rng(0)
    turn, size = rng.random(3000) * 2 * np.pi, rng.random(3000) * 50
    lab = np.stack([20 + rng.random(3000) * 75, size * np.cos(turn), size * np.sin(turn)], -1)
    rgb = lab2rgb(lab[None])[0]
    shown = np.abs(rgb2lab(rgb[None])[0] - lab).max(-1) < 0.5
    same = [COLOURS[colour_of(oklab(c))] == in_model(v) for c, v in zip(rgb[shown], lab[shown], strict=True)]
    assert shown.sum() > 1000
    assert np.mean(same) > 0.93


def test_brightness_has_the_borders_of_cielab() -> None:
    grey = np.arange(256, dtype=np.uint8)[None].repeat(3, 0)
    found = of(Brightness(), grey).values[:, 0]
    lightness = rgb2lab(np.arange(256)[:, None].repeat(3, 1)[None] / 255)[0, :, 0]
    assert np.abs(np.flatnonzero(found[0]).max() - np.flatnonzero(lightness < 25).max()) <= 1
    assert np.abs(np.flatnonzero(found[1]).min() - np.flatnonzero(lightness >= 75).min()) <= 1


def test_colours_are_those_the_network_sees() -> None:
    """Whatever the order of its channels, its scale, mean and deviation; luminance has greys only."""
    image = (np.random.default_rng(1).random((12, 9, 3)) * 255).astype(np.uint8)
    plain = of(Colours(), image).values
    for recipe in (
        Preprocess(channels="BGR", scale=255.0, mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0)),
        Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    ):
        assert np.mean(of(Colours(), image, recipe=recipe).values == plain) > 0.999
    luminance = of(Colours(), image, recipe=Preprocess(channels="L", mean=(0.0,), std=(1.0,)))
    assert not luminance.values[: COLOURS.index("white")].any()
    with pytest.raises(UsageError, match="takes 2 channels"):
        Colours().masks(Picture("a", image), Preprocess(channels=2, mean=(0, 0), std=(1, 1)), torch.zeros(2, 5, 5))


# --- edges, corners, textures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(61, 94), (9, 200), (3, 1)])
def test_filters_are_those_of_scipy(size: tuple[int, int]) -> None:
    """Also where they reach far beyond the image, and across the blocks in which a line is worked out."""
    values = np.random.default_rng(0).random((2, *size), np.float32)
    for sd, order, truncate, beyond, mode in (
        (1.0, 0, 4.0, "edge", "nearest"),
        (2.5, 1, 4.0, "edge", "nearest"),
        (32.0, 0, 2.5, "symmetric", "reflect"),
    ):
        expected = ndimage.gaussian_filter1d(values, sd, axis=1, order=order, truncate=truncate, mode=mode)
        expected = ndimage.gaussian_filter1d(expected, sd, axis=2, truncate=truncate, mode=mode)
        found = filtered(values, Gaussian(sd, order, truncate, beyond), Gaussian(sd, 0, truncate, beyond))
        np.testing.assert_allclose(found, expected, atol=1e-6)
    for side in (1, 5, 17, 41):
        np.testing.assert_array_equal(largest(values[0], side), ndimage.maximum_filter(values[0], side))
        mask = values[0] > 0.1
        np.testing.assert_array_equal(
            opened(mask, side), ndimage.maximum_filter(ndimage.minimum_filter(mask, side), side)
        )


@pytest.mark.parametrize(("scale", "window"), [(1.5, 2.0), (2.0, 3.0), (3.0, 1.0)])
def test_the_structure_tensor_gives_back_the_height_of_a_step(scale: float, window: float) -> None:
    step = (
        np.where(X < 47, 0.2, 0.55).astype(np.float32)[..., None].repeat(2, -1)
    )  # two channels: sqrt(2) times the height
    found = structure(*gradients(step.transpose(2, 0, 1).copy(), scale), scale, window)
    assert found.first[30, 46] == pytest.approx(0.35 * np.sqrt(2), rel=0.02)
    assert found.second.max() < 1e-3
    assert found.along_deg[30, 46] == pytest.approx(90, abs=0.1)


@pytest.mark.parametrize("degrees", [0, 10, 20, 45, 70, 90, 115, 135, 160, 170])
@pytest.mark.parametrize("n", [4, 8])
def test_a_line_has_its_orientation(degrees: float, n: int) -> None:
    """Of the two sides of a straight edge that runs `degrees` counter-clockwise from horizontal; y points down."""
    turn = np.radians(degrees)
    side = (X - 47) * np.sin(turn) + (Y - 30) * np.cos(turn)
    found = of(Orientations(n), 0.3 + 0.4 / (1 + np.exp(-2 * side)))
    near = np.abs(side) < 0.8
    expected = round(degrees * n / 180) % n
    near[:5] = near[-5:] = near[:, :5] = near[:, -5:] = False  # at the image's border a slanted edge bends
    assert found.values[expected][near].mean() > 0.99
    assert found.values[:, np.abs(side) > 5].sum() == 0
    assert found.values.sum(0).max() == 1
    assert [c.name for c in Orientations(4).concepts] == ["edge 0 deg", "edge 45 deg", "edge 90 deg", "edge 135 deg"]


def test_an_edge_of_colour_alone_is_seen_and_a_faint_one_is_not() -> None:
    lab = np.zeros((*X.shape, 3))
    lab[..., 0], lab[..., 1] = 60, np.where(X < 47, 30, -30)
    assert of(Orientations(), lab2rgb(lab)).values[4, :, 46].all()
    assert not of(Orientations(), np.where(X < 47, 0.50, 0.53)).values.any()
    assert not of(Corners(), np.where(X < 47, 0.2, 0.8)).values.any()


def test_corners_of_a_square_are_four() -> None:
    inside = (Y > 14) & (Y < 45) & (X > 20) & (X < 71)
    found = of(Several((Corners(), Orientations())), np.where(inside, 0.8, 0.3)).values
    y, x = np.nonzero(found[0])
    corners = {(round((a - 14.5) / 30), round((b - 20.5) / 50)) for a, b in zip(y.tolist(), x.tolist(), strict=True)}
    assert corners == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert max(min(abs(a - c) for c in (14.5, 44.5)) for a in y) < 5
    assert max(min(abs(b - c) for c in (20.5, 70.5)) for b in x) < 5
    assert not (found[0] & found[1:].any(0)).any()


@pytest.mark.parametrize(("blur", "expected"), [(0.0, 0), (0.8, 0), (2.0, 1), (2.4, 1), (3.6, 2), (4.5, 2), (8.0, 3)])
def test_a_blurred_step_has_the_scale_of_its_blur(blur: float, expected: int) -> None:
    """The closed form of Lindeberg: strongest at s = blur; borders at geometric means, 1.4, 2.8, 5.7 px."""
    from scipy.special import erf

    wide = np.arange(160, dtype=np.float64)[None].repeat(41, 0) - 79.5
    linear = 0.5 * (1 + erf(wide / (blur * np.sqrt(2)))) if blur else (wide > 0) * 1.0
    lightness = 0.3 + 0.5 * linear  # a grey of OKLab lightness L has linear light L^3
    light = lightness**3
    found = of(
        EdgeScales((1, 2, 4, 8)), np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    ).values
    assert found[expected, 20, 79:81].all()
    assert found[:, 20].any(-1).sum() == 1


@pytest.mark.parametrize("degrees", [0, 35, 90])
@pytest.mark.parametrize(
    ("period", "expected"), [(3.2, 0), (4, 0), (5, 0), (7, 1), (8, 1), (10, 1), (13, 2), (16, 2), (20, 2)]
)
def test_gratings_have_the_frequency_they_were_made_with(period: float, expected: int, degrees: float) -> None:
    turn = np.radians(degrees)
    wave = np.sin(2 * np.pi * (X * np.cos(turn) + Y * np.sin(turn)) / period)
    found = of(TextureFrequencies(), (0.5 + 0.2 * wave)).values
    assert found[expected, 8:-8, 8:-8].mean() > 0.97
    assert found.sum(0).max() == 1


def test_the_amplitude_of_a_grating_is_its_own() -> None:
    y, x = np.mgrid[:96, :144].astype(np.float32)
    wave = 0.07 * np.sin(2 * np.pi * (x * 0.6 + y * 0.8) / 8 + 1)
    found = amplitudes(wave, (4.0, 8.0, 16.0))[:, 30:-30, 30:-30]
    assert np.allclose(found[1], 0.07, rtol=0.02)
    gain = np.exp(-(np.log(2) ** 2) / (2 * (np.log(np.sqrt(2)) / np.sqrt(2 * np.log(2))) ** 2))  # one octave off: 1/16
    assert gain == pytest.approx(1 / 16)
    assert np.allclose(found[[0, 2]], 0.07 * gain, rtol=0.1)


def test_what_is_no_texture() -> None:
    texture = TextureFrequencies()
    for flat in (np.full_like(X, 0.4), np.where(X < 47, 0.1, 0.9), 0.5 + 0.003 * np.sin(X)):
        assert not of(texture, flat).values.any()
    half = np.where(X < 47, 0.5, 0.5 + 0.2 * np.sin(2 * np.pi * Y / 5))
    found = of(texture, half).values[0]
    assert found[:, :40].mean() < 0.02
    assert found[:, 54:].mean() > 0.98


@pytest.mark.parametrize(
    "source", [Colours(), Brightness(), Orientations(4), Corners(), EdgeScales(), TextureFrequencies()]
)
def test_pixel_concepts_turn_with_the_image(source: Any) -> None:
    """A quarter turn; orientations change places as they must."""
    image = World(size=(65, 65)).scenes(1, seed=3).images[0]
    before, after = of(source, image).values, of(source, np.rot90(image).copy()).values
    turned = np.rot90(before, axes=(1, 2))
    turned = np.roll(turned, 2, axis=0) if isinstance(source, Orientations) else turned
    assert before.any()
    assert np.mean(turned == after) > 0.995


@pytest.mark.parametrize(
    ("make", "changed"),
    [
        (Orientations, {"n": 4}),
        (Orientations, {"scale_px": 2.5}),
        (Orientations, {"window_px": 4.0}),
        (Orientations, {"least_contrast": 0.4}),
        (Corners, {"scale_px": 2.5}),
        (Corners, {"window_px": 4.0}),
        (Corners, {"least_contrast": 0.4}),
        (EdgeScales, {"scales_px": (1.0, 3.0)}),
        (EdgeScales, {"least_contrast": 0.4}),
        (TextureFrequencies, {"periods_px": (4.0, 8.0)}),
        (TextureFrequencies, {"least_amplitude": 0.2}),
        (TextureFrequencies, {"extent": 30.0}),
        (Brightness, {"dark_below": 0.6}),
        (Brightness, {"light_from": 0.5}),
    ],
)
def test_every_setting_changes_the_answer(make: Callable[..., Any], changed: dict[str, Any]) -> None:
    image = np.random.default_rng(0).random((40, 50, 3))
    image = np.where(X[:40, :50, None] < 25, image, 0.5 + 0.4 * np.sin(Y[:40, :50, None] / 9))
    first, second = of(make(), image).values, of(make(**changed), image).values
    assert first.shape != second.shape or (first != second).any()


def test_settings_that_cannot_be_are_refused() -> None:
    for make in (
        lambda: Orientations(1),
        lambda: Orientations(scale_px=0),
        lambda: Corners(window_px=-1),
        lambda: EdgeScales((2, 1)),
        lambda: TextureFrequencies((1.0,)),
        lambda: TextureFrequencies(extent=0),
    ):
        with pytest.raises(UsageError):
            make()


# --- run lengths and polygons ------------------------------------------------------------------------------------------


def naive_counts(text: str) -> list[int]:
    """The loop of rleFrString, a character at a time."""
    counts: list[int] = []
    p = 0
    while p < len(text):
        x, k, more = 0, 0, True
        while more:
            c = ord(text[p]) - 48
            x |= (c & 0x1F) << (5 * k)
            more = bool(c & 0x20)
            p, k = p + 1, k + 1
            if not more and c & 0x10:
                x |= -1 << (5 * k)
        if len(counts) > 2:
            x += counts[-2]
        counts.append(x)
    return counts


def naive_text(counts: list[int]) -> str:
    """The loop of rleToString."""
    text = ""
    for i, count in enumerate(counts):
        x, more = count - (counts[i - 2] if i > 2 else 0), True
        while more:
            c = x & 0x1F
            x >>= 5
            more = (x != -1) if c & 0x10 else (x != 0)
            text += chr((c | 0x20 if more else c) + 48)
    return text


def naive_runs(mask: np.ndarray) -> list[int]:
    counts, inside, length = [], False, 0
    for x in range(mask.shape[1]):
        for y in range(mask.shape[0]):
            if mask[y, x] != inside:
                counts.append(length)
                inside, length = not inside, 0
            length += 1
    return [*counts, length]


def test_run_lengths_and_strings_are_decoded_as_a_naive_loop_does() -> None:
    rng = np.random.default_rng(0)
    for trial in range(60):
        shape = (int(rng.integers(1, 40)), int(rng.integers(1, 40)))
        mask = np.kron(rng.random((shape[0] // 4 + 1, shape[1] // 4 + 1)) < rng.random(), np.ones((4, 4)))
        mask = mask[: shape[0], : shape[1]] > 0 if trial % 2 else rng.random(shape) < 0.5
        counts = naive_runs(mask)
        text = naive_text(counts)
        assert naive_counts(text) == counts == counts_of(text).tolist()
        for form in (counts, text):
            assert np.array_equal(from_segmentation({"size": list(shape), "counts": form}, shape), mask)
    assert from_counts([6], (2, 3)).sum() == 0
    assert from_counts([0, 6], (2, 3)).all()


def naive_polygon(corners: list[float], size: tuple[int, int]) -> np.ndarray:
    """rleFrPoly of maskApi.c, point by point, with its sorted list of places where inside and outside change."""
    h, w = size
    xs = [int(5 * v + 0.5) for v in corners[::2]]
    ys = [int(5 * v + 0.5) for v in corners[1::2]]
    xs, ys = [*xs, xs[0]], [*ys, ys[0]]
    points = []
    for x0, y0, x1, y1 in zip(xs, ys, xs[1:], ys[1:], strict=False):
        dx, dy = abs(x1 - x0), abs(y1 - y0)
        flip = (dx >= dy and x0 > x1) or (dx < dy and y0 > y1)
        if flip:
            x0, x1, y0, y1 = x1, x0, y1, y0
        for d in range(max(dx, dy) + 1):
            t = max(dx, dy) - d if flip else d
            if dx >= dy:
                points.append((t + x0, int(y0 + ((y1 - y0) / dx if dx else 0.0) * t + 0.5)))
            else:
                points.append((int(x0 + (x1 - x0) / dy * t + 0.5), t + y0))
    changes = []
    for (u0, v0), (u1, v1) in pairwise(points):
        if u0 == u1:
            continue
        column = ((u1 if u1 < u0 else u1 - 1) + 0.5) / 5 - 0.5
        if column != np.floor(column) or not 0 <= column <= w - 1:
            continue
        row = int(np.ceil(min(max((min(v0, v1) + 0.5) / 5 - 0.5, 0), h)))
        changes.append(int(column) * h + row)
    flat = [sum(change <= at for change in changes) % 2 == 1 for at in range(h * w)]
    return np.array(flat).reshape(w, h).T


def test_polygons_are_filled_as_a_naive_loop_does() -> None:
    rng = np.random.default_rng(1)
    for trial in range(25):
        size = (int(rng.integers(3, 14)), int(rng.integers(3, 17)))
        corners = (rng.random((int(rng.integers(3, 8)), 2)) * (size[1] + 4, size[0] + 4) - 2).ravel()
        corners = np.rint(corners) if trial % 3 == 0 else corners
        assert np.array_equal(from_polygon(corners.tolist(), size), naive_polygon(corners.tolist(), size))


def test_a_polygon_covers_the_pixels_whose_middle_is_inside() -> None:
    """The closed form of a convex one: all half planes; apart from pixels within .3 px of its rim."""
    size, corners = (50, 70), np.array([(10.3, 5.1), (61.7, 12.4), (48.2, 44.9), (15.5, 38.0)])
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    edges = zip(corners, np.roll(corners, -1, axis=0), strict=True)
    depth = np.min(
        [((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / np.hypot(*(b - a)) for a, b in edges], 0
    )
    found = from_polygon(corners.ravel().tolist(), size)
    clear = np.abs(depth) > 0.3
    assert np.array_equal(found[clear], (depth > 0)[clear])
    assert from_polygon([2, 3, 7, 3, 7, 9, 2, 9], (12, 11)).sum() == 30


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([], "no polygon"),
        ([[1, 2, 3, 4]], "three corners"),
        ([[1, 2, 3, 4, 5, float("nan")]], "three corners"),
        ([[1, 2, 3, 4, 5, 1e9]], "a million"),
        ({"counts": [3, 3], "size": [2, 4]}, "cover 6 pixels"),
        ({"counts": [9, -1], "size": [2, 4]}, "cover"),
        ({"counts": [1.5, 6.5], "size": [2, 4]}, "whole numbers"),
        ({"counts": [8], "size": [4, 2]}, "for 4 x 2 pixels; the image has 2 x 4"),
        ({"counts": "\x01", "size": [2, 4]}, "characters"),
        ({"counts": "P", "size": [2, 4]}, "end within"),
        ("blob", "neither"),
    ],
)
def test_segmentations_that_cannot_be_are_told(segmentation: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_segmentation(segmentation, (2, 4))


# --- label maps --------------------------------------------------------------------------------------------------------


def test_label_maps_as_camvid_has_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    maps = {name: rng.integers(0, 5, (21, 34)).astype(np.uint8) for name in ("a", "b")}
    for name, numbers in maps.items():
        save(tmp_path / "images" / f"{name}.jpg", np.zeros((21, 34, 3), np.uint8))
        save(tmp_path / "labels" / f"{name}.png", numbers)
    (tmp_path / "classes.json").write_text(
        json.dumps({"0": "Sky", "1": "Road", "2": "Car", "3": "Unlabelled", "4": "Tree"})
    )
    source, recipe = LabelMaps(tmp_path), Preprocess(resize=30, crop=(26, 28))
    assert [c.name for c in source.concepts] == ["Sky", "Road", "Car", "Tree"]
    for picture in images(tmp_path / "images"):
        found = source.masks(picture, recipe, recipe(picture))
        numbers = as_seen((21, 34), recipe)(maps[picture.id[0]])
        for number, name in ((0, "Sky"), (1, "Road"), (2, "Car"), (4, "Tree")):
            assert np.array_equal(found.values[place(source, name)], numbers == number)
        assert found.void is not None
        assert np.array_equal(found.void, np.broadcast_to(numbers == 3, found.values.shape))
        assert found.known.all()
        assert found.skipped == ()
    assert source.strays(["a.jpg"]) == (("b.png", "no image looked at has its name"),)


@pytest.mark.parametrize("mode", ["P", "L", "I;16", "1"])
def test_index_files_of_every_kind(tmp_path: Path, mode: str) -> None:
    numbers = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)
    image = Image.fromarray(numbers)
    if mode == "P":
        image.putpalette([9, 9, 9, 200, 0, 0])
        assert image.mode == "P"
    elif mode == "1":
        image = Image.fromarray(numbers > 0)
    elif mode == "I;16":
        image = Image.fromarray(numbers.astype(np.uint16) * 700)
    image.save(tmp_path / "a.png")
    names = {700 if mode == "I;16" else 1: "car"}
    found = of(LabelMaps(tmp_path, names), np.zeros((2, 3)))
    assert np.array_equal(found.values[0], numbers > 0)
    assert found.void is None


def test_two_numbers_of_one_name_are_one_concept_and_categories_are_kept(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.array([[1, 2, 3]], np.uint8))
    source = LabelMaps(tmp_path, {1: "car", 2: "sky", 3: "car"}, category={"sky": "scene"})
    assert source.concepts == (Concept("car", "object"), Concept("sky", "scene"))
    assert of(source, np.zeros((1, 3))).values.tolist() == [[[True, False, True]], [[False, True, False]]]


def test_a_number_without_a_name_is_said_and_not_counted(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.array([[0, 1, 7], [255, 7, 1]], np.uint8))
    found = of(LabelMaps(tmp_path, {1: "car"}), np.zeros((2, 3)))
    assert found.skipped == (("a.png", "label 7 has no name; its 2 pixels are not counted"),)
    assert found.void[0].tolist() == [[False, False, True], [True, True, False]]
    counted = of(LabelMaps(tmp_path, {1: "car"}, void=(), background=(0, 7, 255)), np.zeros((2, 3)))
    assert (counted.void, counted.skipped) == (None, ())


def test_masks_of_another_size_are_said_and_skipped(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.ones((5, 9), np.uint8))
    found = of(LabelMaps(tmp_path, {1: "car"}), np.zeros((6, 9)))
    assert not found.known.any()
    assert found.values.shape == (1, 6, 9)
    assert found.skipped == (("a.png", "The mask is 5 x 9 pixels; the image is 6 x 9."),)
    as_input = of(LabelMaps(tmp_path, {1: "car"}), np.zeros((60, 90)), recipe=Preprocess(resize=(5, 9)))
    assert as_input.values.all()  # of the network's own size: taken as it is


def test_a_mask_of_both_sizes_goes_the_way_of_its_image(tmp_path: Path) -> None:
    """An image as large as the input that is magnified and cropped: its mask is too."""
    numbers = np.zeros((8, 8), np.uint8)
    numbers[2:6, 2:6] = 1
    save(tmp_path / "a.png", numbers)
    found = of(LabelMaps(tmp_path, {1: "car"}), np.zeros((8, 8)), recipe=Preprocess(resize=16, crop=(8, 8)))
    assert found.values.all()
    mask = MaskSource({"a.png": numbers}).of("a.png", 0, (8, 8), Preprocess(resize=16, crop=(8, 8)), (8, 8))
    assert bool(mask.all())  # what an explanation is held against goes the same way


def test_files_that_are_no_label_maps(tmp_path: Path) -> None:
    save(tmp_path / "colour.png", np.zeros((4, 5, 3), np.uint8))
    save(tmp_path / "whole.png", np.ones((4, 5), np.uint8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:45])
    (tmp_path / "empty.png").write_bytes(b"")
    source = LabelMaps(tmp_path, {1: "car"})
    for name, said in (("colour", "holds colours"), ("cut", "cannot be read"), ("empty", "the file is empty")):
        found = of(source, np.zeros((4, 5)), f"{name}.jpg")
        assert said in found.skipped[0].reason
        assert not found.known.any()
    nothing = of(source, np.zeros((4, 5)), "elsewhere.jpg")
    assert (nothing.skipped, nothing.known.any()) == ((), np.False_)


def test_sources_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match="no such folder"):
        LabelMaps(tmp_path / "nothing", {1: "car"})
    with pytest.raises(ImagesError, match="No file in it"):
        LabelMaps(tmp_path, {1: "car"})
    save(tmp_path / "a.png", np.ones((2, 2), np.uint8))
    with pytest.raises(InputError, match="says what their numbers are called"):
        LabelMaps(tmp_path)
    with pytest.raises(InputError, match="'sky' is no label index"):
        LabelMaps(tmp_path, {"sky": 1})  # type: ignore[dict-item]


def test_a_mask_is_found_by_path_or_else_by_a_name_that_no_other_has(tmp_path: Path) -> None:
    for number, name in enumerate(("x/a.png", "y/a.png", "y/b.png"), start=1):
        save(tmp_path / name, np.full((2, 2), number, np.uint8))
    source = LabelMaps(tmp_path, {1: "one", 2: "two", 3: "three"})
    shown = {
        name: of(source, np.zeros((2, 2)), name).values.any((1, 2)).tolist()
        for name in ("x/a.jpg", "y/a.jpg", "b.jpg", "a.jpg")
    }
    assert shown == {"x/a.jpg": [1, 0, 0], "y/a.jpg": [0, 1, 0], "b.jpg": [0, 0, 1], "a.jpg": [0, 0, 0]}


def test_names_of_labels(tmp_path: Path) -> None:
    table = tmp_path / "objectInfo150.csv"
    table.write_text("Idx,Ratio,Name\n1,0.1,wall\n2,0.1,building;edifice\n3,0.2,screen;door\n4,0.3,screen;silver\n")
    assert label_names(table) == {1: "wall", 2: "building", 3: "screen, door", 4: "screen, silver"}
    table.write_text("Idx\tRatio\tName\n2\t0.1\tbuilding, edifice\n")
    assert label_names(table) == {2: "building"}
    table.write_text('["sky", "road"]')
    assert label_names(table) == label_names(["sky", "road"]) == {0: "sky", 1: "road"}
    for text in ("", "a,b\n1,2\n", "{", "Idx,Name\n"):
        table.write_text(text)
        with pytest.raises(InputError):
            label_names(table)


# --- VOC, COCO, Pascal-Part --------------------------------------------------------------------------------------------


def voc_folder(root: Path) -> Path:
    classes = np.zeros((10, 12), np.uint8)
    classes[2:5, 2:6], classes[1, 2:6], classes[7:9, 3:9] = 15, 255, 8
    for kind in ("SegmentationClass", "SegmentationObject"):
        image = Image.fromarray(
            classes
            if kind == "SegmentationClass"
            else np.where(classes == 15, 1, np.where(classes == 8, 2, classes)).astype(np.uint8)
        )
        image.putpalette(bytes(range(256)) * 3)
        for name in ("whole", "objects") if kind == "SegmentationObject" else ("whole",):
            (root / kind).mkdir(parents=True, exist_ok=True)
            image.save(root / kind / f"{name}.png")
    (root / "Annotations").mkdir()
    (root / "Annotations" / "objects.xml").write_text(
        "<annotation><object><name>person</name><part><name>head</name></part></object>"
        "<object><name>cat</name></object></annotation>"
    )
    return root


def test_voc_by_class_and_by_instance(tmp_path: Path) -> None:
    source = VOC(voc_folder(tmp_path))
    image = np.zeros((10, 12))
    whole, objects = of(source, image, "whole.jpg"), of(source, image, "JPEGImages/objects.jpg")
    for found in (whole, objects):
        assert found.values.sum((1, 2)).tolist() == [{"person": 12, "cat": 12}.get(c.name, 0) for c in source.concepts]
        assert found.void[0].sum() == 4
        assert found.skipped == ()
    assert np.array_equal(whole.values, objects.values)
    (tmp_path / "Annotations" / "objects.xml").write_text(
        "<annotation><object><name>person</name></object></annotation>"
    )
    less = of(source, image, "objects.jpg")
    assert less.void[0].sum() == 4 + 12
    assert "has no name; its 12 pixels" in less.skipped[0].reason
    (tmp_path / "Annotations" / "objects.xml").write_text("<!DOCTYPE x [<!ENTITY a 'b'>]><annotation/>")
    assert "entities" in of(source, image, "objects.jpg").skipped[0].reason
    (tmp_path / "Annotations" / "objects.xml").unlink()
    assert "instances have no class" in of(source, image, "objects.jpg").skipped[0].reason
    assert not of(source, image, "other.jpg").known.any()
    assert {skip.id for skip in source.strays(["whole.jpg"])} == {"objects.png"}
    with pytest.raises(ImagesError, match="neither a folder SegmentationClass"):
        VOC(tmp_path / "Annotations")


def coco_file(path: Path, annotations: list[dict[str, Any]], size: tuple[int, int] = (20, 30)) -> Path:
    contents = {
        "images": [
            {"id": 7, "file_name": "a.jpg", "height": size[0], "width": size[1]},
            {"id": 9, "file_name": "b.jpg", "height": size[0], "width": size[1]},
        ],
        "categories": [{"id": 3, "name": "car"}, {"id": 1, "name": "person"}],
        "annotations": [{"id": n, "image_id": 7, **one} for n, one in enumerate(annotations)],
    }
    path.write_text(json.dumps(contents))
    return path


SQUARE, OTHER = [2, 3, 8, 3, 8, 9, 2, 9], [6, 7, 12, 7, 12, 15, 6, 15]


def test_coco_joins_instances_keeps_overlap_and_takes_crowds_as_void(tmp_path: Path) -> None:
    region = np.zeros((20, 30), bool)
    region[0:12, 0:20] = True
    source = COCO(
        coco_file(
            tmp_path / "a.json",
            [
                {"category_id": 1, "iscrowd": 0, "segmentation": [SQUARE, [20, 2, 25, 2, 25, 6, 20, 6]]},
                {"category_id": 1, "iscrowd": 0, "segmentation": [OTHER]},
                {"category_id": 3, "iscrowd": 0, "segmentation": [OTHER]},
                {"category_id": 1, "iscrowd": 1, "segmentation": {"size": [20, 30], "counts": naive_runs(region)}},
            ],
        )
    )
    found = of(source, np.zeros((20, 30)), "a.jpg")
    square, other = (naive_polygon(list(map(float, corners)), (20, 30)) for corners in (SQUARE, OTHER))
    person, car = place(source, "person"), place(source, "car")
    apart = np.zeros_like(region)
    apart[2:6, 20:25] = True
    assert np.array_equal(found.values[person], square | other | apart)
    assert np.array_equal(found.values[car], other)
    assert np.array_equal(found.void[person], region & ~found.values[person])
    assert not found.void[car].any()
    assert found.known.all()
    nothing = of(source, np.zeros((20, 30)), "b.jpg")  # listed, without annotations: shows none of them
    assert (nothing.known.all(), nothing.values.any()) == (True, False)
    assert not of(source, np.zeros((20, 30)), "c.jpg").known.any()
    recipe = Preprocess(resize=33, crop=(28, 40))
    seen = of(source, np.zeros((20, 30)), "val2017/a.jpg", recipe=recipe)
    assert np.array_equal(seen.values[car], as_seen((20, 30), recipe)(other))
    assert source.strays(["a.jpg"]) == (("b.jpg", "no image looked at has its name"),)


def test_coco_annotations_that_cannot_be_used_are_skipped_one_by_one(tmp_path: Path) -> None:
    source = COCO(
        coco_file(
            tmp_path / "a.json",
            [
                {"category_id": 3, "segmentation": [SQUARE]},
                {"category_id": 1, "segmentation": {"size": [20, 30], "counts": [5]}},
                {"category_id": 1, "segmentation": [OTHER]},
                {"category_id": 99, "segmentation": [SQUARE]},
                {"category_id": 3},
                {"image_id": 1000, "category_id": 3, "segmentation": [SQUARE]},
            ],
        )
    )
    found = of(source, np.zeros((20, 30)), "a.jpg")
    assert found.known.tolist() == [False, False]
    assert not found.values.any()
    assert [skip.reason.split(":")[0] for skip in found.skipped] == ["annotation 1", "annotation 3", "annotation 4"]
    assert ("image 1000", "it has annotations and is not listed") in source.strays(["a.jpg", "b.jpg"])
    wrong = of(source, np.zeros((20, 31)), "a.jpg")
    assert wrong.skipped == (("a.jpg", "The mask is 20 x 30 pixels; the image is 20 x 31."),)


def test_files_that_are_no_coco_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ("", "[]", "{}", '{"images": [], "annotations": [], "categories": []}', '{"images": 3}', "\x00"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"a\.json"):
            COCO(path)
    with pytest.raises(InputError):
        COCO(tmp_path / "none.json")
    with pytest.raises(InputError, match="pixels"):
        COCO(coco_file(path, [], (100_000, 100_000)))


def pascal_folder(root: Path) -> Path:
    instance, part = np.zeros((9, 14), np.uint8), np.zeros((9, 14), np.uint8)
    instance[1:8, 1:6], instance[2:7, 8:13] = 1, 2
    part[1:4, 1:6], part[2, 2], part[2, 4], part[4:8, 1:6] = 1, 2, 3, 4
    save(root / "a_instance.png", instance)
    save(root / "a_part.png", part)
    save(root / "b_instance.png", instance)
    save(root / "b_part.png", part * 0)
    parts = [{"id": n, "object": 1, "part": name} for n, name in enumerate(("head", "leye", "reye", "torso"), start=1)]
    people = [{"id": 1, "class": "person", "class_index": 15}, {"id": 2, "class": "chair", "class_index": 9}]
    (root / "a.json").write_text(json.dumps({"objects": people, "parts": parts}))
    (root / "b.json").write_text(json.dumps({"objects": people, "parts": []}))
    return root


def test_pascal_part_has_objects_and_parts_overlapping(tmp_path: Path) -> None:
    source = PascalPart(pascal_folder(tmp_path))
    assert [str(c) for c in source.concepts] == [
        *("object: chair", "object: person", "part: eye", "part: head", "part: torso"),
    ]
    found = of(source, np.zeros((9, 14)), "a.jpg")
    assert found.values.sum((1, 2)).tolist() == [25, 35, 2, 15, 20]  # the eyes are given back to the head
    assert found.known.all()
    assert not (found.values[place(source, "eye")] & ~found.values[place(source, "head")]).any()
    less = of(source, np.zeros((9, 14)), "b.jpg")  # a person without parts: not annotated that finely
    assert less.known.tolist() == [True, True, False, False, False]
    (tmp_path / "a_part.png").unlink()
    assert of(source, np.zeros((9, 14)), "a.jpg").known.tolist() == [True, True, False, False, False]
    (tmp_path / "b.json").write_text("{}")
    again = PascalPart(tmp_path)
    assert "its list b.json cannot be used" in of(again, np.zeros((9, 14)), "b.jpg").skipped[0].reason
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ImagesError, match="None of its lists"):
        PascalPart(tmp_path)


def test_words_for_parts() -> None:
    words = {
        "lear": "ear",
        "rear": "ear",
        "reye": "eye",
        "lebrow": "eyebrow",
        "llarm": "arm",
        "ruarm": "arm",
        "lfuleg": "leg",
        "rbleg": "leg",
        "lleg": "leg",
        "llleg": "leg",
        "rfoot": "foot",
        "lfpa": "paw",
        "rbho": "hoof",
        "fwheel": "wheel",
        "wheel_2": "wheel",
        "leftside": "side",
        "fliplate": "licence plate",
        "torso": "torso",
        "rhorn": "horn",
        "headlight_11": "headlight",
    }
    assert {short: part_word(short) for short in words} == words


# --- the world, classes, examples --------------------------------------------------------------------------------------


def test_the_worlds_masks_are_those_it_drew() -> None:
    world, recipe = images("builtin:world?n=40&seed=3"), Preprocess(resize=70, crop=(66, 60))
    source, scenes = WorldMasks(), World().scenes(40, seed=3)
    for index in (0, 17, 39):
        picture = world[index]
        found = source.masks(picture, recipe, recipe(picture))
        assert found.known.all()
        for name in ("eye", "wheel", "face", "red", "stripes", "edge 45 deg", "arc up", "window", "tree", "white"):
            where = place(source, name)
            level = {"orientation": "edge", "colour": "color"}.get(source.concepts[where].category) or source.concepts[
                where
            ].category
            expected = as_seen((64, 64), recipe)(scenes.mask(level, name)[index])
            assert np.array_equal(found.values[where], expected), name
    assert not of(source, np.zeros((64, 64)), "cat.jpg").known.any()
    objects = WorldMasks(levels=("object",))
    assert len(objects.concepts) == 10
    assert of(objects, scenes.images[5], "scene-3-000005").values[scenes.labels[5]].any()


def test_pixel_concepts_agree_with_what_the_world_drew() -> None:
    """On scenes without noise, light or texture: colours off the outlines, edges on them."""
    still = {"light_frac": 0, "cast_frac": 0, "brightness_frac": 0, "contrast_frac": 1, "noise_frac": 0}
    scenes = World().scenes(
        12,
        seed=2,
        clutter_count=0,
        occluder_count=0,
        background_texture="flat",
        object_texture="flat",
        background_gradient_frac=0,
        shade_frac=1,
        **still,
    )
    same, right, on = [], [], []
    for index in range(12):
        colours = of(Colours(), scenes.images[index]).values.argmax(0)
        edges = scenes.maps["edge"][index]
        calm = edges == 0
        names = np.array(["", *World().concepts("color")])[scenes.maps["color"][index]]
        same.append((np.array(COLOURS)[colours] == names)[calm].mean())
        found = of(Orientations(8), scenes.images[index]).values
        both = found.any(0) & (edges > 0)
        off = (found.argmax(0)[both] - (edges[both].astype(int) - 1)) % 8
        right.append(np.isin(off, (0, 1, 7)).mean())
        on.append((found.any(0) | of(Corners(), scenes.images[index]).values[0])[edges > 0].mean())
    assert np.mean(same) > 0.95
    assert np.mean(right) > 0.9
    assert np.mean(on) > 0.85


def test_class_labels() -> None:
    source = ClassLabels(("cat", "dog"))
    assert not source.per_pixel
    assert of(source, X / 99, label=1).values.tolist() == [False, True]
    assert not of(source, X / 99).known.any()
    assert of(source, X / 99, label=2).skipped == (("a.png", "label 2 has no name"),)
    world = images("builtin:world?n=30")
    assert ClassLabels.of(world).names == world.label_names
    assert ClassLabels.of(images(np.zeros((3, 4, 4, 3), np.uint8), labels=[0, 2, 1])).names == (
        "class 0",
        "class 1",
        "class 2",
    )
    with pytest.raises(ImagesError, match="No image has a label"):
        ClassLabels.of(images(np.zeros((3, 4, 4, 3), np.uint8)))


def test_examples_say_what_they_are_and_nothing_else(tmp_path: Path) -> None:
    for name in ("striped/1.png", "striped/2.png", "wooden/1.png", "loose.png"):
        save(tmp_path / name, np.zeros((4, 5, 3), np.uint8))
    source = Examples(tmp_path)
    assert [c.name for c in source.concepts] == ["striped", "wooden"]
    assert source.images.ids == ("striped/1.png", "striped/2.png", "wooden/1.png")
    assert source.images.label_names == ("striped", "wooden")
    found = of(source, np.zeros((4, 5)), "striped/2.png")
    assert (found.values.tolist(), found.known.tolist()) == ([True, False], [True, False])
    assert of(Examples(tmp_path, exclusive=True), np.zeros((4, 5)), "striped/2.png").known.all()
    assert not of(source, np.zeros((4, 5)), "striped/9.png").known.any()
    assert source.strays(["striped/1.png", "striped/2.png"]) == (
        ("loose.png", "it lies beside the concepts' folders"),
        ("wooden/1.png", "it is not among the images"),
    )
    for name in ("striped/3.png", "wooden/2.png", "wooden/3.png"):
        save(tmp_path / name, np.zeros((4, 5, 3), np.uint8))
    alone, apart = (Examples(tmp_path, exclusive=exclusive) for exclusive in (False, True))
    counted = collect(alone.images, alone, PLAIN, size=(4, 5))
    assert counted.n_images.tolist() == [[1, 2], [2, 1]]
    assert counted.n_known.tolist() == [[1, 2], [2, 1]]
    assert all("everywhere in all of them" in said for said in counted.remarks.values())
    counted = collect(apart.images, apart, PLAIN, size=(4, 5))
    assert counted.n_known.tolist() == [[3, 3], [3, 3]]
    assert counted.testable.all()
    assert "4 x 5" not in "".join(counted.said())
    (tmp_path / "flat").mkdir()
    save(tmp_path / "flat" / "1.png", np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(ImagesError, match="no sub-folder with images"):
        Examples(tmp_path / "flat")


def two_colours(folder: Path, n: int = 12) -> Path:
    """Examples of `red` and `blue`: grey noise with a patch of the colour; and one that lies in no folder."""
    rng = np.random.default_rng(0)
    for number in range(2 * n + 1):
        pixels = np.repeat(rng.integers(60, 200, (20, 28, 1)), 3, axis=2).astype(np.uint8)
        y, x = rng.integers(0, 14), rng.integers(0, 20)
        pixels[y : y + 6, x : x + 8] = ((230, 20, 20), (20, 20, 230))[number % 2]
        name = ("red", "blue")[number % 2] if number < 2 * n else "."
        save(folder / name / f"{number:03}.png", pixels)
    return folder


def colour_units() -> torch.nn.Module:
    """Units that answer to red, to blue, to the sum of all channels, and to nothing."""
    conv = torch.nn.Conv2d(3, 4, 1)
    with torch.no_grad():
        conv.weight[:, :, 0, 0] = torch.tensor([[1.0, -1, -1], [-1, -1, 1], [1, 1, 1], [0, 0, 0]])
        conv.bias.zero_()
    return torch.nn.Sequential(
        conv, torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 2)
    )


def test_examples_by_name_are_ranked_by_units(tmp_path: Path) -> None:
    """With the folder itself as images: an image is of its folder and of no other."""
    folder = two_colours(tmp_path / "colours")
    recipe = {"resize": None, "crop": (20, 28), "mean": (0.0,) * 3, "std": (1.0,) * 3}
    net = cs.load(colour_units().eval(), size=(20, 28), preprocess=recipe)
    found = cs.dissect(net, folder, [f"examples:{folder}"], layers=["1"])
    own = found.trained.of_images["1"]
    assert [str(concept) for concept in own.concepts] == ["example: blue", "example: red"]
    assert own.testable.all()
    np.testing.assert_allclose(own.frequency, 0.5)  # the image that lies in no folder is not known
    assert found.labels.whole is not None
    assert found.labels.whole.n_silent == 1
    np.testing.assert_allclose(
        own.average_precision[:2], [[own.average_precision[0, 0], 1], [1, own.average_precision[1, 1]]]
    )
    np.testing.assert_allclose(own.average_precision[3], 0.5)
    assert own.average_precision[0, 0] < 0.6
    np.testing.assert_array_equal(found.ranks["1"], [[False, True], [True, False], [False] * 2, [False] * 2])
    assert repr(found).endswith("2 of 4 units rank images by one of 2 concepts)")
    other = tmp_path / "other"
    save(other / "a.png", np.zeros((20, 28, 3), np.uint8))
    with pytest.raises(ImagesError, match="Nothing is known of any of them") as raised:
        cs.dissect(net, other, [f"examples:{folder}"])
    assert "the folder of the examples as images" in raised.value.would_work


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("text", "It names no folder"),
        ("text:", "It names no folder"),
        ("text:clip", "It gives no texts"),
        ("text:clip=", "It gives no texts"),
        ("text:clip= , ", "It gives no texts"),
        ("text:=wheel", "It gives no texts"),
    ],
)
def test_texts_by_name_are_refused_without_a_folder_or_texts(spec: str, words: str) -> None:
    with pytest.raises(UsageError, match="text:FOLDER=wheel,stripes") as raised:
        open_concepts(spec)
    assert raised.value.found.startswith(words)


def test_texts_by_name_are_those_of_the_model_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="There is no folder 'clip'"):
        open_concepts(f"text:{tmp_path / 'clip'}=wheel")
    folder = tmp_path / "a=b"  # the last "=" is what counts
    folder.mkdir()
    source = open_concepts(f"text:{tiny_clip(folder)}=a wheel, striped fur,a wheel,")
    assert isinstance(source, TextLabels)
    assert source.texts == ("a wheel", "striped fur")


def test_text_labels_are_refused_without_weights_or_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="There is no folder 'clip'"):
        TextLabels(tmp_path / "clip", ("a wheel",))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"lacks preprocessor_config.json, model.safetensors"):
        TextLabels(tmp_path, ("a wheel",))
    with pytest.raises(UsageError, match="Give at least one text"):
        TextLabels(tmp_path)
    for name in ("preprocessor_config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"convscope\[hub\]"):
        TextLabels(tmp_path, ("a wheel",))


def tiny_clip(folder: Path) -> Path:
    """A CLIP of a few hundred random weights, with a tokenizer of single letters."""
    declare_missing_operators()
    transformers = pytest.importorskip("transformers")
    letters = [chr(code) for code in range(97, 123)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer", "model_max_length": 40}')
    recipe = {"do_resize": True, "size": {"shortest_edge": 32}, "do_center_crop": True, "do_normalize": True}
    recipe |= {
        "crop_size": {"height": 32, "width": 32},
        "image_mean": [0.5] * 3,
        "image_std": [0.25] * 3,
        "resample": 3,
    }
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "CLIPImageProcessor", **recipe})
    )
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"vocab_size": len(words), "max_position_embeddings": 40, "bos_token_id": 52, "eos_token_id": 53}
    image = {"image_size": 32, "patch_size": 8}
    config = transformers.CLIPConfig(
        text_config={**size, **text, "pad_token_id": 53}, vision_config={**size, **image}, projection_dim=8
    )
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder)
    return folder


def test_text_labels_are_the_models_own_probabilities(tmp_path: Path) -> None:
    """Held against the whole model's logits, which it computes from pixels and tokens in one call."""
    folder = tiny_clip(tmp_path)
    source = TextLabels(folder, ("wheel", "striped fur"), least_share=0.4)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    import transformers

    model = transformers.CLIPModel.from_pretrained(folder).eval()
    texts = [list(f"aphotoof{text}") for text in ("wheel", "stripedfur", "")]
    texts[2] = list("aphoto")
    ends = [{len("a") - 1, len("aphoto") - 1, len("aphotoof") - 1, len(text) - 1} for text in texts]
    ends[1].add(len("aphotoofstriped") - 1)
    with torch.inference_mode():
        pixels = Preprocess(resize=32, crop=(32, 32), interpolation="bicubic", mean=(0.5,) * 3, std=(0.25,) * 3)(image)
        logits = []
        for text, last in zip(texts, ends, strict=True):
            tokens = [52, *(ord(c) - 97 + (26 if i in last else 0) for i, c in enumerate(text)), 53]
            logits.append(float(model(input_ids=torch.tensor([tokens]), pixel_values=pixels).logits_per_image))
    expected = np.exp(logits) / np.exp(logits).sum()
    assert np.allclose(source.shares(Picture("a", image)), expected, atol=1e-5)
    found = of(source, image)
    assert found.known.all()
    assert found.values.tolist() == (expected[:2] >= 0.4).tolist()
    weights = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in weights.items() if k != "text_projection.weight"}, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"1 weights are missing, text_projection\.weight among them"):
        TextLabels(folder, ("wheel",))
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="does not read it as a CLIP model"):
        TextLabels(folder, ("wheel",))
    (folder / "config.json").write_text('{"model_type": "resnet"}')
    with pytest.raises(WeightsError, match="a model of type 'resnet'"):
        TextLabels(folder, ("wheel",))


# --- counting, and what is left out ------------------------------------------------------------------------------------


def test_what_cannot_be_used_is_said_skipped_and_counted(tmp_path: Path) -> None:
    """Sizes that differ, a label without a name, concepts that are empty, everywhere or shown once, masks without images."""
    maps = np.zeros((10, 4, 5), np.uint8)  # 1 everywhere, 2 once, 3 never, 4 in both halves, 5 only in the first
    maps[[0, 1, 8], 1], maps[0, 3], maps[:3, 2] = 4, 2, 5
    maps[5] = 9
    for index, numbers in enumerate(maps):
        save(tmp_path / "images" / f"{index}.png", np.zeros((4, 5, 3), np.uint8))
        if index != 7:  # that has no mask
            save(tmp_path / "labels" / f"{index}.png", numbers if index != 6 else numbers[:3])
    save(tmp_path / "labels" / "extra.png", maps[0])
    source = LabelMaps(tmp_path, {2: "once", 3: "never", 4: "bar", 5: "first"})
    everywhere = LabelMaps(tmp_path, dict.fromkeys((0, 2, 4, 5, 9), "all"))
    found = collect(images(tmp_path / "images"), Several((source, everywhere)), PLAIN, size=(4, 5))
    assert found.n_images.tolist() == [[1, 0, 2, 3, 5], [0, 0, 1, 0, 3]]
    assert found.n_known.tolist() == [
        [5, 5, 5, 5, 5],
        [2, 2, 2, 2, 3],
    ]  # that of nameless labels is void for the first source
    assert found.frequency[:, 2].tolist() == [10 / 100, 5 / 40]
    assert found.testable.tolist() == [False, False, True, False, False]
    assert found.n_silent == 2
    assert found.said() == (
        "Of 2 of 10 images nothing is known.",
        "object: all: It is everywhere in all of them, so nothing can answer to it.",
        "object: first: It is in 3 images, none of which is in the other half.",
        "object: never: It is in none of the 7 images that say whether it is there.",
        "object: once: It is in 1 image, none of which is in the other half.",
        "2 skipped, the first '6.png': The mask is 3 x 5 pixels; the image is 4 x 5.",
        "1 skipped, the first '5.png': label 9 has no name; its 20 pixels are not counted",
        "2 masks or examples not used, the first 'extra.png': no image looked at has its name",
    )
    found = collect(images(tmp_path / "images")[:5], source, PLAIN, size=(4, 5), half=np.array([0, 0, 0, 0, 1]))
    assert "object: never: It is in none of the 5 images that say whether it is there." in found.said()
    assert any("'object: bar': In one half a single image says" in line for line in found.said())
    many = LabelMaps(tmp_path, {n: f"concept {n}" for n in range(2, 60)})
    told = collect(images(tmp_path / "images")[:5], many, PLAIN, size=(4, 5)).said()
    assert any(
        line.startswith("55 concepts cannot be tested, the first 'object: concept 10': It is in none") for line in told
    )


def test_damaged_images_are_skipped_and_masks_of_none_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / "images" / f"{name}.png", np.zeros((4, 5, 3), np.uint8))
        save(tmp_path / "labels" / f"{name}.png", np.ones((4, 5), np.uint8))
    (tmp_path / "images" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    source = LabelMaps(tmp_path, {1: "car"})
    found = collect(images(tmp_path / "images"), source, PLAIN, size=(4, 5))
    assert (int(found.n_known.sum()), [skip.id for skip in found.skipped]) == (1, ["b.png"])
    save(tmp_path / "others" / "x.png", np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(ImagesError, match=r"Nothing is known of any of them. The first that was given: 'a.png'"):
        collect(images(tmp_path / "others"), source, PLAIN, size=(4, 5))


def test_sources_by_name(tmp_path: Path) -> None:
    assert {
        "pixels",
        "colour",
        "labels",
        "voc",
        "coco",
        "pascal_part",
        "world",
        "classes",
        "examples",
        "text",
    } <= items("concepts").keys()
    assert (
        len({str(c) for c in open_concepts("pixels").concepts})
        == len(open_concepts("pixels").concepts)
        == 11 + 2 + 8 + 1 + 3 + 3
    )
    assert open_concepts("world").concepts == WorldMasks().concepts
    assert open_concepts("classes", images("builtin:world?n=9")).concepts[0] == Concept("face", "class")
    save(tmp_path / "a.png", np.ones((2, 2), np.uint8))
    (tmp_path / "classes.json").write_text('{"1": "car"}')
    for spec in (str(tmp_path), f"labels:{tmp_path}"):
        assert open_concepts(spec).concepts == (Concept("car", "object"),)
    save(tmp_path / "voc" / "SegmentationClass" / "a.png", np.ones((2, 2), np.uint8))
    save(tmp_path / "part" / "masks" / "a_part.png", np.ones((2, 2), np.uint8))
    save(tmp_path / "part" / "masks" / "a_instance.png", np.ones((2, 2), np.uint8))
    listed = {"objects": [{"id": 1, "class": "cat"}], "parts": [{"id": 1, "object": 1, "part": "head"}]}
    (tmp_path / "part" / "masks" / "a.json").write_text(json.dumps(listed))
    (tmp_path / "coco.json").write_text('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}')
    for place, kind in (("voc", VOC), ("part", PascalPart), ("part/masks", PascalPart), ("coco.json", COCO)):
        assert isinstance(open_concepts(str(tmp_path / place)), kind)
    for spec, error in (
        ("pixel", UnknownNameError),
        ("coco", UsageError),
        ("world:x", UsageError),
        ("classes", UsageError),
    ):
        with pytest.raises(error):
            open_concepts(spec)


@pytest.mark.parametrize(
    "source", [open_concepts("pixels"), WorldMasks(), ClassLabels(("cat", "dog"))], ids=lambda s: type(s).__name__
)
def test_every_source_keeps_its_word(source: Any) -> None:
    """Shapes, types, the same again, one image as a batch of one, nothing of what was given changed."""
    image = World().scenes(1, seed=1, start=3).images[0]
    picture, recipe = Picture("scene-1-000003", image, 1), Preprocess(resize=40, crop=(37, 51))
    before, inputs = image.copy(), recipe(picture)
    kept = inputs.clone()
    first, second = source.masks(picture, recipe, inputs), source.masks(picture, recipe, inputs[0])
    shape = (len(source.concepts), *((37, 51) if source.per_pixel else ()))
    assert first.values.shape == shape
    assert first.values.dtype == first.known.dtype == bool
    assert first.known.shape == shape[:1]
    assert np.array_equal(first.values, second.values)
    assert np.array_equal(image, before)
    assert torch.equal(inputs, kept)
    if source.per_pixel and first.void is not None:  # 37 x 51 of an image of 40 x 40: a border to both sides
        assert np.array_equal(first.void[0], ~as_seen((64, 64), recipe).inside)
        assert not (first.values & first.void).any()


@pytest.mark.data
def test_masks_of_real_data(data_dir: Path) -> None:
    recipe, size = Preprocess(resize=120, crop=(112, 112)), (112, 112)
    sets = {"camvid": LabelMaps, "ade20k_samples": LabelMaps, "pascal_part": PascalPart}
    sizes, sources = {}, {}
    for name, make in sets.items():
        sources[name] = open_concepts(str(data_dir / "datasets" / name))
        assert isinstance(sources[name], make)
        found = collect(images(data_dir / "datasets" / name / "images")[:12], sources[name], recipe, size=size)
        assert (found.skipped, found.n_silent) == ((), 0)
        assert found.n_known.sum(0).all()
        sizes[name] = (len(found.concepts), int(found.n_images.any(0).sum()))
    assert sizes == {"camvid": (11, 11), "ade20k_samples": (150, 14), "pascal_part": (37, 36)}
    scene = images(data_dir / "datasets" / "camvid" / "images")[0]
    masks = sources["camvid"].masks(scene, recipe, recipe(scene))
    blue = Several((Colours(), Brightness())).masks(scene, recipe, recipe(scene)).values
    sky, road = (masks.values[place(sources["camvid"], name)] for name in ("Sky", "Road"))
    light = blue[len(COLOURS) + 1]
    assert light[sky].mean() > 0.9 > 0.1 > light[road].mean()
