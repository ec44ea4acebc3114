"""How is a concept spread over the units of a layer?  Read-outs of more and more units, against the best single unit.

As in Net2Vec (Fong and Vedaldi 2018, arXiv:1801.03454), a concept is looked for along a direction in the space of units, where the
projection is above a threshold; but along directions of few units, so that it can be said how many it takes. Everything is chosen
on one half of the images and measured on the other (read_out.py), and done once more under wrong labels, where there is nothing to
read: what several units gain there, they gain by being several.
"""

from dataclasses import dataclass

import numpy as np

from convscope.errors import UsageError
from convscope.images.concepts.concept import Concept
from convscope.instruments.concepts.chance import position_prior
from convscope.instruments.concepts.collect import Collected
from convscope.instruments.concepts.single_units import UnitConcepts
from convscope.instruments.concepts.together.best_unit import BestUnits, best_units, by_image, ranked
from convscope.instruments.concepts.together.made_units import with_sums
from convscope.instruments.concepts.together.parts import Cuts, cuts
from convscope.instruments.concepts.together.pixel_rows import Rows, rows_of
from convscope.instruments.concepts.together.read_out import ReadOuts, read_outs, sizes_for
from convscope.instruments.concepts.together.versus import Versus, versus
from convscope.intervals import Interval, none, share
from convscope.sweep.gauges.at_pixels import UnitsAtPixels
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE

MOST = 0.9  # of what all units reach, beyond what none does


@dataclass(frozen=True, eq=False)
class Directions:
    """One layer's read-outs of all concepts; float64, of the half that measures unless said, NaN where not measured."""

    layer: str
    concepts: tuple[Concept, ...]
    n_images: tuple[int, int]  # that chose, that measured
    sizes: np.ndarray  # int64 size: numbers of units, the last all of them
    curve: np.ndarray  # size concept: IoU
    held_out: (
        np.ndarray
    )  # size concept: IoU in the half that chooses, each image read by weights that were not fitted on it
    n_units: (
        np.ndarray
    )  # int64 concept: of the read-out, the sparse one with the largest `held_out`; 0 where not measured
    versus: Versus  # the read-out against the best single unit
    made: Versus  # the same where each read-out is made a unit of its own: there is nothing left for several to tell
    wrong: tuple[Versus, ...]  # the same under wrong labels, one a dealing
    best_unit: (
        np.ndarray
    )  # int64 concept: the single unit, with a threshold chosen as finely as that of the read-out; -1: none
    single_iou: np.ndarray  # concept: IoU, in `single`, of the unit that leads there on the half that chooses
    area: np.ndarray  # concept: share of the pixels at which the read-out is on
    prior: np.ndarray  # concept: IoU of the mean mask
    average_precision: (
        np.ndarray
    )  # concept: of the read-out's score, 0-1; what says nothing has the concept's frequency
    path: np.ndarray  # int64 concept rank: units in the order they are taken; -1 where not measured
    weights: np.ndarray  # unit concept: of the read-out, for a change by one standard deviation; 0: not used
    constant: np.ndarray  # concept: on where sum_u weights (a - mean) / scale + constant > threshold
    threshold: np.ndarray  # concept
    mean: np.ndarray  # unit: over the pixels that choose
    scale: np.ndarray  # unit: standard deviation there; 1 for a unit that does not vary
    remarks: dict[Concept, str]  # why a concept was not measured

    @property
    def iou(self) -> np.ndarray:
        """IoU of the read-out, `concept`."""
        return self.versus.iou

    @property
    def full(self) -> np.ndarray:
        """IoU of the read-out of all units, `concept`."""
        return self.curve[-1]

    @property
    def frequency(self) -> np.ndarray:
        """Share of the pixels that are labelled so: the IoU of what is on everywhere, `concept`."""
        return self.versus.everywhere

    @property
    def to_most(self) -> np.ndarray:
        """How many units reach 90 % of what all reach, int64 `concept`; 0 for concepts that are not told.

        Beyond the concept's frequency: that is what a read-out of no units has, which says the same everywhere. Without it a road
        that fills a third of the images would be half read by nothing.
        """
        beyond = self.curve - self.frequency
        enough = (beyond >= MOST * beyond[-1]) & (beyond[-1] > 0) & self.versus.told
        return np.where(enough.any(axis=0), self.sizes[enough.argmax(axis=0)], 0)

    @property
    def serves(self) -> np.ndarray:
        """How many concepts each unit serves, int64 `unit`: told ones, for which it is among the first `to_most` of the path."""
        found = np.zeros(len(self.mean), np.int64)
        for path, n in zip(self.path, self.to_most, strict=True):
            found[path[:n]] += 1
        return found

    @property
    def wrong_share(self) -> Interval:
        """The share of concepts, of all dealings of wrong labels, in which the read-out would beat the single unit."""
        n = int(sum(np.isfinite(dealt.gain).sum() for dealt in self.wrong))
        return share(int(sum(dealt.beats.sum() for dealt in self.wrong)), n) if n else none()

    @property
    def caution(self) -> str:
        """What is to be said of the layer as a whole; empty if nothing is."""
        n_choose, n_measure = self.n_images
        if n_choose >= len(self.mean):
            return ""
        return (
            f"{n_choose} images chose how {len(self.mean)} units are weighed, fewer than there are units: more images may find "
            f"better weights. What is reported is measured on {n_measure} others."
        )


def directions(
    found: Collected,
    layer: str,
    at_pixels: UnitsAtPixels,
    single: UnitConcepts,
    *,
    n_wrong: int = 1,
    made: bool = True,
    seed: int = 0,
) -> Directions:
    """Read-outs of every concept from a layer's units, against its best single unit.

    `at_pixels` (of a gauge AtPixels) and `single` are of the layer and of the images and pixels of `found`. `n_wrong` dealings of
    wrong labels are read too, at most as many as `found` has; without `made` the control of sums as units is left out. Raises
    UsageError where these do not belong together, or where concepts have no masks.
    """
    _check(found, layer, at_pixels, single)
    rows = rows_of(at_pixels, found.labelled, n_wrong)
    n = len(found.concepts)
    ways = cuts(rows.has(CHOOSE))
    ready = np.tile(found.testable, 1 + rows.n_wrong) & (ways.of >= 0) & rows.has(MEASURE).any(axis=0)
    read = read_outs(rows, ways, np.flatnonzero(ready))
    true, *wrong = (np.arange(first, first + n) for first in range(0, rows.n_targets, n))
    best = best_units(rows, true, ranked(rows, true))
    own = read.of(true)
    return Directions(
        layer=layer,
        concepts=found.concepts,
        n_images=(len(rows.keys[CHOOSE]), len(rows.keys[MEASURE])),
        sizes=np.array((*sizes_for(rows), rows.n_units)),
        curve=own.curve.T,
        held_out=own.held_out.T,
        n_units=own.n_units,
        versus=_against(rows, read, true, best, seed),
        made=_made(rows, own, ways, np.flatnonzero(ready[:n] & made), seed),
        wrong=tuple(_against(rows, read, own, best_units(rows, own, ranked(rows, own)), seed) for own in wrong),
        best_unit=np.where(own.measured, best.unit, -1),
        single_iou=np.where(own.measured, single.iou[single.chosen.argmax(axis=0), true], np.nan),
        area=own.on,
        prior=np.where(own.measured, position_prior(found), np.nan),
        average_precision=own.average_precision,
        path=own.path,
        weights=own.weights.T,
        constant=own.constant,
        threshold=own.threshold,
        mean=rows.mean,
        scale=rows.scale,
        remarks=_remarks(found, ways.of[:n], own.measured),
    )


def _made(rows: Rows, own: ReadOuts, ways: Cuts, targets: np.ndarray, seed: int) -> Versus:
    """Read-outs of the layer with the sums as units beside its own, against each concept's own sum, or what is better still."""
    n = len(own.measured)
    richer = with_sums(rows, own.weights)
    read = read_outs(richer, ways, targets)
    rank = np.zeros((richer.n_units, n))
    rank[rows.n_units + np.arange(n), np.arange(n)] = 1
    every = np.arange(n)
    return versus(read, by_image(richer, best_units(richer, every, rank), every), read.measured, seed)


def _against(rows: Rows, read: ReadOuts, targets: np.ndarray, units: BestUnits, seed: int) -> Versus:
    own = read.of(targets)
    return versus(own, by_image(rows, units, targets), own.measured, seed)


def _remarks(found: Collected, way: np.ndarray, measured: np.ndarray) -> dict[Concept, str]:
    """Why some concepts were not measured."""
    said = {}
    for concept, testable, cut, done in zip(found.concepts, found.testable, way, measured, strict=True):
        if not testable:
            said[concept] = found.remarks[concept]
        elif cut < 0:
            said[concept] = (
                "At the pixels that are looked at it is in one image of the half that chooses, or in none: it takes two."
            )
        elif not done:
            said[concept] = "At the pixels that are looked at it is in no image of the half that measures."
    return said


def _check(found: Collected, layer: str, at_pixels: UnitsAtPixels, single: UnitConcepts) -> None:
    asked = f"Several units of the layer '{layer}' were to be read together."
    if not found.per_pixel:
        raise UsageError(asked, "These concepts have no masks.", "Give concepts with masks.")
    expected = (*found.labelled.labels.shape[:2], len(single.iou))
    if at_pixels.values.shape != expected or single.iou.shape[1] != len(found.concepts):
        raise UsageError(
            asked,
            f"Values of {at_pixels.values.shape} images, pixels and units; the labels and single units are of {expected}.",
            "Give those of one layer, of the images and pixels that are labelled.",
        )
