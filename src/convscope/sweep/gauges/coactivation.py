"""Which units answer together?  Correlations between the units of a layer, over a few positions of every image."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.response import Response

MOST_UNITS = 4096  # beyond, the matrix would take more than 128 MiB: it is left out, and said


@dataclass(frozen=True)
class UnitCorrelation:
    """How the units of a layer go together."""

    correlation: np.ndarray | None  # float64 unit unit, NaN for a unit that never moves; None for a layer too wide
    n_active: np.ndarray  # int64 unit: sampled values above zero

    def duplicates(self, least: float = 0.9999, min_active: int = 8) -> list[tuple[int, int]]:
        """Pairs of units that are the same up to scale: correlation at least `least`, both above zero at `min_active` positions.

        Two units that are nearly always silent and once fired together correlate perfectly, and say nothing by it.
        """
        if self.correlation is None:
            return []
        enough = self.n_active >= min_active
        same = (self.correlation >= least) & np.logical_and.outer(enough, enough)
        first, second = np.nonzero(np.triu(same, k=1))
        return [(int(a), int(b)) for a, b in zip(first, second, strict=True)]

    def most_alike(self) -> tuple[np.ndarray, np.ndarray]:
        """For each unit the other one it correlates with most, and how much; -1 and NaN for a unit that never moves."""
        n = len(self.n_active)
        if self.correlation is None or n < 2:
            return np.full(n, -1), np.full(n, np.nan)
        others = np.where(np.eye(n, dtype=bool) | np.isnan(self.correlation), -np.inf, self.correlation)
        best = others.argmax(axis=1)
        found = others[np.arange(n), best]
        return np.where(np.isfinite(found), best, -1), np.where(np.isfinite(found), found, np.nan)


@register("gauge", "coactivation")
@dataclass
class Coactivation(Gauge):
    """Sums of the products of every two units."""

    name = "coactivation"
    reads_maps = False
    n_units: int
    counts: np.ndarray = field(init=False)  # int64: positions
    n_active: np.ndarray = field(init=False)  # int64 unit: values above zero
    sums: np.ndarray = field(init=False)  # float64 unit
    products: np.ndarray = field(init=False)  # float64 unit unit

    def __post_init__(self) -> None:
        self.counts = np.zeros(1, np.int64)
        self.n_active = np.zeros(self.n_units, np.int64)
        self.sums = np.zeros(self.n_units)
        width = self.n_units if self.n_units <= MOST_UNITS else 0
        self.products = np.zeros((width, width))

    def update(self, response: Response) -> None:
        values = response.sample.reshape(-1, self.n_units)
        self.counts += len(values)
        self.n_active += (values > 0).sum(0).cpu().numpy()
        self.sums += values.double().sum(0).cpu().numpy()
        if len(self.products):
            self.products += (values.T @ values).cpu().numpy()

    def merge(self, other: Self) -> None:
        for name in ("counts", "n_active", "sums", "products"):
            getattr(self, name)[...] += getattr(other, name)

    def result(self) -> UnitCorrelation:
        n = int(self.counts[0])
        if not len(self.products) or n < 2:
            return UnitCorrelation(None, self.n_active.copy())
        mean = self.sums / n
        covariance = self.products / n - np.outer(mean, mean)
        variance = np.diag(covariance).copy()
        variance[variance <= 1e-9 * np.maximum(np.diag(self.products) / n, 1e-30)] = np.nan
        scale = np.sqrt(variance)  # NaN for a unit that never moves, and so are its correlations
        with np.errstate(invalid="ignore"):
            return UnitCorrelation(covariance / np.outer(scale, scale), self.n_active.copy())
