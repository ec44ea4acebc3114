"""Does the map depend on what the network has learned?  It is held against maps of the same network with weights drawn anew.

Cascading randomisation, Adebayo et al. 2018 (arXiv:1810.03292), section 3.1: from the logits down. What decides is the first
stage, where only the last layer has forgotten what it learned, so that no class means anything.
"""

from dataclasses import dataclass
from typing import Any

from convscope.instruments.attribution.checks.alike import correlation, is_flat, rank_correlation, signed, sizes
from convscope.instruments.attribution.checks.check import Check, Result
from convscope.instruments.attribution.checks.doubles import quick, redrawn
from convscope.instruments.attribution.checks.effort import lean, too_dear
from convscope.instruments.attribution.checks.subject import Subject
from convscope.instruments.attribution.method import Attribution, Progress
from convscope.registry import register


@register("check", "weight_dependence")
@dataclass(frozen=True)
class WeightDependence(Check):
    """Passes if the rank correlation of sizes with the map of the network whose last layer was drawn anew is below `bar`."""

    key = "weight_dependence"
    title = "Dependence on the weights"
    question = "Would a network that has learned nothing have given another map?"

    bar: float = 0.7

    def __call__(self, subject: Subject, attribution: Attribution, progress: Progress | None = None) -> Result:
        subject.expect(attribution)
        bar = f"with the last layer drawn anew, the rank correlation of the sizes of scores is below {self.bar:g}"
        own, own_signed = sizes(attribution)[0], signed(attribution)[0]
        if is_flat(own):
            return self.not_run("Not run: the map is the same everywhere.", bar)
        why_not = too_dear(subject, attribution)
        if why_not:
            return self.not_run(why_not, bar)
        stages = redrawn(quick(subject.network), subject.inputs, subject.target.step, subject.seed)
        if not stages:
            return self.not_run("Not run: nothing below what is explained was learned.", bar)
        curve: list[dict[str, Any]] = []
        for i, stage in enumerate(stages[:1] if lean(subject, attribution) else stages):
            theirs = attribution.method(stage.network, subject.inputs, subject.target, attribution.layer)
            curve.append(
                {
                    "down_to": stage.first,
                    "n_layers": stage.n_layers,
                    "rank_correlation": rank_correlation(own, sizes(theirs)[0]),
                    "correlation": correlation(own_signed, signed(theirs)[0]),
                    "flat": is_flat(sizes(theirs)[0]),
                }
            )
            if progress:
                progress(i + 1, len(stages))
        value = curve[0]["rank_correlation"]
        passes = value < self.bar
        says = "The map depends on what the network has learned" if passes else "The map hardly depends on the weights"
        words = f"{says}: with the last layer drawn anew, its rank correlation with itself is {value:.2f}" + _further(
            curve
        )
        fault = f"hardly depends on the weights: rank correlation {value:.2f} with the last layer drawn anew"
        return self.result(passes, words, bar, value=value, figures={"bar": self.bar, "cascade": curve}, fault=fault)


def _further(curve: list[dict[str, Any]]) -> str:
    return f", with all layers {curve[-1]['rank_correlation']:.2f}." if len(curve) > 1 else "."
