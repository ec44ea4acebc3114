"""What does a value owe to the values below it?  A backward walk: signals flow down the graph, by a rule for each step.

A signal is whatever an attribution sends down: a gradient, relevance, a multiplier. A *rule* says what one step passes to each
of its inputs; a step without one passes the gradient. Each step is differentiated by itself (its inputs are cut off from what lies
below), so a rule sees one operation, never the whole network; modules that are reused or write in place are no special case.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from convscope.graph.graph import INPUT, Graph, Param, Ref, Size, Step, substitute
from convscope.walks.forward import needed

Signal = torch.Tensor
Inputs = tuple[torch.Tensor, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """One step as it was computed. Its arguments are filled in; inputs that signals flow to are leaves of autograd."""

    step: Step
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    names: tuple[str, ...]  # of the steps that `inputs` come from, one for each time it is read
    inputs: Inputs  # the values it reads that depend on the sources, in the order of its arguments
    value: Any  # what came out, followed by autograd down to `inputs` and no further; a tuple for several values

    def argument(self, index: int, name: str, default: Any = None) -> Any:
        """An argument, filled in, by position or keyword, whichever way it was passed."""
        return self.args[index] if len(self.args) > index else self.kwargs.get(name, default)

    def again(self, *inputs: torch.Tensor, **changed: Any) -> Any:
        """The step computed with other inputs in place of its own; `changed` replaces arguments: `args` or `kwargs`."""
        swap = {id(old): new for old, new in zip(self.inputs, inputs, strict=True)} if inputs else {}

        def put(leaf: Any) -> Any:
            return swap.get(id(leaf), leaf)

        args, kwargs = changed.get("args", self.args), changed.get("kwargs", self.kwargs)
        return self.step.function(*substitute(tuple(args), put), **substitute(dict(kwargs), put))

    def gradient(self, signal: Any, value: Any = None) -> tuple[Signal | None, ...]:
        """The signal times the derivative of the value (or of another `value` made of the same inputs) by each input."""
        value = self.value if value is None else value
        values, signals = (value, signal) if isinstance(value, (tuple, list)) else ((value,), (signal,))
        sent = [(v, s) for v, s in zip(values, signals, strict=True) if s is not None and v.requires_grad]
        if not sent:
            return (None,) * len(self.inputs)
        tops, given = zip(*sent, strict=True)
        return torch.autograd.grad(tops, self.inputs, given, retain_graph=True, allow_unused=True)


Rule = Callable[
    [Call, Any], Sequence[Signal | None]
]  # a step and the signal at its value -> the signal at each of its inputs
Rules = Callable[[Step], Rule | None]  # None: the gradient


def gradient(step: Step) -> Rule | None:
    """The rules of the plain gradient: none."""
    return None


@contextmanager
def recordable() -> Iterator[None]:
    """Lets values be followed by a backward walk, even where the caller computes in inference mode."""
    enabled = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.set_grad_enabled(enabled):
        yield


def recorded(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that a backward walk can start from; a copy of one that was made in inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor


@dataclass(frozen=True, eq=False)
class Tape:
    """A forward walk that remembers each step, so that signals can be sent back down any number of times."""

    calls: tuple[Call, ...]
    values: Mapping[str, Any]  # of the given and the wanted steps
    parts: Mapping[str, tuple[str, int, int]] = field(
        repr=False
    )  # a step that picks one value -> whose, which, of how many

    @recordable()
    def back(
        self, signals: Mapping[str, Signal], to: Sequence[str] = (INPUT,), rules: Rules = gradient
    ) -> dict[str, Signal]:
        """Sends signals down from the steps they are given for, and brings back what arrives at `to`; zeros where nothing does."""
        waiting: dict[str, Any] = {}
        found: dict[str, Signal] = {}
        for name, signal in signals.items():
            self._send(waiting, name, signal)
        for call in reversed(self.calls):
            name = call.step.name
            if name in to and name in waiting:
                found[name] = waiting[name]
            signal = waiting.pop(name, None)
            if signal is None:
                continue
            passed = (rules(call.step) or Call.gradient)(call, signal)
            for below, one in zip(call.names, passed, strict=True):
                if one is not None:
                    self._send(waiting, below, one)
        found |= {name: waiting[name] for name in to if name in waiting}
        return found | {name: torch.zeros_like(self.values[name]) for name in to if name not in found}

    def _send(self, waiting: dict[str, Any], name: str, signal: Signal) -> None:
        """Adds a signal to those that wait at a step."""
        if name not in self.parts:
            waiting[name] = waiting[name] + signal if name in waiting else signal
            return
        whole, index, n_values = self.parts[name]
        several = waiting.setdefault(whole, [None] * n_values)
        several[index] = signal if several[index] is None else several[index] + signal


def tape(
    graph: Graph,
    given: Mapping[str, Any],
    wanted: Sequence[str],
    size: tuple[int, int, int],
    sources: Sequence[str] | None = None,
) -> Tape:
    """Computes the wanted steps from the given values, remembering each step that depends on the `sources` (all given, by default).

    `size` is that of the images (batch, y, x). Values of wanted steps and of sources are kept. Raises UsageError if the given
    values do not suffice.
    """
    sources = tuple(given) if sources is None else tuple(sources)
    followed = graph.above(sources)
    steps = needed(graph, tuple(wanted), tuple(given))
    last_use = {name: i for i, step in enumerate(steps) for name in step.inputs}
    values: dict[str, Any] = dict(given)
    calls: list[Call] = []
    parts: dict[str, tuple[str, int, int]] = {}
    for i, step in enumerate(steps):
        if step.op == "getitem" and isinstance(values[step.inputs[0]], (tuple, list)):
            whole, index = step.inputs[0], int(step.args[1])
            values[step.name] = values[whole][index]
            if whole in followed:
                parts[step.name] = whole, index, len(values[whole])
        elif followed.isdisjoint(step.inputs):
            args, kwargs = _filled(graph, step, values, size, ())
            with torch.no_grad():
                values[step.name] = step.function(*args, **kwargs)
        else:
            call = _call(graph, step, values, size, followed)
            calls.append(call)
            values[step.name] = _detached(call.value)
        for name in step.inputs:
            if last_use[name] == i and name not in wanted and name not in given:
                values.pop(name, None)
    return Tape(tuple(calls), {name: values[name] for name in dict.fromkeys((*given, *wanted))}, parts)


def _call(graph: Graph, step: Step, values: Mapping[str, Any], size: tuple[int, int, int], followed: set[str]) -> Call:
    leaves_: list[tuple[str, torch.Tensor]] = []
    args, kwargs = _filled(graph, step, values, size, followed, leaves_)
    with torch.enable_grad():
        value = step.function(*args, **kwargs)
    return Call(step, args, kwargs, tuple(name for name, _ in leaves_), tuple(leaf for _, leaf in leaves_), value)


def _filled(
    graph: Graph,
    step: Step,
    values: Mapping[str, Any],
    size: tuple[int, int, int],
    followed: "set[str] | tuple[()]",
    found: list[tuple[str, torch.Tensor]] | None = None,
) -> tuple[tuple, dict[str, Any]]:
    """The arguments of a step; values that are followed become leaves of autograd, and are put into `found`."""

    def fill(argument: Any) -> Any:
        if isinstance(argument, Param):
            return graph.tensors[argument.name].detach()
        if isinstance(argument, Size):
            return argument.at(*size)
        if not isinstance(argument, Ref):
            return argument
        value = values[argument.step]
        if found is None or argument.step not in followed or not isinstance(value, torch.Tensor):
            return value
        leaf = value.detach().view_as(value)
        if leaf.is_floating_point():
            leaf.requires_grad_()
            found.append((argument.step, leaf))
        return leaf

    return substitute(step.args, fill), substitute(dict(step.kwargs), fill)


def _detached(value: Any) -> Any:
    return tuple(part.detach() for part in value) if isinstance(value, (tuple, list)) else value.detach()
