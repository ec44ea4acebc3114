"""What pattern of pixels would the network project back from this prediction?  The deconvolutional network.

Zeiler and Fergus 2013 (arXiv:1311.2901), section 2.1: maps are unpooled by the switches of max-pooling, rectified, and filtered
with the transposed filters. As a backward walk: the gradient, but at a rectifier the signal itself is rectified, whatever went in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convscope.instruments.attribution.rectifiers import ByRectifiers, rectified, table
from convscope.instruments.attribution.treatment import Treatments
from convscope.registry import register
from convscope.walks.backward import Call, Signal


def deconvolved(call: Call, signal: Any) -> Sequence[Signal | None]:
    """max(0, signal)."""
    values = rectified(call)
    if values is None:
        return call.gradient(signal)
    return [signal.clamp(min=0) if leaf is values else None for leaf in call.inputs]


TREATMENTS: Treatments = table(deconvolved, "the positive part of the signal", "the positive part of the signal")


@register("method", "deconvnet")
@dataclass(frozen=True)
class Deconvnet(ByRectifiers):
    """A backward walk that rectifies the signal at each rectifier, and knows of the image only the switches of its max-pools."""

    title = "Deconvnet"
    paper = "Zeiler and Fergus 2013, arXiv:1311.2901"
    treatments = TREATMENTS
