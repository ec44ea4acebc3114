"""Which images drive a unit most?  The k highest peaks, one an image (Zeiler and Fergus 2013, section 2.1)."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.response import Response

NOBODY = np.iinfo(np.int64).max  # key of a place that no image holds yet


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
    """The k highest peaks of each unit: value, image, position. Equal peaks are ordered by the images' ids."""

    name = "exemplars"
    n_units: int
    k: int = 9
    values: np.ndarray = field(init=False)
    keys: np.ndarray = field(init=False)
    y: np.ndarray = field(init=False)
    x: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.n_units, self.k)
        self.values = np.full(shape, -np.inf, np.float32)
        self.keys = np.full(shape, NOBODY, np.int64)
        self.y, self.x = np.zeros(shape, np.int64), np.zeros(shape, np.int64)

    def update(self, response: Response) -> None:
        peaks, keys = response.peaks, response.keys
        beaten = (peaks > self.values[:, -1]) | ((peaks == self.values[:, -1]) & (keys[:, None] < self.keys[:, -1]))
        for _ in range(min(self.k, len(keys))):  # each round lets every unit take in its best remaining image
            units = np.flatnonzero(beaten.any(axis=0))
            if not len(units):
                return
            open_peaks = np.where(beaten[:, units], peaks[:, units], -np.inf)
            tied = open_peaks == open_peaks.max(axis=0)
            images = np.where(tied & beaten[:, units], keys[:, None], NOBODY).argmin(axis=0)
            y, x = response.first_peak(images, units)
            self._insert(units, peaks[images, units], keys[images], y, x)
            beaten[images, units] = False
            last, last_key = self.values[:, -1], self.keys[:, -1]
            beaten &= (peaks > last) | ((peaks == last) & (keys[:, None] < last_key))

    def merge(self, other: Self) -> None:
        every = np.arange(self.n_units)
        for rank in range(other.k):
            self._insert(every, other.values[:, rank], other.keys[:, rank], other.y[:, rank], other.x[:, rank])

    def _insert(self, units: np.ndarray, values: np.ndarray, keys: np.ndarray, y: np.ndarray, x: np.ndarray) -> None:
        """One more candidate for each of these units, put in its place; the last falls out."""
        joined = {"values": values, "keys": keys, "y": y, "x": x}
        rows = {name: np.column_stack([getattr(self, name)[units], new]) for name, new in joined.items()}
        order = np.lexsort((rows["keys"], -rows["values"]), axis=1)[:, : self.k]
        for name, row in rows.items():
            getattr(self, name)[units] = np.take_along_axis(row, order, axis=1)

    def result(self) -> ExemplarTable:
        keys = np.where(self.keys == NOBODY, -1, self.keys)
        return ExemplarTable(self.values.copy(), keys, self.y.copy(), self.x.copy())
