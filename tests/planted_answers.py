"""What the tests of answers share: methods whose maps are known because they were planted, and checks that come out as told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from convscope.errors import MissingRuleError
from convscope.instruments.attribution.checks import Outcome, Result
from convscope.instruments.attribution.method import Method, Question, Values
from convscope.intervals import Interval


@dataclass(frozen=True)
class Corner(Method):
    """Speaks for the target in the top left corner, against it in the bottom right; everywhere else nothing."""

    title = "Corner"
    paper = "planted"

    size: int = 4
    weight: float = 2.0

    def values(self, question: Question) -> Values:
        found = torch.zeros_like(question.maps)
        found[:, 0, : self.size, : self.size] = self.weight
        found[:, 0, -self.size :, -self.size :] = -self.weight / 2
        return Values(found)


@dataclass(frozen=True)
class Refusing(Method):
    """Has no rule for anything."""

    title = "Refusing"
    paper = "planted"

    def values(self, question: Question) -> Values:
        raise MissingRuleError("Refusing was asked for.", "It has no sound rule for conv2d in 'conv1'.", "Use another.")


@dataclass(frozen=True)
class Endless(Method):
    """Scores that are not finite."""

    title = "Endless"
    paper = "planted"

    def values(self, question: Question) -> Values:
        return Values(torch.full_like(question.maps, float("inf")))


@dataclass(frozen=True)
class Drawn(Method):
    """Random scores."""

    title = "Drawn"
    paper = "planted"
    seeded: ClassVar[bool] = True

    seed: int = 0

    def values(self, question: Question) -> Values:
        return Values(torch.randn(question.maps.shape, generator=torch.Generator().manual_seed(self.seed)))


@dataclass(frozen=True)
class Counting(Corner):
    """As Corner; remembers how often it was asked, and is interrupted at one of these times."""

    title = "Counting"
    calls: ClassVar[list[int]] = []
    stop_at: ClassVar[int | None] = None

    def values(self, question: Question) -> Values:
        if len(Counting.calls) == Counting.stop_at:
            raise KeyboardInterrupt
        Counting.calls.append(1)
        return super().values(question)


def result(check: str, outcome: Outcome, *, decides: bool = True, value: float | None = 0.25) -> Result:
    """The result of a check."""
    title = check.replace("_", " ").capitalize()
    interval = None if value is None else Interval(value, value - 0.1, value + 0.1)
    curve = {"panel": "curves", "title": f"Curves of {title}", "x_label": "share", "y_label": "probability", "unit": "fraction",
             "x": ["0", "50", "100"], "series": [{"name": "the map", "values": [0.0, 0.6, 1.0]},
                                                 {"name": "random order", "values": [0.0, 0.2, 1.0], "control": True}]}  # fmt: skip
    fault = "says the same for every class" if outcome == Outcome.FAILS else ""
    return Result(
        check,
        title,
        outcome,
        "Some words about it.",
        "value above .2",
        value,
        interval,
        {"panels": [curve]},
        decides,
        fault,
    )


@dataclass(frozen=True)
class Told:
    """Stands in for `check_all`: the same results for every map of a method, told beforehand."""

    of: Mapping[str, tuple[Result, ...]] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)

    def __call__(self, subject: Any, attribution: Any, only: Any = (), progress: Any = None) -> tuple[Result, ...]:
        self.asked.append((subject, attribution))
        return self.of.get(attribution.method.title, (result("faithfulness", Outcome.PASSES),))
