"""How does a score become a colour?  Diverging for signed maps, zero neutral; sequential for others; grey for what failed.

Overlays grow opaque with the size of the score, so that the image is seen where nothing was found.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from convscope.answer.record import Explanation
from convscope.drawing.palettes import DIVERGING, GREYS, SEQUENTIAL, SIGNED_GREYS, colors

TOP_FRAC = 0.995  # the part of the pixels that the scale covers; few extremes would leave the rest without colour
LEVELS = 256
MIDDLE = 128  # the level of zero in signed maps, whose levels are 1 to 255


@dataclass(frozen=True)
class Scale:
    """What a map's colours stand for."""

    top: float  # the score of the last colour; a signed scale ends at -top on its other side
    signed: bool
    beyond: bool  # whether some scores lie beyond
    grey: bool  # whether it is greyed

    @property
    def palette(self) -> np.ndarray:
        """uint8 RGBA of each level, `level 4`."""
        if self.signed:
            color = colors(SIGNED_GREYS if self.grey else DIVERGING, 255)
            size = np.abs(np.linspace(-1, 1, 255))
            color, size = np.concatenate([color[:1], color]), np.concatenate([size[:1], size])
        else:
            color, size = colors(GREYS if self.grey else SEQUENTIAL, LEVELS), np.linspace(0, 1, LEVELS)
        alpha = np.rint(255 * np.minimum(1, 1.15 * size**0.55) * 0.92)
        return np.concatenate([color, alpha[:, None]], 1).astype(np.uint8)

    def levels(self, scores: np.ndarray) -> np.ndarray:
        """uint8 level of each score: signed 1 to 255 with zero at 128, others 0 to 255."""
        share = scores / self.top if self.top > 0 else np.zeros_like(scores)
        if self.signed:
            return (MIDDLE + np.rint(127 * np.clip(share, -1, 1))).astype(np.uint8)
        return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def scale_of(explanation: Explanation) -> Scale:
    """The scale of a map: from zero, symmetric if signed, to what all but the last half percent of pixels stay below."""
    sizes = np.abs(explanation.scores)
    highest = float(sizes.max())
    top = float(np.quantile(sizes, TOP_FRAC))
    if sizes[sizes > top].sum() > sizes.sum() / 2:  # a few pixels are nearly all there is
        top = highest
    return Scale(top, explanation.signed, highest > 1.0001 * top, bool(explanation.distrust))


def overlay(explanation: Explanation, scale: Scale) -> Image.Image:
    """The map in colours, a palette image with opacity, of the image's size."""
    image = Image.fromarray(scale.levels(explanation.scores), "P")
    image.putpalette(scale.palette.tobytes(), "RGBA")
    return image


def over(pixels: np.ndarray, explanation: Explanation, scale: Scale) -> Image.Image:
    """The map laid over the image, which is shown in grey so that only scores have colours."""
    below = grey(pixels).convert("RGBA")
    below.alpha_composite(overlay(explanation, scale).convert("RGBA"))
    return below.convert("RGB")


def grey(pixels: np.ndarray) -> Image.Image:
    """An image without its colours, its contrast a little lower."""
    shown = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("L")
    return shown.point([round(40 + value * 0.78) for value in range(256)])
