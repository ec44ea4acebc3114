"""Do concepts grow sophisticated with depth?  What units detect best: colours and textures below, parts and objects above.

Bau et al. 2017 (arXiv:1704.05796, figure 5); Zeiler and Fergus 2014 saw it in pictures. Each unit counts for the concept it detects
best, so that a layer in which everything is detectable does not count twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.finding import Control, Finding
from convscope.images.concepts.concept import Concept
from convscope.instruments.concepts.detected import Detected, detected
from convscope.intervals import Interval, bootstrap, enclosing
from convscope.network.chosen_layers import depths
from convscope.registry import register
from convscope.study.claim import Claim, Measured
from convscope.study.detected import (
    HIGH,
    LOW,
    at_level,
    fresh_of,
    held,
    pixels_of,
    single_of,
    why_not,
)
from convscope.study.profiles import LEAST_LAYERS, rank

FEWEST = 10  # units that mean something in a third of the depth: fewer have no share


@register("claim", "concept_level")
@dataclass(frozen=True)
class ConceptLevel(Claim):
    """Growth of the share of parts and objects among what units detect; control: fresh weights."""

    key = "concept_level"
    statement = "Concepts grow more sophisticated with depth: from colours and textures to parts and objects"
    quantity = (
        "share of parts and objects among the concepts that units detect best, last third of the depth less the first"
    )
    unit = "difference"
    least = 0.1
    means = (
        "Of the units that detect something, more stand for parts and objects the deeper they lie, and fewer for colours, edges "
        "and textures. It depends on which concepts were labelled, so it is held against fresh weights, where the same labels are "
        "found with nothing learned; larger fields alone make large things easier to cover. It does not say that deep units have "
        "lost what shallow ones tell."
    )
    asks_concepts = True

    def find(self, measured: Measured) -> Finding:
        reason = why_not(measured) or _levels(measured)
        if reason:
            return self.finding(summary="The level of concepts was not measured.", why_not=reason)
        found = single_of(measured)
        concepts = found.concepts
        high = at_level(concepts, HIGH)
        known = high | at_level(concepts, LOW)
        own = detected(found)
        fresh = [detected(one) for one in fresh_of(measured)]
        depth = np.array([depths(measured.network.graph)[layer] for layer in own.layers])
        drawn = [row for row in held(measured, len(concepts)) if (row & high).any() and (row & known & ~high).any()]
        value = _growth(own, depth, high, known, drawn)
        beyond = enclosing([_growth(own, depth, high, known, drawn, less=other) for other in fresh])
        few = _few(own, depth, known)
        return self.finding(
            value=value,
            controls=[
                Control(
                    "fresh weights",
                    f"The same in the same architecture with weights that have learned nothing, drawn {len(fresh)} times; "
                    f"where less than {FEWEST} units of a third detect anything, no growth.",
                    enclosing([_growth(other, depth, high, known, drawn) for other in fresh]),
                )
            ],
            beyond=beyond,
            conditions=(value,),
            summary=_summary(own, depth, high, known),
            why_not=few,
            evidence=(_curves(own, fresh, concepts), _table(own, concepts)),
            resampled="concepts",
        )


def _levels(measured: Measured) -> str:
    """Why levels cannot be compared; empty if they can."""
    single = single_of(measured)
    testable = pixels_of(measured).testable
    n_low, n_high = (int((at_level(single.concepts, level) & testable).sum()) for level in (LOW, HIGH))
    if min(n_low, n_high) < 2:
        return (
            f"{n_low} low concepts (colours, edges, textures) and {n_high} high ones (parts, objects) are in the images; it takes "
            "2 of each. Give both: --concepts pixels --concepts masks/."
        )
    if len(single.layers) < LEAST_LAYERS:
        return f"With {len(single.layers)} layers that have maps there is no trend; it takes {LEAST_LAYERS}."
    return ""


def _few(own: Detected, depth: np.ndarray, known: np.ndarray) -> str:
    for which, name in ((0, "first"), (2, "last")):
        n = _counts(own, depth, which, known, known)[1]
        if n < FEWEST:
            return f"In the {name} third of the depth {n} units detect a concept; it takes {FEWEST} to have a share."
    return ""


def _counts(
    found: Detected, depth: np.ndarray, which: int, high: np.ndarray, known: np.ndarray, drawn: np.ndarray | None = None
) -> tuple[int, int]:
    """Of a third of the depth: units that detect a high concept best, and units that detect one of either level."""
    place = (depth - depth.min()) / max(np.ptp(depth), 1)
    chosen = np.flatnonzero(place <= 1 / 3 if which == 0 else place >= 2 / 3)
    means = [found.means(int(layer), known if drawn is None else drawn & known) for layer in chosen]
    every = np.concatenate([one[one >= 0] for one in means]) if means else np.zeros(0, int)
    return int(high[every].sum()), len(every)


def _grown(
    found: Detected, depth: np.ndarray, high: np.ndarray, known: np.ndarray, drawn: np.ndarray | None = None
) -> float:
    """How much larger the share of high concepts is in the last third than in the first; 0 where there are too few to have one."""
    (low_high, low_n), (up_high, up_n) = (_counts(found, depth, which, high, known, drawn) for which in (0, 2))
    if min(low_n, up_n) < (FEWEST if drawn is None else 1):
        return 0.0
    return up_high / up_n - low_high / low_n


def _growth(
    found: Detected,
    depth: np.ndarray,
    high: np.ndarray,
    known: np.ndarray,
    drawn: Sequence[np.ndarray],
    less: Detected | None = None,
) -> Interval:
    def grown(row: np.ndarray | None) -> float:
        other = 0.0 if less is None else _grown(less, depth, high, known, row)
        return _grown(found, depth, high, known, row) - other

    return bootstrap(grown(None), np.array([grown(row) for row in drawn]), centered=True)


def _summary(own: Detected, depth: np.ndarray, high: np.ndarray, known: np.ndarray) -> str:
    shares = _high_shares(own, high, known)
    trend = rank(depth, shares)
    (a, n), (b, m) = (_counts(own, depth, which, high, known) for which in (0, 2))
    words = "cannot be ranked" if np.isnan(trend) else f"has rank correlation {trend:.2f} with depth"
    return (
        f"In the first third of the depth {a} of {n} units that detect something detect parts or objects best, in the last {b} of "
        f"{m}. Their share, layer by layer, {words}."
    ).replace("-0.", "−0.")


def _high_shares(found: Detected, high: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Share of high concepts among what the units of each layer detect best; NaN where they detect nothing."""
    shares = []
    for layer in range(len(found.layers)):
        means = found.means(layer, known)
        means = means[means >= 0]
        shares.append(float(high[means].mean()) if len(means) else np.nan)
    return np.array(shares)


def _curves(own: Detected, fresh: list[Detected], concepts: Sequence[Concept]) -> dict[str, Any]:
    high, low = (at_level(concepts, level) for level in (HIGH, LOW))
    series = []
    for name, group, control in (("trained", [own], False), ("fresh weights", fresh, True)):
        for level, words in ((high, "parts and objects"), (low, "colours, edges, textures")):
            shares = [_unit_shares(one, level, high | low) for one in group]
            values = [float(v) for v in np.mean(shares, axis=0)]
            series.append({"name": f"{words}, {name}", "values": values, "low": None, "high": None, "control": control})
    return {
        "panel": "curves",
        "title": "Share of units that detect a concept of each level best, layer by layer",
        "x_label": "layer",
        "y_label": "share of units",
        "unit": "fraction",
        "x": list(own.layers),
        "series": series,
    }


def _unit_shares(found: Detected, level: np.ndarray, known: np.ndarray) -> np.ndarray:
    shares = []
    for layer in range(len(found.layers)):
        means = found.means(layer, known)
        shares.append(float(level[means[means >= 0]].sum() / max(len(means), 1)))
    return np.array(shares)


def _table(own: Detected, concepts: Sequence[Concept]) -> dict[str, Any]:
    """The share of each category among what the units of a third of the layers detect best."""
    categories = list(dict.fromkeys(concept.category for concept in concepts))
    thirds = np.array_split(np.arange(len(own.layers)), 3)
    columns, counts = [], []
    for part in thirds:
        means = np.concatenate([own.means(int(layer)) for layer in part])
        means = means[means >= 0]
        names = [own.layers[int(part[0])], own.layers[int(part[-1])]]
        columns.append(names[0] if names[0] == names[1] else " to ".join(names))
        counts.append([sum(concepts[mean].category == category for mean in means) for category in categories])
    rows = [
        [category, *(f"{n[i]} ({100 * n[i] / max(sum(n), 1):.0f} %)" for n in counts)]
        for i, category in enumerate(categories)
    ]
    return {
        "panel": "table",
        "title": "Units by the category of what they detect best, in each third of the layers",
        "columns": ["category", *columns],
        "align": ["left", "right", "right", "right"],
        "rows": rows,
    }
