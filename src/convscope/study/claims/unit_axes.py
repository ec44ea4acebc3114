"""Is the unit axis special?  Detectors among the units of a layer, against as many random directions of the same space.

Bau et al. 2017 (arXiv:1704.05796, section 3.2) turn a layer's space and find most detectors gone, though nothing else has changed:
a linear read-out knows exactly as much. That rectifiers act along the axes makes these special by itself, so the same difference in
fresh weights is what has to be exceeded.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.finding import Control, Finding
from convscope.instruments.concepts.detected import Detected, K, detected
from convscope.intervals import enclosing
from convscope.registry import register
from convscope.study.claim import Claim, Measured
from convscope.study.detected import fresh_of, mean_of, of_concepts, single_of, why_not


@register("claim", "unit_axes")
@dataclass(frozen=True)
class UnitAxes(Claim):
    """Concepts that units detect, less those that random directions do; control: the same difference in fresh weights."""

    key = "unit_axes"
    statement = "The unit axis is special: units stand for concepts more often than random directions do"
    quantity = f"share of the concepts that {K} units of a layer detect, less that of as many random directions, mean over layers"
    unit = "difference"
    least = 0.03
    means = (
        "A layer's space can be turned without changing anything that can be read from it; if concepts were spread over it evenly, "
        "random directions would stand for them as often as units do. What counts is by how much more units do than in fresh "
        "weights, where the axes are special already because rectifiers act along them. It does not say that units are the best "
        "directions: those that were learned for a concept (concepts spread over several units) are better still."
    )
    asks_concepts = True

    def find(self, measured: Measured) -> Finding:
        reason = why_not(measured)
        if reason:
            return self.finding(summary="Units were not held against random directions.", why_not=reason)
        found = single_of(measured)
        own, turned = detected(found), detected(found, "rotated")
        pairs = [(detected(one), detected(one, "rotated")) for one in fresh_of(measured)]
        of_own, of_pairs = _special(measured, own, turned), [_special(measured, a, b) for a, b in pairs]
        value = mean_of(measured, of_own)
        return self.finding(
            value=value,
            controls=[
                Control(
                    "fresh weights",
                    f"The same difference in the same architecture with weights that have learned nothing, {len(pairs)} draws.",
                    enclosing([mean_of(measured, each) for each in of_pairs]),
                )
            ],
            beyond=enclosing([mean_of(measured, of_own - each) for each in of_pairs]),
            conditions=(value,),
            summary=_summary(measured, own, turned, pairs),
            evidence=(_table(own, turned),),
            resampled="concepts",
        )


def _special(measured: Measured, units: Detected, directions: Detected) -> np.ndarray:
    """By how much likelier each concept is to be detected by units than by random directions."""
    return of_concepts(measured, units) - of_concepts(measured, directions)


def _summary(measured: Measured, own: Detected, turned: Detected, pairs: list[tuple[Detected, Detected]]) -> str:
    shares = [
        100 * np.mean([of_concepts(measured, one).mean() for one in group])
        for group in ([own], [turned], [a for a, _ in pairs], [b for _, b in pairs])
    ]
    found, left = shares[:2]
    lost = f" {100 * (1 - left / found):.0f} % of what units detect is lost by turning." if found > left else ""
    return (
        f"Of the concepts, {shares[0]:.0f} % have a detector among {K} units of a layer, {shares[1]:.0f} % among as many random "
        f"directions.{lost} In fresh weights it is {shares[2]:.0f} and {shares[3]:.0f} %."
    )


def _table(own: Detected, turned: Detected) -> dict[str, Any]:
    rows = [
        [layer, int(n), *(f"{100 * share:.0f} %" for share in shares)]
        for layer, n, *shares in zip(
            own.layers,
            own.n_units,
            own.likely.mean(axis=1),
            turned.likely.mean(axis=1),
            own.of_units,
            turned.of_units,
            strict=True,
        )
    ]
    return {
        "panel": "table",
        "title": f"Concepts with a detector among {K} units, or {K} random directions; units and directions that detect something",
        "columns": [
            "layer",
            "units",
            "concepts, units",
            "concepts, directions",
            "units that detect",
            "directions that detect",
        ],
        "align": ["left", "right", "right", "right", "right", "right"],
        "rows": rows,
    }
