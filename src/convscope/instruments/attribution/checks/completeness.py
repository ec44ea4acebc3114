"""Do the scores add up to what the method promises?  Completeness of IG and Shapley values, conservation of LRP and DeepLIFT.

Sundararajan et al. 2017 (arXiv:1703.01365), section 3; Bach et al. 2015 (doi:10.1371/journal.pone.0130140), eq. 2.
"""

from dataclasses import dataclass
from typing import Any

from convscope.instruments.attribution.checks.check import Check, Result
from convscope.instruments.attribution.checks.subject import Subject
from convscope.instruments.attribution.method import Attribution, Progress
from convscope.registry import register

STRICT = 1e-3  # of the promised sum
IN_STEPS = 0.05  # where the sum is an integral in steps, whose error the method states
ROUNDING = 1e-5  # of the sum of sizes: what float32 leaves when large scores cancel


@register("check", "completeness")
@dataclass(frozen=True)
class Completeness(Check):
    """Passes if the sum of scores is within `bar` of what was promised (a part of that); 1e-3, or 5 % for an integral in steps.

    A method may state its own bar: an attribute `completeness`.
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
        own = IN_STEPS if hasattr(method, "n_steps") else STRICT
        limit = self.bar if self.bar is not None else float(getattr(method, "completeness", own))
        values = attribution.values.double()
        total, sizes, promised = float(values.sum()), float(values.abs().sum()), float(attribution.promised)
        error = float(attribution.error)
        passes = error <= limit or abs(total - promised) <= ROUNDING * sizes
        bar = f"the sum of scores is within {100 * limit:g} % of what the method promises"
        figures: dict[str, Any] = {
            "sum": total,
            "promised": promised,
            "error": error,
            "sum_of_sizes": sizes,
            "bar": limit,
        }
        words = f"The scores add up to {total:.4g}; {method.title} promises {promised:.4g} ({_percent(error)} off)."
        if not passes and hasattr(method, "n_steps"):
            words += " More steps bring them closer."
        return self.result(
            passes,
            words,
            bar,
            value=error,
            figures=figures,
            fault=f"does not add up: its scores sum to {total:.3g}, not {promised:.3g}",
        )


def _percent(error: float) -> str:
    return f"{100 * error:.2g} %" if error < 10 else f"{error:.2g} times"
