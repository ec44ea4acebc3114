"""What does a method do at each kind of operation?  Its table: a rule for each, in words as well, or a refusal by name.

Methods that change the backward walk (guided backpropagation, deconvnet, LRP, DeepLIFT) each have one such table. It is what the
method does, and what docs/methods.md prints; an operation that is not in it is refused by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convscope.errors import MissingRuleError
from convscope.graph.graph import INPUT, Graph, Step
from convscope.walks.backward import Rule, Rules


@dataclass(frozen=True)
class Treatment:
    """How a method passes a signal through an operation."""

    words: str  # what it does there, for the table
    rule: Rule | None = None  # None: the gradient
    substitution: str = (
        ""  # where the paper has no rule: what is computed in its place; told with every answer that needed it
    )


Treatments = Mapping[str, Treatment]  # by operation


def path(graph: Graph, layer: str, target: str) -> tuple[Step, ...]:
    """The steps a signal passes on its way from the target down to the layer, the layer's own left out."""
    reached, needed = graph.above([layer]), graph.below([target])
    return tuple(step for step in graph.steps if step.name in reached and step.name in needed and step.name != layer)


def untreated(treatments: Treatments, steps: Sequence[Step]) -> tuple[str, ...]:
    """Operations without a rule, as "operation in 'layer'"."""
    return tuple(f"{step.op} in '{step.name}'" for step in steps if step.op not in treatments)


def refusals(treatments: Treatments, graph: Graph) -> tuple[str, ...]:
    """Operations between the image and any output of a graph that have no rule, as "operation in 'layer'"."""
    steps = [path(graph, INPUT, output) for output in graph.outputs.values()]
    return tuple(dict.fromkeys(one for some in steps for one in untreated(treatments, some)))


def substitutions(treatments: Treatments, steps: Sequence[Step]) -> tuple[str, ...]:
    """What was computed in place of what the paper says, one sentence for each kind of operation met."""
    met: dict[str, list[Step]] = {}
    for step in steps:
        if step.op in treatments and treatments[step.op].substitution:
            met.setdefault(treatments[step.op].substitution, []).append(step)
    return tuple(
        f"{words} ({', '.join(dict.fromkeys(step.op for step in found))}, first in '{found[0].name}')."
        for words, found in met.items()
    )


def rules_of(title: str, treatments: Treatments, steps: Sequence[Step]) -> Rules:
    """The rules for a backward walk over these steps. Raises MissingRuleError naming the operations that have none."""
    missing = untreated(treatments, steps)
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise MissingRuleError(
            f"{title} was asked for.",
            f"It has no sound rule for {', '.join(missing[:3])}{more}.",
            "The methods that need no rules work: gradient, integrated gradients, Grad-CAM, occlusion, RISE.",
        )
    return lambda step: treatments[step.op].rule
