"""Where does a change reach?  Windows of maps: one for each variant of an image, all of one extent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from convscope.graph.graph import INPUT, Graph
from convscope.graph.layout import BATCH, Layout, X, Y

Axes = tuple[int, int]  # which dimension of a value is y, and which x


@dataclass(frozen=True, eq=False)
class Span:
    """Along one axis, for each variant, positions `starts` to `starts + extent - 1` of a map of `size` positions.

    All are of one extent, so that they fit in one batch; what really may have changed is `first` to `last`, within. Positions may
    lie outside the map where those of its padding are meant.
    """

    starts: np.ndarray  # int, one a variant
    extent: int
    size: int
    first: np.ndarray
    last: np.ndarray

    def reached(self, kernel: int, stride: int, before: int, dilation: int, n_out: int) -> "Span":
        """The outputs of a convolution or pooling that look at what changed; `before` is its padding on the left.

        Positions t to t + h - 1 reach outputs ceil((t + p - e + 1) / s) to floor((t + h - 1 + p) / s) of an operation that looks
        at e neighbours.
        """
        reach = dilation * (kernel - 1)
        return inside(-((reach - before - self.first) // stride), (self.last + before) // stride, n_out)

    def needed(self, kernel: int, stride: int, dilation: int) -> "Span":
        """The inputs that these outputs look at, counted from the left end of the padding; `size` is that with padding."""
        reach = dilation * (kernel - 1) + 1
        return at(self.starts * stride, (self.extent - 1) * stride + reach, (self.size - 1) * stride + reach)

    def moved(self, by: int, size: int) -> "Span":
        """The same positions of a map that begins elsewhere."""
        return Span(self.starts + by, self.extent, size, self.first + by, self.last + by)

    def times(self, factor: int) -> "Span":
        """The same stretches of a map in which each position stands `factor` times."""
        first, last = self.first * factor, (self.last + 1) * factor - 1
        return Span(self.starts * factor, self.extent * factor, self.size * factor, first, last)

    def is_at(self, other: "Span") -> bool:
        return self.extent == other.extent and bool((self.starts == other.starts).all())


def at(starts: np.ndarray, extent: int, size: int) -> Span:
    """Stretches of which every position may have changed."""
    return Span(starts, extent, size, starts, starts + extent - 1)


def inside(first: np.ndarray, last: np.ndarray, size: int) -> Span:
    """Stretches of one extent that hold these (first to last, both included), moved inside a map of `size` positions."""
    first = np.clip(first, 0, size - 1)
    last = np.maximum(np.clip(last, 0, size - 1), first)  # of a change that nobody sees, one position
    extent = int((last - first).max()) + 1
    return Span(np.minimum(first, size - extent), extent, size, first, last)


def union(spans: Sequence[Span]) -> Span:
    """Stretches that hold all of these, which are of the same map."""
    if all(span is spans[0] for span in spans[1:]):
        return spans[0]
    first, last = np.min([span.first for span in spans], axis=0), np.max([span.last for span in spans], axis=0)
    return inside(first, last, spans[0].size)


@dataclass(frozen=True, eq=False)
class Window:
    """A window of a map for each variant, and which dimensions of the value y and x are."""

    y: Span
    x: Span
    axes: Axes

    @property
    def n(self) -> int:
        return len(self.y.starts)

    @property
    def share(self) -> float:
        """The part of the map that it covers."""
        return self.y.extent * self.x.extent / (self.y.size * self.x.size)

    def is_at(self, other: "Window") -> bool:
        return self.y.is_at(other.y) and self.x.is_at(other.x)


def axes_of(graph: Graph, name: str) -> Axes | None:
    """Which dimensions of a step's value are the whole of y and the whole of x; None if positions are not kept apart that way."""
    layouts = (graph.input_layout,) if name == INPUT else graph[name].layout
    found = {_axes(layout) for layout in layouts}
    return found.pop() if len(found) == 1 else None


def _axes(layout: Layout | None) -> Axes | None:
    if layout is None or not layout.dims or [atom.axis for atom in layout.dims[0]] != [BATCH]:
        return None
    axes = []
    for axis in (Y, X):
        holding = [i for i, dim in enumerate(layout.dims) if any(atom.axis == axis for atom in dim)]
        if len(holding) != 1 or len(layout.dims[holding[0]]) != 1:
            return None
        axes.append(holding[0])
    return axes[0], axes[1]


@dataclass(frozen=True, eq=False)
class Rows:
    """The map of one image, position after position, each with everything that belongs to it: a window is a choice of rows."""

    values: torch.Tensor  # position, rest
    size: tuple[int, int]  # y x
    rest: tuple[int, ...]

    def take(self, window: Window) -> torch.Tensor:
        """What a window holds for each variant, `n y x rest`."""
        y, x = window.y, window.x
        places = _places(y.starts[:, None] + np.arange(y.extent), x.starts[:, None] + np.arange(x.extent), self.size[1])
        taken = self.values.index_select(0, _index(places, self.values.device))
        return taken.view(window.n, y.extent, x.extent, *self.rest)


def rows_of(held: torch.Tensor, padding: tuple[int, int, int, int] = (0, 0, 0, 0), fill: float = 0.0) -> Rows:
    """A map `y x rest` as rows, padded by (above, below, left, right)."""
    above, below, left, right = padding
    size = held.shape[0] + above + below, held.shape[1] + left + right
    if any(padding):
        padded = held.new_full((*size, *held.shape[2:]), fill)
        padded[above : above + held.shape[0], left : left + held.shape[1]] = held
        held = padded
    return Rows(held.reshape(size[0] * size[1], -1).contiguous(), size, tuple(held.shape[2:]))


def paste(crop: torch.Tensor, to: Window, changed: torch.Tensor, own: Window) -> torch.Tensor:
    """Writes the changed positions of one window over the crop of another, where they lie inside it; both `n y x rest`.

    Returns the crop.
    """
    y, x, over_y, over_x = to.y, to.x, own.y, own.x
    offset_y, offset_x = over_y.starts - y.starts, over_x.starts - x.starts
    top, left = int(offset_y[0]), int(offset_x[0])
    if (offset_y == top).all() and (offset_x == left).all():
        rows, columns = _overlap(top, over_y.extent, y.extent), _overlap(left, over_x.extent, x.extent)
        crop[:, rows, columns] = changed[:, _shifted(rows, top), _shifted(columns, left)]
        return crop
    ys, xs = offset_y[:, None] + np.arange(over_y.extent), offset_x[:, None] + np.arange(over_x.extent)
    kept = ((ys >= 0) & (ys < y.extent))[:, :, None] & ((xs >= 0) & (xs < x.extent))[:, None, :]
    places = _places(ys + np.arange(len(ys))[:, None] * y.extent, xs, x.extent)
    into, source = crop.view(len(ys) * y.extent * x.extent, -1), changed.reshape(len(places), -1)
    if not kept.all():
        chosen = np.flatnonzero(kept)
        places, source = places[chosen], source.index_select(0, _index(chosen, crop.device))
    into.index_copy_(0, _index(places, crop.device), source)
    return crop


def _overlap(offset: int, extent: int, size: int) -> slice:
    begin = min(max(0, offset), size)
    return slice(begin, max(begin, min(size, offset + extent)))


def _shifted(part: slice, by: int) -> slice:
    return slice(max(0, part.start - by), max(0, part.stop - by))


def _places(ys: np.ndarray, xs: np.ndarray, width: int) -> np.ndarray:
    return ((ys * width)[:, :, None] + xs[:, None, :]).reshape(-1)


def _index(places: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(places).to(device)
