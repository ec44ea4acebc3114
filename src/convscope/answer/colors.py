"""How does a score become a colour?  Diverging for signed maps, zero neutral; sequential for others; grey for what failed.

Overlays grow opaque with the size of the score, so that the image is seen where nothing was found. Tables are sampled from
ColorBrewer's RdBu (Brewer 2003) and from viridis (van der Walt and Smith 2015), read between the samples.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from convscope.answer.record import Explanation

_RDBU = (
    "053061 124984 2065ab 327cb7 4393c3 6bacd1 90c4dd b1d5e7 d1e5f0 e4eef4 f7f6f6 fae9df fddbc7 f8bfa4 f3a481 e48066 d6604d c43b3c "
    "b1182b 8a0b25 67001f"
)
_VIRIDIS = (
    "440154 471365 482475 463480 414487 3b528b 355f8d 2f6c8e 2a788e 25848e 21918c 1e9c89 22a884 2fb47c 44bf70 5ec962 7ad151 9bd93c "
    "bddf26 dfe318 fde725"
)
_GREYS = "f2f2f2 2b2b2b"
_SIGNED_GREYS = "ffffff 9a9a9a 1f1f1f"
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
            color = _table(_SIGNED_GREYS if self.grey else _RDBU, 255)
            size = np.abs(np.linspace(-1, 1, 255))
            color, size = np.concatenate([color[:1], color]), np.concatenate([size[:1], size])
        else:
            color, size = _table(_GREYS if self.grey else _VIRIDIS, LEVELS), np.linspace(0, 1, LEVELS)
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


def _table(hexes: str, n: int) -> np.ndarray:
    """`n` colours between those given, float 0-255 `color 3`."""
    known = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in hexes.split()], float)
    at = np.linspace(0, len(known) - 1, n)
    return np.stack([np.interp(at, np.arange(len(known)), known[:, channel]) for channel in range(3)], 1)
