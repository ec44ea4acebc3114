"""Which thresholds are looked at?  Some for each unit, chosen so that each is passed by a constant share less than the one before.

A unit's range is cut into 255 equal steps, and some of their edges are its thresholds: at every second or so half as many values
are left, down to a few in ten thousand. The range and the choice come from a small sample of the images (a `Values` gauge); they
only choose *which* thresholds are measured, what is measured there is exact. On is what lies *above* a threshold; values in one
step (1/255 of the range) count as equal, so units that saturate (ReLU6) or are silent (ReLU) tie, and a tie is never cut in two.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch

from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.gauges.pixels import Anchor, Pixels, values_at
from convscope.sweep.response import Response

N_LEVELS = 256  # 0: nothing above the least threshold
LEAST_TAIL = 2.0**-11.5  # share of values above the highest threshold: .00035
NEAR_TOP = 0.005  # round about the conventional threshold they are closer
CLEAR = 1e-3  # steps by which a value must exceed a tie: what interpolation leaves of a zero is no answer
LOWEST_QUANTILE = 0.1  # where the range begins; below, nearly everything is on
HIGHEST_QUANTILE = 0.9995  # where it ends


@dataclass(frozen=True, eq=False)
class Levels:
    """Thresholds of each unit."""

    low: np.ndarray  # float32 unit
    step: np.ndarray  # float32 unit; above zero
    # int64 unit threshold: the first level beyond each, ascending; 0 for the first, where all is on, N_LEVELS where nothing can be
    first: np.ndarray

    @property
    def n_bins(self) -> int:
        return self.first.shape[1]

    @property
    def thresholds(self) -> np.ndarray:
        """What a value must exceed to be on, float64 `unit threshold`; -inf for the first, inf where nothing can be on."""
        values = self.low[:, None].astype(np.float64) + (self.first - 1) * self.step[:, None].astype(np.float64)
        return np.where(self.first == 0, -np.inf, np.where(self.first == N_LEVELS, np.inf, values))

    @property
    def tied(self) -> np.ndarray:
        """Whether a single level lies between a threshold and the next, `unit threshold`: what is there counts as equal."""
        after = np.concatenate([self.first[:, 1:], np.full((len(self.first), 1), N_LEVELS)], axis=1)
        return after - self.first == 1

    def levels_of(self, values: torch.Tensor) -> torch.Tensor:
        """The level of float32 values `image unit pixel`, uint8."""
        low = torch.from_numpy(self.low).to(values.device)[:, None]
        scale = torch.from_numpy(1 / self.step).to(values.device)[:, None]
        return (values - low).mul_(scale).ceil_().clamp_(0, N_LEVELS - 1).to(torch.uint8)


def levels_from(values: np.ndarray, n_bins: int = 24) -> Levels:
    """Thresholds for units of which some values are known, float32 `unit value`, each finite."""
    ordered = np.sort(values, axis=1)
    n = ordered.shape[1]
    low = ordered[:, int(LOWEST_QUANTILE * (n - 1))]
    high = ordered[:, min(n - 1, int(np.ceil(HIGHEST_QUANTILE * (n - 1))))]
    high = np.where(high > low, high, ordered[:, -1])
    step = (high - low) / (N_LEVELS - 1)
    step = np.where(step > 0, step, np.maximum(np.abs(low) * 1e-4, 1e-6)).astype(np.float32)
    low = low + CLEAR * step
    bare = Levels(low.astype(np.float32), step, np.zeros((len(low), 1), np.int64))
    above = np.zeros((len(low), N_LEVELS))  # share of values in each level or a higher one
    codes = bare.levels_of(torch.from_numpy(np.ascontiguousarray(values))[None])[0].numpy()
    for unit, row in enumerate(codes):
        above[unit] = np.bincount(row, minlength=N_LEVELS)[::-1].cumsum()[::-1] / n
    most = np.maximum(above[:, 1], 4 / n)
    least = np.minimum(LEAST_TAIL, most / 4)
    n_near = n_bins // 4
    wide = most[:, None] * (least / most)[:, None] ** np.linspace(0, 1, n_bins - 1 - n_near)
    near = np.broadcast_to(NEAR_TOP * 2 ** np.linspace(0.5, -0.5, n_near), (len(low), n_near))
    shares = -np.sort(-np.concatenate([wide, near], axis=1), axis=1)  # of values above each threshold
    first = np.zeros((len(low), n_bins), np.int64)
    for at in range(1, n_bins):
        found = (above <= shares[:, at - 1, None] * (1 + 1e-9)).argmax(axis=1)
        found = np.where(
            above[:, -1] > shares[:, at - 1], N_LEVELS - 1, found
        )  # the last level holds more: as high as it goes
        first[:, at] = np.maximum(found, np.minimum(first[:, at - 1] + 1, N_LEVELS))
    return Levels(bare.low, bare.step, first)


@dataclass(frozen=True, eq=False)
class UnitValues:
    """Some values of each unit."""

    values: np.ndarray  # float32 unit value


@register("gauge", "values")
@dataclass
class Values(Gauge):
    """Keeps what the units say at a few pixels of each image: for the first few images, from which thresholds are chosen."""

    name = "values"
    n_units: int
    pixels: Pixels
    anchor: Anchor
    axes: np.ndarray | None = field(default=None, repr=False)  # as for Overlap
    kept: np.ndarray = field(init=False)  # float32 unit value

    def __post_init__(self) -> None:
        self.kept = np.zeros((self.n_units if self.axes is None else len(self.axes), 0), np.float32)

    def update(self, response: Response) -> None:
        values = along(values_at(response.maps, *self.pixels.places(response.keys), self.anchor), self.axes)
        self.kept = np.concatenate([self.kept, values.transpose(0, 1).flatten(1).cpu().numpy()], axis=1)

    def merge(self, other: Self) -> None:
        self.kept = np.concatenate([self.kept, other.kept], axis=1)

    def state(self) -> dict[str, np.ndarray]:
        return {"kept": self.kept}

    def result(self) -> UnitValues:
        return UnitValues(np.sort(self.kept, axis=1))  # whatever the order of the images


def along(values: torch.Tensor, axes: np.ndarray | None) -> torch.Tensor:
    """Values `image unit pixel` along other axes of the layer's space (`axis unit`), where such are given."""
    return values if axes is None else torch.matmul(torch.from_numpy(axes).to(values), values)
