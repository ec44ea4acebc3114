"""How well does a unit cover a concept, at every threshold?  Read from joint counts, with bounds for what lies between thresholds.

IoU(unit, concept, threshold) = |on and concept| / |on or concept| over the pixels of which something is known (Bau et al. 2017,
arXiv:1704.05796, eq. 1). Above a bin's edge everything is exact; between two edges the number of pixels in common can only lie
between what it is at the edges, and grow by no more than the unit's own area does, which bounds the IoU.
"""

from dataclasses import dataclass

import numpy as np

from convscope.sweep.gauges.labelled import Labelled

TOP = 0.005  # the conventional threshold: the share of a unit's values above it


@dataclass(frozen=True, eq=False)
class Tails:
    """Pixels above thresholds, whole numbers as floats; of some units, in some of the images."""

    joint: np.ndarray  # unit threshold concept: on, and labelled with the concept
    area: (
        np.ndarray
    )  # unit threshold concept: on, and something known of the concept; one for all concepts, where it is the same
    labelled: np.ndarray  # 1 1 concept: pixels of each concept
    known: np.ndarray  # 1 1 concept: pixels of which something is known

    @property
    def iou(self) -> np.ndarray:
        """At each threshold, `unit threshold concept`; at the first, where all is on, it is the concept's frequency."""
        return ratio(self.joint, self.labelled + self.area - self.joint)

    @property
    def chance(self) -> np.ndarray:
        """The IoU of a unit of the same area that has nothing to do with the concept, `unit threshold concept`."""
        common = self.area * ratio(self.labelled, self.known)
        return ratio(common, self.labelled + self.area - common)

    @property
    def score(self) -> np.ndarray:
        """How much more they have in common than by chance, in standard deviations of independent pixels.

        This is the phi (Matthews) coefficient times the root of the number of pixels. Pixels are not independent: it is only to
        be compared with the same score under wrong labels.
        """
        total = np.maximum(self.known, 1)
        on, there = self.area / total, self.labelled / total
        spread = np.sqrt(np.maximum(total * on * (1 - on) * there * (1 - there), 0))
        return ratio(self.joint - total * on * there, spread)

    def at(self, threshold: np.ndarray) -> "Tails":
        """Above one threshold of each unit and concept (numbers `unit 1 concept`), in float64: `unit 1 concept`."""
        area = np.broadcast_to(self.area, self.joint.shape)
        joint, area = (np.take_along_axis(part, threshold, 1).astype(np.float64) for part in (self.joint, area))
        return Tails(joint, area, self.labelled.astype(np.float64), self.known.astype(np.float64))


def tails(counts: np.ndarray, totals: np.ndarray, labelled: Labelled, null: int = 0) -> Tails:
    """What is above each threshold, from counts `unit threshold column` and totals `column`; true labels (0) or wrong ones."""
    parts = [_with_all(counts[..., own], totals[own]) for own in (labelled.column(null), labelled.totals)]
    joint, area = parts if labelled.n_groups == 1 else (parts[0], parts[1][..., labelled.groups])
    return Tails(joint, area, joint[:1, :1], np.broadcast_to(area[:1, :1], joint[:1, :1].shape))


def _with_all(counts: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """float32 `unit threshold column`, the first threshold put before the others: there all pixels are on."""
    found = np.empty((len(counts), counts.shape[1] + 1, counts.shape[2]), np.float32)
    found[:, 0], found[:, 1:] = totals, counts
    return found


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Zero where there is nothing to divide by."""
    shape = np.broadcast_shapes(above.shape, below.shape)
    found = np.zeros(shape, np.result_type(above, below, np.float32))
    return np.divide(above, below, out=found, where=np.broadcast_to(below > 0, shape))


@dataclass(frozen=True, eq=False)
class AtTop:
    """The overlap where a given share of each unit's values is above the threshold; each `unit concept`."""

    iou: np.ndarray
    low: np.ndarray  # the IoU at the exact threshold lies between low and high
    high: np.ndarray
    area: (
        np.ndarray
    )  # share of the pixels that are on: less than asked for in coarse maps, whose peaks are narrow; more at a tie
    lift: np.ndarray  # how much more often the concept is there than anywhere: 1 where the unit says nothing of it


def at_top(found: Tails, neurons: np.ndarray, first: np.ndarray, top: float = TOP) -> AtTop:
    """The overlap at the conventional threshold: the one that a share `top` of the unit's neurons is not below.

    `neurons` (`unit level`) are those of each level or a higher one, `first` (`unit threshold`) the first level beyond each
    threshold. A level counts as one value: a tie is on as a whole, wherever it lies between two thresholds. Only silence is not: a
    unit that is silent in all but fewer neurons than a share `top` is on where it is not, as in the original, which asks for more
    than the quantile. Pixels are taken to come on in step with the neurons.
    """
    level = (neurons >= top * neurons[:, :1]).sum(axis=1, keepdims=True) - 1  # the quantile's
    level = np.maximum(level, 1)  # 0 is silence
    below = np.maximum((first <= level).sum(axis=1, keepdims=True) - 1, 0)  # the threshold below it
    last = first.shape[1] - 1
    after = np.where(below < last, np.take_along_axis(first, np.minimum(below + 1, last), 1), neurons.shape[1])
    padded = np.concatenate([neurons, np.zeros_like(neurons[:, :1])], axis=1)  # beyond the last level there is nothing
    wanted, more, fewer = (
        np.take_along_axis(padded, at, 1) for at in (level, np.take_along_axis(first, below, 1), after)
    )
    share = np.where(more > fewer, ratio((wanted - fewer).astype(np.float64), more - fewer), 1.0)[..., None]
    at = np.broadcast_to(below[..., None], (len(below), 1, found.joint.shape[2]))
    lower, upper = found.at(at), found.at(np.minimum(at + 1, last))
    joint, area = lower.joint, lower.area
    joint_above, area_above = (np.where(at < last, part, 0) for part in (upper.joint, upper.area))
    on, there = (high + share * (low - high) for high, low in ((area_above, area), (joint_above, joint)))
    value = ratio(there, lower.labelled + on - there)
    least = ratio(joint_above, lower.labelled + (area - joint))  # all that comes on in between is not labelled
    most = ratio(joint, lower.labelled + (area_above - joint_above))  # or all of it is
    really = on / np.maximum(lower.known, 1)
    lift = ratio(ratio(there, on), ratio(lower.labelled, lower.known))
    return AtTop(*(part[:, 0] for part in (value, least, most, really, lift)))


def highest_between(found: Tails) -> np.ndarray:
    """The most that the IoU can be at any threshold, also between two: if all that comes on there first is labelled.

    `unit concept`. The largest IoU at a threshold that was measured is the least it can be.
    """
    rest = found.area - found.joint  # on, and not labelled
    above = np.concatenate([rest[:, 1:], np.zeros_like(rest[:, :1])], 1)
    return ratio(found.joint, found.labelled + above).max(axis=1)


def average_precision(found: Tails) -> np.ndarray:
    """Mean precision over the concept's pixels, ranked by the unit, 0-1, `unit concept`; between two thresholds in any order.

    Of pixels between two thresholds (ties among them) the precision is that halfway, which is what a random order gives.
    """
    joint, area = (
        np.concatenate([part, np.zeros_like(part[:, :1])], 1)
        for part in (found.joint, np.broadcast_to(found.area, found.joint.shape))
    )
    precision = ratio(joint[:, :-1] + joint[:, 1:], area[:, :-1] + area[:, 1:])
    return ratio((precision * (joint[:, :-1] - joint[:, 1:])).sum(axis=1), found.labelled[:, 0])


def cap(frequency: np.ndarray, top: float = TOP) -> np.ndarray:
    """The most that the IoU can be, for a unit of which a share `top` is on: top / frequency for more frequent concepts."""
    return ratio(np.minimum(frequency, top), np.maximum(frequency, top))
