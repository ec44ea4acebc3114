"""Is the network right on these images?  Top-1 accuracy against the same answers held against shuffled labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.finding import Control, Finding
from convscope.intervals import Interval, exact, share
from convscope.registry import register
from convscope.study.claim import TRAINED, Claim, Measured, Question
from convscope.study.labelings import labelings
from convscope.sweep.engine import OUTPUT
from convscope.sweep.gauges import Gauge, Hits

N_SHUFFLED = 20


@register("claim", "accuracy")
@dataclass(frozen=True)
class Accuracy(Claim):
    """Top-1 accuracy; control: the same answers, labels shuffled among the images."""

    key = "accuracy"
    statement = "The network is right on these images"
    quantity = "share of labelled images whose best class is the labelled one"
    unit = "fraction"
    least = 0.05  # right on 5 images in a hundred more than by chance
    means = (
        "Explanations of a network are worth reading only where it does its task: everything below describes a network that is "
        "right this often on images like these. It does not say that the network is right for good reasons, nor how it would "
        "do on other images; where some of these images were in its training set, the share is too high."
    )

    def output_gauges(self, question: Question, n_classes: int) -> Sequence[Gauge]:
        if question.mismatch:
            return ()
        return (Hits(n_classes, labelings(question, N_SHUFFLED)),)

    def find(self, measured: Measured) -> Finding:
        if measured.mismatch:
            return self.finding(summary="Accuracy could not be measured.", why_not=measured.mismatch)
        hits = measured.result(TRAINED, OUTPUT, "hits")
        if not hits.n[0]:
            why = "Of none of the labelled images could the answer be computed."
            return self.finding(summary="Accuracy could not be measured.", why_not=why)
        known = measured.images.labels[measured.images.labels >= 0]
        one = "All images are of one class: being right cannot be told from always giving the same answer."
        why_not = one if len(set(known.tolist())) < 2 else ""
        n = int(hits.n[0])
        found = share(int(hits.top1[0]), n)
        by_chance = _by_chance(hits.top1[1:], n)
        chance = Control(
            "shuffled labels",
            f"The same answers held against the same labels, dealt out to the images at random ({N_SHUFFLED} times).",
            by_chance,
        )
        five = ""
        bars = [_bar("top-1", found), _bar("top-1, shuffled labels", by_chance, control=True)]
        if measured.network.n_classes > 5:
            top5 = share(int(hits.top5[0]), n)
            five = f" The right class is among the best five on {_percent(top5)}."
            bars[1:1] = [_bar("top-5", top5)]
            bars.append(_bar("top-5, shuffled labels", _by_chance(hits.top5[1:], n), control=True))
        summary = f"Right on {_percent(found)} of {n:,} labelled images; {100 * by_chance.value:.1f} % by chance.{five}"
        chart = {"panel": "bars", "title": "Share of images", "unit": "fraction", "bars": bars}
        return self.finding(
            value=found,
            controls=(chance,),
            beyond=found.minus(by_chance),
            summary=summary,
            why_not=why_not,
            evidence=(chart,),
            resampled="images",
        )


def _by_chance(hits: np.ndarray, n: int) -> Interval:
    """Mean share over the shufflings, with the spread of their mean."""
    shares = hits / n
    spread = 1.96 * float(shares.std(ddof=1)) / len(shares) ** 0.5 if len(shares) > 1 else 0.0
    mean = float(shares.mean()) if len(shares) else 0.0
    return Interval(mean, max(0.0, mean - spread), mean + spread) if spread else exact(mean)


def _bar(name: str, value: Interval, *, control: bool = False) -> dict[str, Any]:
    return {"name": name, **value.as_dict(), "control": control}


def _percent(found: Interval) -> str:
    return f"{100 * found.value:.1f} % (95 % interval {100 * found.low:.1f} to {100 * found.high:.1f})"
