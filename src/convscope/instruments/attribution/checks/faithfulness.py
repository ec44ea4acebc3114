"""Are the places a map ranks first the ones the prediction hangs on?  Insertion and deletion, against orders that know nothing.

The controls are random orders, and the two trivial maps that beat them easily: the centre of the image, and its edges. A map
that is not above random orders is no explanation; one that is not above a trivial map says nothing beyond that. All of it under
two fills, for the order of maps can turn with the fill (Hooker et al. 2019, arXiv:1806.10758: removal is not neutral).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import Any

import numpy as np
import torch
from scipy.special import stdtrit

from convscope.instruments.attribution.checks.check import Check, Result
from convscope.instruments.attribution.checks.curves import FILLS, WAYS, Grid, area, counts, curves, hiding
from convscope.instruments.attribution.checks.subject import Subject
from convscope.instruments.attribution.checks.trivial import WORDS, trivial_maps
from convscope.instruments.attribution.method import Attribution, Progress
from convscope.intervals import Interval
from convscope.registry import register

TIE = 0.03  # areas that are closer than this are not told apart (what the trapezoid rule leaves with few points)
Areas = dict[str, dict[str, dict[str, float]]]  # fill -> way -> "map", "centre", "edges", "random" -> area


@register("check", "faithfulness")
@dataclass(frozen=True)
class Faithfulness(Check):
    """Passes if insertion by the map is above any random order (95 %) and above both trivial maps, under each fill.

    A fill that leaves half of the response (above chance) or more when everything is hidden does not count.
    `n_cells` are those along the short side (a large number: single pixels); a curve has `n_parts` parts; `n_orders` random
    orders are drawn for each fill. A failure greys the map only if it is not above random orders.
    """

    key = "faithfulness"
    title = "Faithfulness"
    question = "Does the prediction hang on the places the map ranks first?"

    n_cells: int = 14
    n_parts: int = 5
    n_orders: int = 4

    def __call__(self, subject: Subject, attribution: Attribution, progress: Progress | None = None) -> Result:
        subject.expect(attribution)
        fills = hiding(subject)
        bar = "insertion by the map is above any random order (95 %) and above both trivial maps, with each fill that hides"
        if not fills:
            why = "even with everything hidden the response stays, so it cannot be said what it hangs on"
            return self.not_run(f"Not run: {why}.", bar)
        measured = self.measure(subject, attribution)
        areas, spread = measured["areas"], measured["spread"]
        gains = {fill: areas[fill]["insertion"]["map"] - areas[fill]["insertion"]["random"] for fill in fills}
        fill = min(gains, key=lambda name: gains[name])
        half = spread["half_width"]
        interval = Interval(gains[fill], gains[fill] - half, gains[fill] + half)
        beaten_by = [name for name in WORDS if any(_behind(areas, fill, name) for fill in fills)]
        return self.result(
            interval.low > 0 and not beaten_by,
            _words(subject, areas, fill, half, beaten_by, fills),
            bar,
            value=gains[fill],
            interval=interval,
            figures={
                "scale": subject.scale,
                "hiding": list(fills),
                **measured,
                "gain": gains,
                "flips": flips({name: areas[name] for name in fills}),
            },
            decides=interval.low <= 0,
            fault=f"is no better than a random order of places (insertion {gains[fill]:+.2f}, chance reaches {half:.2f})",
        )

    def measure(self, subject: Subject, attribution: Attribution) -> dict[str, Any]:
        """All areas and curves; those of random orders and of trivial maps are worked out once for a subject."""
        size = self.thoroughly() if subject.thorough else self
        grid = Grid(*subject.size, size.n_cells)
        run = partial(curves, subject, grid=grid, n_parts=size.n_parts)
        own = grid.order(attribution.scores[0], subject.generator("ties"))
        found: dict[str, Any] = {
            "cells": list(grid.shape),
            "shares": [n / grid.n_cells for n in counts(grid.n_cells, size.n_parts)],
        }
        controls = subject.kept(("controls", size), lambda: size.controls(subject, grid))
        areas: Areas = {}
        lines: dict[str, Any] = {}
        for fill in FILLS:
            answers = {**run({"map": own}, fill=fill), **controls["curves"][fill]}
            areas[fill] = {way: {} for way in WAYS}
            lines[fill] = {way: {} for way in WAYS}
            for (name, way), curve in answers.items():
                areas[fill][way][name] = area(curve, grid.n_cells)
                lines[fill][way][name] = [round(float(v), 6) for v in curve]
        return {**found, "areas": areas, "spread": controls["spread"], "curves": lines}

    def controls(self, subject: Subject, grid: Grid) -> dict[str, Any]:
        """The curves of what knows nothing: trivial maps, the mean of random orders; and how far apart random orders are.

        A random order that hides is one that shows, backwards: the same draws serve both ways.
        """
        trivial = {
            name: grid.order(scores, subject.generator("ties")) for name, scores in trivial_maps(subject.inputs).items()
        }
        draws = subject.generator("random orders")
        found: dict[str, Any] = {}
        drawn: list[list[float]] = []
        for fill in FILLS:
            orders = {str(i): torch.randperm(grid.n_cells, generator=draws) for i in range(self.n_orders)}
            random = list(curves(subject, orders, grid, self.n_parts, fill, ("insertion",)).values())
            drawn.append([area(curve, grid.n_cells) for curve in random])
            mean = torch.stack(random).mean(0)
            found[fill] = {
                **curves(subject, trivial, grid, self.n_parts, fill),
                ("random", "insertion"): mean,
                ("random", "deletion"): mean.flip(0),
            }
        hides = hiding(subject) or tuple(FILLS)
        return {
            "curves": found,
            "spread": pooled([group for fill, group in zip(FILLS, drawn, strict=True) if fill in hides]),
        }

    def thoroughly(self) -> "Faithfulness":
        """The same with twice the points and random orders."""
        return Faithfulness(self.n_cells, 2 * self.n_parts, 2 * self.n_orders)


def pooled(drawn: list[list[float]], level: float = 0.95) -> dict[str, float]:
    """How far from the mean of some draws may another one lie?  From the spread within groups of draws, pooled.

    "half_width" is half the interval that holds one more draw's distance from its group's mean with probability `level`:
    t(level, n) s sqrt(1 + 1 / draws), for normal draws of one spread s with n degrees of freedom.
    """
    n_draws = len(drawn[0])
    freedom = sum(len(group) - 1 for group in drawn)
    deviation = sqrt(sum(float(np.var(group)) * len(group) for group in drawn) / freedom) if freedom else float("nan")
    half = float(stdtrit(freedom, (1 + level) / 2)) * deviation * sqrt(1 + 1 / n_draws) if freedom else float("inf")
    return {"deviation": deviation, "draws": n_draws, "freedom": freedom, "half_width": half}


def gains(
    subject: Subject, attribution: Attribution, check: Faithfulness | None = None
) -> dict[str, dict[str, dict[str, float]]]:
    """How much better is a map than what knows nothing?  fill -> "insertion", "deletion" -> "random", "centre", "edges" -> gain.

    In units of area (0-1 for a probability); above zero is better, for deletion too. A fill that does not hide what the target
    answers to says nothing, and is left out, unless none does: then the answer hangs on no place, and no map gains by much. One
    image says little: take many, and draw images again for an interval of the mean.
    """
    subject.expect(attribution)
    areas: Mapping[str, Any] = (check or Faithfulness()).measure(subject, attribution)["areas"]
    hides = hiding(subject) or tuple(FILLS)
    return {
        fill: {
            way: {
                name: (by["map"] - other) * (1 if way == "insertion" else -1)
                for name, other in by.items()
                if name != "map"
            }
            for way, by in ways.items()
        }
        for fill, ways in areas.items()
        if fill in hides
    }


def flips(areas: Areas) -> list[dict[str, Any]]:
    """Where is the map above a trivial one under one fill or way, and below it under another?  Ties are left out."""
    found = []
    for name in WORDS:
        ahead = {
            (fill, way): (by["map"] - by[name]) * (1 if way == "insertion" else -1)
            for fill, ways in areas.items()
            for way, by in ways.items()
        }
        best, worst = max(ahead, key=lambda at: ahead[at]), min(ahead, key=lambda at: ahead[at])
        if ahead[best] > TIE and ahead[worst] < -TIE:
            found.append({"against": name, "above": list(best), "below": list(worst)})
    return found


def _behind(areas: Areas, fill: str, name: str) -> bool:
    return areas[fill]["insertion"]["map"] <= areas[fill]["insertion"][name]


def _words(subject: Subject, areas: Areas, fill: str, half: float, beaten_by: list[str], fills: tuple[str, ...]) -> str:
    by = areas[fill]["insertion"]
    above = by["map"] - by["random"] > half
    says = (
        f"Shown place by place in the map's order, '{subject.target.words[0]}' returns "
        f"{'sooner than in random order' if above else 'no sooner than chance allows'} "
        f"({by['map']:.2f} of 1, random order {by['random']:.2f}, with the {fill} fill)."
    )
    if beaten_by:
        names = " and ".join(WORDS[name] for name in beaten_by)
        says += f" {'But' if above else 'And'} {names} {'do' if beaten_by[1:] else 'does'} as well or better."
    elif above:
        says += " It also returns sooner than by a map of the image's centre or of its edges."
    says += "".join(
        f" The {name} fill says nothing here: with everything hidden most of the response stays."
        for name in FILLS
        if name not in fills
    )
    for flip in flips({name: areas[name] for name in fills}):
        above_at, below_at = flip["above"], flip["below"]
        says += (
            f" Against {WORDS[flip['against']]} the answer turns: better by {above_at[1]} with the {above_at[0]} fill, "
            f"worse by {below_at[1]} with the {below_at[0]} fill."
        )
    return says
