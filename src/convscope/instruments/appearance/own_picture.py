"""Does a picture drive its own unit, or the whole layer?  Every unit's response to it, beside its own best natural image.

A picture that drives many units of a layer beyond what any photograph does says little of any of them. Units differ in how loud
they are; so each response is divided by the unit's highest response to the natural images.
"""

from dataclasses import dataclass

import numpy as np
import torch

from convscope.instruments.appearance.optimise import Optimised

ALMOST = 0.999  # of the best natural image: as far


@dataclass(frozen=True)
class OwnPicture:
    """How one unit's response to its picture stands among those of the live units of its layer."""

    ratio: float  # the response, in parts of the unit's highest to a natural image
    rank: int  # among all units by that ratio; 0 is the first
    n_beyond: int  # units that the picture drives beyond their own highest natural response, this one included
    n_units: int  # live ones
    median: float  # of the ratios

    @property
    def most_before(self) -> int:
        """How many units may answer to a unit's own picture more than the unit does: a tenth, or one."""
        return max(1, self.n_units // 10)

    @property
    def is_own(self) -> bool:
        """Whether it drives the unit as far as an image does, few units further, and not most others beyond their best as well."""
        others = self.n_beyond - (self.ratio > 1)
        return self.ratio >= ALMOST and self.rank <= self.most_before and 2 * others <= self.n_units - 1

    @property
    def words(self) -> str:
        """What came out, in a sentence."""
        place = "further than any other" if self.rank == 0 else f"as number {self.rank + 1}"
        others = self.n_beyond - (self.ratio > 1)
        return (
            f"It drives this unit to {self.ratio:.2g} times its best natural image, {place} of {self.n_units:,} live units; "
            f"{others:,} of the others are driven beyond their own best image too."
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
