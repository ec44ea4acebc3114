"""Are concepts spread over several units?  Sparse read-outs of several units, against the best single one, on held-out images.

Fong and Vedaldi 2018 (arXiv:1801.03454) find that most concepts need several filters, and that filters serve several concepts. Each
concept is asked of the layer that reads it best, by images that chose the read-out. That a sum of units covers something better
than one of them could come of fitting alone: so the same is done under wrong labels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.finding import Control, Finding
from convscope.instruments.concepts.together.directions import Directions
from convscope.intervals import Interval, paired_difference, share
from convscope.registry import register
from convscope.study.claim import Claim, Column, Measured
from convscope.study.detected import FEWEST_CONCEPTS, dissected, why_not

MOST_ROWS = 40
OF_ALL = "The units of the layer that reads each concept best"


@dataclass(frozen=True, eq=False)
class ReadConcept:
    """One concept, in the layer that reads it best."""

    concept: int
    found: Directions

    @property
    def beats(self) -> bool:
        return bool(self.found.versus.beats[self.concept])

    @property
    def beats_its_sum(self) -> bool:
        """Whether several units still cover it better where their sum is made a unit."""
        return bool(self.found.made.beats[self.concept])

    @property
    def beats_wrongly(self) -> bool:
        """The same under wrong labels, of the first dealing."""
        return bool(self.found.wrong[0].beats[self.concept])

    @property
    def n_units(self) -> int:
        """How many units reach 90 % of what all reach."""
        return int(self.found.to_most[self.concept])


@register("claim", "distributed_concepts")
@dataclass(frozen=True)
class DistributedConcepts(Claim):
    """Share of concepts that several units cover better than the best single one; control: sums that are made units."""

    key = "distributed_concepts"
    statement = "Concepts are spread over several units"
    quantity = (
        "share of the concepts that several units together cover better than the best single unit, on held-out images"
    )
    unit = "fraction"
    least = 0.5  # half of the concepts
    means = (
        "Most concepts that a layer knows are told better by a weighted sum of several units than by the unit that tells them "
        "best; and a unit usually takes part in several concepts. Units, weights and thresholds were chosen on other images. It "
        "does not say that the network reads concepts along these sums: a read-out shows what could be read. Nor is it a mark of "
        "learning: concepts that fresh weights can tell at all are spread over their units as well, which is said beside it."
    )
    asks_concepts = True

    def find(self, measured: Measured) -> Finding:
        reason = why_not(measured)
        found = dissected(measured)
        rows = [] if reason or found is None else best_read(found.read)
        told = [row for row in rows if row.found.versus.told[row.concept]]
        if not reason and len(told) < FEWEST_CONCEPTS:
            reason = f"{len(told)} concepts are told by a layer; it takes {FEWEST_CONCEPTS}. Give more images, or other concepts."
        if not told:
            return self.finding(summary="Nothing was read from several units.", why_not=reason)
        beats, its_sum = np.array([row.beats for row in told]), np.array([row.beats_its_sum for row in told])
        wrongly = sum(row.beats_wrongly for row in told)
        value = share(int(beats.sum()), len(told))
        return self.finding(
            value=value,
            controls=[
                Control(
                    "its sum made a unit",
                    "The same layer with each concept's sum of units put beside its units: there one unit says it all.",
                    share(int(its_sum.sum()), len(told)),
                ),
                Control(
                    "wrong labels",
                    "The same, with each image's masks taken from another image and rolled round: there is nothing to tell.",
                    share(int(wrongly), len(told)),
                ),
            ],
            beyond=paired_difference(beats[:, None], its_sum[:, None]),
            summary=_summary(measured, rows, told, value),
            why_not=reason,
            evidence=(_curve(told), _layers(measured, found.read), _table(told)),  # type: ignore[union-attr]
            resampled="concepts",
        )

    def unit_columns(self, measured: Measured) -> dict[str, Column]:
        found = dissected(measured)
        if found is None:
            return {}
        serves: list[int | None] = []
        for layer in measured.layers:
            n = measured.network.layers[layer].n_units
            own = found.read.get(layer)
            serves += [None] * n if own is None else [int(number) for number in own.serves]
        return {
            "n_concepts_served": Column("concepts whose read-out the unit takes part in; null where not read", serves)
        }


def best_read(read: dict[str, Directions]) -> list[ReadConcept]:
    """Each concept that was read, in the layer whose read-out was best on images that chose it."""
    if not read:
        return []
    held = {layer: np.nan_to_num(found.held_out, nan=-1.0).max(axis=0) for layer, found in read.items()}
    rows = []
    for concept in range(len(next(iter(read.values())).concepts)):
        layer = max(held, key=lambda name: held[name][concept])
        if read[layer].n_units[concept]:
            rows.append(ReadConcept(concept, read[layer]))
    return rows


def _summary(measured: Measured, rows: list[ReadConcept], told: list[ReadConcept], value: Interval) -> str:
    needed = [row.n_units for row in told if row.n_units]  # 0 where all units tell nothing, though some do
    n_units = int(np.median(needed)) if needed else 0
    single = np.mean([row.found.versus.best_iou[row.concept] for row in told])
    several = np.mean([row.found.iou[row.concept] for row in told])
    serves = np.concatenate(
        [found.serves[found.serves > 0] for found in {id(row.found): row.found for row in told}.values()]
    )
    text = (
        f"{OF_ALL}: {len(told)} of {len(rows)} concepts are told, {100 * value.value:.0f} % of them better by several units than "
        f"by one (mean IoU {several:.2f} against {single:.2f}). In the median {n_units} "
        f"unit{'s reach' if n_units != 1 else ' reaches'} 90 % of what all units reach; a unit that serves a concept serves "
        f"{np.median(serves) if len(serves) else 0:.0f} in the median."
    )
    fresh = [row for row in best_read(_fresh_read(measured)) if row.found.versus.told[row.concept]]
    if fresh:
        beat = 100 * np.mean([row.beats for row in fresh])
        reached = np.mean([row.found.iou[row.concept] for row in fresh])
        text += f" Fresh weights tell {len(fresh)} concepts, {beat:.0f} % of them better by several units (mean IoU {reached:.2f})."
    return text


def _fresh_read(measured: Measured) -> dict[str, Directions]:
    """The layers of fresh weights that were read; of the first draw."""
    every = measured.concepts.networks.values() if measured.concepts else ()
    return next((found.read for found in list(every)[1:] if found.read), {})


def _curve(told: list[ReadConcept]) -> dict[str, Any]:
    """IoU against the number of units, mean over the told concepts."""
    sizes = sorted({int(size) for row in told for size in row.found.sizes[:-1]})
    values, wrong = [], []
    for size in sizes:
        at = [
            row.found.curve[list(row.found.sizes).index(size), row.concept]
            for row in told
            if size in row.found.sizes[:-1]
        ]
        values.append(float(np.mean(at)))
        wrong.append(float(np.nanmean([row.found.wrong[0].iou[row.concept] for row in told])))
    single = float(np.mean([row.found.versus.best_iou[row.concept] for row in told]))
    everywhere = float(np.mean([row.found.frequency[row.concept] for row in told]))
    series = [
        {"name": "read-out", "values": values, "control": False},
        {"name": "best single unit", "values": [single] * len(sizes), "control": True},
        {"name": "read-out under wrong labels", "values": wrong, "control": True},
        {"name": "on everywhere", "values": [everywhere] * len(sizes), "control": True},
    ]
    return {
        "panel": "curves",
        "title": "Overlap against the number of units, mean over concepts",
        "x_label": "units",
        "y_label": "IoU",
        "unit": "index",
        "x": sizes,
        "log": True,
        "series": [{**one, "low": None, "high": None} for one in series],
    }


def _layers(measured: Measured, read: dict[str, Directions]) -> dict[str, Any]:
    """Mean IoU in every layer that was read: best single unit, several, several with fresh weights."""
    fresh = _fresh_read(measured)
    names = list(read)

    def mean(values: np.ndarray) -> float | None:
        return float(np.nanmean(values)) if np.isfinite(values).any() else None

    series = [
        ("several units", [mean(read[name].iou) for name in names], False),
        ("best single unit", [mean(read[name].versus.best_iou) for name in names], False),
        ("several units, fresh weights", [mean(fresh[name].iou) if name in fresh else None for name in names], True),
        ("the mean mask", [mean(read[name].prior) for name in names], True),
        ("on everywhere", [mean(read[name].frequency) for name in names], True),
    ]
    return {
        "panel": "curves",
        "title": "Overlap with all concepts, layer by layer, mean over concepts",
        "x_label": "layer",
        "y_label": "IoU",
        "unit": "index",
        "x": names,
        "series": [{"name": n, "values": v, "low": None, "high": None, "control": c} for n, v, c in series],
    }


def _table(told: list[ReadConcept]) -> dict[str, Any]:
    order = sorted(told, key=lambda row: -float(row.found.iou[row.concept]))[:MOST_ROWS]
    rows = []
    for row in order:
        found, at = row.found, row.concept
        gain = f"{found.versus.gain[at]:+.2f} ({found.versus.low[at]:+.2f} to {found.versus.high[at]:+.2f})".replace(
            "-", "−"
        )
        numbers = (
            found.iou[at],
            found.versus.best_iou[at],
            found.frequency[at],
            found.prior[at],
            found.wrong[0].iou[at],
        )
        rows.append([str(found.concepts[at]), found.layer, *(f"{value:.2f}" for value in numbers), gain, row.n_units])
    return {
        "panel": "table",
        "title": f"Concepts that are told, {len(rows)} of {len(told)}: IoU on held-out images",
        "columns": [
            *("concept", "layer", "several units", "best unit", "everywhere", "mean mask", "wrong labels"),
            *("gain over the unit", "units for 90 %"),
        ],
        "align": ["left", "left", *("right" for _ in range(7))],
        "rows": rows,
    }
