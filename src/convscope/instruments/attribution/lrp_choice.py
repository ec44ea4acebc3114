"""Which rule does this very step get?  By its place in the network: the first layers, dense ones, products with a weight."""

from collections.abc import Sequence
from functools import partial

import torch

from convscope.errors import MissingRuleError
from convscope.graph.graph import INPUT, Step
from convscope.instruments.attribution import lrp_rules as rules
from convscope.instruments.attribution.lrp_paths import WEIGHTED, first_layers, held, is_dense, stuck
from convscope.instruments.attribution.lrp_table import Composite, Strengths
from convscope.instruments.attribution.method import Question
from convscope.walks.backward import Call, Rule, Rules, tape


def choose(
    question: Question, steps: Sequence[Step], composite: Composite, strengths: Strengths, usual: Rules
) -> Rules:
    """The rule of each step that relevance passes; `usual` is what the table says. Raises MissingRuleError.

    Where relevance goes down to the image, what comes before the first layers (normalisation inside the network) passes it
    unchanged: a network explains an image alike, whether it normalises it or its owner does.
    """
    graph, followed = question.graph, question.graph.above([question.layer])
    _refuse(stuck(graph, steps, followed))
    first, before = first_layers(graph, steps) if question.layer == INPUT else (frozenset(), frozenset())
    chosen: dict[str, Rule] = {}
    for step in steps:
        rule = usual(step)
        if step.name in first and composite.first:
            rule = _first_rule(question, step, composite.first, strengths, before)
        elif step.op in WEIGHTED:
            rule = strengths.layer_rule(composite.dense if is_dense(graph, step) else composite.conv)
        elif step.name in before and step.kind in ("sum", "product", "norm", "resample", "pool"):
            rule = rules.through if step.kind in ("sum", "product", "norm") else None
        weights = held(graph, step, followed)
        if weights:
            small = 0 if composite.sums == "zero" else strengths.stabilizer
            rule = rules.hold(strengths.whole_product(step.op, small) or rule or Call.gradient, weights)
        if rule:
            chosen[step.name] = rule
    return lambda step: chosen.get(step.name)


def _first_rule(question: Question, step: Step, name: str, strengths: Strengths, before: frozenset[str]) -> Rule:
    """Flat or z-box, told what this layer reads for an image that is everywhere there, for a black and for a white one."""
    source, small = step.inputs[0], strengths.stabilizer
    image = torch.ones_like(question.inputs[:1])
    if name == "box":
        normalize = question.network.preprocess.normalize
        low, high = (_seen(question, source, normalize(image * level)) for level in (0, 1))
        return partial(rules.box, low=low, high=high, epsilon=small)
    below = question.graph.below([source]) & before
    if source == INPUT or any(question.graph[name].kind != "plumbing" for name in below):
        return strengths.layer_rule(name)
    return partial(rules.flat, epsilon=small, there=_seen(question, source, image))


def _seen(question: Question, name: str, image: torch.Tensor) -> torch.Tensor:
    """The value of a step for one image."""
    image = image.to(question.above.maps)
    if name == INPUT:
        return image
    size = (1, image.shape[2], image.shape[3])
    return tape(question.graph, {INPUT: image}, [name], size, sources=()).values[name]


def _refuse(found: Sequence[str]) -> None:
    if found:
        raise MissingRuleError(
            "LRP was asked for.",
            f"It has no sound rule for {', '.join(found[:3])}: what is divided or weighed there does not come from the image.",
            "The methods that need no rules work: gradient, integrated gradients, Grad-CAM, occlusion, RISE.",
        )
