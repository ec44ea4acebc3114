"""What if this operation were another one?  A rewriting from graph to graph that keeps names and shapes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn import functional as F

from convscope.errors import UnknownNameError, UsageError
from convscope.graph.graph import Graph, Ref, Step

Operation = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Rewriting:
    """Which operation is replaced, by what, with which settings."""

    where: str  # name of a step, or of an operation: then everywhere
    by: Operation | str
    settings: tuple[tuple[str, Any], ...] = ()


def swapped(graph: Graph, rewriting: Rewriting) -> Graph:
    """The graph with that operation replaced. Raises UnknownNameError if it is not there, UsageError if the shape changes."""
    named = graph.by_name.get(rewriting.where)
    chosen = [named] if named else [step for step in graph if step.op == rewriting.where]
    if not chosen:
        known = dict.fromkeys([*(step.name for step in graph.layers), *(step.op for step in graph.layers)])
        raise UnknownNameError("layer or operation", rewriting.where, known)
    new = {step.name: _replaced(graph, step, rewriting) for step in chosen}
    return graph.with_steps(new.get(step.name, step) for step in graph)


def _replaced(graph: Graph, step: Step, rewriting: Rewriting) -> Step:
    by = rewriting.by
    if isinstance(by, str):
        if by not in _KNOWN:
            raise UnknownNameError("replacement", by, _KNOWN)
        by = _KNOWN[by]
    first = next((arg for arg in step.args if isinstance(arg, Ref)), None)
    if first is None or step.shape is None or len(step.inputs) != 1:
        raise UsageError(
            f"The operation '{step.name}' was to be replaced.",
            f"'{step.op}' does not take one value and give one.",
            "Replace an activation, a pooling, a norm or a convolution.",
        )
    settings = dict(rewriting.settings)
    if isinstance(rewriting.by, str):
        settings["window"] = _window(step)
    new = replace(step, op=getattr(by, "__name__", "function"), function=by, args=(first,), kwargs=settings)
    _check_shape(graph, step, new)
    return new


def _check_shape(graph: Graph, old: Step, new: Step) -> None:
    source = new.inputs[0]
    shape = (1, *graph.input_shape) if source not in graph.by_name else graph[source].shape
    example = torch.zeros([2 if size is None else size for size in shape or ()])
    try:
        with torch.no_grad():
            found = tuple(new.function(example, **new.kwargs).shape[1:])
    except Exception as error:  # the function may be the user's own
        raise UsageError(
            f"The operation '{old.name}' was to be replaced by '{new.op}'.",
            f"That fails: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            "The replacement is called with the value of the layer below, and the settings given.",
        ) from error
    if old.shape is not None and found != tuple(old.shape[1:]):
        raise UsageError(
            f"The operation '{old.name}' was to be replaced by '{new.op}'.",
            f"That gives {found} for each image, the network needs {tuple(old.shape[1:])}.",
            "A replacement must keep the shape.",
        )


@dataclass(frozen=True)
class _Window:
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    shape: tuple[int, int]  # of the result


def _window(step: Step) -> _Window:
    """The window of a pooling or a convolution."""
    if step.kind != "pool" or step.shape is None or step.op.startswith("adaptive"):
        size = tuple(step.shape[-2:]) if step.shape is not None and len(step.shape) == 4 else (1, 1)
        return _Window((1, 1), (1, 1), (0, 0), size)  # type: ignore[arg-type]
    kernel = _pair(step.args[1])
    stride = _pair(step.argument(2, "stride") or kernel)
    shape = step.shape[-2], step.shape[-1]
    return _Window(kernel, stride, _pair(step.argument(3, "padding", 0)), shape)  # type: ignore[arg-type]


def _pair(value: Any) -> tuple[int, int]:
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    return (values[0], values[-1])


def identity(values: torch.Tensor, window: _Window | None = None) -> torch.Tensor:
    """Nothing is done."""
    return values


def subsample(values: torch.Tensor, window: _Window) -> torch.Tensor:
    """Every stride-th value, taken at the middle of the window it replaces (just inside the border where it lies beyond)."""
    for dim, i in ((-2, 0), (-1, 1)):
        middle = torch.arange(window.shape[i]) * window.stride[i] - window.padding[i] + (window.kernel[i] - 1) // 2
        values = values.index_select(dim, middle.clamp(0, values.shape[dim] - 1).to(values.device))
    return values


def average(values: torch.Tensor, window: _Window) -> torch.Tensor:
    """The mean of each window, of the values inside the image."""
    pooled = F.avg_pool2d(
        values, window.kernel, window.stride, window.padding, ceil_mode=False, count_include_pad=False
    )
    if tuple(pooled.shape[-2:]) != window.shape:
        pooled = F.avg_pool2d(
            values, window.kernel, window.stride, window.padding, ceil_mode=True, count_include_pad=False
        )
    return pooled


_KNOWN: dict[str, Operation] = {"identity": identity, "subsample": subsample, "average": average}
