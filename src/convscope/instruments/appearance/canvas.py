"""How large a picture does a unit need?  A canvas of its receptive field, and the part of the network below its layer.

A neuron away from the borders sees a window of the image and nothing else, no padding either; so a picture for it needs to be no
larger than that window, and nothing above the layer need be computed. Where positions lie so close together that neighbours
would answer to a picture moved by a pixel, the canvas holds the fields of these neighbours too. Along an axis where the window does
not fit in the image, the canvas is the image, and the neuron is the one in the middle of the map.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import torch

from convscope.errors import UsageError
from convscope.graph.graph import INPUT, Graph
from convscope.graph.layout import Layout
from convscope.network import Network
from convscope.walks.axis_field import AxisField
from convscope.walks.derivative import Derivative, Placed
from convscope.walks.fold import fold_batch_norm
from convscope.walks.forward import Plan, plan
from convscope.walks.pooled_first import with_pooled
from convscope.walks.receptive_field import receptive_fields

REACH_PX = 4  # neurons whose field is moved by no more than this count as the neuron in the middle
CLOSE = 1e-3  # what the canvas may differ from the whole image, in parts of the largest value
CLOSE_HALF = 0.05  # likewise in bfloat16

Size = tuple[int, int]
Signal = Callable[[torch.Tensor], torch.Tensor]  # maps of the layer -> the derivative of the score by them


@dataclass(frozen=True)
class Stretch:
    """One axis of a canvas: its length, and the neurons (`first` to `last`, both included) that are asked."""

    n_px: int
    first: int
    last: int
    is_whole: bool  # as long as the image
    begin_px: int = 0  # where their fields begin; they end where the canvas does

    def asked(self, middle: bool) -> slice:
        """The neurons that are asked, or the one in their middle."""
        half = (self.first + self.last) // 2
        return slice(half, half + 1) if middle else slice(self.first, self.last + 1)


@dataclass(frozen=True, eq=False)
class Canvas:
    """Where pictures for the units of one layer are made. Takes normalised inputs, `batch channel y x`, of its size."""

    network: Network
    layer: str  # what is driven
    shown: str  # what is asked about: the same, or an activation above it with the same positions
    y: Stretch
    x: Stretch
    graph: Graph  # as it is computed

    @property
    def size(self) -> Size:
        return self.y.n_px, self.x.n_px

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channel, y, x) of a picture."""
        return self.network.input_shape[0], *self.size

    @property
    def seen(self) -> tuple[slice, slice]:
        """The part of a picture (y, x) that the neurons see which are asked: what to show of it."""
        return slice(self.y.begin_px, None), slice(self.x.begin_px, None)

    @property
    def is_whole(self) -> bool:
        return self.y.is_whole and self.x.is_whole

    def asked(self, maps: torch.Tensor, *, middle: bool = False) -> torch.Tensor:
        """The values of the neurons that are asked, `batch unit neuron`, from maps of the layer (`batch unit ...`).

        With `middle`, of the one in the middle alone.
        """
        if maps.dim() == 4:
            rows, columns = self.y.asked(middle), self.x.asked(middle)
            maps = maps[:, :, rows, columns]
        elif maps.dim() == 3:  # tokens without a place
            maps = maps[:, :, maps.shape[2] // 2 : maps.shape[2] // 2 + 1]
        return maps.reshape(*maps.shape[:2], -1)

    def maps(self, inputs: torch.Tensor, layer: str) -> torch.Tensor:
        """The maps of the driven or the shown layer, `batch unit ...`, float32; without gradient."""
        with torch.no_grad():
            value = self._forward({INPUT: self._cast(inputs)})[layer]
        return _layout(self.graph, layer).to_map(value).float()

    def gradient(self, inputs: torch.Tensor, signal: Signal) -> tuple[torch.Tensor, torch.Tensor]:
        """The layer's maps, and the derivative by the inputs of the score whose derivative by the maps `signal` gives."""
        values, size = {INPUT: self._cast(inputs)}, (inputs.shape[0], *inputs.shape[2:])
        layout = _layout(self.graph, self.layer)

        def held(value: torch.Tensor) -> torch.Tensor:
            return layout.from_map(signal(layout.to_map(value).float())).to(value.dtype)

        value, found = self._backward.whole(values, size, held)
        return layout.to_map(value).float(), found.to(inputs)

    @property
    def n_at_once(self) -> int:
        """How many pictures to compute together."""
        rows, columns = self.network.input_shape[1:]
        share = self.size[0] * self.size[1] / (rows * columns)
        return max(1, int(self._backward.n_at_once(torch.Size((1, *self.shape))) / share))

    @cached_property
    def _forward(self) -> Plan:
        return plan(self.graph, [self.layer, self.shown])

    @cached_property
    def _backward(self) -> Derivative:
        return Derivative(self.graph, INPUT, self.layer, (), Placed())

    def _cast(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.to(self.network.device, self.network.dtype)


def canvas(
    network: Network,
    layer: str,
    shown: str | None = None,
    position: Size | None = None,
    reach_px: int = REACH_PX,
) -> Canvas:
    """The canvas for the units of a layer, or for its neurons at one position (then the whole image: padding may matter there).

    `layer` and `shown` are steps of the network's graph; `layer` may be a max-pool moved below an activation (`with_pooled`).
    Raises UsageError for a layer that has no units or does not depend on the image.
    """
    graph, shown = with_pooled(network.graph, layer), layer if shown is None else shown
    if layer not in graph.by_name or layer not in graph.above([INPUT]) or graph[layer].layout[0] is None:
        raise UsageError(
            f"A picture for '{layer}' was to be made.",
            "Its value has no units that depend on the image.",
            "Name a layer of the table.",
        )
    folded = fold_batch_norm(graph, keep=[layer, shown]) if network.fold else graph
    whole = Canvas(network, layer, shown, *_whole(graph, layer, position, reach_px), folded)
    field = None if position else receptive_fields(graph, missing=[]).get(layer)
    if field is None or len(_layout(graph, layer).map_shape) != 3:
        return whole
    rows, columns = network.input_shape[1:]
    y = _axis(field.y, rows, reach_px) or whole.y
    x = _axis(field.x, columns, reach_px) or whole.x
    cut = Canvas(network, layer, shown, y, x, folded)
    strides = int(field.y.stride_px), int(field.x.stride_px)
    return cut if not cut.is_whole and _agree(cut, whole, strides) else whole


def _axis(field: AxisField, n_px: int, reach_px: int) -> Stretch | None:
    """The shortest axis that holds the fields of the neurons asked; None if it would not be shorter than the image.

    The field of neuron i begins at i * stride + start, where start is below 0 by the padding on the way. So the first that sees no
    padding may begin a few pixels, fewer than the stride, from the canvas's own beginning.
    """
    stride, start, size = field.stride_px, field.start_px, field.size_px
    if field.is_global or stride < 1 or any(value != int(value) for value in (stride, start, size)):
        return None
    first = max(0, ceil(-start / stride))
    last = first + 2 * int(reach_px // stride)
    margin = first * stride + start
    length = int(margin + (last - first) * stride + size)
    return Stretch(length, first, last, False, int(margin)) if length < n_px else None


def _whole(graph: Graph, layer: str, position: Size | None, reach_px: int) -> tuple[Stretch, Stretch]:
    """The axes of the whole image."""
    shape = _layout(graph, layer).map_shape
    sizes = shape[1:] if len(shape) == 3 else (1, 1)
    found = []
    for axis, (n_px, n_neurons) in enumerate(zip(graph.input_shape[1:], sizes, strict=True)):
        if position:
            first = last = position[axis]
        else:
            around = int(reach_px * n_neurons // n_px)
            first, last = max(0, n_neurons // 2 - around), min(n_neurons - 1, n_neurons // 2 + around)
        found.append(Stretch(n_px, first, last, True))
    return found[0], found[1]


def _layout(graph: Graph, layer: str) -> Layout:
    found = graph[layer].layout[0]
    assert found is not None
    return found


def _agree(cut: Canvas, whole: Canvas, strides: Size) -> bool:
    """Whether neurons on the canvas answer as they do where the same picture is part of a whole image.

    Not where an operation below the layer holds sizes of its own, or cannot be computed for a smaller image.
    """
    network = cut.network
    image = torch.randn(1, *network.input_shape, generator=torch.Generator().manual_seed(0))
    moved = [_moved(part, full) for part, full in zip((cut.y, cut.x), (whole.y, whole.x), strict=True)]
    top, left = (n * stride for n, stride in zip(moved, strides, strict=True))
    part = image[:, :, top : top + cut.size[0], left : left + cut.size[1]]
    if part.shape[2:] != cut.size:
        return False
    try:
        found = cut.asked(cut.maps(part, cut.layer))
    except (RuntimeError, ValueError, IndexError):
        return False
    maps = whole.maps(image, cut.layer)
    rows = slice(cut.y.first + moved[0], cut.y.last + moved[0] + 1)
    columns = slice(cut.x.first + moved[1], cut.x.last + moved[1] + 1)
    expected = maps[:, :, rows, columns].reshape(*maps.shape[:2], -1)
    if found.shape != expected.shape:
        return False
    close = CLOSE if network.dtype == torch.float32 else CLOSE_HALF
    return float((found - expected).abs().max()) <= close * float(expected.abs().max())


def _moved(part: Stretch, whole: Stretch) -> int:
    """By how many neurons the canvas is moved in the image, so that the same neurons are in the middle of both."""
    return 0 if part.is_whole else max(0, (whole.first + whole.last) // 2 - (part.first + part.last) // 2)
