"""Does the map lie on the thing?  Where a mask or boxes say where that is.

Pointing game: Zhang et al. 2016 (arXiv:1608.00507), section 4.1, without a margin. Relevance mass and rank accuracy: Arras, Osman
and Samek 2022 (arXiv:2003.07258), eq. 2 and 3. A sound map may fail: a network can rightly look beside the thing.
"""

from dataclasses import dataclass

import torch

from convscope.instruments.attribution.checks.alike import is_flat
from convscope.instruments.attribution.checks.check import Check, Result
from convscope.instruments.attribution.checks.subject import Subject
from convscope.instruments.attribution.checks.trivial import WORDS, trivial_maps
from convscope.instruments.attribution.method import Attribution, Progress
from convscope.registry import register


@register("check", "localisation")
@dataclass(frozen=True)
class Localisation(Check):
    """Passes if the highest score lies inside, and relevance mass and rank accuracy are above chance: the share of the image."""

    key = "localisation"
    title = "Localisation"
    question = "Does the map lie on the thing?"

    def __call__(self, subject: Subject, attribution: Attribution, progress: Progress | None = None) -> Result:
        subject.expect(attribution)
        bar = "the highest score lies inside, and so do more of the weight and of the top pixels than by chance"
        if subject.mask is None:
            return self.not_run("Not run: no mask or box says where the thing is.", bar)
        scores = attribution.scores[0]
        if is_flat(scores):
            return self.not_run("Not run: the map is the same everywhere.", bar)
        chance = float(subject.mask.double().mean())
        own = localise(scores, subject.mask)
        trivial = {name: localise(one, subject.mask) for name, one in trivial_maps(subject.inputs).items()}
        passes = own["pointing"] > 0.5 and own["mass"] > chance and own["rank"] > chance
        better = [WORDS[name] for name, one in trivial.items() if one["rank"] >= own["rank"]]
        words = (
            f"The highest score lies {'on' if own['pointing'] > 0.5 else 'beside'} the thing, which covers "
            f"{100 * chance:.0f} % of the image and gets {100 * own['mass']:.0f} % of the map's positive weight."
        )
        if better:
            words += f" By its top pixels, {' and '.join(better)} {'find' if len(better) > 1 else 'finds'} it as well."
        return self.result(
            passes,
            words,
            bar,
            value=own["mass"],
            figures={"chance": chance, **own, "trivial": trivial},
            decides=False,
            fault=f"lies beside the thing: {100 * own['mass']:.0f} % of its weight on {100 * chance:.0f} % of the image",
        )


def localise(scores: torch.Tensor, mask: torch.Tensor) -> dict[str, float]:
    """Three numbers, 0-1, for scores and a mask (bool) `y x`.

    "pointing": whether the highest score is inside (of several equal ones, the share inside); "mass": the positive scores inside,
    as a part of all; "rank": of as many highest scores as the mask has pixels, the share inside (equal ones at the limit in parts).
    """
    scores, mask = scores.detach().double().cpu(), mask.cpu()
    positive = scores.clamp(min=0)
    total = float(positive.sum())
    n = int(mask.sum())
    limit = scores.flatten().kthvalue(scores.numel() - n + 1).values
    above, at = scores > limit, scores == limit
    left = n - int(above.sum())  # places left for scores at the limit
    inside = float((above & mask).sum()) + left * float((at & mask).sum()) / max(1, int(at.sum()))
    return {
        "pointing": float(mask[scores == scores.max()].double().mean()),
        "mass": float(positive[mask].sum()) / total if total > 0 else 0.0,
        "rank": inside / n,
    }
