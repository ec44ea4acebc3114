"""What does this network compute?  A list of primitive steps, each with the name its owner knows.

A graph is data: reading one makes it (`read.py`), walks go over it (`convscope.walks`), rewritings return another one. Every
step computes a new value (no step writes into another's), so the value of any step can be asked for, kept or replaced.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import sympy
import torch

from convscope.graph import ops
from convscope.graph.layout import Layout

INPUT = "input"  # the name under which the images enter


@dataclass(frozen=True, slots=True)
class Ref:
    """The value of another step, as an argument."""

    step: str


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter, buffer or constant of the graph, as an argument."""

    name: str


@dataclass(frozen=True, slots=True)
class Size:
    """A size that follows the input's, as an argument: an expression in `batch`, `y` and `x`."""

    expression: sympy.Expr

    def at(self, batch: int, y: int, x: int) -> int:
        """The number for an input of these sizes."""
        return _evaluate(self.expression, batch, y, x)


@dataclass(frozen=True, slots=True)
class Step:
    """One primitive operation of the network."""

    name: str  # unique; for a layer, the module path its owner knows
    op: str  # what it does: "conv2d", "relu", "add" ...
    function: Any  # an ATen operation, or a function of the same arguments
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    shape: tuple[int | None, ...] | None  # of its value; None stands for the batch; no shape for a list of values
    module: str = ""  # path of the module it was written in
    where: str = ""  # "resnet.py:102" and the line of code
    layout: tuple[Layout | None, ...] = (None,)  # which axis is which, one for each value of the step

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the steps whose values it reads, in the order of its arguments."""
        return tuple(leaf.step for leaf in leaves((self.args, self.kwargs)) if isinstance(leaf, Ref))

    @property
    def params(self) -> tuple[str, ...]:
        """Names of the parameters, buffers and constants it reads."""
        return tuple(leaf.name for leaf in leaves((self.args, self.kwargs)) if isinstance(leaf, Param))

    @property
    def kind(self) -> str:
        """What family of operation it is: "conv", "norm", "activation" ...; "plumbing" only moves values about."""
        return ops.kind(self.op)

    @property
    def is_layer(self) -> bool:
        """Whether it has units of its own, and so a row in the table of layers."""
        return self.kind != "plumbing" and self.layout[0] is not None

    def argument(self, index: int, name: str, default: Any = None) -> Any:
        """An argument by position or keyword, whichever way it was passed."""
        return self.args[index] if len(self.args) > index else self.kwargs.get(name, default)

    def __str__(self) -> str:
        return f"{self.name} = {self.op}({', '.join(self.inputs)})"


@dataclass(frozen=True)
class Graph:
    """A network as steps in the order they are computed."""

    steps: tuple[Step, ...]
    tensors: Mapping[str, torch.Tensor]  # parameters, buffers and constants by name
    input_shape: tuple[int, int, int]  # channel y x
    outputs: Mapping[str, str]  # name of an output -> name of the step that gives it
    modules: Mapping[str, str] = field(default_factory=dict)  # path of a module -> the step that gives its output
    sources: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # a constant -> the parameters it was made from
    learned: Mapping[str, int] = field(default_factory=dict)  # number of entries of each of the owner's parameters
    any_size: bool = False  # takes images of other sizes than input_shape as it stands
    input_layout: Layout | None = None

    @cached_property
    def by_name(self) -> dict[str, Step]:
        return {step.name: step for step in self.steps}

    @cached_property
    def readers(self) -> dict[str, tuple[str, ...]]:
        """For each step (and the input), the steps that read its value."""
        found: dict[str, list[str]] = {name: [] for name in (INPUT, *(step.name for step in self.steps))}
        for step in self.steps:
            for name in dict.fromkeys(step.inputs):
                found[name].append(step.name)
        return {name: tuple(readers) for name, readers in found.items()}

    @property
    def layers(self) -> tuple[Step, ...]:
        """The steps that have units of their own."""
        return tuple(step for step in self.steps if step.is_layer)

    def __getitem__(self, name: str) -> Step:
        return self.by_name[name]

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def below(self, names: Iterable[str]) -> set[str]:
        """The steps that these depend on, themselves included."""
        wanted = set(names)
        for step in reversed(self.steps):
            if step.name in wanted:
                wanted.update(step.inputs)
        return wanted

    def above(self, names: Iterable[str]) -> set[str]:
        """The steps that depend on these, themselves included."""
        reached = set(names)
        for step in self.steps:
            if not reached.isdisjoint(step.inputs):
                reached.add(step.name)
        return reached

    def parameters_of(self, step: Step) -> tuple[str, ...]:
        """The owner's parameters that a step reads, also those it reads through a constant computed from them."""
        found: dict[str, None] = {}
        for name in step.params:
            found.update(dict.fromkeys(self.sources.get(name, (name,))))
        return tuple(found)

    def with_steps(self, steps: Iterable[Step], **changes: Any) -> "Graph":
        """The same graph with other steps."""
        return replace(self, steps=tuple(steps), **changes)

    def moved(
        self, move: Callable[[torch.Tensor], torch.Tensor], constant: Callable[[Any], Any] = lambda value: value
    ) -> "Graph":
        """The same graph with every tensor put through `move` (another device, precision, memory format).

        `constant` does the same to what stands in the arguments of steps: a precision to convert to, a device to create on.
        """
        steps = tuple(
            replace(step, args=substitute(step.args, constant), kwargs=substitute(step.kwargs, constant))
            for step in self.steps
        )
        return replace(self, steps=steps, tensors={name: move(tensor) for name, tensor in self.tensors.items()})


def leaves(argument: Any) -> Iterator[Any]:
    """Every single thing in nested arguments, left to right."""
    if isinstance(argument, (tuple, list)):
        for item in argument:
            yield from leaves(item)
    elif isinstance(argument, Mapping):
        for item in argument.values():
            yield from leaves(item)
    else:
        yield argument


def substitute(argument: Any, change: Callable[[Any], Any]) -> Any:
    """Nested arguments with every single thing put through `change`."""
    if isinstance(argument, tuple):
        return tuple(substitute(item, change) for item in argument)
    if isinstance(argument, list):
        return [substitute(item, change) for item in argument]
    if isinstance(argument, Mapping):
        return {key: substitute(item, change) for key, item in argument.items()}
    return change(argument)


@lru_cache(maxsize=4096)
def _evaluate(expression: sympy.Expr, batch: int, y: int, x: int) -> int:
    return int(expression.subs({"batch": batch, "y": y, "x": x}))
