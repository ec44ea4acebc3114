"""Can a network be computed faster without changing it?  Batch norm folded into the convolution below it.

A rewriting from graph to graph: w' = w g / s, b' = (b - m) g / s + h for a norm with mean m, deviation s, scale g and shift h.
"""

from collections.abc import Collection
from dataclasses import replace

import torch

from convscope.graph.graph import Graph, Param, Ref, Step

_FOLDABLE = {
    "conv2d": (torch.ops.aten.conv2d.default, torch.ops.aten.conv2d.padding),
    "linear": (torch.ops.aten.linear.default,),
}


Folded = dict[tuple[str, str], tuple[torch.Tensor, torch.Tensor]]  # (convolution, norm) -> weight, bias


def fold_batch_norm(graph: Graph, keep: Collection[str] = (), made: Folded | None = None) -> Graph:
    """The same network with each batch norm folded into the convolution (or dense layer) below it, where nobody else reads that.

    The merged step has the norm's name and value. Steps named in `keep` stay as they are, and so do the graph's outputs. Folded
    weights are looked for in `made` first, and put there.
    """
    made = {} if made is None else made
    tensors = dict(graph.tensors)
    merged: dict[str, Step] = {}
    gone: set[str] = set()
    for step in graph.steps:
        below = _foldable(graph, step, {*keep, *graph.outputs.values()})
        if below is not None:
            pair = below.name, step.name
            if pair not in made:
                with torch.inference_mode(False), torch.no_grad():  # they may be used by a backward walk later
                    made[pair] = _folded(graph, below, step)
            weight, bias = made[pair]
            names = f"{below.name}+{step.name}.weight", f"{below.name}+{step.name}.bias"
            tensors[names[0]], tensors[names[1]] = weight, bias
            args = (below.args[0], Param(names[0]), Param(names[1]), *below.args[3:])
            kwargs = {key: value for key, value in below.kwargs.items() if key not in ("weight", "bias")}
            merged[step.name] = replace(below, name=step.name, args=args, kwargs=kwargs, layout=step.layout)
            gone.add(below.name)
    steps = tuple(merged.get(step.name, step) for step in graph.steps if step.name not in gone)
    read = {name for step in steps for name in step.params}
    return replace(graph, steps=steps, tensors={name: t for name, t in tensors.items() if name in read})


def _foldable(graph: Graph, norm: Step, keep: Collection[str]) -> Step | None:
    """The step a norm can be folded into; None if it must stay."""
    if norm.op != "batch_norm" or not isinstance(norm.args[0], Ref):
        return None
    below = graph.by_name.get(norm.args[0].step)
    if below is None or below.function not in _FOLDABLE.get(below.op, ()) or below.name in keep:
        return None
    arguments = (*norm.args[1:5], below.args[1], *below.args[2:3])
    if any(not isinstance(argument, (Param, type(None))) for argument in arguments) or norm.args[3] is None:
        return None
    uses_batch_statistics = bool(norm.args[5])
    if uses_batch_statistics or graph.readers[below.name] != (norm.name,):
        return None
    return below if below.op == "conv2d" or graph[norm.name].layout[0] == below.layout[0] else None


def _folded(graph: Graph, below: Step, norm: Step) -> tuple[torch.Tensor, torch.Tensor]:
    def tensor(argument: Param | None) -> torch.Tensor | None:
        return None if argument is None else graph.tensors[argument.name]

    weight, bias = tensor(below.args[1]), tensor(below.argument(2, "bias"))
    scale, shift, mean, variance = (tensor(argument) for argument in norm.args[1:5])
    assert weight is not None
    assert mean is not None
    assert variance is not None
    factor = (variance.double() + norm.args[7]).rsqrt()
    if scale is not None:
        factor = factor * scale.double()
    offset = -mean.double() * factor
    if bias is not None:
        offset = offset + bias.double() * factor
    if shift is not None:
        offset = offset + shift.double()
    folded = weight.double() * factor.reshape(-1, *[1] * (weight.dim() - 1))
    kept = (
        torch.channels_last if weight.is_contiguous(memory_format=torch.channels_last) and weight.dim() == 4 else None
    )
    folded = folded.to(weight.dtype)
    return (folded.contiguous(memory_format=kept) if kept else folded), offset.to(weight.dtype)
