"""Does a picture drive its own unit, or the whole layer?  Every unit's response to it, beside its own best natural image.

A picture that drives many units of a layer beyond what any photograph does says little of any of them. Units differ in how loud
they are; so each response is divided by the unit's highest response to the natural images.
"""

from dataclasses import dataclass

import numpy as np
import torch

from convscope.instruments.appearance.optimise import Optimised


@dataclass(frozen=True)
class OwnPicture:
    """How one unit's response to its picture stands among those of the live units of its layer."""

    ratio: float  # the response, in parts of the unit's highest to a natural image
    rank: int  # among all units by that ratio; 0 is the first
    n_beyond: int  # units that the picture drives beyond their own highest natural response, this one included
    n_units: int  # live ones
    median: float  # of the ratios

    @property
    def is_own(self) -> bool:
        """Whether no more than a tenth of the units (or one) answers to the picture more than this one."""
        return self.rank <= max(1, self.n_units // 10)

    @property
    def words(self) -> str:
        """What came out, in a sentence."""
        are = "is" if self.n_beyond == 1 else "are"
        place = "more than any other" if self.rank == 0 else f"as number {self.rank + 1}"
        return (
            f"It drives this unit {self.ratio:.2g} times as far as its best natural image, {place} of {self.n_units:,} live units; "
            f"{self.n_beyond:,} {are} driven beyond its own best (median {max(0.0, self.median):.2g} times)."
        )


def own_picture(found: Optimised, natural: np.ndarray, index: int = 0) -> OwnPicture | None:
    """How one of the pictures that were found drives all units of the layer, at the neurons it was made for.

    `natural` is the highest response of each unit of the layer to the natural images; units for which it is not above zero are left
    out. None where the picture is for something else than one live unit, driven up.
    """
    units = found.objective.weights.nonzero().flatten().tolist()
    live = np.flatnonzero(np.isfinite(natural) & (natural > 0))
    if len(units) != 1 or found.objective.negative or units[0] not in live:
        return None
    where = found.canvas
    bytes_ = found.images[index : index + 1].mul(255).round() / 255
    inputs = where.network.preprocess.normalize(bytes_.to(where.network.device))
    answers = where.asked(where.maps(inputs, where.shown))[0].amax(1)
    ratios = torch.as_tensor(answers).cpu().numpy()[live] / natural[live]
    own = float(ratios[np.flatnonzero(live == units[0])[0]])
    return OwnPicture(own, int((ratios > own).sum()), int((ratios > 1).sum()), len(live), float(np.median(ratios)))
