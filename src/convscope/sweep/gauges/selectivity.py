"""Which class does a unit answer to, and how much more than to the others?

The index of Morcos et al. 2018 (arXiv:1803.06959, eq. 1): (m - r) / (m + r), with m the largest mean response to a class and r
the mean response to all other classes; between 0 and 1 for units that are never negative. Responses are means over positions;
where a unit can be negative, its smallest class mean is taken off first. Beside it the F test of a one-way analysis of
variance: do the classes' means differ by more than images of one class do?
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
from scipy.sparse import csr_array
from scipy.stats import f as f_distribution

from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.response import Response

ROUNDING = 1e-12  # variance, relative to the mean square, that is no more than the rounding of float32 responses


@dataclass(frozen=True)
class UnitSelectivity:
    """For the images' own labels, then for each shuffling of them."""

    index: np.ndarray  # float64 labelling unit
    best: np.ndarray  # int64 labelling unit: the class with the largest mean response; -1 without labels
    p_values: np.ndarray  # float64 labelling unit: of equal class means; 1 where that cannot be tested
    n_classes: int  # classes that were seen
    n_images: int  # labelled images that were seen
    n_per_class_min: int  # images of the class that was seen least


@register("gauge", "selectivity")
@dataclass
class Selectivity(Gauge):
    """Sums of responses by class and group of images, under the true labels and under shuffled ones, which are the control.

    An image belongs to group `key % n_groups`, so that images can be drawn anew by groups. Sums are kept for the combinations
    of labelling, class and group that occur, so that many classes with few images each take no more room than the images.
    """

    name = "selectivity"
    reads_maps = False
    n_units: int
    labelings: np.ndarray  # int64 labelling image: the class of each image by key, true labels first; -1 unknown
    n_groups: int = 1  # in which images can be drawn anew
    sums: np.ndarray = field(init=False)  # float64 cell unit: of the mean responses of a cell's images
    counts: np.ndarray = field(init=False)  # int64 cell
    squares: np.ndarray = field(init=False)  # float64 labelling unit: of the squared mean responses of labelled images

    def __post_init__(self) -> None:
        n_cells = len(self._codes)
        self.sums, self.counts = np.zeros((n_cells, self.n_units)), np.zeros(n_cells, np.int64)
        self.squares = np.zeros((len(self.labelings), self.n_units))

    @cached_property
    def classes(self) -> np.ndarray:
        """The classes that occur among the true labels; any other label counts as unknown. int64, ascending."""
        own = self.labelings[0] if len(self.labelings) else np.zeros(0, np.int64)
        return np.unique(own[own >= 0])

    @cached_property
    def _codes(self) -> np.ndarray:
        """The combinations of labelling, class and group that occur, as numbers, ascending: which cells there are."""
        codes = self._code(np.arange(self.labelings.shape[1]))
        return np.unique(codes[codes >= 0])

    def _code(self, keys: np.ndarray) -> np.ndarray:
        """The combination each image belongs to under each labelling, -1 where it has no label. int64 labelling image."""
        labels = self.labelings[:, keys]
        if not len(self.classes):
            return np.full(labels.shape, -1)
        place = np.minimum(np.searchsorted(self.classes, labels), len(self.classes) - 1)
        row = np.arange(len(labels))[:, None] * len(self.classes) + place
        return np.where(self.classes[place] == labels, row * self.n_groups + keys % self.n_groups, -1)

    def update(self, response: Response) -> None:
        codes = self._code(response.keys)
        known = codes >= 0
        cells, which = np.unique(np.searchsorted(self._codes, codes[known]), return_inverse=True)
        images = np.nonzero(known)[1]
        shares = np.zeros((len(cells), len(response)))  # 1 where an image belongs to a cell
        shares[which, images] = 1
        self.sums[cells] += shares @ response.means
        self.counts[cells] += shares.sum(axis=1, dtype=np.int64)
        self.squares += known.astype(np.float64) @ response.means**2

    def merge(self, other: Self) -> None:
        for name in ("sums", "counts", "squares"):
            getattr(self, name)[...] += getattr(other, name)

    def state(self) -> dict[str, np.ndarray]:
        return {"sums": self.sums, "counts": self.counts, "squares": self.squares}

    def result(self) -> UnitSelectivity:
        sums, counts = self._by_class(np.ones(self.n_groups))
        found = [_index(*each) for each in zip(sums, counts, strict=True)]
        index = np.array([each for each, _ in found]).reshape(len(found), self.n_units)
        place = np.array([each for _, each in found], np.int64).reshape(len(found), self.n_units)
        best = np.where(place >= 0, np.append(self.classes, -1)[place], -1)
        p_values = [_p_values(*each) for each in zip(sums, counts, self.squares, strict=True)]
        own = counts[0][counts[0] > 0] if len(counts) else np.zeros(0)
        return UnitSelectivity(
            index,
            best,
            np.array(p_values).reshape(len(found), self.n_units),
            n_classes=len(own),
            n_images=int(own.sum()),
            n_per_class_min=int(own.min()) if len(own) else 0,
        )

    def resampled(self, draws: np.ndarray) -> np.ndarray:
        """The index had the groups of images been drawn this often each; `draw group` whole numbers to `draw labelling unit`."""
        found = np.empty((len(draws), len(self.labelings), self.n_units))
        for row, drawn in zip(found, draws, strict=True):
            for i, each in enumerate(zip(*self._by_class(drawn), strict=True)):
                row[i] = _index(*each)[0]
        return found

    def _by_class(self, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums `labelling class unit` and counts `labelling class`, each group taken as often as it was drawn."""
        rows, group = np.divmod(self._codes, self.n_groups)
        n_rows = len(self.labelings) * len(self.classes)
        weights = csr_array((drawn[group].astype(np.float64), (rows, np.arange(len(rows)))), (n_rows, len(rows)))
        shape = (len(self.labelings), len(self.classes))
        return (weights @ self.sums).reshape(*shape, self.n_units), (weights @ self.counts).reshape(shape)


def _index(sums: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Selectivity and place of the preferred class of each unit (-1 for none), from sums `class unit` and counts `class`."""
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


def _p_values(sums: np.ndarray, counts: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """How often equal class means would look this different: one-way analysis of variance, from sums `class unit`.

    1 where no class was seen twice, or nothing varies.
    """
    seen = np.flatnonzero(counts)
    n, n_classes = counts.sum(), len(seen)
    if n_classes < 2 or n <= n_classes:
        return np.ones(len(squares))
    explained = (sums[seen] ** 2 / counts[seen, None]).sum(axis=0)
    least = ROUNDING * squares
    between = explained - sums.sum(axis=0) ** 2 / n
    within = squares - explained
    degrees = n_classes - 1, n - n_classes
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(within > least, (between / degrees[0]) / (within / degrees[1]), np.inf)
    return np.where(between + within > least, f_distribution.sf(np.maximum(ratio, 0), *degrees), 1.0)
