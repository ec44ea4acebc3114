"""Which steps rectify?  What guided backpropagation and deconvnet share: their one special rule is for these.

A rectifier passes what is above zero and holds back what is below. Some are written as something else: `clamp(min=0)`,
`hardtanh(0, 6)`, `threshold`, `maximum` with zero; they are recognised by their arguments, whichever way a ReLU was written.
"""

from typing import Any

import torch

from convscope.graph import ops
from convscope.instruments.attribution.treatment import Treatment, Treatments
from convscope.walks.backward import Call, Rule

RECTIFIERS = frozenset({"relu", "relu6"})
SMOOTH = frozenset({"leaky_relu", "prelu", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "softplus"})
AS_WRITTEN = frozenset({"clamp", "clamp_min", "hardtanh", "threshold", "maximum"})  # where their lower bound is zero
SQUASHING = frozenset({"sigmoid", "hardsigmoid", "tanh", "softsign", "log_sigmoid", "softmax", "log_softmax", "erf"})
FLAT = frozenset({"sign", "floor", "round"})  # they have no derivative but zero: no signal passes

OPERATIONS = frozenset().union(*ops.KINDS.values(), ops.PLUMBING, {"threshold"})


def rectified(call: Call) -> torch.Tensor | None:
    """The input that a step rectifies, one of its `inputs`; None if it does something else."""
    op = call.step.op
    if op in RECTIFIERS | SMOOTH:
        return call.inputs[0]
    if op == "maximum":
        first, second = call.args
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


def _is_zero(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return not bool(value.detach().any())
    return isinstance(value, (int, float)) and value == 0
