"""How fast does an output change with the values of a layer?  The plain gradient, for many variants of an image.

Where no rule is changed, autograd follows the whole way at once. What makes it quick: batch norms are folded, ReLUs computed with
their convolutions, values written over where the backward pass does not need them, maps are channels-last on a CPU. And the first
steps are often linear (a convolution of the image): where only a sum of gradients is asked for, it is made above them and sent
down through them once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import torch

from convscope.graph.graph import Graph, Ref, Step
from convscope.walks.forward import Program, is_finite, needed, program
from convscope.walks.fuse import conv_relu, fuse_relu

# Linear in the one value they read, whatever else they are given.
_LINEAR = frozenset(
    {"conv2d", "linear", "batch_norm", "avg_pool2d", "reshape", "flatten", "permute", "transpose", "pad"}
)
# Their values may be written over: a backward pass reads what went in, not what came out.
_FORGOTTEN = frozenset({"conv2d", "linear", "batch_norm", "add", "cat", "avg_pool2d"})
MOST_BYTES = (
    24 * 2**20
)  # of the largest value of a batch; larger ones cost more in fresh memory than they save in calls

Placed = dict[int, tuple[torch.Tensor, torch.Tensor]]  # by the weight's id: the weight, and as it is used here
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

    def up(
        self, values: Mapping[str, Any], size: tuple[int, int, int], signal: Signal
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The output's value, and the gradient of what `signal` weighs at the entry."""
        given = {name: self._placed(values[name]) for name in (self.layer, *self.beside)}
        with torch.no_grad():
            (entered,) = self._run(self._below, given, size, (self.entry,))
        leaf = entered.detach().requires_grad_()
        quick = leaf.device.type == "cpu" and all(map(is_finite, (leaf, *given.values())))
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
        if id(tensor) not in self.placed:
            self.placed[id(tensor)] = tensor, self._placed(tensor.detach())
        return self.placed[id(tensor)][1]

    @cached_property
    def _below(self) -> Program:
        return program(self._placed_graph, (self.entry,), (self.layer,))

    @cached_property
    def _plain(self) -> Program:
        return program(self._placed_graph, (self.output,), (self.entry, *self.beside))

    @cached_property
    def _quick(self) -> Program:
        graph = self._placed_graph
        fused = fuse_relu(graph, {self.entry, self.layer, self.output, *self.beside})
        steps = (
            replace(step, function=_ConvReLU.apply) if step.function is conv_relu else step for step in fused.steps
        )
        return program(
            fused.with_steps(steps), (self.output,), (self.entry, *self.beside), overwrite=_FORGOTTEN, read_once=True
        )


class _ConvReLU(torch.autograd.Function):
    """A convolution and the ReLU above it, with the gradient by the values."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, weight: torch.Tensor, *rest: Any) -> torch.Tensor:
        found = conv_relu(values, weight, *rest)
        ctx.save_for_backward(weight, found)
        ctx.shape, ctx.settings = values.shape, rest[1:]
        return found

    @staticmethod
    def backward(ctx: Any, signal: torch.Tensor) -> Any:
        weight, found = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.settings
        signal = torch.ops.aten.threshold_backward(signal, found, 0)
        like = found.new_empty(1).expand(ctx.shape)  # only its form counts
        like = torch.empty_like(like, memory_format=torch.channels_last)
        passed, _, _ = torch.ops.aten.convolution_backward(
            signal, like, weight, None, stride, padding, dilation, False, [0, 0], groups, [True, False, False]
        )
        return passed, *[None] * 6


def _size(step: Step) -> int:
    return prod(n for n in step.shape[1:] if n is not None) if step.shape else 0
