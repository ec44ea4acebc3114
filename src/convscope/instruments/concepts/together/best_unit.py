"""Which single unit covers a target best, and where is it on?  What several units together are held against.

Units are ranked by their IoU on the half that chooses, at some thresholds. For those that lead, every threshold is then tried on
that half, as it is for read-outs: a gain must not come from a finer threshold; nor from a sign: a unit may also be on below one.
"""

from dataclasses import dataclass

import numpy as np
import torch

from convscope.instruments.concepts.iou import ratio
from convscope.instruments.concepts.together.pixel_rows import Rows
from convscope.instruments.concepts.together.thresholds import best_thresholds
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE
from convscope.sweep.gauges.overlap import product

SHARES = 2.0 ** -np.arange(0.5, 11.5, 0.5)  # of a unit's values that are above each threshold
N_LEADING = 8  # units of which every threshold is tried
WORKING = 1 << 25  # places (unit x threshold x pixel) at a time
N_VALUES = 1 << 27  # that are held together to rank units: of more, every second, third ... image ranks


@dataclass(frozen=True, eq=False)
class BestUnits:
    """One unit for each target."""

    unit: np.ndarray  # int64 target
    threshold: np.ndarray  # float64 target: it is on where sign times its value is above that
    sign: np.ndarray  # float64 target: 1, or -1 where it is on below


@dataclass(frozen=True, eq=False)
class ByImage:
    """Where something is on, in each image of the half that measures; int64 `target image`."""

    joint: np.ndarray  # pixels that are on and labelled
    area: np.ndarray  # on, and something known


def ranked(rows: Rows, targets: np.ndarray) -> np.ndarray:
    """The largest IoU of each unit above or below some thresholds, on the half that chooses, float64 `unit target`."""
    every = slice(None, None, -(-rows.values.values[:1].size * len(rows.keys[CHOOSE]) // N_VALUES) or 1)
    there = rows.labels(CHOOSE, targets)[every].reshape(-1, len(targets))
    groups, own_group = np.unique(rows.group_of(targets), return_inverse=True)
    known = np.stack([rows.known(CHOOSE, int(group))[every].ravel() for group in groups], axis=1)
    labelled, in_all = there.sum(axis=0), known.sum(axis=0)[own_group]
    columns = torch.from_numpy(np.concatenate([there, known], axis=1).astype(np.int8))
    values = np.ascontiguousarray(rows.values.of(rows.keys[CHOOSE][every]).reshape(-1, rows.n_units).T)  # unit row
    cuts = np.quantile(values, 1 - SHARES, axis=1, method="lower").T  # unit threshold
    found = np.empty((rows.n_units, len(targets)))
    together = max(1, WORKING // max(1, cuts.shape[1] * values.shape[1]))
    for first in range(0, rows.n_units, together):
        own = slice(first, first + together)
        on = (values[own, None] > cuts[own, :, None]).view(np.int8).reshape(-1, values.shape[1])
        counts = product(torch.from_numpy(on), columns).numpy().reshape(-1, cuts.shape[1], columns.shape[1])
        joint, area = counts[..., : len(targets)].astype(np.float64), counts[..., len(targets) :][..., own_group]
        above = ratio(joint, labelled + area - joint)
        below = ratio(labelled - joint, in_all - area + joint)  # on where it is not above: |below or labelled|
        found[own] = np.maximum(above, below).max(axis=1)
    return found


def best_units(rows: Rows, targets: np.ndarray, rank: np.ndarray) -> BestUnits:
    """Of units that lead by rank `unit target`, the one with the largest IoU on the half that chooses, at its best threshold."""
    leading = np.argsort(-rank, axis=0, kind="stable")[:N_LEADING].T
    found = BestUnits(np.zeros(len(targets), np.int64), np.full(len(targets), -np.inf), np.ones(len(targets)))
    groups, labels = rows.group_of(targets), rows.labels(CHOOSE, targets)
    known = {int(group): rows.known(CHOOSE, int(group)) for group in np.unique(groups)}
    values = rows.of_units(CHOOSE, np.unique(leading))
    for target, units in enumerate(leading):
        seen = known[int(groups[target])]
        if not seen.any():
            continue
        scores = values[:, :, np.searchsorted(np.unique(leading), units)][seen].T
        both = np.concatenate([scores, -scores])
        thresholds, overlap = best_thresholds(both, labels[:, :, target][seen])
        best = int(overlap.argmax())
        found.unit[target], found.threshold[target] = units[best % len(units)], thresholds[best]
        found.sign[target] = 1 if best < len(units) else -1
    return found


def by_image(rows: Rows, units: BestUnits, targets: np.ndarray) -> ByImage:
    """Where these units are on in the half that measures, for these targets."""
    groups = rows.group_of(targets)
    known = {int(group): rows.known(MEASURE, int(group)) for group in np.unique(groups)}
    seen = np.stack([known[int(group)] for group in groups], axis=2)
    on = (rows.of_units(MEASURE, units.unit) * units.sign > units.threshold) & seen
    return ByImage((on & rows.labels(MEASURE, targets)).sum(axis=1).T, on.sum(axis=1).T)
