"""Do the scores add up to what the method promises?  Completeness of IG and Shapley values, conservation of LRP and DeepLIFT.

Sundararajan et al. 2017 (arXiv:1703.01365), section 3; Bach et al. 2015 (doi:10.1371/journal.pone.0130140), eq. 2. What LRP
promises is the score less what biases keep; where they keep nearly all of it, a map that adds up explains nothing.
"""

from dataclasses import dataclass
from typing import Any

import torch

from convscope.instruments.attribution.checks.check import Check, Result
from convscope.instruments.attribution.checks.subject import Subject
from convscope.instruments.attribution.method import Attribution, Progress
from convscope.registry import register

STRICT = 1e-3  # of what is promised or of the score, whichever is larger; or 4 of the smallest steps of the precision
IN_STEPS = 0.05  # where the sum is an integral in steps, whose error the method states
ROUNDING = 1e-5  # of the sum of sizes: what rounding leaves when large scores cancel; or a tenth of such a step
LEAST = 0.05  # of the score, that a method which hands it down must account for


@register("check", "completeness")
@dataclass(frozen=True)
class Completeness(Check):
    """Passes if the sum of scores is within `bar` of what was promised; of LRP, only if that is no empty sum.

    `bar` is a part of what is promised or of the score, whichever is larger: 1e-3, 5 % for an integral in steps, or what a
    method states as its own (an attribute `completeness`); more where a network computes in bfloat16 (3 %) or float16 (.4 %).
    A sum is empty where biases keep more than 95 % of the score, and not because what speaks for and against cancels: the sizes
    of all scores together are less than the score.
    """

    key = "completeness"
    title = "Completeness"
    question = "Do the scores add up to what they should?"

    bar: float | None = None

    def __call__(self, subject: Subject, attribution: Attribution, progress: Progress | None = None) -> Result:
        subject.expect(attribution)
        method = attribution.method
        if attribution.promised is None or attribution.error is None:
            return self.not_run(f"Not run: {method.title} does not promise that its scores add up to anything.")
        step = torch.finfo(attribution.network.dtype).eps
        own = float(getattr(method, "completeness", IN_STEPS if hasattr(method, "n_steps") else STRICT))
        limit = self.bar if self.bar is not None else max(own, 4 * step)
        values = attribution.values.double()
        total, sizes, promised = float(values.sum()), float(values.abs().sum()), float(attribution.promised)
        score, error = float(attribution.score), float(attribution.error)
        share = promised / score if score else None
        adds_up = error <= limit or abs(total - promised) <= max(ROUNDING, step / 10) * sizes
        little = method.conserves and share is not None and abs(share) < LEAST
        empty = little and sizes < abs(score)
        bar = f"the sum of scores is within {100 * limit:g} % of the score (or of what is promised, if that is more)"
        if method.conserves:
            bar += f", and they account for {100 * LEAST:g} % of it or more, or cancel"
        figures: dict[str, Any] = {
            "sum": total,
            "promised": promised,
            "error": error,
            "sum_of_sizes": sizes,
            "bar": limit,
            "score": score,
            "share": share,
        }
        words = [f"The scores add up to {total:.4g}; {method.title} promises {promised:.4g} ({_percent(error)} off)."]
        if share is not None:
            words.append(_accounted(share, score, conserves=method.conserves, little=little, empty=empty))
        if self.bar is None and limit > own:
            precision = str(attribution.network.dtype).removeprefix("torch.")
            words.append(
                f"The network computes in {precision}, whose precision allows no closer bar than {_percent(limit)}."
            )
        if not adds_up and hasattr(method, "n_steps"):
            words.append("More steps bring them closer.")
        if empty:
            fault = f"accounts for {_share(share or 0.0)} of the score: the biases keep the rest"
        else:
            fault = f"does not add up: its scores sum to {total:.3g}, not {promised:.3g}"
        return self.result(adds_up and not empty, " ".join(words), bar, value=error, figures=figures, fault=fault)


def _accounted(share: float, score: float, *, conserves: bool, little: bool, empty: bool) -> str:
    """Which share of the score the map is about."""
    if not conserves:
        return f"That is {_share(share)} of the score ({score:.3g})."
    if empty:
        why = "the biases keep the rest, and the map explains next to nothing of it"
    elif little:
        why = "the biases keep the rest, and what speaks for and against cancels"
    else:
        why = "the biases keep the rest"
    return f"The map accounts for {_share(share)} of the score ({score:.3g})" + (
        f": {why}." if abs(1 - share) >= 0.01 else "."
    )


def _share(share: float) -> str:
    return f"{round(100 * share) + 0:d} %"


def _percent(error: float) -> str:
    return f"{100 * error:.2g} %" if error < 10 else f"{error:.2g} times"
