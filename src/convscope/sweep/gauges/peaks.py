"""How strongly did each unit answer to each image?  All peaks, kept: what concepts of whole images are ranked by.

Room: images x units x 4 bytes (500 images, 17,000 units: 34 MB); more than `in_memory` bytes lies in a temporary file.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.gauges.overlap import IN_MEMORY, room
from convscope.sweep.response import Response


@dataclass(frozen=True, eq=False)
class UnitPeaks:
    """The largest value of each unit in each image."""

    values: np.ndarray  # float32 unit image (by key); 0 where not seen
    seen: np.ndarray  # bool image


@register("gauge", "peaks")
@dataclass(eq=False)
class Peaks(Gauge):
    """The peaks of all units in all images."""

    name = "peaks"
    reads_maps = False
    n_units: int
    n_images: int
    in_memory: int = IN_MEMORY
    values: np.ndarray = field(init=False, repr=False)  # float32 unit image
    seen: np.ndarray = field(init=False, repr=False)  # bool image

    def __post_init__(self) -> None:
        self.values = room((self.n_units, self.n_images), np.float32, self.in_memory)
        self.seen = np.zeros(self.n_images, bool)

    def update(self, response: Response) -> None:
        self.values[:, response.keys] = response.peaks.T
        self.seen[response.keys] = True

    def merge(self, other: Self) -> None:
        new = np.flatnonzero(other.seen)
        self.values[:, new] = other.values[:, new]
        self.seen |= other.seen

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.values[...] = state["values"]
        self.seen = np.array(state["seen"])

    def result(self) -> UnitPeaks:
        return UnitPeaks(self.values, self.seen.copy())
