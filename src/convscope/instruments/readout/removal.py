"""What does the network answer without some units?  The head asked again, with their values set to their mean, or to zero.

Also with nothing but some units; and units that are as active, drawn at random: the control, for switching off anything that is on
changes a network. Where the head is linear the answer is that of all units less what those added, in closed form; elsewhere the
head is computed again.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convscope.errors import UsageError
from convscope.instruments.readout.kept import Kept

FILLS = ("mean", "zero")
N_NEAR = 5  # of the units as active as one, those nearest to it, one is drawn


@dataclass(frozen=True)
class Standing:
    """How a class fares: mean probability and accuracy on its images, accuracy on those of all others; NaN without images."""

    probability: float
    accuracy: float
    others: float


def without(kept: Kept, units: Tensor, fill: str = "mean") -> Tensor:
    """The logits `image class` with these units (int64) at their mean over images and positions, or at zero. Raises UsageError."""
    filled = fill_of(kept, fill)[units]
    if kept.slopes is None:
        values = kept.values.clone()
        values[:, units] = _placed(filled, values)
        return kept.finish(values)
    gone = kept.values[:, units] - _placed(filled, kept.values)
    return kept.logits - gone.flatten(1) @ kept.slopes[:, units].flatten(1).T


def only(kept: Kept, units: Tensor, fill: str = "mean") -> Tensor:
    """The logits `image class` with all but these units so; int64, the same for all images, or a row for each (`image k`)."""
    chosen = torch.zeros(kept.values.shape[:2], dtype=torch.bool)
    chosen.scatter_(1, units.expand(len(kept), -1), True)
    filled = _placed(fill_of(kept, fill), kept.values)
    shape = (*chosen.shape, *[1] * (kept.values.dim() - 2))
    return kept.finish(torch.where(chosen.view(shape), kept.values, filled))


def fill_of(kept: Kept, fill: str) -> Tensor:
    """What units are set to, `unit`. Raises UsageError."""
    if fill not in FILLS:
        raise UsageError(f"Units were to be set to '{fill}'.", "That is not known.", f"Known: {', '.join(FILLS)}.")
    return kept.mean if fill == "mean" else torch.zeros_like(kept.mean)


def as_active(activity: np.ndarray, units: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Random units as active as these, and none of them: int64 `draw unit`, each unit once a draw.

    `activity` is each unit's mean. For each of the units, in a random order, one is drawn of the five whose activity is nearest
    and which are left. Raises UsageError where fewer are left than are to be drawn.
    """
    others = np.setdiff1d(np.arange(len(activity)), units)
    if len(others) < len(units):
        raise UsageError(
            f"{len(units)} units were to be matched with others that are as active.",
            f"The layer has {len(activity)}, {len(others)} besides.",
            f"Ask of {len(activity) // 2} or fewer.",
        )
    found = np.empty((n_draws, len(units)), np.int64)
    for row in found:
        left = others
        for i in rng.permutation(len(units)):
            near = np.argsort(np.abs(activity[left] - activity[units[i]]), kind="stable")[:N_NEAR]
            row[i] = left[rng.choice(near)]
            left = left[left != row[i]]
    return found


def standing(logits: Tensor, labels: Tensor, wanted: int) -> Standing:
    """How a class fares with these logits; labels int64 `image`, -1 where unknown."""
    own, others = labels == wanted, (labels != wanted) & (labels >= 0)
    right = (logits.argmax(1) == labels).float()
    probability = float(logits[own].softmax(1)[:, wanted].mean())
    return Standing(probability, float(right[own].mean()), float(right[others].mean()))


def _placed(filled: Tensor, values: Tensor) -> Tensor:
    """One value a unit, to be set beside values of any form."""
    return filled.view(-1, *[1] * (values.dim() - 2))
