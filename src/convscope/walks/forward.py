"""What values do these layers take?  A forward walk computes the wanted steps, and only what they need, in one pass."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from convscope.errors import UsageError
from convscope.graph.graph import INPUT, Graph, Param, Ref, Size, Step, leaves
from convscope.walks.fuse import conv_relu, fuse_relu

# Operations that may write their value over that of their first input, when nobody needs it any more.
_OVERWRITING = frozenset(
    {"relu", "relu6", "silu", "hardswish", "hardsigmoid", "leaky_relu", "hardtanh", "sigmoid", "elu", "add", "mul"}
)
# Their values are new memory, which no other value shows.
_FRESH = frozenset({"conv2d", "linear", "batch_norm", "max_pool2d", "avg_pool2d", "cat", *_OVERWRITING})

Tap = Callable[[str, Any], None]


@dataclass(frozen=True)
class Plan:
    """An order of work for one set of wanted steps, made once and run often.

    Calling it with the values of the given steps (`batch unit y x` as the network holds them) returns those of the wanted ones.
    """

    given: tuple[str, ...]
    wanted: tuple[str, ...]
    plain: "Program"  # differentiable
    quick: (
        "Program"  # for values that nobody differentiates: writes over what is not needed, joins ReLUs to convolutions
    )

    def __call__(
        self, values: Mapping[str, Any], size: tuple[int, int, int] | None = None, tap: Tap | None = None
    ) -> dict[str, Any]:
        """The wanted values; differentiable if gradients are enabled and a given value asks for them.

        `size` is that of the images (batch, y, x), where the first given value is not the images themselves. `tap` is called with
        the name and value of each tapped step as soon as it is there; the memory may be used again after it returns.
        """
        first = values[self.given[0]]
        sizes = size or (first.shape[0], *first.shape[2:4])
        slow = any(_differentiated(value) or not is_finite(value) for value in values.values())
        program = self.plain if slow else self.quick
        found = program.run([values[name] for name in self.given], sizes, tap)
        return {name: found[program.slots[name]] for name in self.wanted}


@dataclass(frozen=True)
class Program:
    """Instructions over numbered places for values; the given values stand in the first places."""

    instructions: "tuple[_Instruction, ...]"
    slots: Mapping[str, int]
    n_given: int

    def run(self, given: Sequence[Any], sizes: tuple[int, ...], tap: Tap | None) -> list[Any]:
        slots: list[Any] = [*given, *[None] * (len(self.slots) - self.n_given)]
        for step in self.instructions:
            args, kwargs = list(step.args), dict(step.kwargs)
            for place, hole in step.holes:
                (kwargs if isinstance(place, str) else args)[place] = hole(slots, sizes)  # type: ignore[index]
            slots[step.target] = step.function(*args, **kwargs)
            if step.tapped and tap:
                tap(step.tapped, slots[step.target])
            for slot in step.done:
                slots[slot] = None
        return slots


def _differentiated(value: Any) -> bool:
    """Whether somebody follows this value: a backward pass, a forward-mode derivative, or another transform of torch.func."""
    if isinstance(value, (list, tuple)):
        return any(_differentiated(part) for part in value)
    transformed = torch._C._functorch.peek_interpreter_stack() is not None
    forward_mode = torch.autograd.forward_ad._current_level >= 0
    return transformed or forward_mode or (torch.is_grad_enabled() and bool(value.requires_grad))


def is_finite(value: Any) -> bool:
    """Whether these are numbers; a convolution joined with its ReLU would turn NaN into 0. On a GPU nothing is joined."""
    if isinstance(value, (list, tuple)):
        return all(is_finite(part) for part in value)
    return value.device.type != "cpu" or not value.is_floating_point() or bool(torch.isfinite(value.sum()))


_Hole = Callable[[list[Any], tuple[int, ...]], Any]


@dataclass(frozen=True, slots=True)
class _Instruction:
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    holes: tuple[tuple[int | str, _Hole], ...]  # arguments by place or keyword that must be filled in
    target: int
    done: tuple[int, ...]  # slots nobody reads after this step
    tapped: str | None  # its name, if its value is to be shown as soon as it is there


def plan(graph: Graph, wanted: Iterable[str], given: Sequence[str] = (INPUT,), tapped: Collection[str] = ()) -> Plan:
    """The shortest pass from the given values to the wanted ones; tapped steps are computed, shown once and not kept.

    Raises UsageError if a wanted or tapped step does not follow from the given ones.
    """
    wanted, given = tuple(dict.fromkeys(wanted)), tuple(given)
    kept = {*wanted, *given, *tapped}
    return Plan(
        given,
        wanted,
        plain=program(graph, wanted, given, tapped),
        quick=program(fuse_relu(graph, kept), wanted, given, tapped, overwrite=_FRESH),
    )


def program(
    graph: Graph,
    wanted: Sequence[str],
    given: Sequence[str],
    tapped: Collection[str] = (),
    *,
    overwrite: Collection[str] = (),
    read_once: bool = False,
) -> Program:
    """Instructions for the wanted steps. The values of operations in `overwrite` may be written over by their last reader.

    With `read_once`, by their only reader: others may have kept what they read, for a backward pass.
    """
    steps = needed(graph, (*wanted, *tapped), given)
    slots = {name: i for i, name in enumerate((*given, *(step.name for step in steps)))}
    last_use = {name: i for i, step in enumerate(steps) for name in step.inputs}
    overwritable: set[str] = set()
    instructions = []
    for i, step in enumerate(steps):
        done = tuple(slots[n] for n in dict.fromkeys(step.inputs) if last_use[n] == i and n not in wanted)
        if step.name not in last_use and step.name not in wanted:  # only tapped
            done = (*done, slots[step.name])
        places: list[tuple[int | str, Any]] = [*enumerate(step.args), *step.kwargs.items()]
        filled = {place: _filled(argument, graph, slots) for place, argument in places}
        in_place = _in_place(graph, step, overwritable, last_use, i, wanted)
        if _is_among(step, overwrite) and not (read_once and len(graph.readers[step.name]) > 1):
            overwritable.add(step.name)
        instructions.append(
            _Instruction(
                function=in_place or step.function,
                args=tuple(arg for arg, _ in filled.values())[: len(step.args)],
                kwargs={key: arg for key, (arg, _) in filled.items() if isinstance(key, str)},
                holes=tuple((place, hole) for place, (_, hole) in filled.items() if hole),
                target=slots[step.name],
                done=done,
                tapped=step.name if step.name in tapped else None,
            )
        )
    return Program(tuple(instructions), slots, len(given))


def needed(graph: Graph, wanted: Sequence[str], given: Sequence[str]) -> list[Step]:
    """The steps between given and wanted values, in order. Raises UsageError if they do not suffice."""
    missing = set(wanted) - set(given)
    steps = []
    for step in reversed(graph.steps):
        if step.name in missing:
            missing.discard(step.name)
            missing.update(name for name in step.inputs if name not in given)
            steps.append(step)
    if missing:
        raise UsageError(
            f"The values of {', '.join(wanted)} were asked for, from those of {', '.join(given)}.",
            f"They also depend on {', '.join(sorted(missing))}.",
            "Give these values too.",
        )
    return steps[::-1]


def _in_place(
    graph: Graph, step: Step, overwritable: set[str], last_use: Mapping[str, int], now: int, wanted: Sequence[str]
) -> Callable[..., Any] | None:
    """The overwriting form of a step, where its first input is new memory that nobody reads afterwards."""
    if not _is_among(step, _OVERWRITING) or step.kwargs or not isinstance(step.args[0], Ref):
        return None
    first = step.args[0].step
    others = [leaf.step for leaf in leaves(step.args[1:]) if isinstance(leaf, Ref)]
    if first not in overwritable or first in wanted or first in others or last_use[first] != now:
        return None
    if graph[first].shape != step.shape:  # a broadcast sum is larger than its input
        return None
    if any(not _is_among(graph[reader], _FRESH) for reader in graph.readers[first] if reader != step.name):
        return None  # somebody may still look at this memory through a view
    name, overload = step.function._schema.name.split("::")[1], step.function._overloadname
    packet = getattr(torch.ops.aten, f"{name}_", None)
    return getattr(packet, overload) if packet is not None and overload in packet.overloads() else None


def _is_among(step: Step, operations: Collection[str]) -> bool:
    """Whether a step is one of these operations; a function that was swapped in may be called like one, and do anything."""
    own = isinstance(step.function, torch._ops.OpOverload) or step.function is conv_relu
    return own and step.op in operations


def _filled(argument: Any, graph: Graph, slots: Mapping[str, int]) -> tuple[Any, _Hole | None]:
    """An argument that is ready, or how to get it when the time comes."""
    if isinstance(argument, Param):
        return graph.tensors[argument.name], None
    if isinstance(argument, Ref):
        slot = slots[argument.step]
        return None, lambda values, sizes: values[slot]
    if isinstance(argument, Size):
        return None, lambda values, sizes: argument.at(*sizes)
    if isinstance(argument, (list, tuple)):
        parts = [_filled(part, graph, slots) for part in argument]
        if all(hole is None for _, hole in parts):
            return [part for part, _ in parts], None
        return None, lambda values, sizes: [hole(values, sizes) if hole else part for part, hole in parts]
    return argument, None
