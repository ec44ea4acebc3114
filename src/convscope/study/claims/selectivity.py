"""Do units answer more and more to single classes, the deeper they lie?  The selectivity index along the depth of the network.

The index is that of Morcos et al. 2018 (arXiv:1803.06959, eq. 1). It grows by itself where units answer rarely and classes have few
images, so it is always read beyond the index of the same responses under shuffled labels, and against fresh weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.finding import Control, Finding
from convscope.intervals import Interval, bootstrap, enclosing, false_discovery_rate
from convscope.network.chosen_layers import depths
from convscope.registry import register
from convscope.study.claim import TRAINED, Claim, Column, Measured, Question
from convscope.study.labelings import class_counts, labelings, without_single_images
from convscope.study.profiles import (
    LEAST_LAYERS,
    SHUFFLED,
    TRUE,
    Profile,
    draws_images,
    growth,
    profile,
    rank,
    third,
)
from convscope.sweep.gauges import Gauge, Moments, Selectivity


@register("claim", "class_selectivity")
@dataclass(frozen=True)
class ClassSelectivity(Claim):
    """Rank correlation of depth and class selectivity; controls: fresh weights and shuffled labels."""

    key = "class_selectivity"
    statement = "Class selectivity grows with depth"
    quantity = "rank correlation (Spearman) of depth and mean class selectivity of the layers"
    unit = "correlation"
    least = (
        0.1  # index points that it must grow by, from the first to the last third of the depth, beyond fresh weights
    )
    means = (
        "The deeper a layer, the more its units answer to one class more than to the others: the classes are made step by "
        "step, not in the last layer alone. Only what exceeds the same responses under shuffled labels counts; the logits, "
        "which are classes by construction, are left out. It does not say that selective units are the ones the network "
        "needs (removing them may change little), nor that a unit stands for its class: most classes are spread over many."
    )

    def gauges(self, question: Question, which: str, layer: str, n_units: int) -> Sequence[Gauge]:
        if _no_labels(question):
            return ()
        labels = without_single_images(labelings(question, 2))
        return (Selectivity(n_units, labels, question.n_groups), Moments(n_units))

    def find(self, measured: Measured) -> Finding:
        layers = _hidden(measured)
        why_not = _no_labels(measured) or _no_trend(layers)
        if why_not:
            return self.finding(summary="Class selectivity was not measured.", why_not=why_not)
        depth = np.array([depths(measured.network.graph)[layer] for layer in layers])
        trained = profile(measured, TRAINED, layers)
        fresh = [profile(measured, which, layers) for which in measured.draws]
        grown = enclosing([_difference(depth, trained, other) for other in fresh])
        if not np.isfinite(grown.value):
            why_not = "In a third of the depth no unit is alive, so there is nothing to compare."
        controls = (
            Control(
                "fresh weights",
                f"The same architecture with weights that have learned nothing, drawn {len(fresh)} times, shown the same images.",
                enclosing([_rank(depth, other.beyond, other.beyond_draws) for other in fresh]),
            ),
            Control(
                "shuffled labels",
                "The same measurement in the trained network, with labels dealt out to the images at random for the true ones.",
                _rank(depth, trained.shuffled, trained.shuffled_draws),
            ),
        )
        telling = [discoveries(measured, labeling) for labeling in (TRUE, SHUFFLED)]
        trend = _rank(depth, trained.beyond, trained.beyond_draws)
        return self.finding(
            value=trend,
            controls=controls,
            beyond=grown,
            conditions=(trend,),
            summary=_summary(depth, trained, fresh, [[found[layer] for layer in layers] for found in telling]),
            why_not=why_not,
            evidence=(_curves(layers, trained, fresh), _table(measured, layers, telling[TRUE])),
            deciding="growth of the mean index from the first to the last third of the depth, less that of fresh weights",
            deciding_unit="index",
            resampled=f"{'groups of images, and ' if draws_images(measured) else ''}units within layers",
        )

    def unit_columns(self, measured: Measured) -> dict[str, Column]:
        if _no_labels(measured):
            return {}
        results = [measured.result(TRAINED, layer, "selectivity") for layer in measured.layers]
        best = np.concatenate([result.best[TRUE] for result in results])
        telling = discoveries(measured, TRUE)
        return {
            "class": Column("name of a class", [class_name(measured, int(index)) or None for index in best]),
            "selectivity": Column("index 0-1", np.concatenate([result.index[TRUE] for result in results])),
            "selectivity_shuffled": Column("index 0-1", np.concatenate([result.index[SHUFFLED] for result in results])),
            "p_value": Column("probability", np.concatenate([result.p_values[TRUE] for result in results])),
            "tells_classes_apart": Column(
                "truth value, false discovery rate 5 %", np.concatenate([telling[layer] for layer in measured.layers])
            ),
        }


def _no_labels(question: Question) -> str:
    """Why selectivity cannot be measured; empty if it can."""
    n_classes, n_single = class_counts(question)
    if n_classes >= 2:
        return ""
    if n_single < 2:
        return "It takes images of two classes or more. Put them into a folder for each class, or give --labels."
    return (
        "The classes have a single image each: answering to a class cannot be told from answering to that image. "
        "Give at least 2 images of each class; 10 or more are better."
    )


def _no_trend(layers: list[str]) -> str:
    if len(layers) >= LEAST_LAYERS:
        return ""
    return (
        f"With {len(layers)} hidden layer{'s' if len(layers) != 1 else ''} there is no trend; it takes {LEAST_LAYERS}."
    )


def _hidden(measured: Measured) -> list[str]:
    """The measured layers below the logits."""
    order = depths(measured.network.graph)
    return [layer for layer in measured.layers if order[layer] < order[measured.network.output]]


def _rank(depth: np.ndarray, values: np.ndarray, draws: np.ndarray) -> Interval:
    return bootstrap(rank(depth, values), np.array([rank(depth, row) for row in draws]))


def _difference(depth: np.ndarray, own: Profile, other: Profile) -> Interval:
    """How much more one network's index grows with depth than another's."""
    draws = [growth(depth, a) - growth(depth, b) for a, b in zip(own.beyond_draws, other.beyond_draws, strict=True)]
    return bootstrap(growth(depth, own.beyond) - growth(depth, other.beyond), np.array(draws), centered=True)


def discoveries(measured: Measured, labeling: int) -> dict[str, np.ndarray]:
    """Which units of each layer tell classes apart, all tested together at a false discovery rate of 5 %."""
    layers = measured.layers
    p_values = [measured.result(TRAINED, layer, "selectivity").p_values[labeling] for layer in layers]
    found = false_discovery_rate(np.concatenate(p_values))
    parts = np.split(found, np.cumsum([len(part) for part in p_values])[:-1])
    return dict(zip(layers, parts, strict=True))


def _summary(depth: np.ndarray, trained: Profile, fresh: list[Profile], telling: list[list[np.ndarray]]) -> str:
    ends = [
        [np.mean([third(depth, p.beyond, which) for p in group]) for which in (0, 2)] for group in ([trained], fresh)
    ]
    if not np.isfinite(ends).all():
        return "Class selectivity could be measured in part of the layers only."
    (first, last), (first_fresh, last_fresh) = ends
    n_units = sum(len(part) for part in telling[TRUE])
    n_true, n_shuffled = (sum(int(part.sum()) for part in parts) for parts in telling)
    return (
        f"From the first to the last third of the depth the mean index beyond shuffled labels goes from {first:.2f} to "
        f"{last:.2f} (fresh weights: {first_fresh:.2f} to {last_fresh:.2f}). {n_true:,} of {n_units:,} units tell classes "
        f"apart (false discovery rate 5 %); {n_shuffled:,} under shuffled labels."
    ).replace("-0.", "−0.")


def _curves(layers: list[str], trained: Profile, fresh: list[Profile]) -> dict[str, Any]:
    bands = [[_band(p.beyond[i], p.beyond_draws[:, i]) for i in range(len(layers))] for p in fresh]
    series = [
        _series("trained", [_band(*pair) for pair in zip(trained.beyond, trained.beyond_draws.T, strict=True)]),
        _series("fresh weights", [enclosing(list(column)) for column in zip(*bands, strict=True)], control=True),
        _series(
            "shuffled labels",
            [_band(*pair) for pair in zip(trained.shuffled, trained.shuffled_draws.T, strict=True)],
            control=True,
        ),
    ]
    return {
        "panel": "curves",
        "title": "Mean class selectivity beyond shuffled labels, layer by layer",
        "x_label": "layer",
        "y_label": "selectivity index",
        "unit": "index",
        "x": layers,
        "series": series,
    }


def _band(value: float, draws: np.ndarray) -> Interval:
    return bootstrap(float(value), draws, centered=True)


def _series(name: str, bands: list[Interval], *, control: bool = False) -> dict[str, Any]:
    parts = {part: [getattr(band, part) for band in bands] for part in ("value", "low", "high")}
    return {"name": name, "values": parts["value"], "low": parts["low"], "high": parts["high"], "control": control}


def _table(measured: Measured, layers: list[str], telling: dict[str, np.ndarray], most: int = 15) -> dict[str, Any]:
    """The most selective units of the trained network."""
    rows = []
    for layer in layers:
        result = measured.result(TRAINED, layer, "selectivity")
        for unit in np.flatnonzero(telling[layer]):
            rows.append((float(result.index[TRUE, unit]), layer, int(unit), int(result.best[TRUE, unit])))
    rows.sort(key=lambda row: (-row[0], row[1], row[2]))
    return {
        "panel": "table",
        "title": f"The {min(most, len(rows))} most selective units of {len(rows)} that tell classes apart",
        "columns": ["layer", "unit", "class", "index"],
        "align": ["left", "right", "left", "right"],
        "rows": [
            [layer, unit, class_name(measured, best), round(index, 3)] for index, layer, unit, best in rows[:most]
        ],
    }


def class_name(question: Question, index: int) -> str:
    """What a label is called."""
    names = question.images.label_names
    if index < 0:
        return ""
    return names[index] if names is not None and index < len(names) else f"class {index}"
