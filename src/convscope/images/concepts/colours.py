"""Which pixels are red, orange, brown ...?  The eleven basic colours, and which are dark or light.

The colours are those of Berlin & Kay 1969. The borders are those of Benavente, Vanrell & Baldrich 2008, "Parametric fuzzy sets for
automatic color naming" (JOSA A 25:2582), a model fitted to the names that people gave: its borders of hue at six levels of
lightness in CIELAB, and its ellipse of greys, carried to OKLab at chroma 15 to 45 and rounded to a degree. What a display shows and
no surface of their sample did is outside that model; so that a display's own red (hue 29) and yellow (110) keep their names, red
ends at 33 instead of 29 below L .405 and at 38 instead of 29 at L .578 to .707, and yellow at 112 instead of 106 above L .793.
Below L .2, where no hue is seen, all is black. Of the colours of a display 90 % keep that model's name, 96 % of those below
chroma 50 of CIELAB, where it was fitted.
"""

from dataclasses import dataclass

import numpy as np

from convscope.images.concepts.concept import Concept
from convscope.images.concepts.seen import FromPixels, Seen
from convscope.registry import register

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "brown", "pink", "white", "grey", "black")
GREY_CHROMA = 0.02  # below it a colour has no hue (CIELAB: about 7)
BLACK_BELOW, WHITE_FROM = 0.382, 0.825  # lightness of greys (CIELAB: 28 and 80)
HUELESS_BELOW = 0.2
# Lightness below which a level ends, and the hue (degrees) at which each colour begins; it ends where the next begins.
LEVELS: tuple[tuple[float, dict[str, int]], ...] = (
    (0.405, {"red": 358, "brown": 33, "green": 110, "blue": 213, "purple": 292}),
    (0.500, {"red": 2, "brown": 36, "green": 101, "blue": 206, "purple": 292, "pink": 346}),
    (0.578, {"red": 12, "orange": 39, "brown": 56, "green": 99, "blue": 197, "purple": 293, "pink": 339}),
    (0.707, {"red": 23, "orange": 38, "yellow": 77, "green": 97, "blue": 196, "purple": 294, "pink": 327}),
    (0.793, {"orange": 22, "yellow": 71, "green": 104, "blue": 188, "purple": 292, "pink": 328}),
    (9.000, {"orange": 22, "yellow": 68, "green": 112, "blue": 189, "purple": 294, "pink": 329}),
)
DARK_BELOW, LIGHT_FROM = 0.353, 0.785  # lightness; 25 and 75 in CIELAB


def _table() -> np.ndarray:
    """The colour at each level and whole degree, as places in COLOURS, uint8 `level degree`, two turns from -360; then of greys."""
    table = np.empty((len(LEVELS), 360), np.uint8)
    for row, (_, starts) in zip(table, LEVELS, strict=True):
        order = sorted(starts, key=lambda name: starts[name])
        row[:] = COLOURS.index(order[-1])  # what begins last goes on through 0
        for name in order:
            row[starts[name] :] = COLOURS.index(name)
    return np.concatenate([table, table], axis=1)


_HUES, _ENDS = _table(), np.array([end for end, _ in LEVELS[:-1]], np.float32)
_BLACK, _GREY, _WHITE = (np.uint8(COLOURS.index(name)) for name in ("black", "grey", "white"))


def colour_of(lab: np.ndarray) -> np.ndarray:
    """The place in COLOURS of each OKLab colour (first axis), uint8."""
    lightness, a, b = np.asarray(lab, np.float32)
    degree = np.floor(np.arctan2(b, a) * np.float32(180 / np.pi)).astype(np.int16)
    level = np.zeros(lightness.shape, np.int16)
    for end in _ENDS:
        level += lightness >= end
    named = _HUES.ravel().take(level * np.int16(720) + degree + np.int16(360))
    grey = np.where(lightness < BLACK_BELOW, _BLACK, np.where(lightness >= WHITE_FROM, _WHITE, _GREY))
    hueless = (a * a + b * b < np.float32(GREY_CHROMA**2)) | (lightness < HUELESS_BELOW)
    return np.where(hueless, grey, named)


@register("concepts", "colour")
@dataclass(frozen=True)
class Colours(FromPixels):
    """Which pixels have which of the eleven basic colours?  Each pixel has exactly one."""

    concepts = tuple(Concept(name, "colour") for name in COLOURS)

    def found(self, seen: Seen) -> np.ndarray:
        return colour_of(seen.lab) == np.arange(len(COLOURS), dtype=np.uint8)[:, None, None]


@register("concepts", "brightness")
@dataclass(frozen=True)
class Brightness(FromPixels):
    """Which pixels are dark, which light?  By the lightness of OKLab; defaults are 25 and 75 of CIELAB's 100."""

    dark_below: float = DARK_BELOW
    light_from: float = LIGHT_FROM

    concepts = (Concept("dark", "brightness"), Concept("light", "brightness"))

    def found(self, seen: Seen) -> np.ndarray:
        return np.stack([seen.lab[0] < self.dark_below, seen.lab[0] >= self.light_from])
