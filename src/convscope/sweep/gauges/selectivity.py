"""Which class does a unit answer to, and how much more than to the others?

The index of Morcos et al. 2018 (arXiv:1803.06959, eq. 1): (m - r) / (m + r), with m the largest mean response to a class and r
the mean response to all other classes; between 0 and 1 for units that are never negative. Responses are means over positions;
where a unit can be negative, its smallest class mean is taken off first.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.response import Response


@dataclass(frozen=True)
class UnitSelectivity:
    """For the images' own labels, then for each shuffling of them."""

    index: np.ndarray  # float64 labelling unit
    best: np.ndarray  # int64 labelling unit: the class with the largest mean response; -1 without labels
    n_classes: int  # classes that were seen
    n_images: int  # labelled images that were seen


@register("gauge", "selectivity")
@dataclass
class Selectivity(Gauge):
    """Sums of responses by class, under the true labels and under shuffled ones, which are the control."""

    name = "selectivity"
    n_units: int
    labelings: np.ndarray  # int64 labelling image: the class of each image by key, true labels first; -1 unknown
    sums: np.ndarray = field(init=False)  # float64 labelling class unit
    counts: np.ndarray = field(init=False)  # int64 labelling class

    def __post_init__(self) -> None:
        n_classes = int(self.labelings.max(initial=-1)) + 1
        self.sums = np.zeros((len(self.labelings), n_classes, self.n_units))
        self.counts = np.zeros((len(self.labelings), n_classes), np.int64)

    def update(self, response: Response) -> None:
        for sums, counts, labels in zip(self.sums, self.counts, self.labelings[:, response.keys], strict=True):
            known = labels >= 0
            np.add.at(sums, labels[known], response.means[known])
            np.add.at(counts, labels[known], 1)

    def merge(self, other: Self) -> None:
        self.sums += other.sums
        self.counts += other.counts

    def state(self) -> dict[str, np.ndarray]:
        return {"sums": self.sums, "counts": self.counts}

    def result(self) -> UnitSelectivity:
        seen = self.counts[0] > 0 if len(self.counts) else np.zeros(0, bool)
        found = [_index(sums, counts) for sums, counts in zip(self.sums, self.counts, strict=True)]
        index = np.array([each for each, _ in found]).reshape(len(found), self.n_units)
        best = np.array([each for _, each in found]).reshape(len(found), self.n_units)
        return UnitSelectivity(index, best, int(seen.sum()), int(self.counts[0].sum()) if len(self.counts) else 0)


def _index(sums: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Selectivity and preferred class of each unit, from sums `class unit` and counts `class`."""
    seen = np.flatnonzero(counts)
    n_units = sums.shape[1]
    if len(seen) < 2:
        return np.zeros(n_units), np.full(n_units, -1)
    means = sums[seen] / counts[seen, None]
    means = means - np.minimum(means.min(axis=0), 0)
    place, unit = means.argmax(axis=0), np.arange(n_units)
    most = means[place, unit]
    rest = (means.sum(axis=0) - most) / (len(seen) - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        index = np.where(most + rest > 0, (most - rest) / (most + rest), 0.0)
    return index, np.where(most > 0, seen[place], -1)
