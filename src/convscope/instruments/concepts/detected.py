"""Which concepts do the units of each layer detect?  Counts that wide and narrow layers share.

A layer of a thousand units finds more than one of twenty by number alone, and fresh weights find one colour a hundred times. So
what is counted is different concepts (unique detectors, Bau et al. 2017), among as many units of each layer: how likely is a
concept to have a detector among k units drawn at random (rarefaction, Hurlbert 1971, Ecology 52:577, eq. 6)?
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln

from convscope.instruments.concepts.counting import N_ROTATED
from convscope.instruments.concepts.single_units import Kind, SingleUnits, meaning

K = N_ROTATED  # units that are drawn: as many as there are random directions; fewer where a layer has fewer


@dataclass(frozen=True, eq=False)
class Detected:
    """Which units (or directions) of each layer detect which concepts, and by how much; each array `unit concept`."""

    layers: tuple[str, ...]
    detects: tuple[np.ndarray, ...]
    corrected: tuple[np.ndarray, ...]

    @cached_property
    def likely(self) -> np.ndarray:
        """How likely a concept is to have a detector among K random units of a layer, float64 `layer concept`."""
        return np.array([_among(one.sum(axis=0), len(one), min(K, len(one))) for one in self.detects])

    @property
    def of_units(self) -> np.ndarray:
        """The share of each layer's units that detect something, `layer`."""
        return np.array([one.any(axis=1).mean() if len(one) else 0.0 for one in self.detects])

    @property
    def n_concepts(self) -> np.ndarray:
        """How many concepts have a detector in each layer, int64 `layer`."""
        return np.array([one.any(axis=0).sum() for one in self.detects], np.int64)

    @property
    def n_units(self) -> np.ndarray:
        return np.array([len(one) for one in self.detects], np.int64)

    def means(self, layer: int, only: np.ndarray | None = None) -> np.ndarray:
        """The concept each unit of a layer detects best (among some: truth values `concept`); -1 for none."""
        detects = self.detects[layer] if only is None else self.detects[layer] & only
        return meaning(self.corrected[layer], detects)


def detected(single: SingleUnits, kind: Kind = "units") -> Detected:
    """What the units of a network detect; or random directions, or the units under wrong labels."""
    detects, scores = single.detectors(kind), single.scores(kind)
    return Detected(tuple(detects), tuple(detects.values()), tuple(scores[layer].corrected for layer in detects))


def _among(n_detect: np.ndarray, n: int, k: int) -> np.ndarray:
    """How likely at least one of k units drawn of n, without replacement, is one of those that detect."""
    left = n - n_detect
    some = left >= k
    log = np.where(some, _choose(np.maximum(left, k), k) - _choose(np.array(n), k), -np.inf)
    return 1 - np.exp(log)


def _choose(n: np.ndarray, k: int) -> np.ndarray:
    """The logarithm of n over k."""
    found: np.ndarray = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return found
