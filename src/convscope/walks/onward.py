"""What would the network have said with other values in this layer?  Only what lies above the layer is computed again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from convscope.errors import UsageError
from convscope.graph.graph import INPUT, Graph
from convscope.graph.layout import BATCH, Layout
from convscope.walks.fold import Folded, fold_batch_norm
from convscope.walks.forward import Plan, plan


@dataclass(frozen=True, eq=False)
class Onward:
    """The network above a layer. Called with maps for that layer (`batch unit y x`), it returns logits, `batch class`.

    `maps` are the layer's own values, to be altered and given back.
    """

    layer: str
    output: str
    maps: torch.Tensor
    layout: Layout
    finish: Plan
    beside: Mapping[str, Any]  # values that flow past the layer
    images: Mapping[str, int | None]  # the dimension of each that counts the images; None if it has none
    size: tuple[int, int]  # of the images, y x
    cast: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        """Logits with these maps in the layer's place; n maps for each input, grouped by input, if there are n times as many.

        Raises UsageError for maps of another shape.
        """
        n_inputs = self.maps.shape[0]
        if maps.shape[1:] != self.maps.shape[1:] or maps.shape[0] % n_inputs:
            raise UsageError(
                f"Maps were to replace those of '{self.layer}'.",
                f"They have the shape {tuple(maps.shape)}, the layer's own {tuple(self.maps.shape)}.",
                "Give the same units and positions, for each input one or equally many variants.",
            )
        times = maps.shape[0] // n_inputs
        values = {name: _repeated(value, self.images[name], n_inputs, times) for name, value in self.beside.items()}
        values[self.layer] = self.layout.from_map(self.cast(maps))
        return self.finish(values, (maps.shape[0], *self.size))[self.output].float()


def onward(
    graph: Graph,
    layer: str,
    output: str,
    compute: Callable[[Sequence[str]], Mapping[str, Any]],
    cast: Callable[[torch.Tensor], torch.Tensor],
    *,
    size: tuple[int, int],
    fold: bool,
    made: Folded,
) -> Onward:
    """The walk from a layer to the output; `compute` gives the values of steps for the inputs at hand.

    Raises UsageError if the output does not depend on the layer.
    """
    above = graph.above([layer])
    needed = graph.below([output])
    if output not in above or layer not in needed:
        raise UsageError(
            f"The network above '{layer}' was asked for.",
            f"'{output}' does not depend on it.",
            "Name a layer below the output.",
        )
    crossing = [
        name
        for step in graph.steps
        if step.name in above and step.name in needed and step.name != layer
        for name in step.inputs
        if name not in above
    ]
    beside = tuple(dict.fromkeys(crossing))
    values = compute([layer, *beside])
    layout = graph.input_layout if layer == INPUT else graph[layer].layout[0]
    assert layout is not None
    above_layer = fold_batch_norm(graph, keep=[layer, *beside], made=made) if fold else graph
    return Onward(
        layer=layer,
        output=output,
        maps=layout.to_map(values[layer]).float(),
        layout=layout,
        finish=plan(above_layer, [output], given=[layer, *beside]),
        size=size,
        beside={name: values[name] for name in beside},
        images={name: _images(graph, name) for name in beside},
        cast=cast,
    )


def _images(graph: Graph, name: str) -> int | None:
    """Which dimension of a value counts the images (outermost, where windows or heads are counted there too)."""
    layout = graph.input_layout if name == INPUT else graph[name].layout[0]
    if layout is None:
        return 0
    return next((i for i, dim in enumerate(layout.dims) if any(atom.axis == BATCH for atom in dim)), None)


def _repeated(value: Any, dim: int | None, n_images: int, times: int) -> Any:
    if isinstance(value, (tuple, list)):
        return [_repeated(part, dim, n_images, times) for part in value]
    if dim is None or times == 1:
        return value
    return value.unflatten(dim, (n_images, -1)).repeat_interleave(times, dim=dim).flatten(dim, dim + 1)
