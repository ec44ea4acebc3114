"""How strongly does a unit answer?  Mean, standard deviation, peak, and in how many images it is on at all."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.response import Response

DEAD_FRAC = 1e-3  # of the layer's median deviation: what moves less than that counts as not moving
ROUNDING = 1e-6  # variance, relative to the mean square, that may be no more than rounding


@dataclass(frozen=True)
class UnitMoments:
    """One entry for each unit, over all positions of all images."""

    n_images: int
    mean: np.ndarray  # float64
    std: np.ndarray  # float64, of single values about the mean
    max: np.ndarray  # float32
    on_frac: np.ndarray  # float64, share of images in which the unit is above zero somewhere
    n_on: np.ndarray  # int64, the number of these images
    constant: np.ndarray  # bool: never differed from one value, as far as float32 sums can tell
    peak_range: np.ndarray  # float32: highest peak less lowest peak of an image

    @property
    def dead(self) -> np.ndarray:
        """Units that no image moves, `unit`: constant, or hardly moving beside the others of the layer.

        That is a standard deviation of at most 1e-3 of the median of those that move, and peaks that differ by at most ten times
        that, so that a unit which answers strongly to few images is not dead. Silence alone would not do: a smooth activation
        (SiLU, GELU) is never exactly zero, and a unit whose batch norm lost its scale in training still trembles around its
        shift.
        """
        moving = self.std > 0
        typical = np.median(self.std[moving]) if moving.any() else 0.0
        still = (self.std <= DEAD_FRAC * typical) & (self.peak_range <= 10 * DEAD_FRAC * typical)
        return self.constant | still


@register("gauge", "moments")
@dataclass
class Moments(Gauge):
    """Sums of values and squares, largest and smallest peak, counts."""

    name = "moments"
    reads_maps = False
    n_units: int
    counts: np.ndarray = field(init=False)  # int64: images
    sums: np.ndarray = field(init=False)  # float64 unit: of the means of each image
    squares: np.ndarray = field(init=False)  # float64 unit: of the mean squares of each image
    highest: np.ndarray = field(init=False)  # float32 unit
    lowest_peak: np.ndarray = field(init=False)  # float32 unit
    n_on: np.ndarray = field(init=False)  # int64 unit

    def __post_init__(self) -> None:
        self.counts = np.zeros(1, np.int64)
        self.sums, self.squares = np.zeros(self.n_units), np.zeros(self.n_units)
        self.highest = np.full(self.n_units, -np.inf, np.float32)
        self.lowest_peak = np.full(self.n_units, np.inf, np.float32)
        self.n_on = np.zeros(self.n_units, np.int64)

    def update(self, response: Response) -> None:
        peaks = response.peaks
        self.counts += len(response)
        self.sums += response.means.sum(axis=0)
        self.squares += response.mean_squares.sum(axis=0)
        self.highest = np.maximum(self.highest, peaks.max(axis=0))
        self.lowest_peak = np.minimum(self.lowest_peak, peaks.min(axis=0))
        self.n_on += (peaks > 0).sum(axis=0)

    def merge(self, other: Self) -> None:
        for name in ("counts", "sums", "squares", "n_on"):
            getattr(self, name)[...] += getattr(other, name)
        self.highest = np.maximum(self.highest, other.highest)
        self.lowest_peak = np.minimum(self.lowest_peak, other.lowest_peak)

    def result(self) -> UnitMoments:
        n = int(self.counts[0])
        mean, square = self.sums / max(n, 1), self.squares / max(n, 1)
        variance = np.maximum(square - mean**2, 0)
        same_peak = self.highest == self.lowest_peak
        constant = same_peak & (variance <= ROUNDING * square)
        std = np.where(constant, 0.0, np.sqrt(variance))
        peak_range = np.where(n > 0, self.highest - self.lowest_peak, 0)
        on_frac, n_on = self.n_on / max(n, 1), self.n_on.copy()
        return UnitMoments(n, mean, std, self.highest.copy(), on_frac, n_on, constant, peak_range)
