"""What are a unit's weights?  First-layer filters over the pixels; deeper, how strongly it is connected to each unit below.

Weights are those the unit is computed with: a batch norm after the convolution is folded in where the unit asked for lies above it
(w' = w g / s). Which units a layer reads is found through whatever only moves values about (see sources.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from convscope.errors import UsageError
from convscope.graph.graph import INPUT, Graph, Param, Step
from convscope.instruments.appearance.sources import NOTHING, Held, Source, held_by
from convscope.network import Network
from convscope.walks.fold import fold_batch_norm


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of a layer's units, by what they read."""

    layer: str  # as asked for
    step: str  # the convolution or dense layer that holds them
    values: np.ndarray  # float32 `unit channel y x`; a unit's channels are those of its group
    sources: tuple[Source, ...]  # what each input channel holds, for all groups
    groups: int = 1
    folded: str = ""  # the batch norm that is folded in

    @property
    def n_units(self) -> int:
        return len(self.values)

    def sources_of(self, unit: int) -> tuple[Source, ...]:
        """What the channels of one unit hold."""
        width = self.values.shape[1]
        group = unit // (self.n_units // self.groups)
        return self.sources[group * width : (group + 1) * width]

    @property
    def reads_pixels(self) -> bool:
        """Whether all that is read are channels of the image itself."""
        return all(layer == INPUT for layer, _ in self.sources)


@dataclass(frozen=True, eq=False)
class Filters:
    """First-layer weights over the image: what each unit multiplies the (normalised) pixels by."""

    layer: str
    values: np.ndarray  # float32 `unit channel y x`, all input channels; zero for those a unit does not read
    folded: str = ""

    @property
    def sizes(self) -> np.ndarray:
        """Root mean square of each filter."""
        return np.sqrt(np.square(self.values, dtype=np.float64).mean((1, 2, 3)))


@dataclass(frozen=True, eq=False)
class Connection:
    """One unit below, and the weights onto it."""

    source: Source
    kernel: np.ndarray  # float32 `y x`
    strength: float  # Euclidean norm of the kernel, times the activity of the unit below where that was given
    share: float  # of the squared strengths of all connections of the unit

    @property
    def total(self) -> float:
        """Sum of the weights: what a flat response below adds. Its sign says whether the unit below excites or inhibits."""
        return float(self.kernel.sum(dtype=np.float64))


def first_layers(network: Network) -> tuple[str, ...]:
    """The convolutions (or dense layers) that read the image itself; empty where something computes on it first."""
    return tuple(row.name for row in network.layers if row.op in ("conv2d", "linear") and row.reads == (INPUT,))


def weights_of(network: Network, layer: str) -> Weights:
    """The weights that a layer's units are computed with: its own, or for a norm or an activation, those right below it.

    Raises UnknownNameError, and UsageError where there are none, or where channels mix several units.
    """
    graph, table = network.graph, network.layers
    name = network.resolve(layer)
    step, folded = _holder(graph, name)
    if step is None:
        raise UsageError(
            f"The weights of '{layer}' were asked for.",
            f"It is no convolution or dense layer, nor the norm or activation right above one ({_kind(graph, name)}).",
            f"Layers with weights: {', '.join(row.name for row in table.of_kind('conv', 'linear'))[:300]}.",
        )
    whole = fold_batch_norm(graph) if folded else graph
    held = whole[folded or step.name]
    values = whole.tensors[held.argument(1, "weight").name].detach().float().cpu()
    below = held_by(graph, step, table[step.name].reads)
    if held.op == "linear":
        return Weights(layer, step.name, *_over_maps(values, below), folded=folded)
    return Weights(layer, step.name, values.numpy(), below.sources, int(held.argument(6, "groups", 1)), folded)


def filters(network: Network, layer: str | None = None) -> Filters:
    """The first layer's filters, over all channels of the image. `layer` is needed where several layers read the image.

    Raises UsageError for a layer that does not read the image itself.
    """
    if layer is None:
        first = first_layers(network)
        if len(first) != 1:
            raise UsageError(
                "The first layer's filters were asked for.",
                f"{len(first) or 'No'} layers read the image itself{': ' + ', '.join(first) if first else ''}.",
                "Name the layer." if first else "Ask for the connections of a deeper layer.",
            )
        layer = first[0]
    found = weights_of(network, layer)
    if not found.reads_pixels:
        below = dict.fromkeys(name for name, _ in found.sources if name)
        raise UsageError(
            f"Filters of '{layer}' over the image were asked for.",
            f"It reads {', '.join(below)}.",
            "Ask for its connections; first layers: " + (", ".join(first_layers(network)) or "none") + ".",
        )
    n_channels = network.input_shape[0]
    values = np.zeros((found.n_units, n_channels, *found.values.shape[2:]), np.float32)
    for unit in range(found.n_units):
        for kernel, (_, channel) in zip(found.values[unit], found.sources_of(unit), strict=True):
            values[unit, channel] += kernel
    return Filters(layer, values, found.folded)


def connections(
    weights: Weights, unit: int, n: int | None = 8, activity: "Mapping[str, Sequence[float] | np.ndarray] | None" = None
) -> tuple[Connection, ...]:
    """A unit's strongest connections to the units below, strongest first; all of them for n = None.

    Weights alone say little where units below differ in how much they answer: `activity` (a number for each unit of a layer
    below, for instance its root mean square over images) is multiplied in. Raises UsageError for a unit that is not there.
    """
    if not 0 <= unit < weights.n_units:
        raise UsageError(
            f"The connections of unit {unit} of '{weights.layer}' were asked for.",
            f"It has {weights.n_units} units.",
            "Count from 0.",
        )
    kernels: dict[Source, np.ndarray] = {}
    for kernel, source in zip(weights.values[unit], weights.sources_of(unit), strict=True):
        if source != NOTHING:
            kernels[source] = kernels[source] + kernel if source in kernels else kernel
    known = activity or {}
    strengths = {
        source: float(np.linalg.norm(kernel)) * float(known[source[0]][source[1]] if source[0] in known else 1.0)
        for source, kernel in kernels.items()
    }
    total = sum(value**2 for value in strengths.values()) or 1.0
    order = sorted(kernels, key=lambda source: -strengths[source])[:n]
    return tuple(Connection(s, kernels[s], strengths[s], strengths[s] ** 2 / total) for s in order)


def _holder(graph: Graph, name: str) -> tuple[Step | None, str]:
    """The convolution or dense layer behind a layer's units, and the batch norm between them that is to be folded in."""
    step, norm = graph.by_name.get(name), ""
    while step is not None and step.op not in ("conv2d", "linear"):
        is_norm = step.op == "batch_norm" and not norm
        if not is_norm and not (step.kind == "activation" and len(step.inputs) == 1 and "softmax" not in step.op):
            return None, ""
        norm = step.name if is_norm else norm
        step = graph.by_name.get(step.inputs[0])
    if step is None or not isinstance(step.argument(1, "weight"), Param):
        return None, ""
    if norm and norm not in {s.name for s in fold_batch_norm(graph) if s.op in ("conv2d", "linear")}:
        return None, ""  # somebody else reads the convolution, or the norm uses the batch's statistics
    return step, norm


def _kind(graph: Graph, name: str) -> str:
    return "the image" if name == INPUT else f"it is {graph[name].op}"


def _over_maps(values: torch.Tensor, held: Held) -> tuple[np.ndarray, tuple[Source, ...]]:
    """A dense layer's weights as `unit channel y x` over the maps that were flattened, and what the channels hold.

    Where features are not whole maps, each is a channel of its own.
    """
    channels, n = dict.fromkeys(held.sources), prod(held.size)
    whole = held.positions is not None and NOTHING not in channels and len(channels) * n == len(held.sources)
    places = {at: i for i, at in enumerate(zip(held.sources, held.positions or (), strict=False))}
    if not whole or len(places) != len(held.sources):
        return values[:, :, None, None].numpy(), held.sources
    order = [places[source, position] for source in channels for position in range(n)]
    return values[:, order].reshape(len(values), len(channels), *held.size).numpy(), tuple(channels)
