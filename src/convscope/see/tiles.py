"""How does each thing become a tile?  Patches with their outline, deconvnet pictures, kernels, maps, optimised pictures."""

import numpy as np
from PIL import Image, ImageDraw

from convscope.drawing.palettes import DIVERGING, SEQUENTIAL, colors
from convscope.images import Preprocess
from convscope.instruments.appearance.colour import channels_of, signed_rgb
from convscope.instruments.appearance.covering import Covered
from convscope.instruments.appearance.exemplars import Exemplar
from convscope.see.sheet import TILE_PX, Outcome

TOP_FRAC = (
    0.995  # of a deconvnet picture's pixels that are not zero keep their shade: few extremes would leave the rest grey
)
LINE = np.array((255, 214, 10), np.uint8)  # yellow, inside a line of black
SHARP_PX = 2 * TILE_PX  # what lines are drawn at


def patch(found: Exemplar) -> np.ndarray:
    """A patch, enlarged if it is small, with a line round the part that drives the unit."""
    return outlined(found.pixels, found.part)


def outlined(pixels: np.ndarray, part: np.ndarray, px: int = SHARP_PX) -> np.ndarray:
    """A picture, its longer side `px`, with a line round a part of it (truth values `y x`)."""
    scale = px / max(pixels.shape[:2])
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    how = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS
    drawn = np.array(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, how))
    if not part.any() or part.all():
        return drawn
    inside = np.asarray(Image.fromarray(part).resize(size, Image.Resampling.NEAREST))
    thick = max(1, px // TILE_PX)
    drawn[_edge(inside, 2 * thick) & ~_edge(inside, thick)] = 0
    drawn[_edge(inside, thick)] = LINE
    return drawn


def deconvnet(found: Exemplar, preprocess: Preprocess) -> np.ndarray:
    """A patch's deconvnet picture: grey is zero."""
    crop = found.projection.crop
    sizes = np.abs(crop[crop != 0])
    return signed_rgb(crop, preprocess, float(np.quantile(sizes, TOP_FRAC)) if sizes.size else None)


def verdict_of(covered: Covered | None) -> Outcome:
    """What the check of a patch came to: care where a disc in the middle of the field does as much."""
    if covered is None:
        return Outcome.NONE
    if not covered.ran:
        return Outcome.NOT_RUN
    if not covered.confirmed:
        return Outcome.FAILS
    return Outcome.PASSES if covered.beyond_centre else Outcome.CARE


def kernel(values: np.ndarray, top: float) -> np.ndarray:
    """Weights `y x`: red excites, blue inhibits, zero is white."""
    table = np.rint(colors(DIVERGING, 255)).astype(np.uint8)
    share = np.clip(values / top, -1, 1) if top > 0 else np.zeros_like(values)
    return table[np.rint(127 + 127 * share).astype(int)]


def filter_tiles(values: np.ndarray, preprocess: Preprocess) -> tuple[tuple[str, np.ndarray], ...]:
    """A first-layer filter (`channel y x`) in colours; channel by channel where its channels are no colours."""
    if values.shape[0] in (1, 3):
        return (("filter", signed_rgb(values, preprocess)),)
    top, grey = float(np.abs(values).max()), Preprocess(channels="L", mean=(0.5,), std=(0.5,))
    return tuple((f"channel {i}", signed_rgb(one[None], grey, top)) for i, one in enumerate(values))


def map_of(values: np.ndarray, top: float) -> np.ndarray:
    """A unit's map `y x` in colours that end at `top`: diverging if it has values below zero."""
    signed = bool((values < 0).any())
    table = np.rint(colors(DIVERGING if signed else SEQUENTIAL, 255)).astype(np.uint8)
    share = values / top if top > 0 else np.zeros_like(values)
    share = np.nan_to_num(share)
    level = 127 + 127 * np.clip(share, -1, 1) if signed else 254 * np.clip(share, 0, 1)
    return table[np.rint(level).astype(int)]


def in_place(pixels: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The whole image with a frame round what a neuron sees (top left bottom right)."""
    scale = max(1.0, SHARP_PX / max(pixels.shape[:2]))
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    shown = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.LANCZOS)
    top, left, bottom, right = (round(at * scale) for at in box)
    pen = ImageDraw.Draw(shown)
    for out, color, thick in (
        (4, (0, 0, 0), 4),
        (2, tuple(LINE.tolist()), 2),
    ):  # round it: a field may be a single pixel
        corner = max(0, left - out), max(0, top - out)
        end = min(size[0] - 1, max(right, left + 1) + out - 1), min(size[1] - 1, max(bottom, top + 1) + out - 1)
        pen.rectangle([*corner, *end], outline=color, width=thick)
    return np.array(shown)


def pixels_rgb(images: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """Optimised pictures uint8 `... y x channel` (RGB where there are three channels) as `... y x 3`."""
    if images.shape[-1] == 3:
        return images
    shown = channels_of(preprocess).shown
    return np.ascontiguousarray(images[..., list(shown)])


def _edge(inside: np.ndarray, n: int) -> np.ndarray:
    """The pixels right outside a part, n deep."""
    grown = inside
    for _ in range(n):
        padded = np.pad(grown, 1)
        grown = padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return grown & ~inside
