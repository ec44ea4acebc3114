"""What would this architecture answer with weights that have learned nothing?  The control of most claims.

Weights of convolutions and dense layers are drawn from a normal distribution whose spread keeps signals alive (He et al.
2015, arXiv:1502.01852, eq. 10: variance 2 / fan-in below a rectifier, else 1 / fan-in), biases and shifts become 0, scales
1; what else was learned (scales of branches, tokens) keeps its values in another order. Batch norms then take their
statistics from real images, as they would have after training, so that only the weights differ.
"""

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import torch

from convscope.graph.graph import INPUT, Graph, Param, Step
from convscope.walks.forward import plan

_PRODUCTS = frozenset({"linear", "addmm", "mm", "matmul", "bmm"})
_NORM_ARGUMENTS = {  # operation -> places of scale and shift
    "batch_norm": (1, 2),
    "layer_norm": (2, 3),
    "group_norm": (2, 3),
    "instance_norm": (1, 2),
}
_NORM = torch.ops.aten.batch_norm.default
_NORM_DECOMPOSED = torch.ops.aten._native_batch_norm_legit_no_training.default


def fresh_weights(graph: Graph, seed: int) -> Graph:
    """The same network with every learned number drawn anew; statistics of batch norms are left to `calibrated`."""
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[str, torch.Tensor] = {}
    for step in graph.steps:
        for name, draw in _draws(graph, step).items():
            if name not in drawn:
                old = graph.tensors[name]
                drawn[name] = draw(old, generator).to(old.device, old.dtype)
    return replace(graph, tensors={name: drawn.get(name, tensor) for name, tensor in graph.tensors.items()})


def calibrated(graph: Graph, inputs: torch.Tensor, wanted: str) -> Graph:
    """The same network with the means and variances of its batch norms taken from these inputs, layer after layer."""
    norms = [step for step in graph.steps if _has_statistics(step)]
    if not norms:
        return graph
    own = {name for step in norms for name in (step.args[3].name, step.args[4].name)}
    tensors = {name: tensor.clone() if name in own else tensor for name, tensor in graph.tensors.items()}
    changed = {step.name: _measuring(step) for step in norms}
    measuring = replace(graph, steps=tuple(changed.get(s.name, s) for s in graph.steps), tensors=tensors)
    with torch.no_grad():
        plan(measuring, (wanted,))({INPUT: inputs})  # all norms below the logits see the values they would then see
    return replace(graph, tensors=tensors)


def _measuring(step: Step) -> Step:
    """A batch norm that takes its statistics from the batch and keeps them."""
    if step.function is _NORM:
        return replace(step, args=(*step.args[:5], True, 1.0, *step.args[7:]))
    return replace(step, function=_measure_decomposed, args=step.args)


def _measure_decomposed(
    values: torch.Tensor,
    scale: Any,
    shift: Any,
    mean: torch.Tensor,
    variance: torch.Tensor,
    momentum: float,
    eps: float,
) -> tuple[torch.Tensor, None, None]:
    return _NORM(values, scale, shift, mean, variance, True, 1.0, eps, False), None, None


def _has_statistics(step: Step) -> bool:
    if step.function not in (_NORM, _NORM_DECOMPOSED) or not all(isinstance(step.args[i], Param) for i in (3, 4)):
        return False
    return step.function is _NORM_DECOMPOSED or not step.args[5]


Draw = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


def _draws(graph: Graph, step: Step) -> dict[str, Draw]:
    """How each learned tensor of a step is drawn, by what the step does with it."""
    found: dict[str, Draw] = {}
    places: list[tuple[int | str, Any]] = [*enumerate(step.args), *step.kwargs.items()]
    for place, argument in places:
        if isinstance(argument, Param) and _is_learned(graph, argument.name):
            found[argument.name] = _draw(graph, step, place)
    return found


def _draw(graph: Graph, step: Step, place: int | str) -> Draw:
    if step.op in _NORM_ARGUMENTS:
        scale, shift = _NORM_ARGUMENTS[step.op]
        if place in (scale, "weight"):
            return _ones
        return _zeros if place in (shift, "bias") else _shuffled
    if step.kind == "conv" or step.op in _PRODUCTS:
        is_weight = place == "weight" or (place != "bias" and _is_weight(step, place))
        return _normal(graph, step) if is_weight else _zeros
    return _zeros if step.op == "add" else _shuffled


def _is_weight(step: Step, place: int | str) -> bool:
    return place == 2 if step.op == "addmm" else place == 1


def _normal(graph: Graph, step: Step) -> Draw:
    gain = 2.0 if _feeds_rectifier(graph, step) else 1.0
    transposed = step.op in ("addmm", "mm", "matmul", "bmm") or step.op.startswith("conv_transpose")

    def draw(old: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        fan_in = old.shape[0] * prod(old.shape[2:]) if transposed else prod(old.shape[1:])
        return torch.randn(old.shape, generator=generator) * (gain / max(fan_in, 1)) ** 0.5

    return draw


def _feeds_rectifier(graph: Graph, step: Step) -> bool:
    """Whether an activation follows, at once or after a norm."""
    name = step.name
    for _ in range(2):
        readers = [graph[reader] for reader in graph.readers[name]]
        if any(reader.kind == "activation" for reader in readers):
            return True
        norms = [reader.name for reader in readers if reader.kind == "norm"]
        if not norms:
            return False
        name = norms[0]
    return False


def _ones(old: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.ones(old.shape)


def _zeros(old: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.zeros(old.shape)


def _shuffled(old: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    flat = old.detach().cpu().flatten()
    return flat[torch.randperm(len(flat), generator=generator)].reshape(old.shape)


def _is_learned(graph: Graph, name: str) -> bool:
    return name in graph.learned or any(source in graph.learned for source in graph.sources.get(name, ()))
