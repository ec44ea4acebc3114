"""What pattern of pixels would the network project back from this prediction?  The deconvolutional network.

Zeiler and Fergus 2013 (arXiv:1311.2901), section 2.1: maps are unpooled by the switches of max-pooling, rectified, and filtered
with the transposed filters. As a backward walk: the gradient, but at a rectifier the signal itself is rectified, whatever went in.
"""

from dataclasses import dataclass

from convscope.instruments.attribution.by_rectifiers import ByRectifiers
from convscope.registry import register
from convscope.walks.rectifiers import DECONVNET


@register("method", "deconvnet")
@dataclass(frozen=True)
class Deconvnet(ByRectifiers):
    """A backward walk that rectifies the signal at each rectifier, and knows of the image only the switches of its max-pools."""

    title = "Deconvnet"
    paper = "Zeiler and Fergus 2013, arXiv:1311.2901"
    treatments = DECONVNET
