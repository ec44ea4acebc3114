"""What do guided backpropagation and deconvnet share?  A backward walk that is the gradient but at rectifiers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from convscope.graph.graph import Graph, Ref, Step
from convscope.instruments.attribution.method import Method, Question, Values
from convscope.walks.rectifiers import LARGER, ZEROS
from convscope.walks.treatment import Treatments, refusals, rules_of, substitutions


@dataclass(frozen=True)
class ByRectifiers(Method):
    """A backward walk that is the gradient but at rectifiers, where its table has another rule."""

    signed = False
    treatments: ClassVar[Treatments]

    @property
    def channels(self) -> str:
        return "absolute"

    def values(self, question: Question) -> Values:
        found, _ = question.back(question.maps, rules_of(self.title, self.treatments, question.path))
        return Values(found, notes=(*substitutions(self.treatments, question.path), *_written_out(question)))

    @classmethod
    def refuses(cls, graph: Graph) -> Sequence[str]:
        return refusals(cls.treatments, graph)


def _written_out(question: Question) -> tuple[str, ...]:
    """What is told of larger-of-two steps, which may be a rectifier written out (`maximum(x, 0.1 * x)`)."""

    def of_two(step: Step) -> bool:
        refs = [argument for argument in step.args if isinstance(argument, Ref)]
        return len(refs) == 2 and not any(question.graph[ref.step].op in ZEROS for ref in refs if ref.step in names)

    names = question.graph.by_name
    met = [step for step in question.path if step.op in LARGER and of_two(step)]
    if not met:
        return ()
    return (
        "The larger of two values passes the gradient; if a rectifier is written out like that, it is not treated as one "
        f"({met[0].op}, first in '{met[0].name}').",
    )
