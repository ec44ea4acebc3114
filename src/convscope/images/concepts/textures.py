"""Where is a texture, and how fine is it?  The octave of spatial frequency that carries most of the contrast.

Local amplitude by the monogenic signal (Felsberg & Sommer 2001) of log-Gabor bands one octave wide (Field 1987): of a grating it
is the grating's amplitude everywhere, whatever the phase and the direction.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy import fft, ndimage

from convscope.errors import UsageError
from convscope.images.concepts.concept import Concept, Masks
from convscope.images.concepts.oklab import seen_oklab
from convscope.images.picture import Picture, Skip
from convscope.images.preprocess import Preprocess
from convscope.registry import register

_TINY = 1e-4  # of amplitude, so that flat places have a logarithm
_HALF_WIDTH = np.log(np.sqrt(2)) / np.sqrt(2 * np.log(2))  # s.d. in ln(frequency): half the gain half an octave away


@register("concepts", "texture")
@dataclass(frozen=True)
class TextureFrequencies:
    """Where is a texture of 4, 8, 16 px a period?  In lightness (OKLab L, black to white is 1).

    In each band the geometric mean of the amplitude over a Gaussian window of one period (s.d.) is taken: it is small where only
    some of the surroundings have contrast. The band is there where it is at least `least_amplitude` all over some square of
    `extent` periods around or beside the pixel: a single edge is narrower than that. Of the bands that are there the
    strongest counts; a pixel where the octave above the coarsest is stronger has none (what varies so slowly is shapes rather
    than a texture). Textures of colour alone are not found.
    Raises UsageError for periods that cannot be seen.
    """

    periods_px: tuple[float, ...] = (4.0, 8.0, 16.0)
    least_amplitude: float = 0.03
    extent: float = 2.5

    per_pixel = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "periods_px", tuple(map(float, self.periods_px)))
        if not self.periods_px or min(self.periods_px) < 2 or self.least_amplitude <= 0 or self.extent <= 0:
            raise UsageError(
                f"Textures of {self.periods_px} px a period were asked for.",
                f"least_amplitude={self.least_amplitude}, extent={self.extent}.",
                "Periods must be 2 px or more, the others above 0.",
            )

    @cached_property
    def concepts(self) -> tuple[Concept, ...]:
        return tuple(Concept(f"texture of {period:g} px", "texture") for period in self.periods_px)

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        periods = (*self.periods_px, 2 * max(self.periods_px))
        found = amplitudes(seen_oklab(preprocess, inputs)[..., 0], periods)
        for amplitude, period in zip(found, periods, strict=True):
            amplitude[:] = np.exp(
                ndimage.gaussian_filter(np.log(amplitude + _TINY), period, mode="reflect", truncate=2.5)
            )
            amplitude[~_wide(amplitude >= self.least_amplitude, self.extent * period)] = 0
        bands = np.arange(len(self.periods_px))[:, None, None]
        masks = (found[:-1] > 0) & (found.argmax(0) == bands)
        return Masks(masks, np.ones(len(self.periods_px), bool))

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        return ()


def amplitudes(values: np.ndarray, periods_px: tuple[float, ...]) -> np.ndarray:
    """Local amplitude of `y x` values in the band around each period, `band y x`; beyond its borders the image is mirrored."""
    margins = [min(side, int(np.ceil(2 * max(periods_px)))) for side in values.shape]
    padded = np.pad(values, [(margin, margin) for margin in margins], mode="symmetric")
    down, right = np.meshgrid(*(fft.fftfreq(side).astype(np.float32) for side in padded.shape), indexing="ij")
    radius = np.hypot(down, right)
    radius[0, 0] = 1
    spectrum = fft.fft2(padded)
    spectrum[0, 0] = 0
    turned = (
        down - 1j * right
    ) / radius  # both Riesz parts at once, as the real and the imaginary part of one transform
    inner = tuple(slice(margin, margin + side) for margin, side in zip(margins, values.shape, strict=True))
    found = []
    for period in periods_px:
        band = spectrum * np.exp(-(np.log(radius * np.float32(period)) ** 2) / np.float32(2 * _HALF_WIDTH**2))
        even, odd = fft.ifft2(band)[inner].real, fft.ifft2(band * turned)[inner]
        found.append(np.sqrt(even**2 + odd.real**2 + odd.imag**2))
    return np.stack(found)


def _wide(mask: np.ndarray, least_px: float) -> np.ndarray:
    """The part of a mask that some square of this side fits into: its opening."""
    side = 2 * round(least_px / 2) + 1
    kept = ndimage.minimum_filter(mask, side, mode="reflect")
    return ndimage.maximum_filter(kept, side, mode="reflect")
