"""What does a network cost?  Parameters and multiply-accumulates (MACs) of every step, for one image.

MACs count convolutions, dense layers and matrix products, as the published figures do; additions, norms and activations count
nothing. A parameter read twice is counted where it is read first.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

from convscope.graph.graph import INPUT, Graph, Param, Ref, Step
from convscope.graph.layout import BATCH


@dataclass(frozen=True)
class Cost:
    """Learned numbers and multiply-accumulates."""

    n_parameters: int
    n_macs: int


def costs(graph: Graph) -> dict[str, Cost]:
    """Parameters and MACs of each step, by name."""
    counted: set[str] = set()
    found = {}
    for step in graph.steps:
        names = [name for name in graph.parameters_of(step) if name not in counted]
        counted.update(names)
        found[step.name] = Cost(sum(graph.learned.get(name, 0) for name in names), _macs(graph, step))
    return found


def total(found: dict[str, Cost]) -> Cost:
    """All steps together."""
    return Cost(sum(cost.n_parameters for cost in found.values()), sum(cost.n_macs for cost in found.values()))


def _macs(graph: Graph, step: Step) -> int:
    n_out = prod(_shape(graph, step.name)) if step.shape is not None else 0
    if step.kind == "conv":
        weight = _sizes(graph, step.args[1])
        if step.op.startswith("conv_transpose"):
            return prod(_shape(graph, step.inputs[0])) * prod(weight[1:])
        return n_out * prod(weight[1:])
    if step.op == "linear":
        return n_out * _sizes(graph, step.args[1])[-1]
    if step.op in ("mm", "bmm", "matmul"):
        return n_out * _sizes(graph, step.args[0])[-1]
    if step.op == "addmm":
        return n_out * _sizes(graph, step.args[1])[-1]
    if step.op == "scaled_dot_product_attention":
        query, key = _sizes(graph, step.args[0]), _sizes(graph, step.args[1])
        return prod(query) * key[-2] + n_out * key[-2]
    return 0


def _sizes(graph: Graph, argument: Any) -> tuple[int, ...]:
    """The shape of an argument for one image."""
    if isinstance(argument, Param):
        return tuple(graph.tensors[argument.name].shape)
    assert isinstance(argument, Ref)
    return _shape(graph, argument.step)


def _shape(graph: Graph, name: str) -> tuple[int, ...]:
    """The shape of a step's value for one image: entries that stand for several images count as many times as for one."""
    if name == INPUT:
        return (1, *graph.input_shape)
    step = graph[name]
    layout = step.layout[0]
    if layout is None:
        return tuple(size or 1 for size in step.shape or ())
    return tuple(prod(atom.size for atom in dim if atom.axis != BATCH) for dim in layout.dims)
