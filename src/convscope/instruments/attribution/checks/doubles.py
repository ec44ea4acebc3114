"""Which networks stand in for the one that is explained?  The same with weights drawn anew.

They are made once for a network, and the last few are kept as long as it lives.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any
from weakref import WeakKeyDictionary

import torch

from convscope.graph.graph import Graph, Step
from convscope.network import Network

STAGES = (0.0, 0.25, 1.0)  # share of the layers with weights that are drawn anew; 0 is the last one alone
MOST = 4  # image sizes, targets' layers and seeds for which networks are kept; the oldest go first

_redrawn: "WeakKeyDictionary[Network, dict[Any, tuple[Redrawn, ...]]]" = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Redrawn:
    """A network whose upper layers have forgotten what they learned."""

    network: Network
    first: str  # the lowest layer that was drawn anew
    n_layers: int  # how many were


def redrawn(network: Network, inputs: torch.Tensor, target: str, seed: int) -> tuple[Redrawn, ...]:
    """The network with the weights below a target drawn anew: those of its last layer, of its upper quarter, all.

    Cascading randomisation, Adebayo et al. 2018 (arXiv:1810.03292), section 3.1. Every learned tensor is drawn from a uniform
    distribution of its own mean and spread; a lower stage keeps the draws of those above. Empty where nothing was learned.
    They compute like `network.quick_for(inputs)`.
    """
    key = tuple(inputs.shape[2:]), target, seed
    known = _redrawn.setdefault(network, {})
    if key not in known:
        if len(known) >= MOST:
            known.pop(next(iter(known)))
        quick = network.quick_for(inputs)
        known[key] = tuple(_cascade(quick, quick.graph_for(inputs), target, seed))
    return known[key]


def _cascade(network: Network, graph: Graph, target: str, seed: int) -> Iterator[Redrawn]:
    below = graph.below([target])
    steps = [step for step in reversed(graph.steps) if step.name in below and _learned(graph, step)]
    ends = [i for i, step in enumerate(steps) if step.kind != "norm"]  # norms go with the layer they stand on
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[str, torch.Tensor] = {}
    for n in sorted({max(1, ceil(share * len(ends))) for share in STAGES}) if ends else []:
        for name in (name for step in steps[: ends[n - 1] + 1] for name in _learned(graph, step)):
            if name not in drawn:
                drawn[name] = _draw(graph.tensors[name], generator)
        yield Redrawn(_with(network, graph, dict(drawn)), steps[ends[n - 1]].name, n)


def _learned(graph: Graph, step: Step) -> list[str]:
    """The tensors of a step that training changed."""
    return [name for name in step.params if any(one in graph.learned for one in graph.sources.get(name, (name,)))]


def _draw(old: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Uniform numbers (as layers are initialised) of the same mean and spread; of a single number, up to twice its size."""
    flat = old.detach().float().flatten()
    mean, squares = float(flat.mean()), float(flat.norm()) ** 2 / flat.numel()
    spread = max(0.0, squares - mean**2) ** 0.5 if flat.numel() > 1 else abs(mean)
    half = 3**0.5 * spread
    fresh = torch.empty(old.shape).uniform_(mean - half, mean + half, generator=generator)
    return fresh.to(old.device, old.dtype)


def _with(network: Network, graph: Graph, drawn: Mapping[str, torch.Tensor]) -> Network:
    """The network with some tensors replaced; what was folded of the others is used again."""
    changed = {step.name for step in graph.steps if not drawn.keys().isdisjoint(step.params)}
    folded = {pair: made for pair, made in network._kept.folded.items() if changed.isdisjoint(pair)}
    tensors = {name: drawn.get(name, tensor) for name, tensor in graph.tensors.items()}
    kept = type(network._kept)(folded=folded)
    return replace(network, graph=replace(graph, tensors=tensors), redrawn=True, _kept=kept)
