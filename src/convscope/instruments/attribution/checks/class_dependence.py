"""Does the map depend on what is explained?  It is held against the map of another class, by the same method.

Adebayo et al. 2018 (arXiv:1810.03292) and Nie, Zhang and Patel 2018 (arXiv:1805.07039): guided backpropagation and deconvnet show
the image, whatever is asked. The runner-up is often so like the class that sound maps are alike too (a gradient: .7 on a trained
SqueezeNet); so the others are one drawn at random, and the least likely. Signed values are compared, before sizes are taken.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch

from convscope.instruments.attribution.checks.alike import correlation, is_flat, rank_correlation, signed
from convscope.instruments.attribution.checks.check import Check, Result
from convscope.instruments.attribution.checks.doubles import quick
from convscope.instruments.attribution.checks.effort import lean, too_dear
from convscope.instruments.attribution.checks.subject import Subject
from convscope.instruments.attribution.method import Attribution, Progress
from convscope.instruments.attribution.target import Target, class_name
from convscope.registry import register


@register("check", "class_dependence")
@dataclass(frozen=True)
class ClassDependence(Check):
    """Passes if the map's correlation with that of at least one other class is below `bar`."""

    key = "class_dependence"
    title = "Dependence on the class"
    question = "Would another class have given another map?"

    bar: float = 0.5

    def __call__(self, subject: Subject, attribution: Attribution, progress: Progress | None = None) -> Result:
        subject.expect(attribution)
        bar = f"the correlation with the map of another class is below {self.bar:g}"
        others = subject.kept("other targets", lambda: other_targets(subject))
        if isinstance(others, str):
            return self.not_run(others, bar)
        own = signed(attribution)[0]
        if is_flat(own):
            return self.not_run("Not run: the map is the same everywhere.", bar)
        why_not = too_dear(subject, attribution)
        if why_not:
            return self.not_run(why_not, bar)
        if lean(subject, attribution):
            others = {"least likely": others["least likely"]}
        targets = list(others.values())
        inputs = subject.inputs.expand(len(targets), -1, -1, -1)
        found = signed(attribution.method(quick(subject.network), inputs, joined(targets), attribution.layer, progress))
        figures: dict[str, Any] = {"bar": self.bar}
        for (which, target), theirs in zip(others.items(), found, strict=True):
            figures[which.replace(" ", "_")] = {
                "target": target.words[0],
                "correlation": correlation(own, theirs),
                "rank_correlation": rank_correlation(own, theirs),
                "flat": is_flat(theirs),
            }
        which = min(others, key=lambda name: figures[name.replace(" ", "_")]["correlation"])
        value = figures[which.replace(" ", "_")]["correlation"]
        passes = value < self.bar
        says = "The map depends on the class" if passes else "The map hardly depends on the class"
        words = f"{says}: that of '{others[which].words[0]}' ({which}) has a correlation of {value:.2f} with it."
        fault = f"hardly depends on the class: correlation {value:.2f} with the map of '{others[which].words[0]}'"
        return self.result(passes, words, bar, value=value, figures=figures, fault=fault)


def other_targets(subject: Subject) -> dict[str, Target] | str:
    """A class drawn at random and the least likely one (for a contrast, such pairs of other classes); or why there are none."""
    network, target = subject.network, subject.target
    if not subject.is_class:
        return "Not run: what is explained is a unit, not a class; there is no other class to compare with."
    if network.n_classes == 1:
        return "Not run: the network has one logit, so there is no other class."
    used = {*target.plus, *target.minus}
    order = [i for i in subject.logits[0].argsort(stable=True).tolist() if i not in used]
    n = len(used)
    if len(order) < n:
        return f"Not run: the network has {network.n_classes} classes, too few for another contrast."
    draws = torch.randperm(len(order), generator=subject.generator("other class"))[:n]
    return {
        "random class": _target(subject, [order[i] for i in draws.tolist()]),
        "least likely": _target(subject, order[:n]),
    }


def joined(targets: list[Target]) -> Target:
    """One target for a batch, from one for each image."""
    return replace(
        targets[0],
        plus=tuple(i for target in targets for i in target.plus),
        minus=tuple(i for target in targets for i in target.minus),
        words=tuple(word for target in targets for word in target.words),
    )


def _target(subject: Subject, classes: list[int]) -> Target:
    names = [class_name(subject.network, i) for i in classes]
    minus = tuple(classes[1:])
    words = f"{names[0]} rather than {names[1]}" if minus else names[0]
    return Target(subject.target.step, (classes[0],), minus, words=(words,))
