"""How well does a weighted sum of units cover a concept, with how many units?  Chosen on one half, measured on the other.

The read-out is linear, the same at every position: on where sum_u w_u (a_u - mean_u) / sd_u + b is above a threshold. Weights are
those of least squares with a ridge, for the label (0 or 1) of the pixel. For each number of units the strength of the ridge is the
one with the least squared error, and the threshold the one with the largest IoU, on images that the weights were not fitted on
(parts.py; each part by the weights of the other). Then all of the half that chooses is fitted, and nothing is chosen any more.

Weights are those of the least squared error, not of the largest IoU: for a concept that lies at the end of a unit's range (white,
in a first layer) the unit's own threshold can be better than any read-out that is found so.
"""

from dataclasses import dataclass

import numpy as np

from convscope.instruments.concepts.image_level import precisions
from convscope.instruments.concepts.iou import ratio
from convscope.instruments.concepts.together.least_squares import SIZES, Weights, sums_of, weighed
from convscope.instruments.concepts.together.parts import Cuts
from convscope.instruments.concepts.together.pixel_rows import Rows
from convscope.instruments.concepts.together.thresholds import best_thresholds
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE

WORKING = 1 << 24  # scores, or numbers of another kind, that are worked out together


@dataclass(frozen=True, eq=False)
class ReadOuts:
    """What read-outs of some targets reach; float64, NaN where not measured."""

    measured: np.ndarray  # bool target
    path: np.ndarray  # int64 target rank: the units in the order they are taken; -1 where not measured
    held_out: np.ndarray  # target size (the last: all units): IoU in the half that chooses, where it was not fitted
    curve: np.ndarray  # target size: IoU in the half that measures
    n_units: np.ndarray  # int64 target: of the sparse read-out with the largest `held_out`; what follows is of that one
    weights: np.ndarray  # target unit: for standardised units
    constant: np.ndarray  # target
    threshold: np.ndarray  # target
    average_precision: np.ndarray  # target: in the half that measures
    joint: np.ndarray  # int64 target image: of the half that measures, pixels that are on and labelled
    area: np.ndarray  # int64 target image: on, and something known
    labelled: np.ndarray  # int64 target image
    known: np.ndarray  # int64 target image

    def of(self, targets: np.ndarray) -> "ReadOuts":
        """The same of some targets."""
        return ReadOuts(*(part[targets] for part in vars(self).values()))

    @property
    def on(self) -> np.ndarray:
        """Share of the pixels at which it is on, `target`."""
        return self._share(self.area)

    @property
    def chance(self) -> np.ndarray:
        """IoU of what is on as often and has nothing to do with the target, `target`."""
        there, on = self._share(self.labelled), self.on
        return ratio(on * there, on + there - on * there) * np.where(self.measured, 1, np.nan)

    def _share(self, pixels: np.ndarray) -> np.ndarray:
        share = ratio(pixels.sum(axis=1).astype(np.float64), self.known.sum(axis=1))
        return np.where(self.measured, share, np.nan)


def sizes_for(rows: Rows) -> tuple[int, ...]:
    """The numbers of units that are tried before all: as many as there are that vary."""
    n_varying = int(rows.varies.sum())
    return tuple(size for size in SIZES if size <= n_varying) or (1,)


def read_outs(rows: Rows, ways: Cuts, targets: np.ndarray) -> ReadOuts:
    """The read-outs of these of all targets (numbers), each with the images that choose cut its way."""
    found = _blank(rows)
    groups = rows.group_of(targets)
    for group, way in sorted(set(zip(groups.tolist(), ways.of[targets].tolist(), strict=True))):
        own = targets[(groups == group) & (ways.of[targets] == way)]
        _read(rows, group, ways.part[way], own, found)
    return found


def _blank(rows: Rows) -> ReadOuts:
    n, n_images, sizes = rows.n_targets, len(rows.keys[MEASURE]), sizes_for(rows)

    def empty(*shape: int) -> np.ndarray:
        return np.full((n, *shape), np.nan)

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros((n, *shape), np.int64)

    return ReadOuts(
        measured=np.zeros(n, bool),
        path=zeros(sizes[-1]) - 1,
        held_out=empty(len(sizes) + 1),
        curve=empty(len(sizes) + 1),
        n_units=zeros(),
        weights=empty(rows.n_units),
        constant=empty(),
        threshold=empty(),
        average_precision=empty(),
        joint=zeros(n_images),
        area=zeros(n_images),
        labelled=zeros(n_images),
        known=zeros(n_images),
    )


def _read(rows: Rows, group: int, part: np.ndarray, targets: np.ndarray, found: ReadOuts) -> None:
    """Fills in targets of one group, some at a time; `part` (0 or 1, `image`) says how the images that choose are cut."""
    known = (rows.known(CHOOSE, group), rows.known(MEASURE, group))
    sums, sizes = sums_of(rows, part, known[CHOOSE], targets), sizes_for(rows)
    n_each = max(*(pixels.size * (len(sizes) + 1) for pixels in known), 2 * rows.n_units * sizes[-1])
    together = max(1, WORKING // n_each)
    for first in range(0, len(targets), together):
        own = slice(first, first + together)
        crossed, weights = weighed([one.only(own) for one in sums], sizes)
        scores = _scores(rows, CHOOSE, [crossed[1 - side] for side in part], known[CHOOSE])
        there = rows.labels(CHOOSE, targets[own])[known[CHOOSE]]
        best = [best_thresholds(one, label) for one, label in zip(scores, there.T, strict=True)]
        scores = _scores(rows, MEASURE, [weights] * len(known[MEASURE]), known[MEASURE])
        there = rows.labels(MEASURE, targets[own])[known[MEASURE]]
        for at, target in enumerate(targets[own]):
            _measure(found, target, scores[at], *best[at], there[:, at], known[MEASURE].sum(axis=1))
            _keep(found, target, weights, at, sizes)


def _measure(
    found: ReadOuts,
    target: int,
    scores: np.ndarray,
    thresholds: np.ndarray,
    held_out: np.ndarray,
    there: np.ndarray,
    n_known: np.ndarray,
) -> None:
    """What the read-outs of one target reach, from scores `size row` and labels `row`; `n_known` counts the rows of each image."""
    on = scores > thresholds[:, None]
    joint, area, labelled = (_by_image(part, n_known) for part in (on & there, on, there))
    size = int(held_out[:-1].argmax())
    found.measured[target], found.held_out[target] = True, held_out
    found.curve[target] = ratio(joint.sum(axis=1).astype(float), labelled.sum() + area.sum(axis=1) - joint.sum(axis=1))
    found.joint[target], found.area[target] = joint[size], area[size]
    found.labelled[target], found.known[target], found.threshold[target] = labelled, n_known, thresholds[size]
    found.average_precision[target] = precisions(scores[size], there[:, None], np.ones((len(there), 1), bool))[0]


def _keep(found: ReadOuts, target: int, weights: Weights, at: int, sizes: tuple[int, ...]) -> None:
    """The path of one target, and the weights of the read-out that was chosen."""
    size = int(found.held_out[target, :-1].argmax())
    found.path[target], found.n_units[target] = weights.path[at], sizes[size]
    found.weights[target] = 0
    found.weights[target, weights.path[at]] = weights.few[at, size]
    found.constant[target] = weights.constant[at, size]


def _scores(rows: Rows, half: int, weights: list[Weights], known: np.ndarray) -> np.ndarray:
    """What each image's own read-outs say at the pixels of which something is known, float32 `target size row`."""
    after = np.concatenate([[0], known.sum(axis=1).cumsum()])
    found = np.empty((*weights[0].constant.shape, int(after[-1])), np.float32)
    for images, values in rows.blocks(half):
        for one in {id(own): own for own in weights[images]}.values():
            mine = [i for i in range(images.start, images.stop) if weights[i] is one]
            places = np.concatenate([np.arange(after[i], after[i + 1]) for i in mine])
            own = np.array(mine) - images.start
            found[:, :, places] = one.of(values[own][known[mine]])
    return found


def _by_image(on: np.ndarray, n_known: np.ndarray) -> np.ndarray:
    """How many of each image's rows, of truth values `... row`, int64 `... image`."""
    before = np.concatenate([np.zeros((*on.shape[:-1], 1), np.int64), on.cumsum(axis=-1)], axis=-1)
    after = n_known.cumsum()
    return before[..., after] - before[..., after - n_known]
