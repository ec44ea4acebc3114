"""What do all units say at each labelled pixel, and what is labelled there?  Read a few images at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convscope.sweep.gauges.at_pixels import UnitsAtPixels
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE, Labelled

TOGETHER = 1 << 20  # values at a time
SILENT = 1e-6  # a unit varies if it does by more than this share of its largest value


@dataclass(frozen=True, eq=False)
class Rows:
    """A layer's units at the labelled pixels. Targets are the concepts, and after them the same under wrong labels."""

    values: UnitsAtPixels
    labelled: Labelled
    keys: tuple[np.ndarray, np.ndarray]  # int64: the images of each half, ascending
    n_wrong: int  # dealings of wrong labels
    mean: np.ndarray  # float64 unit: over all pixels that choose
    scale: np.ndarray  # float64 unit: standard deviation there; 1 for a unit that does not vary
    varies: np.ndarray  # bool unit

    @property
    def n_targets(self) -> int:
        return self.labelled.n_concepts * (1 + self.n_wrong)

    @property
    def n_units(self) -> int:
        return len(self.mean)

    def group_of(self, targets: np.ndarray) -> np.ndarray:
        """The group (see Labelled) of these targets, int64."""
        return self.labelled.groups[targets % self.labelled.n_concepts]

    def labels(self, half: int, targets: np.ndarray) -> np.ndarray:
        """bool `image pixel target`."""
        return np.stack([self.labelled.columns_of(int(key))[:, targets] for key in self.keys[half]]).astype(bool)

    def has(self, half: int) -> np.ndarray:
        """Which images have which target at a pixel that is looked at, bool `image target`."""
        every = [self.labelled.columns_of(int(key))[:, : self.n_targets].any(axis=0) for key in self.keys[half]]
        return np.array(every, bool).reshape(len(every), self.n_targets)

    def known(self, half: int, group: int) -> np.ndarray:
        """Of which pixels something is known, for a group of concepts (see Labelled), bool `image pixel`."""
        at = self.labelled.totals.start + group
        return np.stack([self.labelled.columns_of(int(key))[:, at] for key in self.keys[half]]).astype(bool)

    def of_units(self, half: int, units: np.ndarray) -> np.ndarray:
        """What some units say, as they say it, float32 `image pixel unit`."""
        return self.values.of(self.keys[half], units)

    def blocks(self, half: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Places of some images in the half, and the standardised values of all units there, float64 `image pixel unit`."""
        for images, values in blocks(self.values, self.keys[half]):
            values -= self.mean
            values /= self.scale
            yield images, values


def rows_of(values: UnitsAtPixels, labelled: Labelled, n_wrong: int) -> Rows:
    """The rows of all images that were seen and are labelled."""
    choose, measure = (np.flatnonzero(values.seen & (labelled.half == half)) for half in (CHOOSE, MEASURE))
    mean, scale, varies = _spread(values, choose)
    return Rows(values, labelled, (choose, measure), min(n_wrong, labelled.n_null), mean, scale, varies)


def blocks(values: UnitsAtPixels, keys: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Places of some images among these, and their values, float64 `image pixel unit`."""
    together = max(1, TOGETHER // max(1, values.values[:1].size))
    for first in range(0, len(keys), together):
        images = slice(first, min(first + together, len(keys)))
        yield images, values.of(keys[images]).astype(np.float64)


def _spread(values: UnitsAtPixels, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation of each unit, and whether it varies."""
    n_units = values.values.shape[2]
    n, mean, squares, largest = 0, np.zeros(n_units), np.zeros(n_units), np.zeros(n_units)
    for _, part in blocks(values, keys):
        flat = part.reshape(-1, n_units)
        further = flat.mean(axis=0) - mean
        squares += ((flat - flat.mean(axis=0)) ** 2).sum(axis=0) + further**2 * n * len(flat) / (n + len(flat))
        mean += further * len(flat) / (n + len(flat))
        largest = np.maximum(largest, np.abs(flat).max(axis=0))
        n += len(flat)
    scale = np.sqrt(squares / max(n, 1))
    varies = scale > SILENT * largest
    return mean, np.where(varies, scale, 1.0), varies
