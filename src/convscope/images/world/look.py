"""How does this one differ from others of its class?  Paints and proportions, one per scene."""

from dataclasses import dataclass

import numpy as np

from convscope.images.world.paint import Paint


@dataclass(frozen=True)
class Look:
    """The paints and traits of one object per scene."""

    body: Paint  # may be textured
    trim: Paint  # hair, roof, sail ...: never the color of the body
    detail: Paint  # glass, iris, beak ...: neither body nor trim
    traits: np.ndarray  # batch trait, 0-1: proportions and variants

    def trait(self, index: int, low: float, high: float) -> np.ndarray:
        """One proportion between low and high, shape (batch, 1, 1)."""
        return (low + (high - low) * self.traits[:, index, None, None]).astype(np.float32)

    def chosen(self, index: int, share: float) -> np.ndarray:
        """True for a share of the scenes, shape (batch, 1, 1): which variant is drawn."""
        return (self.traits[:, index] < share)[:, None, None]


def only_where(chosen: np.ndarray, field: np.ndarray) -> np.ndarray:
    """The shape in the chosen scenes, nothing in the others."""
    return np.where(chosen, field, np.float32(1e3))
