"""Which pixels speak for the prediction along paths of agreement only?  Guided backpropagation.

Springenberg et al. 2014 (arXiv:1412.6806), section 3.4: a gradient that each rectifier lets pass only where both its input and the
signal from above are positive. A picture of what the network detects; it hardly depends on the class (see docs/methods.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convscope.instruments.attribution.rectifiers import ByRectifiers, rectified, table
from convscope.instruments.attribution.treatment import Treatments
from convscope.registry import register
from convscope.walks.backward import Call, Signal


def guided(call: Call, signal: Any) -> Sequence[Signal | None]:
    """derivative x max(0, signal), where the input is positive."""
    values = rectified(call)
    if values is None:
        return call.gradient(signal)
    passed = call.gradient(signal.clamp(min=0))
    return [
        one * (values > 0) if leaf is values and one is not None else None
        for leaf, one in zip(call.inputs, passed, strict=True)
    ]


TREATMENTS: Treatments = table(
    guided,
    "the positive part of the signal, where the input is positive",
    "derivative × the positive part of the signal, where the input is positive",
)


@register("method", "guided_backprop")
@dataclass(frozen=True)
class GuidedBackprop(ByRectifiers):
    """A gradient that passes rectifiers only where input and signal are positive."""

    title = "Guided backpropagation"
    paper = "Springenberg et al. 2014, arXiv:1412.6806"
    treatments = TREATMENTS
