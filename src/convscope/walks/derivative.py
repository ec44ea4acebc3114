"""How fast does an output change with the values of a layer?  The plain gradient, for many variants of an image.

Where no rule is changed, autograd follows the whole way at once. What makes it quick: batch norms are folded, ReLUs computed with
their convolutions, values written over where the backward pass does not need them, maps are channels-last on a CPU. And the first
steps are often linear (a convolution of the image): where only a sum of gradients is asked for, it is made above them and sent
down through them once.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import prod
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from convscope.graph.graph import Graph, Ref, Step
from convscope.walks.forward import Program, is_finite, needed, program
from convscope.walks.fuse import conv_relu, fuse_relu

# Linear in the one value they read, whatever else they are given.
_LINEAR = frozenset(
    {"conv2d", "linear", "batch_norm", "avg_pool2d", "reshape", "flatten", "permute", "transpose", "pad"}
)
# Their values may be written over: a backward pass reads what went in, not what came out.
_FORGOTTEN = frozenset({"conv2d", "linear", "batch_norm", "add", "cat", "avg_pool2d", "max_pool2d"})
# They pass a gradient on in memory of its own, that nobody else reads.
_OWN_MEMORY = frozenset({"conv2d", "linear", "max_pool2d", "avg_pool2d"})
MOST_BYTES = (
    24 * 2**20
)  # of the largest value of a batch; larger ones cost more in fresh memory than they save in calls

Placed = WeakTensorKeyDictionary  # a weight -> as it is used here, as long as the network has it
Signal = Callable[[torch.Tensor], torch.Tensor]  # a value of the output -> the derivative of the score by it


@dataclass(frozen=True, eq=False)
class Derivative:
    """The way from a layer to an output, to be gone up and down; made once."""

    graph: Graph  # as the network is computed; batch norms folded
    layer: str
    output: str
    beside: tuple[str, ...]  # values that flow past the layer
    placed: Placed  # weights that were made ready before, by whichever derivative of the same network

    @cached_property
    def entry(self) -> str:
        """The last of the linear steps that follow the layer and nothing else; the layer itself where there are none."""
        at = self.layer
        while at != self.output and len(readers := self.graph.readers[at]) == 1:
            step = self.graph[readers[0]]
            if step.op not in _LINEAR or step.inputs != (at,) or step.args[0] != Ref(at):
                break
            if step.name == self.output or step.layout[0] is None:
                break
            at = step.name
        return at

    def n_at_once(self, shape: torch.Size) -> int:
        """How many variants of an image to compute together, given the shape of the layer's values."""
        largest = max([prod(shape[1:]), *(_size(step) for step in self._steps)])
        return max(1, MOST_BYTES // (4 * largest))

    def enter(self, values: Mapping[str, Any], size: tuple[int, int, int]) -> torch.Tensor:
        """The entry's value, from the layer's."""
        with torch.no_grad():
            given = {self.layer: self._placed(values[self.layer])}
            (entered,) = self._run(self._below, given, size, (self.entry,))
        return entered.detach()

    def up(
        self, entered: torch.Tensor, beside: Mapping[str, Any], size: tuple[int, int, int], signal: Signal
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The output's value from the entry's, and the gradient by it of what `signal` weighs."""
        given = {self.entry: entered} | {name: self._placed(beside[name]) for name in self.beside}
        leaf = entered.view_as(entered).requires_grad_()
        quick = leaf.device.type == "cpu" and all(map(is_finite, given.values()))
        with torch.enable_grad():
            (value,) = self._run(
                self._quick if quick else self._plain, {**given, self.entry: leaf}, size, (self.output,)
            )
            value = value if value.requires_grad else value + 0 * leaf.sum()  # rounded on the way, for example
            (found,) = torch.autograd.grad(value, leaf, signal(value.detach()), materialize_grads=True)
        return value.detach(), found

    def down(self, found: torch.Tensor, values: Mapping[str, Any], size: tuple[int, int, int]) -> torch.Tensor:
        """A gradient at the entry, sent on to the layer; `values` may be any of the right shape."""
        if self.entry == self.layer:
            return found
        leaf = self._placed(values[self.layer]).detach().requires_grad_()
        with torch.enable_grad():
            (entered,) = self._run(self._below, {self.layer: leaf}, size, (self.entry,))
        return torch.autograd.grad(entered, leaf, found)[0]

    def whole(
        self, values: Mapping[str, Any], size: tuple[int, int, int], signal: Signal
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The output's value, and the gradient by the layer's of what `signal` weighs: up and down again, in one go."""
        leaf = self._placed(values[self.layer]).detach().requires_grad_()
        with torch.enable_grad():
            (entered,) = self._run(self._below, {self.layer: leaf}, size, (self.entry,))
        value, found = self.up(entered.detach(), values, size, signal)
        return value, found if self.entry == self.layer else torch.autograd.grad(entered, leaf, found)[0]

    def _run(
        self, steps: Program, values: Mapping[str, Any], size: tuple[int, int, int], wanted: tuple[str, ...]
    ) -> list[Any]:
        given = list(steps.slots)[: steps.n_given]
        found = steps.run([values[name] for name in given], size, None)
        return [found[steps.slots[name]] for name in wanted]

    def _placed(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dim() == 4 and value.device.type == "cpu":
            return value.contiguous(memory_format=torch.channels_last)
        return value

    @cached_property
    def _steps(self) -> list[Step]:
        return needed(self.graph, (self.output,), (self.layer, *self.beside))

    @cached_property
    def _placed_graph(self) -> Graph:
        read = {name for step in self._steps for name in step.params}
        made = {name: self._weight(t) if name in read else t for name, t in self.graph.tensors.items()}
        return replace(self.graph, tensors=made)

    def _weight(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor not in self.placed:
            own = tensor.detach()
            placed = self._placed(own)
            if placed is own:
                return own
            self.placed[tensor] = placed
        found: torch.Tensor = self.placed[tensor]
        return found

    @cached_property
    def _below(self) -> Program:
        return program(self._placed_graph, (self.entry,), (self.layer,))

    @cached_property
    def _plain(self) -> Program:
        return program(self._placed_graph, (self.output,), (self.entry, *self.beside))

    @cached_property
    def _quick(self) -> Program:
        given = self.entry, *self.beside
        fused = fuse_relu(_pooled_first(self._placed_graph, {*given, self.output}), {*given, self.layer, self.output})

        def followed(step: Step) -> Step:
            if step.function is not conv_relu:
                return step
            readers = fused.readers[step.name]
            own = step.name != self.output and len(readers) == 1 and fused[readers[0]].op in _OWN_MEMORY
            return replace(step, function=partial(_ConvReLU.apply, own))

        graph = fused.with_steps(map(followed, fused.steps))
        return program(graph, (self.output,), given, overwrite=_FORGOTTEN, read_once=True)


def _pooled_first(graph: Graph, keep: Collection[str]) -> Graph:
    """The same network with max-pools below the ReLUs they follow: the same values and gradients, of maps a quarter as large."""
    changed: dict[str, Step] = {}
    for pool in graph.steps:
        below = graph.by_name.get(pool.inputs[0]) if pool.function is torch.ops.aten.max_pool2d.default else None
        if below is None or below.function is not torch.ops.aten.relu.default or below.name in keep:
            continue
        if graph.readers[below.name] == (pool.name,):
            changed[below.name] = replace(pool, name=below.name, args=(below.args[0], *pool.args[1:]))
            changed[pool.name] = replace(
                below, name=pool.name, args=(pool.args[0],), shape=pool.shape, layout=pool.layout
            )
    return graph.with_steps(changed.get(step.name, step) for step in graph.steps)


class _ConvReLU(torch.autograd.Function):
    """A convolution and the ReLU above it, with the gradient by the values."""

    @staticmethod
    def forward(ctx: Any, alone: bool, values: torch.Tensor, weight: torch.Tensor, *rest: Any) -> torch.Tensor:
        found = conv_relu(values, weight, *rest)
        ctx.save_for_backward(weight, found)
        ctx.alone, ctx.shape, ctx.settings = alone, values.shape, rest[1:]
        return found

    @staticmethod
    def backward(ctx: Any, signal: torch.Tensor) -> Any:
        weight, found = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.settings
        if ctx.alone:  # the signal is nobody else's, and may be written over
            torch.ops.aten.threshold_backward.grad_input(signal, found, 0, grad_input=signal)
        else:
            signal = torch.ops.aten.threshold_backward(signal, found, 0)
        like = found.new_empty(1).expand(ctx.shape)  # only its form counts
        like = torch.empty_like(like, memory_format=torch.channels_last)
        passed, _, _ = torch.ops.aten.convolution_backward(
            signal, like, weight, None, stride, padding, dilation, False, [0, 0], groups, [True, False, False]
        )
        return None, passed, *[None] * 6


def _size(step: Step) -> int:
    return prod(n for n in step.shape[1:] if n is not None) if step.shape else 0
