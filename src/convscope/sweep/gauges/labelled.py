"""What is labelled at the pixels that are looked at?  The concepts of each, whether they are known, and the same dealt out wrongly.

The wrong labels are the control: each image gets the labels of another one (of the same half), rolled round by a random amount.
Only permuting would leave a scene's layout in place (sky above, road below), only rolling would leave each image its own concepts.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from convscope.sweep.gauges.pixels import Pixels

KEPT = 1 << 26  # bytes of what was unpacked
CHOOSE, MEASURE = 0, 1  # the halves of the images: thresholds are chosen on one, measured on the other


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labels of pixels, packed eight to a byte along the concepts; images by key (see sweep.engine.keys_of)."""

    pixels: Pixels
    n_concepts: int
    labels: np.ndarray  # uint8 image pixel byte
    known: np.ndarray  # uint8 image pixel byte: of which concepts something is known there
    half: np.ndarray  # int8 image: CHOOSE, MEASURE, or -1: labels could not be had
    n_null: int = 4  # how often labels are dealt out wrongly
    seed: int = 0
    _made: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def n_columns(self) -> int:
        """Concepts, concepts under wrong labels (once for each time), and pixels of which a group of concepts is known."""
        return self.n_concepts * (1 + self.n_null) + self.n_groups

    def column(self, null: int) -> slice:
        """The columns of the concepts: 0 for the true labels, 1 to n_null for wrong ones."""
        return slice(null * self.n_concepts, (null + 1) * self.n_concepts)

    @property
    def totals(self) -> slice:
        """The columns that count pixels of which something is known, one a group."""
        return slice(self.n_concepts * (1 + self.n_null), self.n_columns)

    @cached_property
    def groups(self) -> np.ndarray:
        """The group of each concept, int64: concepts known at the very same pixels share one."""
        rng, sums = np.random.default_rng(0), np.zeros(self.n_concepts, np.uint64)
        with np.errstate(over="ignore"):
            for image in self.known:
                hashed = rng.integers(0, 2**63, len(image), dtype=np.uint64)
                sums += (self._unpacked(image) * hashed[:, None]).sum(axis=0, dtype=np.uint64)
        return np.unique(sums, return_inverse=True)[1].reshape(-1).astype(np.int64)

    @property
    def n_groups(self) -> int:
        return int(self.groups.max()) + 1 if self.n_concepts else 0

    @cached_property
    def wrong(self) -> tuple[np.ndarray, np.ndarray]:
        """Whose labels each image gets, int64 `null group image`, and rolled how far along y and x, `null image 2`.

        Images of which a group of concepts is known change among themselves, within each half; nobody gets its own where there
        are two.
        """
        rng = np.random.default_rng(self.seed)
        n = len(self.labels)
        owners = np.tile(np.arange(n), (self.n_null, self.n_groups, 1))
        shape = self.pixels.shape
        shifts = rng.integers(1, max(2, shape[0] * shape[1]), (self.n_null, n))
        for group in range(self.n_groups):
            concept = int(np.flatnonzero(self.groups == group)[0])
            seen = (self.known[:, :, concept // 8] & (128 >> concept % 8)).any(axis=1)
            for half in (CHOOSE, MEASURE):
                own = np.flatnonzero(seen & (self.half == half))
                for null in range(self.n_null):
                    order = rng.permutation(own)
                    owners[null, group, order] = np.roll(order, 1)
        return owners, np.stack(np.divmod(shifts, shape[1]), axis=2)

    def columns_of(self, key: int) -> np.ndarray:
        """What is to be counted of an image, int8 0 or 1, `pixel column`."""
        found = self._made.get(key)
        if found is None:
            found = self._columns(key)
            if (len(self._made) + 1) * found.size > KEPT:
                self._made.clear()
            self._made[key] = found
        return found

    def _columns(self, key: int) -> np.ndarray:
        known = self._unpacked(self.known[key])
        parts = [self._unpacked(self.labels[key]) & known]
        owners, shifts = self.wrong
        for null in range(self.n_null):
            wrong = np.zeros_like(known)
            for group in range(self.n_groups):
                own = self.groups == group
                wrong[:, own] = self._rolled(int(owners[null, group, key]), shifts[null, key])[:, own]
            parts.append(wrong & known)
        one_each = [int(np.flatnonzero(self.groups == group)[0]) for group in range(self.n_groups)]
        return np.concatenate([*parts, known[:, one_each]], axis=1).view(np.int8)

    def _rolled(self, key: int, shift: np.ndarray) -> np.ndarray:
        rows, columns = self.pixels.shape
        lattice = self._unpacked(self.labels[key] & self.known[key]).reshape(rows, columns, -1)
        return np.roll(lattice, (int(shift[0]), int(shift[1])), axis=(0, 1)).reshape(rows * columns, -1)

    def _unpacked(self, bits: np.ndarray) -> np.ndarray:
        return np.unpackbits(bits, axis=-1, count=self.n_concepts).astype(bool)
