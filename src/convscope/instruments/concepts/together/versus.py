"""Does a read-out cover a concept better than the best single unit?  Both on the same pixels, with images drawn again.

Intervals are bootstrap intervals (95 %, percentiles) of the difference, over images: both are measured on the images that are
drawn. Neighbouring images may be alike, as frames of a film are, so runs of neighbours are drawn (Politis and Romano 1992: circular
blocks), as long as the cube root of their number.
"""

from dataclasses import dataclass

import numpy as np

from convscope.instruments.concepts.iou import ratio
from convscope.instruments.concepts.single_units import LEAST
from convscope.instruments.concepts.together.best_unit import ByImage
from convscope.instruments.concepts.together.read_out import ReadOuts
from convscope.intervals import Interval, none, share

N_DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Versus:
    """Read-outs against the best single unit, under one labelling; float64 `concept`, NaN where not measured."""

    iou: np.ndarray  # of the read-out
    best_iou: np.ndarray  # of the single unit
    everywhere: np.ndarray  # of what is on everywhere: the concept's frequency
    chance: np.ndarray  # of what is on as often as the read-out, and has nothing to do with the concept
    gain: np.ndarray  # iou - best_iou
    low: np.ndarray  # of the gain
    high: np.ndarray
    beyond_everywhere: np.ndarray  # lower bound of iou - everywhere
    n_units: np.ndarray  # of the read-out

    @property
    def corrected(self) -> np.ndarray:
        """The read-out's IoU beyond chance, as a share of what is left beyond it."""
        return (self.iou - self.chance) / np.where(self.chance < 1, 1 - self.chance, 1)

    @property
    def told(self) -> np.ndarray:
        """Which concepts the read-out tells: better than being on everywhere, beyond drawing images, and by enough to matter."""
        return (self.beyond_everywhere > 0) & (self.corrected > LEAST)

    @property
    def beats(self) -> np.ndarray:
        """Which concepts it tells with two units or more, and better than the single unit beyond drawing images.

        It has to tell them: where nothing can be read, a unit's own threshold is a bad guess and being on everywhere a better one.
        """
        return self.told & (self.low > 0) & (self.n_units >= 2)

    @property
    def share(self) -> Interval:
        """The share of concepts in which the read-out beats the single unit, with its interval over concepts."""
        n = int(np.isfinite(self.gain).sum())
        return share(int(self.beats.sum()), n) if n else none()


def versus(read: ReadOuts, unit: ByImage, measured: np.ndarray, seed: int = 0) -> Versus:
    """Read-outs against one unit each, by what each covers in each image."""
    if not measured.any():
        return Versus(*np.full((9, len(measured)), np.nan))
    drawn, labelled, every = _draws(read.labelled.shape[1], seed), read.labelled, ByImage(read.labelled, read.known)
    mine, other, everywhere = (_overlap(part, labelled) for part in (read, unit, every))
    mine_drawn, other_drawn, every_drawn = (_overlap(part, labelled, drawn) for part in (read, unit, every))
    gain = mine - other
    low, high = np.quantile(mine_drawn - other_drawn, (0.025, 0.975), axis=0)
    beyond = np.quantile(mine_drawn - every_drawn, 0.025, axis=0)
    found = (
        mine,
        other,
        everywhere,
        read.chance,
        gain,
        np.minimum(low, gain),
        np.maximum(high, gain),
        beyond,
        read.n_units,
    )
    return Versus(*(np.where(measured, part, np.nan) for part in found))


def _overlap(part: ReadOuts | ByImage, labelled: np.ndarray, drawn: np.ndarray | None = None) -> np.ndarray:
    """IoU over all images `target`, or over each draw `draw target`."""
    either = labelled + part.area - part.joint
    if drawn is None:
        return ratio(part.joint.sum(axis=1).astype(np.float64), either.sum(axis=1))
    return ratio(drawn @ part.joint.T, drawn @ either.T)


def _draws(n_images: int, seed: int) -> np.ndarray:
    """How often each image is drawn, float64 `draw image`."""
    length = max(1, round(n_images ** (1 / 3)))
    starts = np.random.default_rng(seed).integers(0, n_images, (N_DRAWS, -(-n_images // length)))
    places = ((starts[:, :, None] + np.arange(length)) % n_images).reshape(N_DRAWS, -1)[:, :n_images]
    return np.stack([np.bincount(row, minlength=n_images) for row in places]).astype(np.float64)
