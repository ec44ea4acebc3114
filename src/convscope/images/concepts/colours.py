"""Which pixels are red, orange, brown ...?  The eleven basic colours, and which are dark or light.

The colours are those of Berlin & Kay 1969. The borders are those of Benavente, Vanrell & Baldrich 2008, "Parametric fuzzy sets for
automatic color naming" (JOSA A 25:2582), a model fitted to the names that people gave: its borders of hue at six levels of
lightness in CIELAB, and its ellipse of greys, carried to OKLab at chroma 15 to 45 and rounded to a degree. What a display shows and
no surface of their sample did is outside that model; so that a display's own red (hue 29) and yellow (110) keep their names, red
ends at 33 instead of 29 below L .405 and at 38 instead of 29 at L .578 to .707, and yellow at 112 instead of 106 above L .793.
Below L .2, where no hue is seen, all is black. Of the colours of a display 90 % keep that model's name, 96 % of those below
chroma 50 of CIELAB, where it was fitted.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch

from convscope.images.concepts.concept import Concept, Masks
from convscope.images.concepts.oklab import seen_oklab
from convscope.images.picture import Picture, Skip
from convscope.images.preprocess import Preprocess
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


def _hue_table() -> np.ndarray:
    """The colour of each whole degree at each level, `level degree`, as places in COLOURS."""
    table = np.empty((len(LEVELS), 360), np.uint8)
    for row, (_, starts) in zip(table, LEVELS, strict=True):
        order = sorted(starts, key=lambda name: starts[name])
        row[:] = COLOURS.index(order[-1])  # what begins last goes on through 0
        for name in order:
            row[starts[name] :] = COLOURS.index(name)
    return table


_HUES, _ENDS = _hue_table(), np.array([end for end, _ in LEVELS[:-1]], np.float32)


def colour_of(lab: np.ndarray) -> np.ndarray:
    """The place in COLOURS of each OKLab colour (last axis), uint8."""
    lightness, chroma = lab[..., 0], np.hypot(lab[..., 1], lab[..., 2])
    degree = np.degrees(np.arctan2(lab[..., 2], lab[..., 1])) % 360
    named = _HUES[np.searchsorted(_ENDS, lightness, side="right"), degree.astype(np.int64) % 360]
    grey = np.select(
        [lightness < BLACK_BELOW, lightness >= WHITE_FROM],
        [COLOURS.index("black"), COLOURS.index("white")],
        COLOURS.index("grey"),
    )
    hueless = (chroma < GREY_CHROMA) | (lightness < HUELESS_BELOW)
    return np.where(hueless, grey, named).astype(np.uint8)


@register("concepts", "colour")
@dataclass(frozen=True)
class Colours:
    """Which pixels have which of the eleven basic colours?  Each pixel has exactly one."""

    per_pixel = True
    concepts = tuple(Concept(name, "colour") for name in COLOURS)

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        numbers = colour_of(seen_oklab(preprocess, inputs))
        places = np.arange(len(COLOURS), dtype=np.uint8)[:, None, None]
        return Masks(numbers == places, np.ones(len(COLOURS), bool))

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        return ()


@register("concepts", "brightness")
@dataclass(frozen=True)
class Brightness:
    """Which pixels are dark, which light?  By the lightness of OKLab; defaults are 25 and 75 of CIELAB's 100."""

    dark_below: float = DARK_BELOW
    light_from: float = LIGHT_FROM

    per_pixel = True
    concepts = (Concept("dark", "brightness"), Concept("light", "brightness"))

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        lightness = seen_oklab(preprocess, inputs)[..., 0]
        return Masks(np.stack([lightness < self.dark_below, lightness >= self.light_from]), np.ones(2, bool))

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        return ()
