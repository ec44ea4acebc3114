"""How many numbers does sharing weights save?  Every convolution counted as it is, with its weights unshared, and dense.

After LeCun et al. 1989 (Neural Computation 1:541): a convolution of k x k over c_in maps gives c_out maps of h x w with
k k c_in c_out weights; untied (locally connected) every position has its own, h w times as many; dense, every output reads every
input. Biases are counted with their weights: one a unit where it is shared, one a neuron where it is not.
"""

from dataclasses import dataclass
from math import prod

from convscope.graph.graph import INPUT, Graph, Param, Step
from convscope.graph.layout import BATCH
from convscope.walks.cost import costs


@dataclass(frozen=True)
class Counts:
    """Learned numbers of one layer in its three forms; all three are equal where nothing is shared."""

    layer: str
    shared: int  # as it is
    local: int  # the same connections, each with a weight of its own
    dense: int  # every neuron of the layer below connected to every neuron of this one
    is_conv: bool


def sharing(graph: Graph) -> tuple[Counts, ...]:
    """The counts of every layer that has learned numbers, in order. A weight read by two layers is counted in the first."""
    found = costs(graph)
    return tuple(
        _conv(graph, step, found[step.name].n_parameters)
        if step.kind == "conv" and len(_positions(graph, step.name)) == 2 and not step.op.startswith("conv_transpose")
        else _once(step.name, found[step.name].n_parameters)
        for step in graph.steps
        if found[step.name].n_parameters
    )


def _once(layer: str, n: int) -> Counts:
    """A layer none of whose numbers serves several places."""
    return Counts(layer, n, n, n, is_conv=False)


def _conv(graph: Graph, step: Step, n_parameters: int) -> Counts:
    weight = step.argument(1, "weight")
    assert isinstance(weight, Param)
    fan_in = prod(graph.tensors[weight.name].shape[1:])
    has_bias = step.argument(2, "bias") is not None
    n_out, n_in = prod(_shape(graph, step.name)), prod(_shape(graph, step.inputs[0]))
    return Counts(step.name, n_parameters, n_out * (fan_in + has_bias), n_out * (n_in + has_bias), is_conv=True)


def _positions(graph: Graph, name: str) -> tuple[int, ...]:
    return _shape(graph, name)[1:]


def _shape(graph: Graph, name: str) -> tuple[int, ...]:
    """Units and positions of a value, for one image."""
    if name == INPUT:
        return graph.input_shape
    layout = graph[name].layout[0]
    if layout is None:
        return tuple(size or 1 for size in (graph[name].shape or ())[1:])
    return tuple(prod(atom.size for atom in dim if atom.axis != BATCH) for dim in layout.dims)[1:]
