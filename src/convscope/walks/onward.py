"""What would the network have said with other values in this layer?  Only what lies above the layer is computed again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from convscope.errors import UsageError
from convscope.graph.graph import INPUT, Graph
from convscope.graph.layout import BATCH, Layout
from convscope.walks.backward import Tape, recordable, recorded, tape
from convscope.walks.derivative import Derivative, Placed, Signal
from convscope.walks.fold import Folded, fold_batch_norm
from convscope.walks.forward import Plan, plan


@dataclass(frozen=True, eq=False)
class Above:
    """The steps from a layer to an output, and what they need besides; made once for a layer."""

    layer: str
    output: str
    graph: Graph  # as it is computed
    finish: Plan
    images: Mapping[
        str, int | None
    ]  # values that flow past the layer, and the dimension of each that counts the images
    placed: Placed  # weights that gradients have made ready

    @cached_property
    def derivative(self) -> Derivative:
        """The same steps, for gradients without rules."""
        return Derivative(self.graph, self.layer, self.output, tuple(self.images), self.placed)


@dataclass(frozen=True, eq=False)
class Onward:
    """The network above a layer. Called with maps for that layer (`batch unit y x`), it returns logits, `batch class`.

    `maps` are the layer's own values, to be altered and given back.
    """

    above: Above
    maps: torch.Tensor
    layout: Layout
    beside: Mapping[str, Any]  # values that flow past the layer
    size: tuple[int, int]  # of the images, y x
    cast: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        """Logits with these maps in the layer's place; n maps for each input, grouped by input, if there are n times as many.

        Raises UsageError for maps of another shape.
        """
        values = self._values(maps)
        return self.above.finish(values, (maps.shape[0], *self.size))[self.above.output].float()

    @recordable()
    def tape(self, maps: torch.Tensor) -> Tape:
        """The same walk, remembered: signals can be sent back from the output down to the layer."""
        size = (maps.shape[0], *self.size)
        return tape(self.above.graph, self._values(maps), [self.above.output], size, sources=[self.above.layer])

    @recordable()
    def gradient(self, maps: torch.Tensor, signal: Signal) -> tuple[torch.Tensor, torch.Tensor]:
        """The output's value, and the gradient by these maps of what `signal` weighs in it."""
        values, size, way = self._values(maps), (maps.shape[0], *self.size), self.above.derivative
        value, found = way.up(way.enter(values, size), values, size, signal)
        return value, self.layout.to_map(way.down(found, values, size)).float()

    @recordable()
    def total_gradient(
        self,
        n_variants: int,
        variants: Callable[[slice], torch.Tensor],
        signal: Signal,
        progress: Callable[[int, int], None],
    ) -> torch.Tensor:
        """The sum of the gradients by n variants of each input's maps, in the shape of `maps`.

        `variants` gives some of them at a time, grouped by input.
        """
        n_inputs = self.maps.shape[0]

        def entered(part: slice) -> torch.Tensor:
            values = self._values(variants(part))
            return self.above.derivative.enter(values, (n_inputs * (part.stop - part.start), *self.size))

        return self._total(n_variants, entered, signal, progress)

    @recordable()
    def line_gradient(
        self, start: torch.Tensor, shares: Sequence[float], signal: Signal, progress: Callable[[int, int], None]
    ) -> torch.Tensor:
        """The sum of the gradients at points of the straight line from other maps, `start` (share 0), to the layer's own (1).

        What linear steps make of a line is a line: its points are taken above them.
        """
        way, size = self.above.derivative, (self.maps.shape[0], *self.size)
        first, last = (way.enter(self._values(maps), size) for maps in (start, self.maps))
        dim = _images(self.above.graph, way.entry) or 0

        def entered(part: slice) -> torch.Tensor:
            points = [torch.lerp(first, last, share) for share in shares[part]]
            return _grouped(points, dim, size[0])

        return self._total(len(shares), entered, signal, progress)

    def _total(
        self,
        n_variants: int,
        entered: Callable[[slice], torch.Tensor],
        signal: Signal,
        progress: Callable[[int, int], None],
    ) -> torch.Tensor:
        """The sum of gradients, made at the entry and sent down once; `entered` gives some variants at a time, as they enter."""
        way, n_inputs = self.above.derivative, self.maps.shape[0]
        dim = _images(self.above.graph, way.entry) or 0
        own = self._values(self.maps)
        at_once = max(1, way.n_at_once(own[self.above.layer].shape) // n_inputs)
        total: torch.Tensor | None = None
        for first in range(0, n_variants, at_once):
            part = slice(first, min(first + at_once, n_variants))
            times = part.stop - part.start
            _, found = way.up(entered(part), self._beside(times), (n_inputs * times, *self.size), signal)
            for one in found.unflatten(dim, (n_inputs, times, -1)).unbind(dim + 1):
                total = _added(total, one.flatten(dim, dim + 1))
            progress(part.stop, n_variants)
        assert total is not None
        total = total.to(own[self.above.layer].dtype)
        return self.layout.to_map(way.down(total, own, (n_inputs, *self.size))).float()

    def _values(self, maps: torch.Tensor) -> dict[str, Any]:
        n_inputs = self.maps.shape[0]
        if maps.shape[1:] != self.maps.shape[1:] or maps.shape[0] % n_inputs:
            raise UsageError(
                f"Maps were to replace those of '{self.above.layer}'.",
                f"They have the shape {tuple(maps.shape)}, the layer's own {tuple(self.maps.shape)}.",
                "Give the same units and positions, for each input one or equally many variants.",
            )
        values = self._beside(maps.shape[0] // n_inputs)
        values[self.above.layer] = self.layout.from_map(self.cast(recorded(maps)))
        return values

    def _beside(self, times: int) -> dict[str, Any]:
        """What flows past the layer, for so many variants of each input."""
        images, n_inputs = self.above.images, self.maps.shape[0]
        return {name: _repeated(value, images[name], n_inputs, times) for name, value in self.beside.items()}


def above(graph: Graph, layer: str, output: str, *, fold: bool, made: Folded, placed: Placed) -> Above:
    """The walk from a layer to an output. Raises UsageError if the output does not depend on the layer."""
    reached = graph.above([layer])
    needed = graph.below([output])
    if output not in reached or layer not in needed:
        raise UsageError(
            f"The network above '{layer}' was asked for.",
            f"'{output}' does not depend on it.",
            "Name a layer below the output.",
        )
    crossing = [
        name
        for step in graph.steps
        if step.name in reached and step.name in needed and step.name != layer
        for name in step.inputs
        if name not in reached
    ]
    given = (layer, *dict.fromkeys(crossing))
    computed = fold_batch_norm(graph, keep=[*given, output], made=made) if fold else graph
    finish = plan(computed, [output], given=given)
    return Above(layer, output, computed, finish, {name: _images(graph, name) for name in given[1:]}, placed)


def onward(
    graph: Graph,
    above: Above,
    compute: Callable[[Sequence[str]], Mapping[str, Any]],
    cast: Callable[[torch.Tensor], torch.Tensor],
    size: tuple[int, int],
) -> Onward:
    """The walk from a layer to the output for the inputs at hand; `compute` gives the values of steps for them."""
    values = compute([above.layer, *above.images])
    layout = graph.input_layout if above.layer == INPUT else graph[above.layer].layout[0]
    if layout is None:
        raise UsageError(
            f"The network above '{above.layer}' was asked for.",
            "Its value has no units.",
            "Name a layer of the table.",
        )
    return Onward(
        above=above,
        maps=layout.to_map(values[above.layer]).float(),
        layout=layout,
        beside={name: values[name] for name in above.images},
        size=size,
        cast=cast,
    )


def _images(graph: Graph, name: str) -> int | None:
    """Which dimension of a value counts the images (outermost, where windows or heads are counted there too)."""
    layout = graph.input_layout if name == INPUT else graph[name].layout[0]
    if layout is None:
        return 0
    return next((i for i, dim in enumerate(layout.dims) if any(atom.axis == BATCH for atom in dim)), None)


def _grouped(variants: Sequence[torch.Tensor], dim: int, n_images: int) -> torch.Tensor:
    """Variants of a batch as one batch, grouped by image; `dim` counts images, outermost."""
    if n_images == 1:
        return torch.cat(list(variants), dim)
    return torch.stack([one.unflatten(dim, (n_images, -1)) for one in variants], dim + 1).flatten(dim, dim + 2)


def _added(total: torch.Tensor | None, one: torch.Tensor) -> torch.Tensor:
    """One more in the total, in single precision at least. (`sum` over a dimension is slow where maps are channels-last.)"""
    if total is None:
        return one.to(torch.promote_types(one.dtype, torch.float32), copy=True)
    return total.add_(one)


def _repeated(value: Any, dim: int | None, n_images: int, times: int) -> Any:
    if isinstance(value, (tuple, list)):
        return [_repeated(part, dim, n_images, times) for part in value]
    if dim is None or times == 1:
        return value
    return value.unflatten(dim, (n_images, -1)).repeat_interleave(times, dim=dim).flatten(dim, dim + 1)
