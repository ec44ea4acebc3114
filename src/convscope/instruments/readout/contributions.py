"""Of what is a class's logit the sum?  What each unit adds to it, and how many units make most of it.

A unit adds its value times the derivative of the logit by it, summed over its positions. Where the head is linear that is value
times weight (Zhou et al. 2016, arXiv:1512.04150, eq. 1), and a constant is left, the biases. Where it is linear piece by piece (a
ReLU in it, ReLU6, max-pooling) the derivative is that of the piece the image lies in: exact too, the gates of each position
being as they are, and what is left are the biases behind open gates. Elsewhere (GELU, layer norm) what is left is not the
biases alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from convscope.errors import UsageError
from convscope.instruments.readout.kept import Kept, over_places

MOST = 0.9  # of a logit
ORDERS = ("signed", "absolute", "centred")


@dataclass(frozen=True, eq=False)
class Contributions:
    """What units add to the logit of one class of each image; float32."""

    values: Tensor  # `image unit`, in the units of the logit
    rest: Tensor  # `image`: the logit less their sum
    is_exact: bool  # whether the rest are biases, and nothing the units do

    @property
    def logits(self) -> Tensor:
        """The logits they add up to, with the rest; `image`."""
        return self.values.sum(1) + self.rest


def contributions(kept: Kept, classes: Tensor) -> Contributions:
    """What units add to the logit of a class of each image (int64 `image`).

    Raises UsageError for classes that are not there, or are not one for each image.
    """
    _check(kept, classes)
    slopes = kept.gradient(kept.values, classes) if kept.slopes is None else kept.slopes[classes]
    values = over_places(kept.values * slopes)
    own = kept.logits[torch.arange(len(kept)), classes]
    return Contributions(values, own - values.sum(1), kept.head.is_piecewise_linear)


def of_class(kept: Kept, wanted: int) -> Contributions:
    """What units add to the logit of one class, in every image."""
    return contributions(kept, torch.full((len(kept),), wanted))


def n_units(values: Tensor, by: str = "signed", mean: Tensor | None = None, share: float = MOST) -> Tensor:
    """How many units make a share of a logit, its rest left out?  float64 `image`, 1 to the number of units.

    Units are taken in an order until what they add together first reaches the share of the sum of all. The order is by what
    each adds ("signed", the quickest way there), by its size ("absolute": what takes away is taken too), or by size after each
    unit's `mean` over images is taken off, also from the sum ("centred": what is particular to the image). Where that sum is not
    above zero there is no share to reach: NaN. Raises UsageError.
    """
    if by not in ORDERS or (by == "centred") != (mean is not None):
        found = f"by='{by}', {'no' if mean is None else 'a'} mean."
        raise UsageError(
            "Units that make most of a logit were asked for.",
            found,
            f"by is one of {', '.join(ORDERS)}; the last takes the mean.",
        )
    values = values if mean is None else values - mean
    key = values if by == "signed" else values.abs()
    added = values.gather(1, key.argsort(dim=1, descending=True, stable=True)).cumsum(1)
    whole = values.sum(1, keepdim=True)
    there = added >= share * whole
    numbers = torch.where(there.any(1), there.int().argmax(1) + 1, values.shape[1]).double()
    return numbers.masked_fill(~(whole[:, 0] > 0), torch.nan)


def _check(kept: Kept, classes: Tensor) -> None:
    n = kept.n_classes
    if classes.shape != (len(kept),) or not bool(((classes >= 0) & (classes < n)).all()):
        raise UsageError(
            "Contributions to the logits of some classes were asked for.",
            f"Given are {tuple(classes.shape)} classes for {len(kept)} images, of a network of {n} classes.",
            f"Give one for each image, 0 to {n - 1}.",
        )
