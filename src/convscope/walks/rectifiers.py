"""Which steps rectify, and what do deconvnet and guided backpropagation do there?  The one special rule each has is for these.

A rectifier passes what is above zero and holds back what is below. Some are written as something else: `clamp(min=0)`,
`hardtanh(0, 6)`, `threshold`, `maximum` or `max` with zero; they are recognised by their arguments, however a ReLU was written.
"""

from collections.abc import Sequence
from typing import Any

import torch

from convscope.graph import ops
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


def rectified(call: Call) -> torch.Tensor | None:
    """The input that a step rectifies, one of its `inputs`; None if it does something else."""
    op = call.step.op
    if op in RECTIFIERS | SMOOTH:
        return call.inputs[0]
    if op in LARGER:
        first, second = call.args if len(call.args) == 2 else (None, None)
        found = first if _is_zero(second) else second if _is_zero(first) else None
    else:
        bound = call.argument(1, {"threshold": "threshold", "hardtanh": "min_val"}.get(op, "min"), None)
        lowest = -1 if op == "hardtanh" and bound is None else bound
        found = call.args[0] if op in AS_WRITTEN and _is_zero(lowest) else None
    return next((leaf for leaf in call.inputs if leaf is found), None)


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
