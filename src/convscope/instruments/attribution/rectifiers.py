"""Which steps rectify?  What guided backpropagation and deconvnet share: their one special rule is for these.

A rectifier passes what is above zero and holds back what is below. Some are written as something else: `clamp(min=0)`,
`hardtanh(0, 6)`, `threshold`, `maximum` or `max` with zero; they are recognised by their arguments, however a ReLU was written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from convscope.graph import ops
from convscope.graph.graph import Graph, Ref, Step
from convscope.instruments.attribution.method import Method, Question, Values
from convscope.instruments.attribution.treatment import Treatment, Treatments, refusals, rules_of, substitutions
from convscope.walks.backward import Call, Rule

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


@dataclass(frozen=True)
class ByRectifiers(Method):
    """A backward walk that is the gradient but at rectifiers, where its table has another rule."""

    signed = False
    treatments: ClassVar[Treatments]

    @property
    def channels(self) -> str:
        return "absolute"

    def values(self, question: Question) -> Values:
        found, _ = question.back(question.maps, rules_of(self.title, self.treatments, question.path))
        return Values(found, notes=(*substitutions(self.treatments, question.path), *_written_out(question)))

    @classmethod
    def refuses(cls, graph: Graph) -> Sequence[str]:
        return refusals(cls.treatments, graph)


def _written_out(question: Question) -> tuple[str, ...]:
    """What is told of larger-of-two steps, which may be a rectifier written out (`maximum(x, 0.1 * x)`)."""

    def of_two(step: Step) -> bool:
        refs = [argument for argument in step.args if isinstance(argument, Ref)]
        return len(refs) == 2 and not any(question.graph[ref.step].op in ZEROS for ref in refs if ref.step in names)

    names = question.graph.by_name
    met = [step for step in question.path if step.op in LARGER and of_two(step)]
    if not met:
        return ()
    return (
        "The larger of two values passes the gradient; if a rectifier is written out like that, it is not treated as one "
        f"({met[0].op}, first in '{met[0].name}').",
    )


def _is_zero(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return not bool(value.detach().any())
    return isinstance(value, (int, float)) and value == 0
