"""Can this map be trusted?  What every check is, what it says, and which failures make a map untrusted."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from convscope.errors import UnknownNameError
from convscope.instruments.attribution.checks.subject import Subject
from convscope.instruments.attribution.method import Attribution, Progress
from convscope.intervals import Interval
from convscope.registry import items


class Outcome(StrEnum):
    PASSES = "passes"
    FAILS = "fails"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Result:
    """What one check says of one map."""

    check: str  # its key
    title: str
    outcome: Outcome
    words: str  # one or two sentences that anyone can read
    bar: str  # what passing means, with the number
    value: float | None = None  # what is held against the bar
    interval: Interval | None = None  # of the value, where something was drawn at random
    figures: Mapping[str, Any] = field(default_factory=dict)  # all numbers and curves, fit for JSON
    decides: bool = True  # whether a failure makes the map untrusted
    fault: str = (
        ""  # what is wrong with the map, where it fails a check that decides: "hardly depends on the class: ..."
    )

    def as_dict(self) -> dict[str, Any]:
        """The result, fit for JSON."""
        names = ("check", "title", "words", "bar", "value", "decides", "fault")
        return {
            **{name: getattr(self, name) for name in names},
            "outcome": str(self.outcome),
            "interval": None if self.interval is None else self.interval.as_dict(),
            "figures": dict(self.figures),
        }


class Check(ABC):
    """A question about a map that a sound method's maps pass. Settings in the constructor, data in the call."""

    key: ClassVar[str]  # its name on the command line and in files
    title: ClassVar[str]
    question: ClassVar[str]

    @abstractmethod
    def __call__(self, subject: Subject, attribution: Attribution, progress: Progress | None = None) -> Result:
        """What the check says of an attribution of the subject. Raises UsageError for one of another image or target."""

    def not_run(self, why: str, bar: str = "", **figures: Any) -> Result:
        """The result of a check that cannot be made here, or was not asked for."""
        return Result(self.key, self.title, Outcome.NOT_RUN, why, bar, figures=figures, decides=False)

    def result(self, passes: bool, words: str, bar: str, **more: Any) -> Result:
        """The result of a check that was made."""
        if passes or not more.get("decides", True):
            more["fault"] = ""
        return Result(self.key, self.title, Outcome.PASSES if passes else Outcome.FAILS, words, bar, **more)


def check_all(
    subject: Subject, attribution: Attribution, only: Sequence[str] = (), progress: Progress | None = None
) -> tuple[Result, ...]:
    """The results of all checks of an attribution (or of those named in `only`); `progress` counts the checks.

    Raises UnknownNameError for a check that is not there, UsageError if the attribution is of another image or target.
    """
    known: dict[str, type[Check]] = items("check")
    for name in only:
        if name not in known:
            raise UnknownNameError("check", name, known)
    subject.expect(attribution)
    names = [name for name in known if not only or name in only]
    results = []
    for i, name in enumerate(names):
        results.append(known[name]()(subject, attribution))
        if progress:
            progress(i + 1, len(names))
    return tuple(results)


def distrust(results: Sequence[Result]) -> str:
    """Why a map is shown greyed: what failed, of all that decides; empty if it can be shown at full strength."""
    return "; ".join(one.fault or one.words for one in results if one.outcome == Outcome.FAILS and one.decides)
