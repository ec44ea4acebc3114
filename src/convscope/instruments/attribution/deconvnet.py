"""What pattern of pixels would the network project back from this prediction?  The deconvolutional network.

Zeiler and Fergus 2013 (arXiv:1311.2901), section 2.1: maps are unpooled by the switches of max-pooling, rectified, and filtered
with the transposed filters. As a backward walk: the gradient, but at a rectifier the signal itself is rectified, whatever went in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convscope.graph.graph import Graph
from convscope.instruments.attribution import rectifiers
from convscope.instruments.attribution.method import Method, Question, Values
from convscope.instruments.attribution.treatment import Treatments, refusals, rules_of, substitutions
from convscope.registry import register
from convscope.walks.backward import Call, Signal


def deconvolved(call: Call, signal: Any) -> Sequence[Signal | None]:
    """max(0, signal)."""
    values = rectifiers.rectified(call)
    if values is None:
        return call.gradient(signal)
    return [signal.clamp(min=0) if leaf is values else None for leaf in call.inputs]


TREATMENTS: Treatments = rectifiers.table(
    deconvolved, "the positive part of the signal", "the positive part of the signal"
)


@register("method", "deconvnet")
@dataclass(frozen=True)
class Deconvnet(Method):
    """A backward walk that rectifies the signal at each rectifier, and knows of the image only the switches of its max-pools."""

    title = "Deconvnet"
    paper = "Zeiler and Fergus 2013, arXiv:1311.2901"
    signed = False
    treatments = TREATMENTS

    @property
    def channels(self) -> str:
        return "absolute"

    def values(self, question: Question) -> Values:
        found, _ = question.back(question.maps, rules_of(self.title, TREATMENTS, question.path))
        return Values(found, notes=substitutions(TREATMENTS, question.path))

    @classmethod
    def refuses(cls, graph: Graph) -> Sequence[str]:
        return refusals(TREATMENTS, graph)
