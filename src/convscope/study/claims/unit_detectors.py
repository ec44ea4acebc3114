"""Do units detect concepts, more than chance, fresh weights and random directions do?  Network Dissection with its controls.

Bau et al. 2017 (arXiv:1704.05796) count units whose IoU with a concept is above .04 at the top .5 % of their values. By that rule
fresh weights have as many detectors as trained ones in most layers, and frequent concepts can have none. Here a detector must beat,
on images that chose nothing, wrong labels, being on everywhere, and the mean mask (instruments/concepts/single_units.py).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.finding import Control, Finding
from convscope.instruments.concepts.detected import Detected, K, detected
from convscope.intervals import Interval, enclosing
from convscope.registry import register
from convscope.study.claim import TRAINED, Claim, Column, Measured
from convscope.study.detected import dissected, fresh_of, mean_of, of_concepts, single_of, why_not

MOST_ROWS = 16


@register("claim", "unit_detectors")
@dataclass(frozen=True)
class UnitDetectors(Claim):
    """Share of concepts that units detect; controls: fresh weights, random directions, wrong labels."""

    key = "unit_detectors"
    statement = "Units detect concepts, more than chance, untrained units and random directions do"
    quantity = f"share of the concepts that at least one of {K} units of a layer detects, mean over the layers"
    unit = "fraction"
    least = 0.05  # five concepts in a hundred beyond the strongest control
    means = (
        "A unit detects a concept if, on images that did not choose its threshold, it covers the concept better than under wrong "
        "labels, than by being on everywhere, and than the mean mask, which has not looked at the image. Different concepts are "
        "counted, not units: many units of fresh weights detect one and the same colour. Such a unit tells where the "
        "concept is; it does not say that the network needs the unit, that it answers to nothing else, or that a concept without a "
        "detector is unknown to the layer: several units together may know it."
    )
    asks_concepts = True

    def find(self, measured: Measured) -> Finding:
        reason = why_not(measured)
        if reason:
            return self.finding(summary="Detectors were not counted.", why_not=reason)
        found = single_of(measured)
        own = detected(found)
        fresh = [detected(one) for one in fresh_of(measured)]
        others = {
            "fresh weights": fresh,
            "random directions": [detected(found, "rotated")],
            "wrong labels": [detected(found, "wrong")],
        }
        controls = [
            Control(name, CONTROLS[name], enclosing([_share(measured, one) for one in group]))
            for name, group in others.items()
        ]
        beyond = [enclosing([_beyond(measured, own, one) for one in group]) for group in others.values()]
        strongest = min(beyond, key=lambda interval: interval.low)
        return self.finding(
            value=_share(measured, own),
            controls=controls,
            beyond=strongest,
            summary=_summary(measured, own, others),
            evidence=(_curves(own, others), _by_category(measured, own), _conventional(measured)),
            resampled="concepts",
        )

    def unit_columns(self, measured: Measured) -> dict[str, Column]:
        found = dissected(measured)
        if found is None or found.single is None:
            return {}
        single, names = found.single, [str(concept) for concept in found.single.concepts]
        rows: dict[str, list[Any]] = {name: [] for name in ("concept", "iou", "chance", "precision", "frequency")}
        for layer in measured.layers:
            n = measured.network.layers[layer].n_units
            if layer not in single.layers:
                for values in rows.values():
                    values += [None] * n
                continue
            own, means = single.layers[layer], single.meaning(layer)
            at = np.arange(n), np.maximum(means, 0)
            known = means >= 0
            shown = {
                "iou": own.iou[at],
                "chance": own.chance[at],
                "precision": own.average_precision[at],
                "frequency": own.frequency[at[1]],
            }
            rows["concept"] += [names[mean] if mean >= 0 else None for mean in means]
            for name, values in shown.items():
                rows[name] += [float(v) if k else None for v, k in zip(values, known, strict=True)]
        return {
            "concept": Column("concept the unit detects best, category: name", rows["concept"]),
            "concept_iou": Column("IoU 0-1, on images that chose nothing", rows["iou"]),
            "concept_chance": Column("IoU 0-1 of a unit as often on, by chance", rows["chance"]),
            "concept_precision": Column("average precision 0-1", rows["precision"]),
            "concept_frequency": Column("share of pixels", rows["frequency"]),
        }


CONTROLS = {
    "fresh weights": "The same architecture with weights that have learned nothing, the same images, labels and rule.",
    "random directions": "As many random directions of each layer's space as could stand for its units: a random rotation of them.",
    "wrong labels": "The same units, with each image's masks taken from another image and rolled round.",
}


def _share(measured: Measured, found: Detected) -> Interval:
    return mean_of(measured, of_concepts(measured, found))


def _beyond(measured: Measured, own: Detected, other: Detected) -> Interval:
    return mean_of(measured, of_concepts(measured, own) - of_concepts(measured, other))


def _summary(measured: Measured, own: Detected, others: dict[str, list[Detected]]) -> str:
    n_units, n_found = int(own.n_units.sum()), int(sum(one.any(axis=1).sum() for one in own.detects))
    unique = np.logical_or.reduce([one.any(axis=0) for one in own.detects])
    beside = ", ".join(
        f"{name} {100 * np.mean([_share(measured, one).value for one in group]):.0f} %"
        for name, group in others.items()
    )
    of_units = ", ".join(
        f"{name} {100 * np.mean([np.average(one.of_units, weights=one.n_units) for one in group]):.0f} %"
        for name, group in others.items()
    )
    return (
        f"Among {K} units of a layer there is a detector for {100 * _share(measured, own).value:.0f} % of the concepts ({beside}). "
        f"In all, {int(unique.sum())} of {len(unique)} concepts are detected, by {n_found:,} of {n_units:,} units "
        f"({100 * n_found / n_units:.0f} %; {of_units})."
    )


def _curves(own: Detected, others: dict[str, list[Detected]]) -> dict[str, Any]:
    series = [_series("trained", own.likely.mean(axis=1), control=False)]
    for name, group in others.items():
        series.append(_series(name, np.mean([one.likely.mean(axis=1) for one in group], axis=0), control=True))
    return {
        "panel": "curves",
        "title": f"Share of the concepts that {K} units detect, layer by layer",
        "x_label": "layer",
        "y_label": "share of concepts",
        "unit": "fraction",
        "x": list(own.layers),
        "series": series,
    }


def _series(name: str, values: np.ndarray, *, control: bool) -> dict[str, Any]:
    return {"name": name, "values": [float(v) for v in values], "low": None, "high": None, "control": control}


def _by_category(measured: Measured, own: Detected) -> dict[str, Any]:
    """How many units of each layer detect a concept of each category best, and how many different ones."""
    single = single_of(measured)
    categories = list(dict.fromkeys(concept.category for concept in single.concepts))
    places = np.unique(np.linspace(0, len(own.layers) - 1, min(MOST_ROWS, len(own.layers))).round().astype(int))
    rows = []
    for place in places:
        layer = own.layers[place]
        counts = single.by_category(layer)
        cells = [f"{n} ({kinds})" if n else "–" for n, kinds in (counts[category] for category in categories)]
        rows.append([layer, int(own.n_units[place]), sum(n for n, _ in counts.values()), *cells])
    return {
        "panel": "table",
        "title": "What units detect best, by category: units (different concepts)",
        "columns": ["layer", "units", "detect", *categories],
        "align": ["left", "right", "right", *("right" for _ in categories)],
        "rows": rows,
    }


def _conventional(measured: Measured) -> dict[str, Any]:
    """What the conventional rule would count, which no control enters."""
    assert measured.concepts is not None
    rows = []
    networks = [(TRAINED, "units", "trained"), (TRAINED, "rotated", "random directions")]
    networks += [(which, "units", which.replace("-", " weights, draw ")) for which in measured.concepts.fresh]
    for which, kind, name in networks:
        found = single_of(measured, which).conventional(kind)  # type: ignore[arg-type]
        n = sum(len(one) for one in found.values())
        n_on = sum(int(one.any(axis=1).sum()) for one in found.values())
        if n:
            rows.append([name, n, n_on, f"{100 * n_on / n:.1f} %"])
    return {
        "panel": "table",
        "title": "What the conventional rule counts (IoU above .04 at the top .5 % of values), for comparison",
        "columns": ["network", "units", "detectors", "share"],
        "align": ["left", "right", "right", "right"],
        "rows": rows,
    }
