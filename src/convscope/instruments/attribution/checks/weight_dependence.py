"""Does the map depend on what the network has learned?  It is held against maps of the same network with weights drawn anew.

Cascading randomisation, Adebayo et al. 2018 (arXiv:1810.03292), section 3.1: from the logits down. What decides is the first
stage, where only the last layer has forgotten what it learned, so that no class means anything. An empty map says nothing there,
for any map is unlike it: the weights are then drawn with another seed.
"""

from dataclasses import dataclass
from typing import Any

from convscope.instruments.attribution.checks.alike import correlation, is_flat, rank_correlation, signed, sizes
from convscope.instruments.attribution.checks.check import Check, Result
from convscope.instruments.attribution.checks.doubles import Redrawn, redrawn
from convscope.instruments.attribution.checks.effort import lean, too_dear
from convscope.instruments.attribution.checks.subject import Subject
from convscope.instruments.attribution.method import Attribution, Progress
from convscope.registry import register

SEEDS = 3  # draws of the weights, as long as the map is empty


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
        if is_flat(sizes(attribution)[0]):
            return self.not_run("Not run: the map is the same everywhere.", bar)
        why_not = too_dear(subject, attribution)
        if why_not:
            return self.not_run(why_not, bar)
        curve: list[dict[str, Any]] = []
        for n_empty in range(SEEDS):
            stages = redrawn(subject.network, subject.inputs, subject.target.step, subject.seed + n_empty)
            if not stages:
                return self.not_run("Not run: nothing below what is explained was learned.", bar)
            curve = [_at(stages[0], subject, attribution)]
            if not curve[0]["flat"]:
                break
        else:
            return self.not_run(
                f"Not run: the map is empty each of the {SEEDS} times the last layer is drawn anew, which says nothing.",
                bar,
            )
        if not lean(subject, attribution):
            for i, stage in enumerate(stages[1:]):
                curve.append(_at(stage, subject, attribution))
                if progress:
                    progress(i + 2, len(stages))
        value = curve[0]["rank_correlation"]
        passes = value < self.bar
        says = "The map depends on what the network has learned" if passes else "The map hardly depends on the weights"
        words = (
            f"{says}: with the last layer drawn anew, its rank correlation with itself is {value:.2f}{_further(curve)}."
        )
        if n_empty:
            words += f" It was drawn {n_empty + 1} times; before that the map was empty, which says nothing."
        fault = f"hardly depends on the weights: rank correlation {value:.2f} with the last layer drawn anew"
        figures = {"bar": self.bar, "cascade": curve, "n_empty": n_empty}
        return self.result(passes, words, bar, value=value, figures=figures, fault=fault)


def _at(stage: Redrawn, subject: Subject, attribution: Attribution) -> dict[str, Any]:
    """What a network that has forgotten makes of the map; numbers are None where the map vanished."""
    theirs = attribution.method(stage.network, subject.inputs, subject.target, attribution.layer)
    flat = is_flat(sizes(theirs)[0])
    return {
        "down_to": stage.first,
        "n_layers": stage.n_layers,
        "rank_correlation": None if flat else rank_correlation(sizes(attribution)[0], sizes(theirs)[0]),
        "correlation": None if flat else correlation(signed(attribution)[0], signed(theirs)[0]),
        "flat": flat,
    }


def _further(curve: list[dict[str, Any]]) -> str:
    """What became of it when all layers had forgotten."""
    if len(curve) < 2:
        return ""
    return (
        "; with all layers the map vanished"
        if curve[-1]["flat"]
        else f", with all layers {curve[-1]['rank_correlation']:.2f}"
    )
