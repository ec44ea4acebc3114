"""Can two steps be computed as one?  A convolution and the ReLU above it, in one pass over the memory; exact, without gradient.

oneDNN, which computes torch's convolutions on a CPU, can apply an activation before it writes its result. torch offers that to
its own compiler as `mkldnn._convolution_pointwise`; here it is used directly, where it is there.
"""

from collections.abc import Collection
from dataclasses import replace

import torch

from convscope.graph.graph import Graph, Param, Ref, Step

_PRECISIONS = (torch.float32, torch.bfloat16)


def fuse_relu(graph: Graph, keep: Collection[str] = ()) -> Graph:
    """The same network with each ReLU computed by the convolution below it, where nobody else reads that and it is not in `keep`.

    The merged step has the ReLU's name and value. Only for tensors on a CPU; elsewhere the graph comes back as it is.
    """
    if not _available():
        return graph
    merged: dict[str, Step] = {}
    gone: set[str] = set()
    for step in graph.steps:
        below = _fusible(graph, step, keep)
        if below is not None:
            args = tuple(below.argument(i, name, default) for i, (name, default) in enumerate(_ARGUMENTS))
            merged[step.name] = replace(
                below, name=step.name, function=conv_relu, args=args, kwargs={}, layout=step.layout
            )
            gone.add(below.name)
    return graph.with_steps(merged.get(step.name, step) for step in graph.steps if step.name not in gone)


_ARGUMENTS = (
    ("input", None),
    ("weight", None),
    ("bias", None),
    ("stride", [1, 1]),
    ("padding", [0, 0]),
    ("dilation", [1, 1]),
    ("groups", 1),
)


def _available() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


def _fusible(graph: Graph, relu: Step, keep: Collection[str]) -> Step | None:
    """The convolution a ReLU can be computed with; None if there is none."""
    if relu.function is not torch.ops.aten.relu.default or not isinstance(relu.args[0], Ref):
        return None
    below = graph.by_name.get(relu.args[0].step)
    if below is None or below.function is not torch.ops.aten.conv2d.default or below.name in keep:
        return None
    weight = below.argument(1, "weight")
    if not isinstance(weight, Param) or graph.readers[below.name] != (relu.name,):
        return None
    tensor = graph.tensors[weight.name]
    return below if tensor.device.type == "cpu" and tensor.dtype in _PRECISIONS else None


def conv_relu(
    values: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> torch.Tensor:
    """A convolution and the ReLU above it."""
    return torch.ops.mkldnn._convolution_pointwise(
        values, weight, bias, padding, stride, dilation, groups, "relu", [], ""
    )
