"""How few units are enough?  The head asked with nothing but the strongest units, all others at their mean or at zero."""

from collections.abc import Sequence

import torch
from torch import Tensor

from convscope.instruments.readout.contributions import MOST
from convscope.instruments.readout.kept import Kept
from convscope.instruments.readout.removal import only

ROUNDING = 1e-9  # of shares: 18 of 25 images are 90 % of 20 of 25


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


def half_octaves(n_units: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12 ... units, and all: powers of two, and what lies halfway between them."""
    found = {number for i in range(n_units.bit_length()) for number in (2**i, 3 * 2 ** (i - 1) if i else 1)}
    return [*sorted(number for number in found if number < n_units), n_units]


def given_by_number(kept: Kept, wanted: int, order: Tensor, numbers: Sequence[int], fill: str = "mean") -> Tensor:
    """With only the first k of the units in an order (int64 `unit`): which images are given to a class, bool `number image`."""
    return torch.stack([only(kept, order[:k], fill).argmax(1) == wanted for k in numbers])


def fewest_for(shares: Sequence[float], numbers: Sequence[int], share: float = MOST) -> float:
    """The smallest of some numbers of units that keeps a share of the accuracy of all (the last); NaN where that is zero."""
    if not shares[-1] > 0:
        return float("nan")
    least = share * shares[-1] - ROUNDING
    return float(next(number for number, kept in zip(numbers, shares, strict=True) if kept >= least))
