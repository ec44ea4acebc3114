"""Where a unit is strong, is the concept there?  Joint counts of units, concepts and strengths, for every threshold at once.

Network Dissection (Bau et al. 2017, arXiv:1704.05796, eq. 1) finds each unit's threshold in a first pass, the quantile of all its
neurons' values, and counts in a second the pixels at which the map, at the size of the masks, is above it. Here the pixels above
each of many thresholds are counted together: where the unit is on (0 or 1, `threshold pixel`) times where the concepts are (`pixel
concept`), a product of whole numbers; and so are the neurons, which later say which threshold the quantile was.

Room: 2 halves x units x thresholds x columns x 2 or 4 bytes, where the columns are concepts x (1 + n_null) and one or a few more.
With 20,000 units, 1,000 concepts, two wrong dealings and 24 thresholds that is 5.5 GB (2-byte counts): what exceeds `in_memory`
bytes lies in a temporary file that is gone with the process (measured in one layer of that size: .8 GB of memory while counting,
4.3 GB while the results, 20 million pairs, are worked out; what the system keeps of the file comes on top, up to all of it, and is
given back when others need the memory).
"""

import os
import tempfile
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch

from convscope.errors import UsageError
from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE, Labelled
from convscope.sweep.gauges.levels import N_LEVELS, Levels, along
from convscope.sweep.gauges.pixels import Anchor, Pixels, neurons_at, values_at
from convscope.sweep.response import Response

IN_MEMORY = 1 << 28  # bytes of one layer's counts; more goes into a file
ALL_IN_MEMORY = 1 << 30  # bytes of the counts of all layers; beyond, each lies in a file
PIXELS_TOGETHER = 4096  # that wait to be counted together; fewer, and the counts are read and written too often
COUNTED_TOGETHER = 1 << 20  # places (unit x threshold x pixel) at a time: what stays in cache


@dataclass(frozen=True, eq=False)
class JointCounts:
    """How many pixels of each half are above each threshold of a unit, by concept."""

    # uint16 or uint32 half unit threshold column; columns as `labelled` says, the first threshold left out
    counts: np.ndarray
    totals: np.ndarray  # int64 half column: all pixels, on or not
    neurons: np.ndarray  # int64 unit level: neurons of it or a higher one, of both halves
    labelled: Labelled
    levels: Levels
    n_images: np.ndarray  # int64 half
    n_left_out: int  # images without labels, or whose maps have another size


@register("gauge", "overlap")
@dataclass(eq=False)
class Overlap(Gauge):
    """Counts pixels by unit, concept and threshold. With `axes` (rows of a rotation, `axis unit`) these stand for the units."""

    name = "overlap"
    n_units: int
    labelled: Labelled = field(repr=False)
    levels: Levels = field(repr=False)
    anchor: Anchor
    map_shape: tuple[int, int]
    axes: np.ndarray | None = field(default=None, repr=False)
    in_memory: int = IN_MEMORY
    counts: np.ndarray = field(init=False, repr=False)  # half unit threshold column
    totals: np.ndarray = field(init=False, repr=False)  # int64 half column
    neurons: np.ndarray = field(init=False, repr=False)  # int64 unit level: neurons by their level
    n_images: np.ndarray = field(init=False)  # int64: of each half, and left out

    def __post_init__(self) -> None:
        n_rows = self.n_units if self.axes is None else len(self.axes)
        shape = (2, n_rows, self.levels.n_bins - 1, self.labelled.n_columns)
        most = int(np.prod(self.labelled.labels.shape[:2]))  # that any count can reach
        self.counts = room(shape, np.uint16 if most < 1 << 16 else np.uint32, self.in_memory)
        self.totals = np.zeros((2, self.labelled.n_columns), np.int64)
        self.neurons = np.zeros((n_rows, N_LEVELS), np.int64)
        self.n_images = np.zeros(3, np.int64)
        # keys, levels `image unit pixel`, and levels of some neurons `image unit neuron`
        self._waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._lattice = Pixels(self.map_shape, max(1, self.labelled.pixels.n // 2))  # of neurons
        self._below = (self.levels.first[:, 1:, None] - 1).astype(np.uint8)  # the last level that is not on

    def update(self, response: Response) -> None:
        half = self.labelled.half[response.keys]
        usable = (half >= 0) & (response.size == self.map_shape)
        self.n_images += [(usable & (half == 0)).sum(), (usable & (half == 1)).sum(), (~usable).sum()]
        if not usable.any():
            return
        kept = response if usable.all() else response.only(usable)
        at_pixels = values_at(kept.maps, *self.labelled.pixels.places(kept.keys), self.anchor)
        at_neurons = neurons_at(kept.maps, *self._lattice.places(kept.keys))
        levels = [self.levels.levels_of(along(v, self.axes)).cpu().numpy() for v in (at_pixels, at_neurons)]
        self._waiting.append((kept.keys, levels[0], levels[1]))
        if sum(levels.shape[0] * levels.shape[2] for _, levels, _ in self._waiting) >= PIXELS_TOGETHER:
            self._count()

    def _count(self) -> None:
        """Puts what waits into the counts."""
        waiting, self._waiting = self._waiting, []
        for half in (CHOOSE, MEASURE):
            levels, columns = [], []
            for keys, found, _ in waiting:
                for image in np.flatnonzero(self.labelled.half[keys] == half):
                    levels.append(found[image])
                    columns.append(self.labelled.columns_of(int(keys[image])))
            if levels:
                self._add(half, np.concatenate(levels, axis=1), np.concatenate(columns))
        if waiting:
            self._add_neurons(np.concatenate([level for _, _, part in waiting for level in part], axis=1))

    def _add(self, half: int, levels: np.ndarray, columns: np.ndarray) -> None:
        """Counts `unit pixel` against `pixel column`."""
        self.totals[half] += columns.sum(axis=0, dtype=np.int64)
        n_thresholds, n_pixels = self.counts.shape[2], len(columns)
        there = torch.from_numpy(columns)
        together = max(1, COUNTED_TOGETHER // (n_thresholds * n_pixels))
        on = np.empty((together, n_thresholds, n_pixels), bool)
        for first in range(0, len(levels), together):
            units = slice(first, min(first + together, len(levels)))
            own = on[: units.stop - first]
            np.greater(levels[units, None], self._below[units], out=own)
            found = product(torch.from_numpy(own.view(np.int8).reshape(-1, n_pixels)), there)
            self.counts[half, units] += found.numpy().reshape(len(own), n_thresholds, -1).astype(self.counts.dtype)

    def _add_neurons(self, levels: np.ndarray) -> None:
        """Counts neurons `unit neuron` by level."""
        together = max(1, COUNTED_TOGETHER // max(levels.shape[1], N_LEVELS))
        for first in range(0, len(levels), together):
            own = levels[first : first + together]
            places = own + np.arange(len(own))[:, None] * N_LEVELS
            self.neurons[first : first + len(own)] += np.bincount(
                places.ravel(), minlength=len(own) * N_LEVELS
            ).reshape(-1, N_LEVELS)

    def merge(self, other: Self) -> None:
        self._count()
        other._count()
        for half in (CHOOSE, MEASURE):
            for unit in range(self.counts.shape[1]):  # a part at a time, where they lie in files
                self.counts[half, unit] += other.counts[half, unit]
        self.totals += other.totals
        self.neurons += other.neurons
        self.n_images += other.n_images

    def state(self) -> dict[str, np.ndarray]:
        self._count()
        return {name: getattr(self, name) for name in ("counts", "totals", "neurons", "n_images")}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.counts[...] = state["counts"]
        for name in ("totals", "neurons", "n_images"):
            setattr(self, name, np.array(state[name]))

    def result(self) -> JointCounts:
        self._count()
        n_images = self.n_images.copy()
        copies = self.totals.copy(), np.cumsum(self.neurons[:, ::-1], axis=1)[:, ::-1].copy()
        return JointCounts(self.counts, *copies, self.labelled, self.levels, n_images[:2], int(n_images[2]))


def product(on: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Matrices of zeros and ones (int8) multiplied without rounding: in whole numbers where this torch can, else in float32.

    Processors with matrix units do the first a dozen times faster; float32 is exact up to 2^24 pixels at once.
    """
    whole = getattr(torch, "_int_mm", None)  # not promised by torch, so not relied on
    try:
        if whole is not None and there.shape[0] > 16:
            return whole(on, there)
    except RuntimeError:
        pass
    return torch.mm(on.float(), there.float()).to(torch.int32)


def n_bytes(n_units: int, n_concepts: int, n_null: int, n_images: int, n_pixels: int, n_bins: int = 24) -> int:
    """The room that the counts of so many units and concepts take."""
    width = 2 if n_images * n_pixels < 1 << 16 else 4
    return 2 * n_units * (n_concepts * (1 + n_null) + 1) * (n_bins - 1) * width


def room(shape: tuple[int, ...], dtype: type, in_memory: int) -> np.ndarray:
    """Zeros; in a temporary file without a name, where they would take more memory than that.

    Raises UsageError where there is no room for the file: found out now, not when it is written.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size <= in_memory:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile(prefix="convscope-") as file:
        try:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):  # without it a full disk would end the process, with a signal
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise UsageError(
                f"A temporary file of {size / 1e9:.1f} GB was to be made, for counts of units and concepts.",
                f"That failed: {error.strerror}.",
                f"Set TMPDIR to a folder with more room than '{tempfile.gettempdir()}', or ask for fewer layers or concepts.",
            ) from error
        return np.memmap(file, dtype, "r+", shape=shape)
