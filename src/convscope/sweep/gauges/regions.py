"""What do units say, on average, in a part of an image?  Means over whole images, or over some pixels of the lattice.

Room: regions x units x 4 bytes (16,000 regions, 1,280 units: 82 MB); more than `in_memory` bytes lies in a temporary file.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch

from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.gauges.overlap import IN_MEMORY, room
from convscope.sweep.gauges.pixels import Anchor, Pixels, values_at
from convscope.sweep.response import Response


@dataclass(frozen=True, eq=False)
class Regions:
    """Parts of images: which image (by key), and which pixels of its lattice."""

    keys: np.ndarray  # int64 region
    masks: np.ndarray | None  # bool region pixel, at least one pixel each; None for whole images

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, eq=False)
class UnitMeans:
    """The mean of each unit in each region."""

    values: np.ndarray  # float32 region unit; 0 where not seen
    seen: np.ndarray  # bool region


@register("gauge", "region_means")
@dataclass(eq=False)
class RegionMeans(Gauge):
    """The means of all units in some regions of the images.

    In whole images over all positions; in parts of them over pixels, read as `values_at` does, which takes `pixels` and `anchor`.
    """

    name = "region_means"
    n_units: int
    regions: Regions
    pixels: Pixels | None = None
    anchor: Anchor | None = None
    in_memory: int = IN_MEMORY
    values: np.ndarray = field(init=False, repr=False)  # float32 region unit
    seen: np.ndarray = field(init=False, repr=False)  # bool region

    def __post_init__(self) -> None:
        self.values = room((len(self.regions), self.n_units), np.float32, self.in_memory)
        self.seen = np.zeros(len(self.regions), bool)

    @property
    def reads_maps(self) -> bool:  # type: ignore[override]
        """Whether the reductions of a response do not suffice."""
        return self.regions.masks is not None

    def update(self, response: Response) -> None:
        at = np.flatnonzero(np.isin(self.regions.keys, response.keys))
        order = np.argsort(response.keys)
        image = order[np.searchsorted(response.keys, self.regions.keys[at], sorter=order)]
        self.values[at] = self._means(response, at, image)
        self.seen[at] = True

    def _means(self, response: Response, at: np.ndarray, image: np.ndarray) -> np.ndarray:
        """The means of regions, each of one of the images of this batch."""
        if self.regions.masks is None or not len(at):
            return response.means[image].astype(np.float32)
        assert self.pixels is not None
        assert self.anchor is not None
        used, place = np.unique(image, return_inverse=True)  # most images may have no region
        rows, columns = self.pixels.places(response.keys[used])
        maps = response.maps[torch.from_numpy(used).to(response.maps.device)]
        values = values_at(maps, rows, columns, self.anchor).cpu().numpy()
        masks = self.regions.masks[at]
        means = np.empty((len(at), self.n_units), np.float32)
        for one in range(len(used)):
            own = place == one
            means[own] = (masks[own] / masks[own].sum(axis=1, keepdims=True)).astype(np.float32) @ values[one].T
        return means

    def merge(self, other: Self) -> None:
        self.values[other.seen] = other.values[other.seen]
        self.seen |= other.seen

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.values[...] = state["values"]
        self.seen = np.array(state["seen"])

    def result(self) -> UnitMeans:
        return UnitMeans(self.values, self.seen.copy())
