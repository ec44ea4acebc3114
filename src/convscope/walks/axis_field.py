"""What does each position along one axis of a layer see?  First and last pixel, and what holds away from the borders."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convscope.graph.layout import Atom

_BELOW_ALL = -(2**62)
_ABOVE_ALL = 2**62


@dataclass(frozen=True, eq=False)
class AxisField:
    """What each position along one axis sees: pixels `first` to `last`, both included; nothing if last < first."""

    first: np.ndarray  # int, one entry a position
    last: np.ndarray
    size_px: float  # away from the borders
    stride_px: float  # how far the field moves from one position to the next
    start_px: float  # first pixel of position 0 if the image went on beyond its border
    is_global: bool = False  # mixes all positions, wherever the neuron stands

    def __len__(self) -> int:
        return len(self.first)

    @property
    def center_px(self) -> float:
        """Centre of the field of position 0, pixel centres at half integers."""
        return self.start_px + self.size_px / 2

    def span(self, position: int) -> slice:
        """The pixels seen from one position, cut at the border of the image."""
        first, last = int(self.first[position]), int(self.last[position])
        return slice(0, 0) if last < first else slice(first, last + 1)

    def take(self, indices: Any) -> "AxisField":
        """Positions picked by index; a negative one stands for padding, which sees nothing."""
        indices = np.asarray(indices)
        inside = indices >= 0
        safe = np.where(inside, indices, 0)
        anchor = int(np.argmax(inside))  # the first position that is not padding
        step = abs(int(indices[anchor + 1] - indices[anchor])) if anchor + 1 < len(indices) else 1
        stride = self.stride_px * (step or 1)
        return replace(
            self,
            first=np.where(inside, self.first[safe], _ABOVE_ALL),
            last=np.where(inside, self.last[safe], _BELOW_ALL),
            stride_px=stride,
            start_px=self.start_px + float(indices[anchor]) * self.stride_px - anchor * stride,
        )

    def windows(self, begins: np.ndarray, extent: int, dilation: int = 1) -> "AxisField":
        """Positions that each look at every `dilation`-th of `extent` neighbours from the given ones on; outside is padding."""
        reach = begins[:, None] + np.arange(0, extent, dilation)[None, :]
        inside = (reach >= 0) & (reach < len(self))
        safe = np.clip(reach, 0, len(self) - 1)
        return AxisField(
            first=np.where(inside, self.first[safe], _ABOVE_ALL).min(axis=1),
            last=np.where(inside, self.last[safe], _BELOW_ALL).max(axis=1),
            size_px=self.size_px + (extent - 1) * self.stride_px,
            stride_px=self.stride_px * float(begins[1] - begins[0] if len(begins) > 1 else 1),
            start_px=self.start_px + float(begins[0]) * self.stride_px,
            is_global=self.is_global,
        )

    def spans(self, first: np.ndarray, last: np.ndarray, scale: float) -> "AxisField":
        """Positions that each look at an unequal stretch, from first to last; `scale` of them stand on one position here."""
        extent = int((last - first).max()) + 1
        reach = first[:, None] + np.minimum(np.arange(extent)[None, :], (last - first)[:, None])
        inside = (reach >= 0) & (reach < len(self)) & (last >= first)[:, None]
        safe = np.clip(reach, 0, len(self) - 1)
        return AxisField(
            first=np.where(inside, self.first[safe], _ABOVE_ALL).min(axis=1),
            last=np.where(inside, self.last[safe], _BELOW_ALL).max(axis=1),
            size_px=self.size_px + (extent - 1) * self.stride_px,
            stride_px=self.stride_px * scale,
            start_px=self.start_px + float(first[0]) * self.stride_px,
            is_global=self.is_global,
        )

    def mixed(self, atom: Atom) -> "AxisField":
        """Every position sees what its fellows along one factor of the axis see."""
        if len(self) == 1:
            return self
        shape = (-1, atom.size, atom.stride)
        first = self.first.reshape(shape).min(axis=1, keepdims=True).repeat(atom.size, axis=1)
        last = self.last.reshape(shape).max(axis=1, keepdims=True).repeat(atom.size, axis=1)
        mixed = AxisField(
            first=first.reshape(-1),
            last=last.reshape(-1),
            size_px=self.size_px + (atom.size - 1) * atom.stride * self.stride_px,
            stride_px=self.stride_px,
            start_px=self.start_px,
            is_global=self.is_global,
        )
        return mixed.everywhere() if atom.size == len(self) else mixed

    def without(self, atom: Atom) -> "AxisField":
        """One position for all along a factor of the axis, after they have been mixed."""
        if len(self) == 1:
            return self
        shape = (-1, atom.size, atom.stride)
        first, last = (side.reshape(shape)[:, 0].reshape(-1) for side in (self.first, self.last))
        return replace(self, first=first, last=last)

    def everywhere(self) -> "AxisField":
        """Marked as seen from everywhere, by an operation that mixes all positions."""
        return replace(self, is_global=True)

    def stretched(self, n: int) -> "AxisField":
        """The same field at n positions, as broadcasting does."""
        if len(self) == n:
            return self
        return replace(self, first=np.broadcast_to(self.first, n), last=np.broadcast_to(self.last, n))


def union(fields: Sequence[AxisField]) -> AxisField:
    """What a sum or concatenation sees: all that its parts see. A part with one position is seen from all."""
    if len(fields) == 1:
        return fields[0]
    n = max(len(field) for field in fields)
    stretched = [field.stretched(n) for field in fields]
    start = min(field.start_px for field in fields)
    end = max(field.start_px + field.size_px for field in fields)
    return AxisField(
        first=np.min([field.first for field in stretched], axis=0),
        last=np.max([field.last for field in stretched], axis=0),
        size_px=end - start,
        stride_px=max((field.stride_px for field in fields if len(field) == n), default=1.0),
        start_px=start,
        is_global=any(field.is_global for field in fields),
    )


def pixels(n: int) -> AxisField:
    """The image itself: each pixel sees itself."""
    return AxisField(np.arange(n), np.arange(n), 1.0, 1.0, 0.0)
