"""Do units answer more and more to single classes, the deeper they lie?  The selectivity index along the depth of the network.

The index is that of Morcos et al. 2018 (arXiv:1803.06959, eq. 1). It grows by itself where units answer rarely and classes have few
images, so it is always read beyond the index of the same responses under shuffled labels, and against fresh weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from convscope.finding import Control, Finding, judge
from convscope.intervals import Interval, bootstrap, false_discovery_rate, none
from convscope.registry import register
from convscope.study.claims.base import FRESH, TRAINED, Claim, Column, Measured, Question
from convscope.study.labelings import fewest_per_class, labelings
from convscope.study.layers import depths
from convscope.sweep.gauges import Gauge, Moments, Selectivity

LEAST = 0.1  # index points that selectivity must grow by, from the first to the last third of the depth, beyond fresh weights
N_DRAWS = 200
LEAST_LAYERS, LEAST_IMAGES = 4, 2
TRUE, SHUFFLED = 0, 1  # labelings


@register("claim", "class_selectivity")
@dataclass(frozen=True)
class ClassSelectivity(Claim):
    """Rank correlation of depth and class selectivity; controls: fresh weights and shuffled labels."""

    key = "class_selectivity"
    statement = "Class selectivity grows with depth"
    means = (
        "The deeper a layer, the more its units answer to one class more than to the others: the classes are made step by "
        "step, not in the last layer alone. Only what exceeds the same responses under shuffled labels counts; the logits, "
        "which are classes by construction, are left out. It does not say that selective units are the ones the network "
        "needs (removing them may change little), nor that a unit stands for its class: most classes are spread over many."
    )

    def gauges(self, question: Question, which: str, layer: str, n_units: int) -> Sequence[Gauge]:
        if _no_labels(question):
            return ()
        return (Selectivity(n_units, labelings(question, 1), question.n_groups), Moments(n_units))

    def find(self, measured: Measured) -> Finding:
        order = depths(measured.network.graph)
        hidden = [layer for layer in measured.layers if order[layer] < order[measured.network.output]]
        why_not = _no_labels(measured) or _no_trend(hidden)
        if why_not:
            return self._finding(none(), (), none(), Interval(0, 0, 0), "Class selectivity was not measured.", why_not)
        depth = np.array([order[layer] for layer in hidden])
        profiles = {which: _profile(measured, which, hidden) for which in (TRAINED, FRESH)}
        trained, fresh = profiles[TRAINED], profiles[FRESH]
        rank = bootstrap(_rank(depth, trained.beyond), np.array([_rank(depth, row) for row in trained.beyond_draws]))
        controls = (
            Control(
                "fresh weights",
                "The same architecture with weights that have learned nothing, shown the same images.",
                bootstrap(_rank(depth, fresh.beyond), np.array([_rank(depth, row) for row in fresh.beyond_draws])),
            ),
            Control(
                "shuffled labels",
                "The same responses of the trained network, with the labels dealt out to the images at random.",
                bootstrap(
                    _rank(depth, trained.shuffled), np.array([_rank(depth, row) for row in trained.shuffled_draws])
                ),
            ),
        )
        growth = bootstrap(
            _growth(depth, trained.beyond) - _growth(depth, fresh.beyond),
            np.array(
                [
                    _growth(depth, own) - _growth(depth, other)
                    for own, other in zip(trained.beyond_draws, fresh.beyond_draws, strict=True)
                ]
            ),
        )
        telling = [discoveries(measured, hidden, labeling) for labeling in (TRUE, SHUFFLED)]
        n_telling = [sum(int(part.sum()) for part in parts) for parts in telling]
        n_units = sum(len(part) for part in telling[TRUE])
        summary = (
            f"From the first to the last third of the depth the mean index beyond shuffled labels goes from "
            f"{_part(depth, trained.beyond, 0):.2f} to {_part(depth, trained.beyond, 1):.2f} (fresh weights: "
            f"{_part(depth, fresh.beyond, 0):.2f} to {_part(depth, fresh.beyond, 1):.2f}). {n_telling[TRUE]:,} of "
            f"{n_units:,} units tell classes apart (false discovery rate 5 %); {n_telling[SHUFFLED]:,} under shuffled labels."
        )
        evidence = (_curves(hidden, trained, fresh), _table(measured, hidden, telling[TRUE]))
        return self._finding(rank, controls, growth, rank, summary, "", evidence)

    def unit_columns(self, measured: Measured) -> dict[str, Column]:
        if _no_labels(measured):
            return {}
        layers = measured.layers
        results = [measured.result(TRAINED, layer, "selectivity") for layer in layers]
        best = np.concatenate([result.best[TRUE] for result in results])
        telling = discoveries(measured, layers, TRUE)
        return {
            "class": Column("name of a class", [class_name(measured, int(index)) or None for index in best]),
            "selectivity": Column("index 0-1", np.concatenate([result.index[TRUE] for result in results])),
            "selectivity_shuffled": Column("index 0-1", np.concatenate([result.index[SHUFFLED] for result in results])),
            "p_value": Column("probability", np.concatenate([result.p_values[TRUE] for result in results])),
            "tells_classes_apart": Column("truth value, false discovery rate 5 %", np.concatenate(telling)),
        }

    def _finding(
        self,
        value: Interval,
        controls: tuple[Control, ...],
        beyond: Interval,
        trend: Interval,
        summary: str,
        why_not: str,
        evidence: tuple[dict[str, Any], ...] = (),
    ) -> Finding:
        verdict = judge(beyond, LEAST, conditions=(trend,), undecidable=why_not)
        few = "The intervals are too wide to tell; give more images of each class." if verdict == "undecided" else ""
        return Finding(
            claim=self.key,
            statement=self.statement,
            quantity="rank correlation (Spearman) of depth and mean class selectivity of the layers",
            value=value,
            unit="correlation",
            controls=controls,
            beyond=beyond,
            least=LEAST,
            verdict=verdict,
            summary=summary,
            means=self.means,
            deciding="growth of the mean index from the first to the last third of the depth, less that of fresh weights",
            deciding_unit="index",
            resampled="groups of images, and units within layers",
            reason=why_not or few,
            evidence=evidence,
        )


@dataclass(frozen=True, eq=False)
class _Profile:
    """Mean index of each layer: under shuffled labels, and how much higher under the true ones."""

    beyond: np.ndarray  # layer
    shuffled: np.ndarray  # layer
    beyond_draws: np.ndarray  # draw layer
    shuffled_draws: np.ndarray


def _no_labels(question: Question) -> str:
    """Why selectivity cannot be measured; empty if it can."""
    fewest = fewest_per_class(question)
    if fewest == 0:
        return "It takes images of two classes or more. Put them into a folder for each class, or give --labels."
    if fewest < LEAST_IMAGES:
        return (
            "Some classes have a single image: answering to a class cannot be told from answering to that image. "
            "Give at least 2 images of each class; 10 or more are better."
        )
    return ""


def _no_trend(layers: list[str]) -> str:
    if len(layers) < LEAST_LAYERS:
        return f"A trend over {len(layers)} hidden layers says nothing; it takes {LEAST_LAYERS}."
    return ""


def _profile(measured: Measured, which: str, layers: list[str]) -> _Profile:
    rng = measured.rng("class selectivity")  # the same draws for both networks, which saw the same images
    share = np.full(measured.n_groups, 1 / measured.n_groups)
    groups = rng.multinomial(measured.n_groups, share, size=N_DRAWS)
    rows = [_layer_profile(measured, which, layer, groups, rng) for layer in layers]
    values, draws = np.array([row[0] for row in rows]), np.stack([row[1] for row in rows], axis=1)
    beyond, beyond_draws = values[:, TRUE] - values[:, SHUFFLED], draws[..., TRUE] - draws[..., SHUFFLED]
    return _Profile(beyond, values[:, SHUFFLED], beyond_draws, draws[..., SHUFFLED])


def _layer_profile(
    measured: Measured, which: str, layer: str, groups: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mean index over the live units of a layer: `labelling`, and for each draw of images and units `draw labelling`."""
    gauge = measured.sweeps[which].gauges[layer]["selectivity"]
    alive = np.flatnonzero(~measured.result(which, layer, "moments").dead)
    if not len(alive):
        return np.full(2, np.nan), np.full((len(groups), 2), np.nan)
    assert isinstance(gauge, Selectivity)
    index = gauge.result().index[:, alive]
    drawn = gauge.resampled(groups) if measured.n_groups > 1 else np.repeat(gauge.result().index[None], len(groups), 0)
    units = alive[rng.integers(0, len(alive), (len(groups), len(alive)))]
    return index.mean(axis=1), np.take_along_axis(drawn, units[:, None, :], axis=2).mean(axis=2)


def _rank(depth: np.ndarray, values: np.ndarray) -> float:
    known = np.isfinite(values)
    if known.sum() < LEAST_LAYERS or np.ptp(values[known]) == 0:
        return 0.0 if known.sum() >= LEAST_LAYERS else float("nan")
    return float(spearmanr(depth[known], values[known]).statistic)


def _growth(depth: np.ndarray, values: np.ndarray) -> float:
    """Mean of the last third of the depth less that of the first."""
    return _part(depth, values, 1) - _part(depth, values, 0)


def _part(depth: np.ndarray, values: np.ndarray, end: int) -> float:
    """Mean over the layers of the first (0) or the last (1) third of the depth."""
    place = (depth - depth.min()) / max(np.ptp(depth), 1)
    chosen = values[place <= 1 / 3] if end == 0 else values[place >= 2 / 3]
    chosen = chosen[np.isfinite(chosen)]
    return float(chosen.mean()) if len(chosen) else float("nan")


def discoveries(measured: Measured, layers: Sequence[str], labeling: int) -> list[np.ndarray]:
    """Which units of each layer tell classes apart, all tested together at a false discovery rate of 5 %."""
    p_values = [measured.result(TRAINED, layer, "selectivity").p_values[labeling] for layer in layers]
    found = false_discovery_rate(np.concatenate(p_values))
    return np.split(found, np.cumsum([len(part) for part in p_values])[:-1])


def _curves(layers: list[str], trained: _Profile, fresh: _Profile) -> dict[str, Any]:
    series = [
        _series("trained", trained.beyond, trained.beyond_draws),
        _series("fresh weights", fresh.beyond, fresh.beyond_draws, control=True),
        _series("shuffled labels (the index itself)", trained.shuffled, trained.shuffled_draws, control=True),
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


def _series(name: str, values: np.ndarray, draws: np.ndarray, *, control: bool = False) -> dict[str, Any]:
    bands = [bootstrap(float(value), column) for value, column in zip(values, draws.T, strict=True)]
    ends = {"low": [band.low for band in bands], "high": [band.high for band in bands]}
    return {"name": name, "values": [float(value) for value in values], **ends, "control": control}


def _table(measured: Measured, layers: list[str], telling: list[np.ndarray], most: int = 15) -> dict[str, Any]:
    """The most selective units of the trained network."""
    rows = []
    for layer, chosen in zip(layers, telling, strict=True):
        result = measured.result(TRAINED, layer, "selectivity")
        for unit in np.flatnonzero(chosen):
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
