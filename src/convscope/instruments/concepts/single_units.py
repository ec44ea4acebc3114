"""Which units are detectors of which concepts?  Overlap of single units with concepts, held against everything trivial.

Network Dissection (Bau et al. 2017, arXiv:1704.05796) with the controls it lacked. The threshold of each unit and concept is chosen
on one half of the images and measured on the other. A detector is a unit that there covers a concept better than
- the same unit covers it under wrong labels (chance.py; over all pairs of all layers),
- a unit that is on everywhere, whose IoU is the concept's frequency,
- the mean mask of the other half, which has not looked at the image,
by enough to matter: its IoU beyond chance is more than .04; and not only by its middling values: where it is strongest, at the top
.5 %, the concept is there more often than anywhere.
Beside it stand the layer's units replaced by random directions (is the unit axis special?), one dealing of wrong labels taken for
the true one (what would be found where there is nothing?), and, measured in the same way by whoever asks, fresh weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from convscope.errors import UsageError
from convscope.images import Images
from convscope.images.concepts.concept import Concept
from convscope.instruments.concepts.chance import RATE, Scaled, position_prior, rare, scaled
from convscope.instruments.concepts.collect import Collected
from convscope.instruments.concepts.counting import ROTATED, UNITS, overlap_gauges, shapes_of
from convscope.instruments.concepts.iou import AtTop, Tails, at_top, average_precision, cap, ratio, tails
from convscope.intervals import false_discovery_rate
from convscope.network import Network
from convscope.sweep.engine import sweep
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE
from convscope.sweep.gauges.overlap import IN_MEMORY, JointCounts

Progress = Callable[[int, int], None]
CONVENTIONAL = 0.04  # IoU beyond which a unit is called a detector in the paper
LEAST = 0.04  # IoU beyond chance that matters: given enough pixels, anything stands out from wrong labels
WORKING = 1 << 22  # pairs and thresholds that are worked out together
Kind = Literal["units", "rotated", "wrong"]


@dataclass(frozen=True, eq=False)
class Scores:
    """How well some units (or directions) cover all concepts, in the half that measures; arrays are `unit concept`."""

    iou: np.ndarray  # at the chosen threshold
    chance: np.ndarray  # IoU of a unit of that area which has nothing to do with the concept
    frequency: np.ndarray  # concept: share of the pixels that are looked at; the IoU of what is on everywhere
    p_values: np.ndarray

    @property
    def corrected(self) -> np.ndarray:
        """The IoU beyond chance, as a share of what is left beyond it: 0 for a unit that says nothing, 1 for a perfect one."""
        return ratio(self.iou - self.chance, 1 - self.chance)

    @property
    def at_its_strongest(self) -> np.ndarray:
        """Where the strongest values show the concept more often than others do, truth values; True where that is not known."""
        return np.ones(self.iou.shape, bool)


@dataclass(frozen=True, eq=False)
class UnitConcepts(Scores):
    """One layer's units against all concepts; arrays are `unit concept` (float32), of the half that measures unless said."""

    layer: str
    n_images: tuple[int, int]  # that chose, that measured
    top: AtTop  # at the conventional threshold, over all images
    chosen: np.ndarray  # the IoU there in the half that chooses: what to choose units by, not what they reach
    error: np.ndarray  # of it, from looking at some pixels only: a standard error
    threshold: np.ndarray  # float64: what the unit exceeds where it is on
    area: np.ndarray  # share of the pixels at which it is on
    average_precision: np.ndarray  # 0-1; a unit that says nothing has the concept's frequency
    z: np.ndarray  # how far beyond wrong labels, in units of their scatter
    wrong: (
        Scores | None
    )  # the same under one dealing of wrong labels, held against the others; None where there is one only

    @property
    def at_its_strongest(self) -> np.ndarray:
        return self.top.lift > 1

    @property
    def lift(self) -> np.ndarray:
        """Average precision in multiples of the concept's frequency."""
        return ratio(self.average_precision, np.broadcast_to(self.frequency, self.average_precision.shape))


@dataclass(frozen=True, eq=False)
class SingleUnits:
    """What single units mean, in all layers that were looked at."""

    concepts: tuple[Concept, ...]
    layers: dict[str, UnitConcepts]
    rotated: dict[str, UnitConcepts]  # random directions in their place; empty where not asked for
    everywhere: np.ndarray  # float64 concept: the IoU of what is on everywhere, in the half that measures
    prior: np.ndarray  # float64 concept: the IoU of the mean mask
    cap: np.ndarray  # float64 concept: the most a unit can have at the conventional threshold
    remarks: dict[Concept, str]
    n_left_out: int  # images without labels, or of another size
    rate: float = RATE  # of false ones among pairs that stand out from wrong labels
    least: float = LEAST

    def detectors(self, kind: Kind = "units") -> dict[str, np.ndarray]:
        """Which units of each layer detect which concepts, truth values `unit concept`: more than all that is trivial explains.

        `kind`: the layer's units, random directions in their place, or the units under one dealing of wrong labels.
        """
        found = {}
        scores, beyond = self.scores(kind), self.beyond_wrong(kind)
        for layer, own in scores.items():
            trivial = np.maximum(np.maximum(self.everywhere, own.frequency), self.prior)
            found[layer] = beyond[layer] & (own.iou > trivial) & (own.corrected > self.least) & own.at_its_strongest
        return found

    def beyond_wrong(self, kind: Kind = "units") -> dict[str, np.ndarray]:
        """Which pairs stand out from wrong labels, over all layers, truth values `unit concept`: the first of those conditions."""
        scores = self.scores(kind)
        if not scores:
            return {}
        found = false_discovery_rate(np.concatenate([own.p_values.ravel() for own in scores.values()]), self.rate)
        parts = np.split(found, np.cumsum([own.p_values.size for own in scores.values()])[:-1])
        return {layer: part.reshape(own.iou.shape) for (layer, own), part in zip(scores.items(), parts, strict=True)}

    def scores(self, kind: Kind = "units") -> dict[str, Scores]:
        """How well those cover all concepts, by layer."""
        if kind == "wrong":
            return {layer: own.wrong for layer, own in self.layers.items() if own.wrong is not None}
        return dict(self.layers if kind == "units" else self.rotated)

    def conventional(self, kind: Literal["units", "rotated"] = "units") -> dict[str, np.ndarray]:
        """Which units the original rule would call detectors: IoU > .04 at the top .5 %, over all images, no control."""
        layers = self.rotated if kind == "rotated" else self.layers
        return {layer: found.top.iou > CONVENTIONAL for layer, found in layers.items()}

    def meaning(self, layer: str) -> np.ndarray:
        """The concept each unit detects best, int64 `unit`: that with the largest overlap beyond chance; -1 for none."""
        return meaning(self.layers[layer].corrected, self.detectors()[layer])

    def by_category(self, layer: str) -> dict[str, tuple[int, int]]:
        """For each category, how many units detect one of its concepts best, and how many of its concepts are detected so."""
        means = self.meaning(layer)
        found = {}
        for category in dict.fromkeys(concept.category for concept in self.concepts):
            own = [i for i, concept in enumerate(self.concepts) if concept.category == category]
            mine = means[np.isin(means, own)]
            found[category] = (len(mine), len(np.unique(mine)))
        return found


def meaning(corrected: np.ndarray, detects: np.ndarray) -> np.ndarray:
    """The best of the concepts that each unit detects, int64 `unit`; -1 for none. Both `unit concept`."""
    if not detects.size:
        return np.full(len(detects), -1)
    best = np.where(detects, corrected, -np.inf).argmax(axis=1)
    return np.where(detects.any(axis=1), best, -1)


def single_units(
    network: Network,
    images: Images,
    found: Collected,
    *,
    layers: Sequence[str] | None = None,
    n_rotated: int = 0,
    n_bins: int = 24,
    in_memory: int = IN_MEMORY,
    batch_size: int = 32,
    workers: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> SingleUnits:
    """Overlap of the units of these layers (default: all convolutions) with pixel concepts, in one sweep over the images.

    A few images are swept before, to choose thresholds. `n_rotated` random directions of each layer are measured beside its units.
    Raises UsageError for concepts of whole images (see image_level.py) and for layers without maps, UnknownNameError.
    """
    if not found.per_pixel:
        raise UsageError(
            "Overlap was asked for.", "These concepts have no masks.", "Rank images instead: `image_level`."
        )
    wanted = shapes_of(network, layers)
    how: dict[str, Any] = {"batch_size": batch_size, "workers": workers}
    gauges = overlap_gauges(
        network, images, found, wanted, n_rotated=n_rotated, n_bins=n_bins, in_memory=in_memory, seed=seed, **how
    )
    swept = sweep(network, images, gauges, progress=progress, **how)
    counts = {layer: {name: gauge.result() for name, gauge in own.items()} for layer, own in swept.gauges.items()}
    return evaluated(found, counts)


def evaluated(found: Collected, counts: dict[str, dict[str, JointCounts]]) -> SingleUnits:
    """What joint counts of some layers ("overlap", and "rotated" where it was measured) say."""
    layers, rotated = (
        _tested(
            {layer: unit_concepts(layer, own[name], found.testable) for layer, own in counts.items() if name in own},
            found.testable,
        )
        for name in (UNITS, ROTATED)
    )
    left_out = max((own[UNITS].n_left_out for own in counts.values()), default=0)
    everywhere, prior = found.frequency[MEASURE], position_prior(found)
    known = found.frequency.mean(axis=0)
    return SingleUnits(found.concepts, layers, rotated, everywhere, prior, cap(known), found.remarks, left_out)


def _tested(layers: dict[str, "_Untested"], testable: np.ndarray) -> dict[str, UnitConcepts]:
    """All layers against the wrong scores of all of them; the dealing taken for true against those of the others."""
    if not layers:
        return {}
    wrong, other = (
        np.sort(np.concatenate([getattr(one, name).wrong for one in layers.values()])) for name in ("true", "dealt")
    )
    found = {}
    for layer, one in layers.items():
        dealt = one.found.wrong
        if dealt is not None:
            dealt = replace(dealt, p_values=rare(one.dealt.z, other, testable))
        found[layer] = replace(one.found, p_values=rare(one.true.z, wrong, testable), wrong=dealt)
    return found


@dataclass(frozen=True, eq=False)
class _Untested:
    """One layer's answers, p values still to come."""

    found: UnitConcepts
    true: Scaled
    dealt: Scaled  # of the dealing taken for true


def unit_concepts(layer: str, counted: JointCounts, testable: np.ndarray) -> _Untested:
    """One layer's answers, worked out a few units at a time."""
    n_units, n_null = counted.counts.shape[1], counted.labelled.n_null
    together = max(1, WORKING // max(1, counted.counts[0, 0].size))
    spans = [slice(at, min(at + together, n_units)) for at in range(0, n_units, together)]
    parts = [_measured(counted, span) for span in spans]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    dealt = [_dealt(counted, spans, null) for null in range(1, n_null + 1)]
    top = AtTop(*(joined.pop(f"top_{name}") for name in ("iou", "low", "high", "area", "lift")))
    score = joined.pop("score")
    wrong = np.array([one["score"] for one in dealt]).reshape(n_null, *score.shape)
    true = scaled(score, wrong, testable)
    taken = scaled(wrong[0], wrong[1:], testable) if n_null > 1 else Scaled(np.zeros(score.shape), true.wrong[:0])
    totals, n_concepts = counted.totals[MEASURE], counted.labelled.n_concepts
    known = totals[counted.labelled.totals][counted.labelled.groups]
    frequency = ratio(totals[:n_concepts].astype(float), known.astype(float))
    nothing = np.ones(score.shape)
    found = UnitConcepts(
        layer=layer,
        n_images=(int(counted.n_images[CHOOSE]), int(counted.n_images[MEASURE])),
        top=top,
        frequency=frequency,
        z=true.z.astype(np.float32),
        p_values=nothing,
        wrong=Scores(dealt[0]["iou"], dealt[0]["chance"], frequency, nothing) if n_null > 1 else None,
        **joined,
    )
    return _Untested(found, true, taken)


def _best(counted: JointCounts, span: slice, null: int) -> tuple[np.ndarray, Tails, np.ndarray]:
    """The thresholds that are best on one half (numbers `unit 1 concept`), all of them in the other half, the IoU in the first."""
    choose, measure = (
        tails(counted.counts[half, span], counted.totals[half], counted.labelled, null) for half in (CHOOSE, MEASURE)
    )
    at = choose.iou.argmax(axis=1)[:, None]
    return at, measure, np.take_along_axis(choose.iou, at, 1)


def _dealt(counted: JointCounts, spans: Sequence[slice], null: int) -> dict[str, np.ndarray]:
    """What one dealing of wrong labels gives, float32 `unit concept` each: scores, and of the first all that it takes to judge."""
    names = ("score", "iou", "chance") if null == 1 else ("score",)
    parts = []
    for span in spans:
        at, measure, _ = _best(counted, span, null)
        here = measure.at(at)
        parts.append({name: getattr(here, name)[:, 0].astype(np.float32) for name in names})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _measured(counted: JointCounts, span: slice) -> dict[str, np.ndarray]:
    at, measure, chosen = _best(counted, span, 0)
    here = measure.at(at)
    summed = counted.counts[:, span].sum(axis=0, dtype=np.uint32)
    both = tails(summed, counted.totals.sum(axis=0), counted.labelled)
    top = at_top(both, counted.neurons[span], counted.levels.first[span])
    iou = here.iou
    found = {
        **{f"top_{name}": value[:, None] for name, value in vars(top).items()},
        "iou": iou,
        "chosen": chosen,
        "error": np.sqrt(ratio(iou * (1 - iou), here.labelled + here.area - here.joint)),
        "area": here.area / np.maximum(here.known, 1),
        "chance": here.chance,
        "average_precision": average_precision(measure)[:, None],
        "score": here.score,
    }
    single = {name: value[:, 0].astype(np.float32) for name, value in found.items()}
    return {**single, "threshold": np.take_along_axis(counted.levels.thresholds[span], at[:, 0], 1)}
