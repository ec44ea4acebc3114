"""How many numbers does sharing weights save?  Every layer with weights counted as it is, with its weights unshared, and dense.

After LeCun et al. 1989 (Neural Computation 1:541): a convolution of k x k over c_in maps gives c_out maps of h x w with
k k c_in c_out weights; untied (locally connected) every position has its own, h w times as many; dense, every output reads every
input. Biases are counted with their weights: one a unit where it is shared, one a neuron where it is not. A dense layer that is
applied at every position is a convolution of 1 x 1. Norms and other learned numbers beside the weights count the same in all
three forms: untied, they could be folded into the weights.
"""

from dataclasses import dataclass
from math import prod

from convscope.graph.graph import INPUT, Graph, Param, Step
from convscope.graph.layout import BATCH
from convscope.walks.cost import costs

_LINEAR_WEIGHT = {"linear": 1, "addmm": 2, "mm": 1}  # the place of the weights among the arguments


@dataclass(frozen=True)
class Counts:
    """Learned numbers of one layer in its three forms."""

    layer: str
    shared: int  # as it is
    local: int  # the same connections, each with a weight of its own
    dense: int  # every neuron of the layer below connected to every neuron of this one
    n_positions: int  # at which its weights are used; 0 for numbers that are no weights


def sharing(graph: Graph) -> tuple[Counts, ...]:
    """The counts of every layer that has learned numbers, in order. A weight read by two layers is counted in the first."""
    found = costs(graph)
    return tuple(
        _counts(graph, step, found[step.name].n_parameters) for step in graph.steps if found[step.name].n_parameters
    )


def _counts(graph: Graph, step: Step, n_parameters: int) -> Counts:
    n_connections = _n_connections(graph, step)
    if n_connections is None:
        return Counts(step.name, n_parameters, n_parameters, n_parameters, 0)
    n_out, n_in = _size(graph, step.name), _size(graph, step.inputs[0])
    n_biases = n_out if _has_bias(step) else 0
    connections, n_positions = n_connections
    return Counts(step.name, n_parameters, connections + n_biases, n_out * n_in + n_biases, n_positions)


def _n_connections(graph: Graph, step: Step) -> tuple[int, int] | None:
    """Pairs of neurons that a weight joins, those beyond the border too, and at how many places each weight is used.

    None for a step without weights of its own.
    """
    weight = _weight(step)
    if weight is None or not step.inputs:
        return None
    shape = tuple(graph.tensors[weight.name].shape)
    found = _pairs(graph, step, shape)
    return found, found // max(prod(shape), 1)


def _pairs(graph: Graph, step: Step, shape: tuple[int, ...]) -> int:
    if step.op.startswith("conv_transpose"):
        return _size(graph, step.inputs[0]) * prod(shape[1:])
    fan_in = shape[0] if step.op in ("addmm", "mm") else prod(shape[1:])
    return _size(graph, step.name) * fan_in


def _weight(step: Step) -> Param | None:
    """The weights a convolution or dense layer holds; None where they are computed, or there are none."""
    place = 1 if step.kind == "conv" else _LINEAR_WEIGHT.get(step.op)
    argument = None if place is None else step.argument(place, "weight")
    return argument if isinstance(argument, Param) else None


def _has_bias(step: Step) -> bool:
    if step.op == "addmm":
        return isinstance(step.args[0], Param)
    return step.op != "mm" and step.argument(2, "bias") is not None


def _size(graph: Graph, name: str) -> int:
    """How many neurons a value has for one image."""
    if name == INPUT:
        return prod(graph.input_shape)
    layout = graph[name].layout[0]
    if layout is None:
        return prod(size or 1 for size in (graph[name].shape or ())[1:])
    return prod(atom.size for atom in layout.atoms if atom.axis != BATCH)
