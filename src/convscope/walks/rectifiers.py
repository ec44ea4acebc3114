"""Which steps rectify, and what do deconvnet and guided backpropagation do there?  The one special rule each has is for these.

A rectifier passes what is above zero and holds back what is below. Some are written as something else: `clamp(min=0)`,
`hardtanh(0, 6)`, `threshold`, `maximum` or `max` with zero; they are recognised by their arguments, however a ReLU was written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from convscope.graph import ops
from convscope.graph.graph import Graph, Param, Ref, Step
from convscope.walks.backward import Call, Rule, Signal
from convscope.walks.treatment import Treatment, Treatments

RECTIFIERS = frozenset({"relu", "relu6"})
SMOOTH = frozenset({"leaky_relu", "prelu", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "softplus"})
LARGER = frozenset({"maximum", "max"})  # of two values; `max` may also be the largest of one
AS_WRITTEN = LARGER | {"clamp", "clamp_min", "hardtanh", "threshold"}  # where their lower bound is zero
ZEROS = frozenset({"zeros", "zeros_like", "new_zeros"})
SQUASHING = frozenset({"sigmoid", "hardsigmoid", "tanh", "softsign", "log_sigmoid", "softmax", "log_softmax", "erf"})
FLAT = frozenset({"sign", "floor", "round"})  # they have no derivative but zero: no signal passes

OPERATIONS = frozenset().union(*ops.KINDS.values(), ops.PLUMBING, {"threshold"})


@dataclass(frozen=True)
class Rectifier:
    """What a rectifier does: it passes the values of a step, from zero up to its ceiling."""

    below: str  # the step whose values are rectified
    ceiling: float | None = None  # where it ends; the highest, where units end at several


def rectifier(step: Step, graph: Graph) -> Rectifier | None:
    """Does a step pass what is above zero and hold back what is below, however it was written?  None if not.

    ReLU and ReLU6, and what computes the same: `clamp`, `hardtanh`, `threshold`, `maximum` with a lower bound of zero. Rectifiers
    that are not flat below zero (leaky ReLU, GELU) are none of these.
    """
    found = _passes_above_zero(step, [_constant(one, graph) for one in step.args], dict(step.kwargs))
    below = step.args[found[0]] if found else None
    return Rectifier(below.step, found[1]) if found and isinstance(below, Ref) else None


def rectified(call: Call) -> torch.Tensor | None:
    """The input that a step rectifies, one of its `inputs`; None if it does something else."""
    if call.step.op in SMOOTH:
        return call.inputs[0]
    found = _passes_above_zero(call.step, call.args, call.kwargs)
    return next((leaf for leaf in call.inputs if leaf is call.args[found[0]]), None) if found else None


def table(rule: Rule, words: str, smooth: str) -> Treatments:
    """What is done at each operation, given what is done at a rectifier."""
    return {
        **dict.fromkeys(OPERATIONS - FLAT, Treatment("the gradient")),
        **dict.fromkeys(RECTIFIERS, Treatment(words, rule)),
        **dict.fromkeys(SMOOTH, Treatment(smooth, rule, "Rectifiers that are not ReLU are treated like it")),
        **dict.fromkeys(AS_WRITTEN, Treatment(f"with a lower bound of zero: {words}; else the gradient", rule)),
        **dict.fromkeys(
            SQUASHING,
            Treatment("the gradient", None, "Squashing functions pass the gradient, of either sign"),
        ),
        **dict.fromkeys(
            ops.KINDS["product"] | ops.KINDS["attention"],
            Treatment("the gradient", None, "Products, gates among them, pass the gradient to every factor"),
        ),
    }


def deconvolved(call: Call, signal: Any) -> Sequence[Signal | None]:
    """max(0, signal): Zeiler and Fergus 2013 (arXiv:1311.2901), section 2.1."""
    values = rectified(call)
    if values is None:
        return call.gradient(signal)
    return [signal.clamp(min=0) if leaf is values else None for leaf in call.inputs]


def guided(call: Call, signal: Any) -> Sequence[Signal | None]:
    """derivative x max(0, signal), where the input is positive: Springenberg et al. 2014 (arXiv:1412.6806), section 3.4."""
    values = rectified(call)
    if values is None:
        return call.gradient(signal)
    passed = call.gradient(signal.clamp(min=0))
    return [
        one * (values > 0) if leaf is values and one is not None else None
        for leaf, one in zip(call.inputs, passed, strict=True)
    ]


def _passes_above_zero(step: Step, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[int, float | None] | None:
    """Which argument a step rectifies, and where that ends; None if it does something else. Arguments are filled in."""

    def argument(index: int, name: str, default: Any = None) -> Any:
        return args[index] if len(args) > index else kwargs.get(name, default)

    if step.op in RECTIFIERS:
        return 0, 6.0 if step.op == "relu6" else None
    if step.op in LARGER and len(args) == 2:
        return next(((1 - i, None) for i in (1, 0) if _is_zero(args[i])), None)
    if step.op == "threshold":
        is_relu = _is_zero(argument(1, "threshold")) and _is_zero(argument(2, "value"))
        return (0, None) if is_relu else None
    if step.op == "hardtanh":
        low, high = argument(1, "min_val", -1), argument(2, "max_val", 1)
    else:
        low, high = argument(1, "min"), argument(2, "max")
    if step.op not in AS_WRITTEN - LARGER or not _is_zero(low):
        return None
    return 0, None if high is None else float(torch.as_tensor(high).max())


def _constant(argument: Any, graph: Graph) -> Any:
    """The value of an argument where it is the same for every image; else the argument itself."""
    if isinstance(argument, Param):
        return graph.tensors[argument.name]
    step = graph.by_name.get(argument.step) if isinstance(argument, Ref) else None
    return 0.0 if step is not None and step.op in ZEROS else argument


def _is_zero(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return not bool(value.detach().any())
    return isinstance(value, (int, float)) and value == 0


DECONVNET: Treatments = table(deconvolved, "the positive part of the signal", "the positive part of the signal")
GUIDED: Treatments = table(
    guided,
    "the positive part of the signal, where the input is positive",
    "derivative × the positive part of the signal, where the input is positive",
)
