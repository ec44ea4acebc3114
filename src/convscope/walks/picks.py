"""Which entries does an operation take along which dimension?  Slices, selections, shifts, flips and padding."""

from collections.abc import Callable

import numpy as np

from convscope.graph.graph import Step

Picks = list[tuple[int, np.ndarray]]  # dimension, and the indices taken along it; -1 is padding


def _slice(step: Step, shape: tuple[int, ...]) -> Picks:
    dim, begin, end = step.argument(1, "dim", 0), step.argument(2, "start"), step.argument(3, "end")
    return [(dim, np.arange(shape[dim])[slice(begin, end, step.argument(4, "step", 1))])]


def _select(step: Step, shape: tuple[int, ...]) -> Picks:
    dim, index = step.args[1:3]
    return [(dim, np.arange(shape[dim])[[index]])]


def _narrow(step: Step, shape: tuple[int, ...]) -> Picks:
    dim, begin, length = step.args[1:4]
    return [(dim, np.arange(begin, begin + length))]


def _flip(step: Step, shape: tuple[int, ...]) -> Picks:
    return [(dim, np.arange(shape[dim])[::-1]) for dim in step.args[1]]


def _roll(step: Step, shape: tuple[int, ...]) -> Picks:
    shifts, dims = np.atleast_1d(step.args[1]), np.atleast_1d(step.argument(2, "dims"))
    return [(int(d), np.roll(np.arange(shape[d]), s)) for s, d in zip(shifts, dims, strict=True)]


def _pad(step: Step, shape: tuple[int, ...]) -> Picks:
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    how = mode[step.argument(2, "mode", "constant") if isinstance(step.argument(2, "mode"), str) else "constant"]
    picks = []
    for i, (before, after) in enumerate(zip(step.args[1][::2], step.args[1][1::2], strict=True)):
        indices = np.arange(shape[-1 - i])[max(0, -before) : len(np.arange(shape[-1 - i])) - max(0, -after)]
        padding = (max(0, before), max(0, after))
        extra = {"constant_values": -1} if how == "constant" else {}
        picks.append((-1 - i, np.pad(indices, padding, mode=how, **extra)))  # type: ignore[call-overload]
    return picks


PICKS: dict[str, Callable[[Step, tuple[int, ...]], Picks]] = {
    "slice": _slice,
    "select": _select,
    "narrow": _narrow,
    "flip": _flip,
    "roll": _roll,
    "pad": _pad,
}
