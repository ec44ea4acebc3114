"""Would the map be the same if it were made again, with another seed, or of the image moved by one pixel?"""

from dataclasses import dataclass, replace
from math import isnan
from typing import Any

import torch

from convscope.instruments.attribution.checks.alike import correlation, is_flat
from convscope.instruments.attribution.checks.check import Check, Result
from convscope.instruments.attribution.checks.class_dependence import joined
from convscope.instruments.attribution.checks.effort import lean, too_dear
from convscope.instruments.attribution.checks.subject import Subject
from convscope.instruments.attribution.method import Attribution, Progress
from convscope.registry import register


@register("check", "repeatability")
@dataclass(frozen=True)
class Repeatability(Check):
    """Passes if maps made again are as much like the first as the bars say (correlation of scores pixel by pixel).

    The same question again: `same`. Another seed, for methods that draw random numbers: `seeds`. The image moved by 1 px to the
    right (its edge repeated), the map moved back: `shift`. On trained networks class activation maps reach .95 there,
    gradients by pixel .2 to .6: below `shift` nothing of the map moves with the image.
    """

    key = "repeatability"
    title = "Repeatability"
    question = "Would the same map come out again?"

    same: float = 0.999
    seeds: float = 0.5
    shift: float = 0.1

    def __call__(self, subject: Subject, attribution: Attribution, progress: Progress | None = None) -> Result:
        subject.expect(attribution)
        bar = f"correlation with the map made again at least {self.same:g}, "
        bar += f"with another seed {self.seeds:g}, of the image moved by 1 px {self.shift:g}"
        own = attribution.scores[0].double().cpu()
        if is_flat(own):
            return self.not_run("Not run: the map is the same everywhere.", bar)
        why_not = too_dear(subject, attribution)
        if why_not:
            return self.not_run(why_not, bar)
        method, network = attribution.method, subject.network.quick_for(subject.inputs)
        found: dict[str, float] = {}
        images = {"same": subject.inputs, "shift": moved(subject.inputs)}
        if subject.target.position is not None:  # one neuron stays where it is when the image moves
            del images["shift"]
        elif lean(subject, attribution):
            del images["same"]
        inputs, target = torch.cat(list(images.values())), joined([subject.target] * len(images))
        maps = method(network, inputs, target, attribution.layer, progress).scores.double().cpu()
        for name, scores in zip(images, maps, strict=True):
            found[name] = _kept(own, scores) if name == "same" else _kept(own[:, :-1], scores[:, 1:])
        seed = getattr(method, "seed", None)
        if method.seeded and seed is not None:
            other = replace(method, **{"seed": seed + 1 + subject.seed})
            again = other(network, subject.inputs, subject.target, attribution.layer, progress)
            found["seeds"] = _kept(own, again.scores[0].double().cpu())
        bars = {"same": self.same, "seeds": self.seeds, "shift": self.shift}
        failed = [name for name in found if found[name] < bars[name]]
        worst = min(found, key=lambda name: found[name] - bars[name])
        figures: dict[str, Any] = {**found, "bars": bars}
        listed = ", ".join(f"{found[name]:.3f} {_HOW[name]}" for name in found)
        says = "Another map comes out" if failed else "The same map comes out again"
        return self.result(
            not failed,
            f"{says}: its correlation with the first is {listed}.",
            bar,
            value=found[worst],
            figures=figures,
            fault=f"does not come out again: correlation {found[worst]:.2f} {_HOW[worst]}",
        )


_HOW = {
    "same": "when it is simply made again",
    "seeds": "with another seed",
    "shift": "with the image moved by 1 px",
}


def _kept(own: torch.Tensor, again: torch.Tensor) -> float:
    """How much of a map came out again: its correlation; 0 where nothing came."""
    found = correlation(own, again)
    return 0.0 if isnan(found) else found


def moved(inputs: torch.Tensor) -> torch.Tensor:
    """The image 1 px further to the right, its left edge repeated."""
    return torch.cat([inputs[..., :1], inputs[..., :-1]], -1)
