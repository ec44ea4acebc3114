"""Which images drive a unit most?  The k highest peaks, one an image (Zeiler and Fergus 2013, section 2.1)."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.response import Response

NOBODY = np.iinfo(np.int64).max  # key of a place that no image holds yet
# Operations whose values have, or may have, an upper end that many images reach.
SATURATING = frozenset(
    {"relu6", "hardtanh", "hardsigmoid", "sigmoid", "tanh", "softmax", "softsign", "clamp", "clamp_max", "minimum"}
)
Places = tuple[
    np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray
]  # values, keys, y, x, extents: each `unit rank`


@dataclass(frozen=True)
class ExemplarTable:
    """The highest peaks of each unit, highest first; rows of a unit seen in fewer images end with key -1."""

    values: np.ndarray  # float32 unit rank
    keys: np.ndarray  # int64 unit rank, place of the image in the order of ids; -1 for none
    y: np.ndarray  # int64 unit rank, position of the peak on the map
    x: np.ndarray


@register("gauge", "exemplars")
@dataclass
class Exemplars(Gauge):
    """The k highest peaks of each unit: value, image, position. Equal peaks are ordered by the images' ids.

    Where an activation `saturates` (ReLU6 ends at 6), many images reach the same peak; there those come first in which more neurons
    reach it, and only then the ids decide.
    """

    name = "exemplars"
    reads_maps = False
    n_units: int
    k: int = 9
    saturates: bool = False
    values: np.ndarray = field(init=False)  # float32 unit rank, highest first
    keys: np.ndarray = field(init=False)  # int64 unit rank
    y: np.ndarray = field(init=False)  # int64 unit rank
    x: np.ndarray = field(init=False)
    extents: np.ndarray = field(init=False)  # int64 unit rank: neurons at the peak; 0 where nothing saturates

    def __post_init__(self) -> None:
        self.values, self.keys, self.y, self.x, self.extents = _places(self.n_units, self.k)

    @property
    def needs_extents(self) -> bool:
        return self.saturates

    def looks_at(self, response: Response) -> np.ndarray:
        peaks, keys = response.peaks, response.keys[:, None]
        last, last_key = self.values[:, -1], self.keys[:, -1]
        ties = (keys < last_key) | (peaks > 0) if self.saturates else keys < last_key
        return (peaks > last) | ((peaks == last) & ties)

    def update(self, response: Response) -> None:
        peaks = response.peaks
        images, units = np.nonzero(self.looks_at(response))
        if not len(images):
            return
        y, x = response.first_peak(images, units)
        changed, row = np.unique(units, return_inverse=True)
        offered = _places(len(changed), len(response))
        reached = response.extent(images, units) if self.saturates else np.zeros(len(images), np.int64)
        found = peaks[images, units], response.keys[images], y, x, reached
        for place, value in zip(offered, found, strict=True):
            place[row, images] = value
        self._insert(changed, offered)

    def merge(self, other: Self) -> None:
        self._insert(np.arange(self.n_units), (other.values, other.keys, other.y, other.x, other.extents))

    def _insert(self, units: np.ndarray, offered: Places) -> None:
        """More candidates for each of these units, put in their places; what is beyond the last falls out."""
        own = self.values, self.keys, self.y, self.x, self.extents
        rows = [np.hstack([mine[units], new]) for mine, new in zip(own, offered, strict=True)]
        order = np.lexsort((rows[1], -rows[4], -rows[0]), axis=1)[:, : self.k]
        for mine, row in zip(own, rows, strict=True):
            mine[units] = np.take_along_axis(row, order, axis=1)

    def result(self) -> ExemplarTable:
        keys = np.where(self.keys == NOBODY, -1, self.keys)
        return ExemplarTable(self.values.copy(), keys, self.y.copy(), self.x.copy())


def _places(n_units: int, n: int) -> Places:
    """Places that nobody holds yet."""
    shape = (n_units, n)
    return (
        np.full(shape, -np.inf, np.float32),
        np.full(shape, NOBODY),
        np.zeros(shape, np.int64),
        np.zeros(shape, np.int64),
        np.zeros(shape, np.int64),
    )
