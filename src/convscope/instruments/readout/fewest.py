"""How few units are enough?  The head asked with nothing but the strongest units, all others at their mean or at zero."""

import torch
from torch import Tensor

from convscope.instruments.readout.kept import Kept
from convscope.instruments.readout.removal import only


def numbers_of_units(n_units: int) -> list[int]:
    """How many units are tried: 1 to 16, then a tenth more each time, and all."""
    found = [1]
    while found[-1] < n_units:
        found.append(min(n_units, max(found[-1] + 1, round(1.1 * found[-1]))))
    return found


def enough(kept: Kept, values: Tensor, fill: str = "zero") -> Tensor:
    """The least number of units that keep the prediction of each image, those first that add most to it; int64 `image`.

    `values` is what units add to the predicted class (`image unit`); numbers are tried as `numbers_of_units` has them. More units
    may lose the prediction again. Images that all units together do not predict so (there are none) get the number of all.
    """
    order = values.argsort(dim=1, descending=True, stable=True)
    predicted = kept.logits.argmax(1)
    found = torch.full((len(kept),), values.shape[1])
    open_ = torch.arange(len(kept))
    for k in numbers_of_units(values.shape[1]):
        if not len(open_):
            break
        same = only(kept[open_], order[open_, :k], fill).argmax(1) == predicted[open_]
        found[open_[same]] = k
        open_ = open_[~same]
    return found


def powers(n_units: int) -> list[int]:
    """1, 2, 4 ... units, and all."""
    return [*(2**i for i in range(n_units.bit_length()) if 2**i < n_units), n_units]


def accuracy_by_number(
    kept: Kept, labels: Tensor, wanted: int, order: Tensor, numbers: list[int], fill: str = "mean"
) -> tuple[list[float], list[float]]:
    """With only the first k of the units in an order (int64 `unit`): how many of a class's images are still given to it, how many
    of the others are by mistake; a share for each number k. Labels int64 `image`, -1 where unknown.
    """
    own, others = labels == wanted, (labels != wanted) & (labels >= 0)
    shares: tuple[list[float], list[float]] = [], []
    for k in numbers:
        given = (only(kept, order[:k], fill).argmax(1) == wanted).float()
        for found, chosen in zip(shares, (own, others), strict=True):
            found.append(float(given[chosen].mean()))
    return shares
