"""Can two steps be computed as one?  A convolution and the ReLU above it, in one pass over the memory; exact, without gradient.

oneDNN, which computes torch's convolutions on a CPU, can apply an activation before it writes its result. torch offers that to
its own compiler as `mkldnn._convolution_pointwise`; here it is used directly, where it is there. Its ReLU turns NaN into 0, torch's
own keeps it. So nothing is joined where NaN could come from: numbers of the network that are not finite, or operations that
can make NaN of finite values; a pass over images that are not finite uses the plain steps (see `Plan`).
"""

from collections.abc import Collection
from dataclasses import replace
from operator import getitem

import torch

from convscope.graph.graph import INPUT, Graph, Param, Ref, Step

_PRECISIONS = (torch.float32, torch.bfloat16)
# Operations that make no NaN of finite values, short of overflow.
_SOUND = frozenset(
    {
        "conv2d",
        "linear",
        "addmm",
        "batch_norm",
        "relu",
        "relu6",
        "hardtanh",
        "leaky_relu",
        "prelu",
        "elu",
        "silu",
        "gelu",
    }
    | {
        "hardswish",
        "hardsigmoid",
        "sigmoid",
        "tanh",
        "max_pool2d",
        "avg_pool2d",
        "adaptive_avg_pool2d",
        "mean",
        "add",
        "sub",
    }
    | {
        "mul",
        "cat",
        "reshape",
        "flatten",
        "permute",
        "transpose",
        "slice",
        "select",
        "getitem",
        "chunk",
        "split",
        "pad",
    }
    | {"unsqueeze", "squeeze", "expand", "clone", "upsample_nearest2d", "upsample_bilinear2d", "pixel_shuffle"}
)


def fuse_relu(graph: Graph, keep: Collection[str] = ()) -> Graph:
    """The same network with each ReLU computed by the convolution below it, where nobody else reads that and it is not in `keep`.

    The merged step has the ReLU's name and value. Only for tensors on a CPU; elsewhere the graph comes back as it is.
    """
    if not _available():
        return graph
    merged: dict[str, Step] = {}
    gone: set[str] = set()
    sound = _sound(graph)
    for step in graph.steps:
        below = _fusible(graph, step, keep)
        if below is not None and below.name in sound:
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


def _sound(graph: Graph) -> set[str]:
    """The steps whose values are numbers wherever the images are."""
    finite = {name for name, tensor in graph.tensors.items() if bool(torch.isfinite(tensor.sum()))}
    found = {INPUT}
    for step in graph.steps:
        own = isinstance(step.function, torch._ops.OpOverload) or step.function is getitem
        if own and step.op in _SOUND and finite.issuperset(step.params) and found.issuperset(step.inputs):
            found.add(step.name)
    return found


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
