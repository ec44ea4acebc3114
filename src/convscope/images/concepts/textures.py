"""Where is a texture, and how fine is it?  The octave of spatial frequency that carries most of the contrast.

Local amplitude by the monogenic signal (Felsberg & Sommer 2001) of log-Gabor bands one octave wide (Field 1987): of a grating it
is the grating's amplitude everywhere, whatever the phase and the direction.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy import fft

from convscope.errors import UsageError
from convscope.images.concepts.concept import Concept
from convscope.images.concepts.filters import opened, smoothed
from convscope.images.concepts.seen import FromPixels, Seen
from convscope.registry import register

_TINY = 1e-4  # of amplitude, so that flat places have a logarithm
_HALF_WIDTH = np.log(np.sqrt(2)) / np.sqrt(2 * np.log(2))  # s.d. in ln(frequency): half the gain half an octave away


@register("concepts", "texture")
@dataclass(frozen=True)
class TextureFrequencies(FromPixels):
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

    def found(self, seen: Seen) -> np.ndarray:
        periods = (*self.periods_px, 2 * max(self.periods_px))
        found = amplitudes(seen.lab[0], periods)
        for amplitude, period in zip(found, periods, strict=True):
            mean = smoothed(np.log(amplitude + np.float32(_TINY)), period, truncate=2.5, beyond="symmetric")
            np.exp(mean, out=amplitude)
            side = 2 * round(self.extent * period / 2) + 1
            amplitude[~opened(amplitude >= self.least_amplitude, side)] = 0
        strongest: np.ndarray = (found[:-1] > 0) & (found[:-1] == found.max(0))
        return strongest


def amplitudes(values: np.ndarray, periods_px: tuple[float, ...]) -> np.ndarray:
    """Local amplitude of `y x` values in the band around each period, `band y x`; beyond its borders the image is mirrored."""
    margins = [min(side, int(np.ceil(2 * max(periods_px)))) for side in values.shape]
    padded = np.pad(values, [(margin, margin) for margin in margins], mode="symmetric")
    inner = tuple(slice(margin, margin + side) for margin, side in zip(margins, values.shape, strict=True))
    spectrum = fft.fft2(padded)
    pairs, odds = _bands(padded.shape, periods_px)
    squares = np.zeros((len(periods_px), *values.shape), values.dtype)
    for first, pair in zip(range(0, len(periods_px), 2), pairs, strict=True):
        even = fft.ifft2(spectrum * pair, overwrite_x=True)[inner]
        for square, part in zip(squares[first:], (even.real, even.imag), strict=False):
            square += part**2
    for square, band in zip(squares, odds, strict=True):
        odd = fft.ifft2(spectrum * band, overwrite_x=True)[inner]
        square += odd.real**2
        square += odd.imag**2
    return np.sqrt(squares, out=squares)


@lru_cache(maxsize=4)
def _bands(shape: tuple[int, ...], periods_px: tuple[float, ...]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What bands let through, complex64 `y x`; and the same of both their Riesz parts, of which one is imaginary.

    The bands themselves are real, so two of them are the two parts of one transform.
    """
    down, right = np.meshgrid(*(fft.fftfreq(side).astype(np.float32) for side in shape), indexing="ij")
    radius = np.hypot(down, right)
    radius[0, 0] = 1
    width = np.float32(2 * _HALF_WIDTH**2)
    gains = [np.exp(-(np.log(radius * np.float32(period)) ** 2) / width) for period in periods_px]
    for gain in gains:
        gain[0, 0] = 0
    first, second = gains[::2], [*gains[1::2], *[np.zeros_like(radius)] * (len(gains) % 2)]
    pairs = [
        np.complex64(1) * real + np.complex64(1j) * imaginary for real, imaginary in zip(first, second, strict=True)
    ]
    turned = ((down - 1j * right) / radius).astype(np.complex64)
    return pairs, [gain * turned for gain in gains]
