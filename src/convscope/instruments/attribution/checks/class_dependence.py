"""Does the map depend on what is explained?  It is held against the maps of other classes, by the same method.

Adebayo et al. 2018 (arXiv:1810.03292) and Nie, Zhang and Patel 2018 (arXiv:1805.07039): guided backpropagation and deconvnet show
the image, whatever is asked. The runner-up is often so like the class that sound maps are alike too (a gradient: .7 on a trained
SqueezeNet), and the least likely class is the most favourable to a method: what decides are classes drawn at random. One of them
may be like the class by chance, so it is the median of three. Signed values are compared, before sizes are taken.

On 40 photographs and SqueezeNet 1.1, all threes of seven classes: guided .77 to 1, deconvnet 1, the gradient -.2 to .69, Grad-CAM
below .75 for 97 %.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from statistics import median
from typing import Any

import torch

from convscope.instruments.attribution.checks.alike import correlation, is_flat, rank_correlation, signed
from convscope.instruments.attribution.checks.check import Check, Result
from convscope.instruments.attribution.checks.effort import lean, too_dear
from convscope.instruments.attribution.checks.subject import Subject
from convscope.instruments.attribution.method import Attribution, Progress
from convscope.instruments.attribution.target import Target, class_name
from convscope.registry import register

ROUNDS = 3  # of classes that are drawn, as long as their maps are empty


@register("check", "class_dependence")
@dataclass(frozen=True)
class ClassDependence(Check):
    """Passes if the map's correlation with those of `n_classes` classes drawn at random (the median) is below `bar`.

    Of a method that is expensive, it is one class. Classes whose map is empty say nothing: others are drawn in their place. The
    least likely class is measured too, but does not decide.
    """

    key = "class_dependence"
    title = "Dependence on the class"
    question = "Would another class have given another map?"

    bar: float = 0.75
    n_classes: int = 3

    def __call__(self, subject: Subject, attribution: Attribution, progress: Progress | None = None) -> Result:
        subject.expect(attribution)
        bar = f"the correlation with the maps of classes drawn at random (the median) is below {self.bar:g}"
        others = subject.kept("other targets", lambda: other_targets(subject))
        if isinstance(others, str):
            return self.not_run(others, bar)
        own = signed(attribution)[0]
        if is_flat(own):
            return self.not_run("Not run: the map is the same everywhere.", bar)
        why_not = too_dear(subject, attribution)
        if why_not:
            return self.not_run(why_not, bar)
        in_full = not lean(subject, attribution)
        wanted, drawn = self.n_classes if in_full else 1, iter(others)
        figures: dict[str, Any] = {}
        live: list[dict[str, Any]] = []
        n_empty = 0
        for i in range(ROUNDS):
            targets = list(islice(drawn, wanted - len(live)))
            apart = [least_likely(subject)] if in_full and i == 0 else []
            if not targets:
                break
            found = list(_compared(subject, attribution, [*targets, *apart], progress))
            if apart:
                figures["least_likely"] = found.pop()
            live += [one for one in found if not one["flat"]]
            n_empty += sum(one["flat"] for one in found)
            if len(live) == wanted:
                break
        if not live:
            return self.not_run(f"Not run: the maps of {n_empty} other classes are empty.", bar, **figures)
        for i, one in enumerate(live):
            figures["random_class" + (f"_{i + 1}" if i else "")] = one
        figures |= {"bar": self.bar, "n_empty": n_empty}
        value = median(one["correlation"] for one in live)
        passes = value < self.bar
        says = "The map depends on the class" if passes else "The map hardly depends on the class"
        listed = ", ".join(f"{one['correlation']:.2f} ({one['target']})" for one in live)
        words = f"{says}: its correlation with the map of another class, drawn at random, is {listed}."
        if n_empty:
            words += f" Of {n_empty} more the map is empty, which says nothing."
        fault = f"hardly depends on the class: correlation {value:.2f} with the map of {_named(live)}"
        return self.result(passes, words, bar, value=value, figures=figures, fault=fault)


def other_targets(subject: Subject) -> list[Target] | str:
    """Other classes in random order (for a contrast, pairs of them that share none); or why there are none."""
    network = subject.network
    if not subject.is_class:
        return "Not run: what is explained is a unit, not a class; there is no other class to compare with."
    if network.n_classes == 1:
        return "Not run: the network has one logit, so there is no other class."
    rest, n = _rest(subject), len(_used(subject))
    if len(rest) < n:
        return f"Not run: the network has {network.n_classes} classes, too few for another contrast."
    order = [rest[i] for i in torch.randperm(len(rest), generator=subject.generator("other class")).tolist()]
    return [_target(subject, order[i * n : (i + 1) * n]) for i in range(len(rest) // n)]


def least_likely(subject: Subject) -> Target:
    """The class with the lowest logit (for a contrast, the lowest two)."""
    return _target(subject, _rest(subject)[: len(_used(subject))])


def joined(targets: list[Target]) -> Target:
    """One target for a batch, from one for each image."""
    return replace(
        targets[0],
        plus=tuple(i for target in targets for i in target.plus),
        minus=tuple(i for target in targets for i in target.minus),
        words=tuple(word for target in targets for word in target.words),
    )


def _compared(
    subject: Subject, attribution: Attribution, targets: list[Target], progress: Progress | None
) -> Iterator[dict[str, Any]]:
    """How alike the map is to those of other targets, made all at once."""
    own, inputs = signed(attribution)[0], subject.inputs.expand(len(targets), -1, -1, -1)
    network = subject.network.quick_for(inputs)
    found = signed(attribution.method(network, inputs, joined(targets), attribution.layer, progress))
    for target, theirs in zip(targets, found, strict=True):
        flat = is_flat(theirs)
        yield {
            "target": target.words[0],
            "correlation": None if flat else correlation(own, theirs),
            "rank_correlation": None if flat else rank_correlation(own, theirs),
            "flat": flat,
        }


def _named(live: list[dict[str, Any]]) -> str:
    return f"'{live[0]['target']}'" if len(live) == 1 else f"{len(live)} classes drawn at random"


def _used(subject: Subject) -> set[int]:
    return {*subject.target.plus, *subject.target.minus}


def _rest(subject: Subject) -> list[int]:
    """All other classes, the least likely first."""
    return [i for i in subject.logits[0].argsort(stable=True).tolist() if i not in _used(subject)]


def _target(subject: Subject, classes: list[int]) -> Target:
    names = [class_name(subject.network, i) for i in classes]
    minus = tuple(classes[1:])
    words = f"{names[0]} rather than {names[1]}" if minus else names[0]
    return Target(subject.target.step, (classes[0],), minus, words=(words,))
