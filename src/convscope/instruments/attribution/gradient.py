"""Which pixels would change the prediction most?  The gradient of the score by the image, and the gradient times the image.

Simonyan, Vedaldi and Zisserman 2013 (arXiv:1312.6034), eq. 3 and 4; input x gradient: Shrikumar et al. 2016
(arXiv:1605.01713), eq. 2.
"""

from dataclasses import dataclass

from convscope.instruments.attribution.method import Method, Question, Values
from convscope.registry import register


@register("method", "gradient")
@dataclass(frozen=True)
class Gradient(Method):
    """d score / d value, in logits per unit of normalised input."""

    title = "Gradient"
    paper = "Simonyan et al. 2013, arXiv:1312.6034"
    signed = False

    @property
    def channels(self) -> str:
        return "absolute"

    def values(self, question: Question) -> Values:
        found, _ = question.back(question.maps)
        return Values(found)


@register("method", "input_x_gradient")
@dataclass(frozen=True)
class InputXGradient(Method):
    """value x d score / d value, in logits."""

    title = "Input × gradient"
    paper = "Shrikumar et al. 2016, arXiv:1605.01713"

    def values(self, question: Question) -> Values:
        found, _ = question.back(question.maps)
        return Values(found * question.maps)
