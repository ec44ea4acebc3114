"""Which pixels make the difference between this image and a baseline?  DeepLIFT, by its rescale rule.

Shrikumar, Greenside and Kundaje 2017 (arXiv:1704.02685): multipliers m with sum of m x (x - x0) = score(x) - score(x0) are passed
down from the score; each step passes on the whole of what it changes by. The rules are in `deeplift_rules`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convscope.graph import ops
from convscope.graph.graph import Graph, Step
from convscope.instruments.attribution import deeplift_rules as rules
from convscope.instruments.attribution.baseline import baseline_maps
from convscope.instruments.attribution.method import Method, Question, Values
from convscope.registry import register
from convscope.walks.backward import Rule
from convscope.walks.rectifiers import FLAT, OPERATIONS
from convscope.walks.treatment import Treatment, Treatments, refusals, rules_of, substitutions

_PRODUCTS = ops.KINDS["attention"] | {"mul", "mm", "addmm", "addcmul", "lerp"}
_MULTIPLIED = ops.KINDS["conv"] | {"linear"}
_ELEMENTWISE = (ops.KINDS["activation"] | ops.KINDS["pointwise"] | {"threshold"}) - {"maximum", "minimum", "where"}
_LARGEST = frozenset({"max_pool2d", "adaptive_max_pool2d", "amax", "amin", "max", "min"})
_NORMS = frozenset({"layer_norm", "group_norm", "instance_norm", "rms_norm"})
_ROOTS = frozenset({"std", "norm", "linalg_vector_norm"})
_WHOLE = frozenset({"grid_sampler", "lp_pool2d", "local_response_norm"})
_REFUSED = FLAT | {"where"}  # a choice by the image itself: what it changes by cannot be shared out

_APART = "Norms, quotients, softmax and attention are taken apart into sums, products and elementwise functions"
_FACTORS = "Products pass their change to each factor at the mean of the others"
_MEAN = "The mean gradient between baseline and image, a sum of 16 terms"

_FORMS: Mapping[str, tuple[frozenset[str], rules.PairRule | None, Treatment]] = {
    "linear": (OPERATIONS, None, Treatment("the gradient")),
    "multiplied": (
        _MULTIPLIED,
        rules.linear,
        Treatment("the gradient; if its weights depend on the image, as a product"),
    ),
    "products": (_PRODUCTS, rules.linear, Treatment("each factor by the mean of the others", None, _FACTORS)),
    "variance": (
        frozenset({"var"}),
        rules.quadratic,
        Treatment("the gradient in the middle between both", None, _APART),
    ),
    "elementwise": (_ELEMENTWISE, rules.rescale, Treatment("change of the value over change of the input")),
    "largest": (
        _LARGEST,
        rules.largest,
        Treatment("the change, to the largest of the image or of the baseline, whichever is above the other"),
    ),
    "maximum": (frozenset({"maximum", "minimum"}), rules.maximum, Treatment("b + relu(a - b)")),
    "quotient": (frozenset({"div"}), rules.quotient, Treatment("a product with one over the divisor", None, _APART)),
    "norms": (_NORMS, rules.norm, Treatment("centring, a square, its root, a product", None, _APART)),
    "softmax": (
        frozenset({"softmax", "log_softmax"}),
        rules.softmax,
        Treatment("change of each exponential, less that of their sum", None, _APART),
    ),
    "attention": (
        frozenset({"scaled_dot_product_attention"}),
        rules.attention,
        Treatment("two products and a softmax", None, _APART),
    ),
    "roots": (
        _ROOTS,
        rules.root,
        Treatment("the root of a sum of squares; other powers: the mean gradient", None, _APART),
    ),
    "whole": (_WHOLE, rules.whole, Treatment("the mean gradient between baseline and image", None, _MEAN)),
}
TREATMENTS: Treatments = {
    op: treatment for names, _, treatment in _FORMS.values() for op in names if op not in _REFUSED
}
_RULES = {op: rule for names, rule, _ in _FORMS.values() for op in names}


@register("method", "deeplift")
@dataclass(frozen=True)
class DeepLIFT(Method):
    """(x - x0) x multiplier, in logits; adds up to score(x) - score(x0), exactly but for rounding."""

    title = "DeepLIFT"
    paper = "Shrikumar et al. 2017, arXiv:1704.02685"
    treatments = TREATMENTS

    baseline: str = "zero"  # as of integrated gradients

    def values(self, question: Question) -> Values:
        rules_of(self.title, TREATMENTS, question.path)  # raises MissingRuleError
        start = baseline_maps(question, self.baseline)
        walk, other = question.tape(question.maps), question.tape(start)
        bases = {call.step.name: call for call in other.calls}

        def paired(step: Step) -> Rule | None:
            rule = _RULES[step.op]
            return None if rule is None else lambda call, signal: rule(call, bases[call.step.name], signal)

        passed = walk.back({question.target.step: question.derivative(walk)}, [question.layer], paired)
        promised = (question.unchanged - question.score(start)).double()
        found = (question.maps - start) * question.arrived(passed)
        return Values(found, promised, substitutions(TREATMENTS, question.path))

    @classmethod
    def refuses(cls, graph: Graph) -> Sequence[str]:
        return refusals(TREATMENTS, graph)
