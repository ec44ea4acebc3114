"""What values does a unit take?  A histogram with bins of constant relative width, from which quantiles are read.

The idea of DDSketch (Masson, Rim and Lee 2019, arXiv:1908.10693): bins whose edges grow by a constant factor bound the
*relative* error of every quantile, and two sketches are merged by adding counts. Here the factor follows the bits of a float:
each power of two is cut into 2^4 equal parts, so a quantile is wrong by at most 1/32 of its value. Values enter from a few
positions of each image (see Response.sample); values nearer to zero than 2^-16 count as zero, larger than 2^16 as 2^16.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch

from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.response import Response

PARTS_LOG2 = 4
RELATIVE_ERROR = 2.0 ** -(PARTS_LOG2 + 1)  # of a quantile within the range
LOWEST, HIGHEST = -16, 16  # powers of two
N_SIDE = (HIGHEST - LOWEST) << PARTS_LOG2
N_BINS = 2 * N_SIDE + 1  # negative, zero, positive
_SHIFT = 23 - PARTS_LOG2
_FIRST = (127 + LOWEST) << PARTS_LOG2  # the bits of 2^LOWEST, shifted


@dataclass(frozen=True)
class UnitDistribution:
    """Counts of values in bins, for each unit."""

    counts: np.ndarray  # int64 unit bin

    def quantile(self, q: float) -> np.ndarray:
        """The value below which a share q of the values lies, for each unit; relative error at most RELATIVE_ERROR."""
        below = self.counts.cumsum(axis=1)
        wanted = np.maximum(np.ceil(q * below[:, -1]), 1)
        return bin_values()[(below >= wanted[:, None]).argmax(axis=1)]

    @property
    def active_frac(self) -> np.ndarray:
        """The share of values above zero, for each unit."""
        return self.counts[:, N_SIDE + 1 :].sum(axis=1) / np.maximum(self.counts.sum(axis=1), 1)


@register("gauge", "distribution")
@dataclass
class Distribution(Gauge):
    """A histogram of each unit's values."""

    name = "distribution"
    reads_maps = False
    n_units: int
    counts: np.ndarray = field(init=False)  # int32 unit bin

    def __post_init__(self) -> None:
        self.counts = np.zeros((self.n_units, N_BINS), np.int32)

    def update(self, response: Response) -> None:
        values = response.sample.reshape(-1, self.n_units).cpu()
        bins = bin_index(values) + torch.arange(self.n_units) * N_BINS
        flat = torch.from_numpy(self.counts.reshape(-1))  # shares its memory
        flat.index_add_(0, bins.reshape(-1), torch.ones(1, dtype=torch.int32).expand(bins.numel()))

    def merge(self, other: Self) -> None:
        self.counts += other.counts

    def result(self) -> UnitDistribution:
        return UnitDistribution(self.counts.astype(np.int64))


def bin_index(values: torch.Tensor) -> torch.Tensor:
    """Which bin each float32 value falls into, int64, from the most negative up."""
    size = values.abs().contiguous().view(torch.int32) >> _SHIFT
    place = (size - _FIRST + 1).clamp(0, N_SIDE)
    return torch.where(values < 0, N_SIDE - place, N_SIDE + place).long()


def bin_values() -> np.ndarray:
    """The value that stands for each bin: its middle. float64, ascending."""
    bits = (_FIRST + np.arange(N_SIDE + 1)).astype(np.int32) << _SHIFT
    edges = bits.view(np.float32).astype(np.float64)
    middles = (edges[:-1] + edges[1:]) / 2
    return np.concatenate([-middles[::-1], [0.0], middles])
