"""How does an image look when it is smoothed, and what is largest nearby?  What scipy.ndimage gives, many times as fast.

A linear filter of a line is a matrix with a band along its diagonal, so many lines are filtered by a few small products of
matrices. The largest value within a window comes from those within windows half as wide.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import ndimage

_BLOCK = 48  # pixels of a line that are worked out by one product
_Bands = tuple[tuple[slice, slice, np.ndarray], ...]


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian, or its first derivative, along a line; as ndimage.gaussian_filter1d samples it."""

    sd_px: float
    order: int = 0
    truncate: float = 4.0  # s.d. after which it ends
    beyond: str = (
        "edge"  # what lies beyond the image, as for np.pad: its border repeated, or "symmetric": the image mirrored
    )

    @property
    def reach(self) -> int:
        return int(self.truncate * self.sd_px + 0.5)


def filtered(values: np.ndarray, down: Gaussian, right: Gaussian) -> np.ndarray:
    """Float32 values `... y x` filtered along both axes, likewise."""
    halfway, found = np.empty_like(values), np.empty_like(values)
    for outputs, inputs, weights in _bands(values.shape[-2], down):
        np.matmul(weights.T, values[..., inputs, :], out=halfway[..., outputs, :])
    for outputs, inputs, weights in _bands(values.shape[-1], right):
        np.matmul(halfway[..., inputs], weights, out=found[..., outputs])
    return found


def smoothed(values: np.ndarray, sd_px: float, **settings: Any) -> np.ndarray:
    """Values `... y x` under a round Gaussian."""
    return filtered(values, Gaussian(sd_px, **settings), Gaussian(sd_px, **settings))


def gradients(values: np.ndarray, scale_px: float) -> tuple[np.ndarray, np.ndarray]:
    """The derivatives down and to the right of `... y x` values at a scale (s.d. in px), likewise; borders are repeated."""
    smooth, change = Gaussian(scale_px), Gaussian(scale_px, order=1)
    return filtered(values, change, smooth), filtered(values, smooth, change)


def largest(values: np.ndarray, side: int) -> np.ndarray:
    """The largest of the values `y x` in the square of this odd side around each, likewise; of truth values whether any is true."""
    return _extreme(values, side, np.maximum)


def opened(mask: np.ndarray, side: int) -> np.ndarray:
    """The part of a mask `y x` that some square of this odd side fits into, which may reach beyond the image."""
    return _extreme(_extreme(mask, side, np.minimum), side, np.maximum)


def _extreme(values: np.ndarray, side: int, of_two: Callable[..., np.ndarray]) -> np.ndarray:
    """The extreme within a square, down the columns and along the rows."""
    turned = np.ascontiguousarray(_down(values, side, of_two).T)
    return np.ascontiguousarray(_down(turned, side, of_two).T)


def _down(values: np.ndarray, side: int, of_two: Callable[..., np.ndarray]) -> np.ndarray:
    beyond = (side // 2, values.shape[1])  # the border repeated: it is in the window anyhow
    found = np.concatenate([np.broadcast_to(values[:1], beyond), values, np.broadcast_to(values[-1:], beyond)])
    covered = 1
    while covered < side:
        more = min(covered, side - covered)
        found = of_two(found[more:], found[:-more])
        covered += more
    return found


@lru_cache(maxsize=64)
def _bands(length: int, kernel: Gaussian) -> _Bands:
    """Blocks of a line's pixels, the pixels they are made from, and the weights `from to`, float32."""
    reach = kernel.reach
    impulse = np.zeros(4 * reach + 1)
    impulse[2 * reach] = 1
    answer = ndimage.gaussian_filter1d(impulse, kernel.sd_px, order=kernel.order, truncate=kernel.truncate)
    weights = answer[3 * reach - np.arange(2 * reach + 1)]
    under = np.pad(np.arange(length), reach, mode=kernel.beyond)  # type: ignore[call-overload]
    bands = []
    for start in range(0, length, _BLOCK):
        outputs = np.arange(start, min(start + _BLOCK, length))
        inputs = under[outputs[:, None] + np.arange(2 * reach + 1)]
        low, high = int(inputs.min()), int(inputs.max()) + 1
        band = np.zeros((high - low, len(outputs)))
        np.add.at(band, (inputs - low, (outputs - start)[:, None]), weights)
        bands.append((slice(start, start + len(outputs)), slice(low, high), band.astype(np.float32)))
    return tuple(bands)
