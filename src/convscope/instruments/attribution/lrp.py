"""Which pixels is a prediction due to, when every layer hands down what it was given?  Layer-wise relevance propagation.

Bach et al. 2015 (doi:10.1371/journal.pone.0130140); rules by layer: Montavon et al. 2019 (doi:10.1007/978-3-030-28954-6_10).
Relevance starts as the score itself and is handed down step by step; without biases all of it arrives, whatever the network's form.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from convscope.errors import UnknownNameError, UsageError
from convscope.graph.graph import INPUT, Graph, Step
from convscope.instruments.attribution.lrp_choice import choose
from convscope.instruments.attribution.lrp_kept import NOTHING, Kept
from convscope.instruments.attribution.lrp_paths import adds_constant, carrying, stuck
from convscope.instruments.attribution.lrp_table import COMPOSITES, Strengths, table
from convscope.instruments.attribution.method import Method, Question, Values
from convscope.network import Network
from convscope.registry import register
from convscope.walks.treatment import Treatments, rules_of, substitutions, untreated


@register("method", "lrp")
@dataclass(frozen=True)
class LRP(Method):
    """Relevance, in parts of the score, handed down from layer to layer by the rules of a composite.

    "epsilon_plus_flat" (convolutions z+, dense layers epsilon, the first flat), "epsilon_plus", "epsilon_gamma(_box)",
    "epsilon_alpha_beta(_flat)"; or one rule for all: "zero" (LRP-0), "epsilon", "gamma", "z_plus", "alpha_beta", "flat". What
    comes before the first layer passes relevance unchanged. Values add up to the score, less what biases keep: that is counted and
    told. Raises UnknownNameError for another composite, UsageError for a negative strength.
    """

    title = "LRP"
    paper = "Bach et al. 2015, doi:10.1371/journal.pone.0130140; Montavon et al. 2019, doi:10.1007/978-3-030-28954-6_10"
    conserves = True

    composite: str = "epsilon_plus_flat"
    epsilon: float = 1e-6  # of the epsilon rule; larger ones leave out weak and contradictory contributions
    gamma: float = 0.25  # of the gamma rule: how much more what agrees with a value counts
    alpha: float = 2.0  # of the alpha-beta rule; beta is alpha - 1
    stabilizer: float = 1e-6  # keeps all other denominators from zero

    def __post_init__(self) -> None:
        if self.composite not in COMPOSITES:
            raise UnknownNameError("composite", self.composite, COMPOSITES)
        if min(self.epsilon, self.gamma, self.stabilizer) < 0 or self.alpha < 1:
            raise UsageError(
                "LRP was asked for.",
                f"epsilon {self.epsilon:g}, gamma {self.gamma:g}, alpha {self.alpha:g}, stabilizer {self.stabilizer:g}.",
                "None may be negative, and alpha not below 1.",
            )

    @property
    def treatments(self) -> Treatments:
        """What is done at each operation."""
        return table(COMPOSITES[self.composite], self._strengths(NOTHING))

    @classmethod
    def refuses(cls, graph: Graph) -> Sequence[str]:
        found: dict[str, None] = {}
        for output in graph.outputs.values():
            steps = carrying(graph, INPUT, output)
            found |= dict.fromkeys((*untreated(cls().treatments, steps), *stuck(graph, steps, graph.above([INPUT]))))
        return tuple(found)

    def values(self, question: Question) -> Values:
        graph, layer, top = question.graph, question.layer, question.target.step
        steps, followed = carrying(graph, layer, top), graph.above([layer])
        kept = Kept(graph, len(question.maps), {step.name for step in steps if adds_constant(graph, step, followed)})
        composite, strengths = COMPOSITES[self.composite], self._strengths(kept)
        treatments = table(composite, strengths)
        rules = choose(question, steps, composite, strengths, rules_of(self.title, treatments, steps))
        walk = question.tape(question.maps)
        start = walk.values[top] * question.derivative(walk)
        values = question.arrived(walk.back({top: start}, [layer], rules))
        score = kept.of_images(top, start)
        promised = score - kept.total(score)
        missing = promised - values.double().flatten(1).sum(1)
        chosen = [step for step in steps if step.kind not in ("product", "attention") or _is_joint(step, followed)]
        told = (
            *_told("Biases, and what flows past the place, keep {} of the score.", score - promised, score),
            *_told("What no contribution of the right sign could take on is lost: {} of the score.", missing, score),
        )
        return Values(values, promised, (*substitutions(treatments, chosen), *told))

    def computed(self, network: Network, inputs: torch.Tensor) -> Network:
        """With its batch norms folded: relevance must not depend on how a layer is written."""
        return network.folded()

    def _strengths(self, kept: Kept) -> Strengths:
        return Strengths(self.epsilon, self.gamma, self.alpha, self.stabilizer, kept)


def _is_joint(step: Step, followed: Collection[str]) -> bool:
    """Whether several values of a product come from the place; a constant factor raises no question."""
    return sum(name in followed for name in step.inputs) > 1


def _told(words: str, amount: torch.Tensor, score: torch.Tensor) -> tuple[str, ...]:
    """How much of the score something is, in words; nothing below a thousandth."""
    parts = [part if score else 0.0 for part, score in zip((amount / score).tolist(), score.tolist(), strict=True)]
    low, high = min(parts), max(parts)
    if max(-low, high) < 1e-3:
        return ()
    return (words.format(f"{low:.1%}" if len(parts) == 1 else f"{low:.1%} to {high:.1%}"),)
