"""How does each unit of a layer answer one image?  Its maps, with what is needed to sort, mark and scale them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from convscope.errors import UsageError
from convscope.network import Network

ORDERS = ("number", "response")
SCALES = ("layer", "unit")
TOP_FRAC = 0.98  # of the units stay below the end of a layer's scale: few loud ones would leave the rest without colour


@dataclass(frozen=True, eq=False)
class Maps:
    """The answer of one layer to one image."""

    layer: str
    values: np.ndarray = field(repr=False)  # float32 `unit y x`; vectors are maps of 1 x 1

    @property
    def n_units(self) -> int:
        return len(self.values)

    @property
    def size(self) -> tuple[int, int]:
        """(y, x) of a map."""
        return int(self.values.shape[1]), int(self.values.shape[2])

    @cached_property
    def highest(self) -> np.ndarray:
        """Peak of each unit, float32; NaN where a map holds NaN."""
        return self.values.reshape(self.n_units, -1).max(1)

    @cached_property
    def lowest(self) -> np.ndarray:
        """Lowest value of each unit."""
        return self.values.reshape(self.n_units, -1).min(1)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Largest size of a value of each unit; zero is what a unit that is off has."""
        return np.maximum(self.highest, -self.lowest)

    @property
    def signed(self) -> bool:
        """Whether some values are below zero."""
        return bool((self.lowest < 0).any())

    @property
    def off(self) -> tuple[int, ...]:
        """The units that are zero everywhere in this image."""
        return tuple(int(unit) for unit in np.flatnonzero(self.sizes == 0))

    @property
    def not_finite(self) -> tuple[int, ...]:
        """The units that hold NaN or infinite values."""
        return tuple(int(unit) for unit in np.flatnonzero(~np.isfinite(self.sizes)))

    def peak(self, unit: int) -> tuple[int, int]:
        """(y, x) of the highest value, the first in reading order."""
        y, x = np.unravel_index(int(self.values[unit].argmax()), self.size)
        return int(y), int(x)

    def order(self, by: "str | Sequence[int] | np.ndarray" = "number") -> np.ndarray:
        """The units in an order: by "number", by "response" (highest peak first), or as given (units, each once).

        An order by what units are tuned to is given: `families.family_order(...)`, or units sorted by a concept. Raises
        UsageError.
        """
        if isinstance(by, str):
            if by not in ORDERS:
                raise UsageError(
                    f"Maps were to be sorted by '{by}'.", "", f"Use {', '.join(ORDERS)}, or give the units."
                )
            if by == "number":
                return np.arange(self.n_units)
            return np.argsort(-np.nan_to_num(self.highest, nan=-np.inf), kind="stable")
        given = np.asarray(by, np.int64)
        if given.size != np.unique(given).size or given.min(initial=0) < 0 or given.max(initial=0) >= self.n_units:
            raise UsageError(
                f"The maps of '{self.layer}' were to be shown in a given order.",
                f"It holds {given.size} units; the layer has {self.n_units}, from 0 on.",
                "Give each unit at most once.",
            )
        return given

    def strongest(self, n: int, usual: np.ndarray | None = None, of: np.ndarray | None = None) -> tuple[int, ...]:
        """The units (of some, or all) with the highest peaks, those that are not above zero left out.

        Units differ in how loud they are: `usual` (a number above zero for each, for instance its peak over many images) is what
        a peak is divided by.
        """
        peaks = np.nan_to_num(self.highest.astype(np.float64), nan=-np.inf, posinf=-np.inf)
        if usual is not None:
            peaks = np.where(usual > 0, peaks / np.where(usual > 0, usual, 1), -np.inf)
        if of is not None:
            peaks = np.where(np.isin(np.arange(self.n_units), of), peaks, -np.inf)
        order = np.argsort(-peaks, kind="stable")[:n]
        return tuple(int(unit) for unit in order if peaks[unit] > 0)

    def tops(self, scale: "str | float") -> np.ndarray:
        """Where each unit's colours end: one value for all ("layer", or a number), or its own ("unit"). float32.

        The layer's is what all but a fiftieth of the units that are on stay below. Raises UsageError.
        """
        known = np.isfinite(self.sizes)
        if isinstance(scale, str):
            if scale not in SCALES:
                raise UsageError(
                    f"A scale per '{scale}' was asked for.",
                    "",
                    f"Use {', '.join(SCALES)}, or give the value it ends at.",
                )
            if scale == "unit":
                return np.where(known, self.sizes, 0).astype(np.float32)
            on = self.sizes[known & (self.sizes > 0)]
            top = float(np.quantile(on, TOP_FRAC, method="higher")) if on.size else 0.0
        else:
            top = float(scale)
            if not 0 < top < float("inf"):
                raise UsageError(f"A scale that ends at {top:g} was asked for.", "", "Give a number above zero.")
        return np.full(self.n_units, top, np.float32)


def maps_of(network: Network, inputs: torch.Tensor, layer: str) -> Maps:
    """The maps of a layer for one image (normalised, `1 channel y x`).

    Raises UsageError for several images, UnknownNameError for a layer that is not there, InputShapeError.
    """
    network.graph_for(inputs)
    if len(inputs) != 1:
        raise UsageError("The maps of one image were asked for.", f"{len(inputs)} were given.", "Give them one by one.")
    with torch.no_grad():
        found = network.run(inputs, [layer])[layer][0].cpu().numpy()
    shape = (*found.shape, *[1] * (3 - found.ndim)) if found.ndim < 3 else found.shape
    if found.ndim == 2:  # tokens without a place: a row
        shape = (found.shape[0], 1, found.shape[1])
    return Maps(layer, np.ascontiguousarray(found.reshape(shape)))
