"""What does an operation make of windows?  Operations that treat each position alone, or join what stands at the same position.

`rule_for` gives the rule for any step; those for operations that look at neighbours are in `local_neighbours`.
"""

from collections.abc import Callable
from itertools import pairwise
from math import prod
from operator import getitem
from typing import Any

import torch

from convscope.graph.axes import reduced_dims
from convscope.graph.graph import Size, Step, leaves
from convscope.walks.fuse import conv_relu
from convscope.walks.local_neighbours import global_mean
from convscope.walks.local_place import RULES, Local, NotLocal, Place, Rule, Values, rule
from convscope.walks.window import Axes, Window, union


def rule_for(step: Step) -> Rule:
    """The rule for a step. Raises NotLocal."""
    own = isinstance(step.function, torch._ops.OpOverload) or step.function in (conv_relu, getitem)
    if not own:
        raise NotLocal(f"'{step.op}' is a function that was put there")
    if step.op not in _RESHAPED and any(isinstance(leaf, Size) for leaf in leaves((step.args, step.kwargs))):
        raise NotLocal(f"'{step.op}' depends on the number of images")
    if step.op in RULES:
        return RULES[step.op]
    if step.kind in ("sum", "product", "pointwise"):
        return _broadcast
    if step.kind == "activation":
        return _each_alone
    raise NotLocal(f"'{step.op}' has no local rule")


def _common(place: Place) -> Window:
    """One window for all changed inputs and the value, where they stand for the same positions."""
    axes, windows = place.whole_axes(), list(place.windows.items())
    n_dims = len(place.unchanged.shape(place.step.name))
    for name, window in windows:
        behind = len(place.unchanged.shape(name))
        if [axis - behind for axis in window.axes] != [axis - n_dims for axis in axes]:
            raise NotLocal(f"'{place.step.op}' joins rows with columns")
    return Window(union([w.y for _, w in windows]), union([w.x for _, w in windows]), axes)


def _broadcast(place: Place) -> Local:
    """Sums, products: both sides in one window."""
    window, step = _common(place), place.step
    args = [place.brought(argument, window) for argument in step.args]
    kwargs = {key: place.brought(argument, window) for key, argument in step.kwargs.items()}

    def compute(values: Values) -> Any:
        return step.function(*(arg(values) for arg in args), **{key: arg(values) for key, arg in kwargs.items()})

    return Local(window, compute)


@rule("cat")
def _concatenated(place: Place) -> Local:
    window, step = _common(place), place.step
    dim = step.argument(1, "dim", 0) % len(place.unchanged.shape(step.name))
    if dim in (0, *window.axes):
        raise NotLocal("'cat' puts maps beside each other")
    parts = [place.brought(argument, window) for argument in step.args[0]]

    def compute(values: Values) -> Any:
        found = [part(values) for part in parts]
        return torch.cat([part.expand(window.n, *part.shape[1:]) for part in found], dim)

    return Local(window, compute)


_SIDEWAYS: dict[str, Callable[[Step, int], list[int]]] = {
    "softmax": lambda step, n_dims: [step.args[1]],
    "log_softmax": lambda step, n_dims: [step.args[1]],
    "layer_norm": lambda step, n_dims: list(range(-len(step.args[1]), 0)),
    "rms_norm": lambda step, n_dims: list(range(-len(step.args[1]), 0)),
    "linear": lambda step, n_dims: [-1],
    "chunk": lambda step, n_dims: [step.argument(2, "dim", 0)],
    "split": lambda step, n_dims: [step.argument(2, "dim", 0)],
    "unbind": lambda step, n_dims: [step.argument(1, "dim", 0)],
    "select": lambda step, n_dims: [step.args[1]],
    "narrow": lambda step, n_dims: [step.args[1]],
    "index_select": lambda step, n_dims: [step.args[1]],
    "flip": lambda step, n_dims: list(step.args[1]),
}  # the dimensions along which an operation mixes or picks
_RESHAPED = ("reshape", "flatten", "unflatten", "squeeze", "unsqueeze")
_REDUCED = ("mean", "sum", "amax", "amin", "var", "std", "linalg_vector_norm")


@rule("softmax", "log_softmax", "layer_norm", "rms_norm", "linear", "chunk", "split", "unbind", "select", "narrow")
@rule("index_select", "flip", "getitem", "permute", "transpose", "to", *_REDUCED)
def _each_alone(place: Place) -> Local:
    """Each position alone, or moved to other dimensions: the window stays where it is."""
    step = place.step
    name, own = place.first()
    n_dims = len(place.unchanged.shape(name))
    if step.op in _REDUCED:
        dims = reduced_dims([None, *step.args[1:], *step.kwargs.values()], n_dims)
    else:
        dims = _SIDEWAYS.get(step.op, lambda step, n_dims: [])(step, n_dims)
    touched = {dim % n_dims for dim in dims}
    if step.op == "mean" and touched == set(own.axes):
        return global_mean(place)
    if not touched.isdisjoint((0, *own.axes)):
        raise NotLocal(f"'{step.op}' mixes positions")
    return Local(Window(own.y, own.x, place.whole_axes()), place.call())


@rule("batch_norm")
def _batch_norm(place: Place) -> Local:
    if place.step.args[5]:
        raise NotLocal("'batch_norm' takes its statistics from the batch")
    return _each_alone(place)


@rule(*_RESHAPED)
def _reshaped(place: Place) -> Local:
    """Other dimensions are cut or joined (a channel shuffle), rows and columns stay whole."""
    name, own = place.first()
    axes, shapes = place.whole_axes(), [place.unchanged.shape(each) for each in (name, place.step.name)]
    if _beside(shapes[0], own.axes) != _beside(shapes[1], axes):
        raise NotLocal(f"'{place.step.op}' mixes positions")
    shape = [own.n, *shapes[1][1:]]
    shape[axes[0]], shape[axes[1]] = own.y.extent, own.x.extent
    return Local(Window(own.y, own.x, axes), lambda values: values[name].reshape(shape))


def _beside(shape: tuple[int, ...], axes: Axes) -> tuple[Any, ...]:
    """How many entries lie before, between and behind rows and columns, and which of the two comes first."""
    ends = [0, *sorted(axes), len(shape)]
    sizes = [prod(shape[begin + (i > 0) : end]) for i, (begin, end) in enumerate(pairwise(ends))]
    return (*sizes, axes[0] < axes[1])
