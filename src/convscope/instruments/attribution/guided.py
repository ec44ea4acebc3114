"""Which pixels speak for the prediction along paths of agreement only?  Guided backpropagation.

Springenberg et al. 2014 (arXiv:1412.6806), section 3.4: a gradient that each rectifier lets pass only where both its input and the
signal from above are positive. A picture of what the network detects; it hardly depends on the class (see docs/methods.md).
"""

from dataclasses import dataclass

from convscope.instruments.attribution.by_rectifiers import ByRectifiers
from convscope.registry import register
from convscope.walks.rectifiers import GUIDED


@register("method", "guided_backprop")
@dataclass(frozen=True)
class GuidedBackprop(ByRectifiers):
    """A gradient that passes rectifiers only where input and signal are positive."""

    title = "Guided backpropagation"
    paper = "Springenberg et al. 2014, arXiv:1412.6806"
    treatments = GUIDED
