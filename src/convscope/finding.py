"""What does a measurement allow to say?  A claim with its value, interval and control, and the one rule that gives the verdict.

The rule (docs/understand.md): what counts is `beyond`, how far the value lies beyond its strongest control, and `least`, the
smallest such difference that matters, fixed before anything is measured. The claim is *supported* if the whole interval of
`beyond` lies above `least`, *not supported* if the whole interval lies below, and *undecided* otherwise, or where the
measurement cannot tell (`undecidable` says why). So too few images make a claim undecided, never wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from convscope.intervals import Interval


class Verdict(StrEnum):
    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Control:
    """The same measurement where the claim cannot hold."""

    name: str  # "fresh weights"
    what: str  # one sentence: what was done, and why the claim cannot hold there
    value: Interval

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "what": self.what, "value": self.value.as_dict()}


@dataclass(frozen=True)
class Finding:
    """One claim about one network on one set of images."""

    claim: str  # the key of the claim
    statement: str  # the claim in words, in the wording that evidence allows
    quantity: str  # what the value is, in words: "share of images whose best class is right"
    value: Interval
    unit: str  # "fraction" (shown as percent), "ratio" (shown as 3.1 x), "correlation", "index" ...
    controls: tuple[Control, ...]
    beyond: Interval  # what decides: how far the value lies beyond its strongest control
    least: float  # the smallest difference that matters
    verdict: Verdict
    summary: str  # one sentence with the numbers
    means: str  # what that means, and what it does not
    deciding: str = ""  # what `beyond` measures, where it is not the value less its control
    deciding_unit: str = ""  # its unit then
    resampled: str = ""  # what the intervals are about: "images", "groups of images"; empty for exact counts
    reason: str = ""  # why it is undecided, and what would decide it
    evidence: tuple[dict[str, Any], ...] = field(default=(), repr=False)  # pictures of it: panel, title, data
    version: int = 1  # of the measurement

    def as_dict(self) -> dict[str, Any]:
        """The finding, fit for JSON."""
        return {
            **{name: getattr(self, name) for name in ("claim", "statement", "quantity", "unit", "least", "summary")},
            "value": self.value.as_dict(),
            "controls": [control.as_dict() for control in self.controls],
            "beyond": self.beyond.as_dict(),
            "verdict": str(self.verdict),
            "means": self.means,
            "deciding": self.deciding,
            "deciding_unit": self.deciding_unit,
            "resampled": self.resampled,
            "reason": self.reason,
            "evidence": list(self.evidence),
            "version": self.version,
        }

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> "Finding":
        """The inverse of `as_dict`."""
        controls = tuple(Control(c["name"], c["what"], Interval.from_dict(c["value"])) for c in found["controls"])
        intervals = {name: Interval.from_dict(found[name]) for name in ("value", "beyond")}
        made = {"controls": controls, "verdict": Verdict(found["verdict"]), "evidence": tuple(found["evidence"])}
        return cls(**{**found, **intervals, **made})


def judge(beyond: Interval, least: float, conditions: Sequence[Interval] = (), undecidable: str = "") -> Verdict:
    """The verdict on a claim, by the rule above; `conditions` are further values that the claim says are above zero."""
    if undecidable:
        return Verdict.UNDECIDED
    if beyond.high <= least or any(condition.high <= 0 for condition in conditions):
        return Verdict.NOT_SUPPORTED
    if beyond.low > least and all(condition.low > 0 for condition in conditions):
        return Verdict.SUPPORTED
    return Verdict.UNDECIDED
