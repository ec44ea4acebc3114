"""Does a class hang on its units?  Its strongest units removed, against units as active, and against those of another class.

Which units are a class's strongest is decided on one half of its images, and what their removal does, or keeping nothing but
them, is measured on the other, both ways round; with fewer than four images the same ones serve for both, and the measurement
says so. With the units at
their mean (what they say of no image in particular) the strongest are those that add more to this class's images than to
others; at zero, those that add most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convscope.instruments.readout.contributions import ORDERS, n_units, of_class
from convscope.instruments.readout.fewest import enough, fewest_for, given_by_number, half_octaves
from convscope.instruments.readout.kept import Kept, over_places
from convscope.instruments.readout.removal import FILLS, Standing, as_active, standing, without

MOST_TOP, PART = 20, 6  # a class's strongest units: this many, or a sixth of the layer where that is less
N_DRAWS = 5  # of units that are as active
FEWEST_HALVED = 4  # images of a class
MOST_OTHERS = 200  # images of other classes, where the head has to be computed again
MOST_STRANGE = 40  # images of another class, and of each kind where few units are kept
MOST_SINGLY = 5  # images of which single ones are looked at


def n_top(n_units: int) -> int:
    """How many units are removed."""
    return max(1, min(MOST_TOP, n_units // PART))


@dataclass(frozen=True)
class ByClass:
    """What was measured of one class; of probabilities and accuracies, means over its images."""

    index: int
    n_images: int
    same: bool  # whether units were chosen and measured on the same images
    before: Standing
    removed: dict[str, Standing]  # by what they are set to: the strongest units
    as_active: dict[str, tuple[Standing, ...]]  # likewise: a draw each
    activity: float  # of the units as active, in parts of that of the strongest; few others may be as active as those
    of_another: Standing  # another class's strongest units, at their mean
    top: tuple[int, ...]  # the strongest, of all its images, the first first
    added: tuple[float, ...]  # by unit: what it adds to the class's logit, mean over its images
    n_units: dict[
        str, float
    ]  # by definition: units for 90 % of the logit, median of some images; NaN where none has a share
    n_enough: float  # units that keep the prediction, all others at zero, median of some images
    n_accurate: float  # the smallest of the numbers below that keeps 90 % of its accuracy; NaN where that is zero
    numbers: tuple[int, ...]  # of units kept, all others at their mean:
    kept: tuple[float, ...]  # share of its images that are still given to it
    mistaken: tuple[float, ...]  # share of the others that are then given to it

    def as_dict(self) -> dict[str, Any]:
        """All of it, fit for JSON."""
        return vars(self) | {
            "before": vars(self.before),
            "removed": {fill: vars(found) for fill, found in self.removed.items()},
            "as_active": {fill: [vars(one) for one in found] for fill, found in self.as_active.items()},
            "of_another": vars(self.of_another),
        }


def by_class(
    kept: Kept, labels: Tensor, wanted: int, another: int, rng: np.random.Generator, sharpness: float = 1.0
) -> ByClass:
    """One class of the images against another; labels int64 `image`, both classes have images.

    Logits are multiplied by `sharpness` before they become probabilities.
    """
    own, others = torch.nonzero(labels == wanted)[:, 0], _others(kept, labels, wanted, rng)
    every, even = slice(None), (slice(0, None, 2), slice(1, None, 2))
    parts = [even, even[::-1]] if len(own) >= FEWEST_HALVED else [(every, every)]
    ask = _Asked(kept, labels, wanted, others, sharpness)
    n = n_top(kept.head.n_units)
    few = others if kept.slopes is not None else others[: MOST_OTHERS // 2]  # gradients cost more than answers
    added, beside = of_class(kept[own], wanted).values, of_class(kept[few], wanted).values
    usual = beside.mean(0)
    strange = torch.nonzero(labels == another)[:MOST_STRANGE, 0]
    of_another = strongest(of_class(kept[strange], another).values, of_class(kept[few], another).values.mean(0))[:n]
    found: dict[str, list[Any]] = {"before": [], "another": [], **{fill: [] for fill in FILLS}}
    drawn: dict[str, list[list[Standing]]] = {fill: [] for fill in FILLS}
    near: list[float] = []
    for chosen, measured in parts:
        found["before"].append(ask(own[measured]))
        found["another"].append(ask(own[measured], of_another, alone=True))
        activity = over_places(kept.values[own[chosen]], mean=True).mean(0).numpy()
        for fill in FILLS:
            top = strongest(added[chosen], usual if fill == "mean" else None)[:n]
            found[fill].append(ask(own[measured], top, fill))
            draws = as_active(activity, top.numpy(), N_DRAWS, rng)
            near.append(float(activity[draws].mean() / max(activity[top.numpy()].mean(), 1e-30)))
            drawn[fill].append([ask(own[measured], torch.from_numpy(units), fill, alone=True) for units in draws])
    return ByClass(
        index=wanted,
        n_images=len(own),
        same=len(parts) == 1,
        before=_mean(found["before"]),
        removed={fill: _mean(found[fill]) for fill in FILLS},
        as_active={fill: tuple(_mean(draws) for draws in zip(*drawn[fill], strict=True)) for fill in FILLS},
        activity=float(np.mean(near)),
        of_another=_mean(found["another"]),
        top=tuple(strongest(added, usual)[:n].tolist()),
        added=tuple(round(value, 5) for value in added.mean(0).tolist()),
        **_numbers(kept, wanted, own, added, usual),
        **_curve(kept, wanted, (own, added), (few, beside), parts),
    )


@dataclass(frozen=True, eq=False)
class _Asked:
    """The head, asked without some units how a class stands."""

    kept: Kept
    labels: Tensor
    wanted: int
    others: Tensor
    sharpness: float

    def __call__(
        self, own: Tensor, units: Tensor | None = None, fill: str = "mean", *, alone: bool = False
    ) -> Standing:
        """On these images of the class, and on the others unless `alone`."""
        places = own if alone else torch.cat([own, self.others])
        shown = self.kept[places]
        logits = shown.logits if units is None else without(shown, units, fill)
        return standing(self.sharpness * logits, self.labels[places], self.wanted)


def strongest(added: Tensor, usual: Tensor | None = None) -> Tensor:
    """All units, int64, those first that add most (`image unit`), or most beyond what they `usual`ly do (`unit`)."""
    mean = added.mean(0) if usual is None else added.mean(0) - usual
    return mean.argsort(descending=True, stable=True)


def _numbers(kept: Kept, wanted: int, own: Tensor, added: Tensor, usual: Tensor) -> dict[str, Any]:
    """How many units make most of the logit, and are enough for the prediction."""
    some = own[:MOST_SINGLY]
    one_by_one = added[:MOST_SINGLY]
    counts = {by: n_units(one_by_one, by, usual if by == "centred" else None) for by in ORDERS}
    right = kept.logits[some].argmax(1) == wanted
    n_enough = enough(kept[some[right]], one_by_one[right]).double().median() if right.any() else float("nan")
    return {"n_units": {by: float(found.nanmedian()) for by, found in counts.items()}, "n_enough": float(n_enough)}


def _curve(
    kept: Kept,
    wanted: int,
    own: tuple[Tensor, Tensor],
    others: tuple[Tensor, Tensor],
    parts: Sequence[tuple[slice, slice]],
) -> dict[str, Any]:
    """How many units tell the class from others: ordered on one half of the images, kept on the other, both ways.

    `own` and `others` are images (int64), and what units add to the class's logit there (`image unit`).
    """
    numbers = half_octaves(kept.head.n_units)
    given: tuple[list[Tensor], list[Tensor]] = [], []
    for chosen, measured in parts:
        beside = others[1][chosen] if len(others[1]) > 1 else others[1]
        order = strongest(own[1][chosen], beside.mean(0))
        for found, (images, _) in zip(given, (own, others), strict=True):
            shown = images[:MOST_STRANGE][measured]
            found += [given_by_number(kept[shown], wanted, order, numbers)] if len(shown) else []
    of_own, of_others = (torch.cat(found, 1).double().mean(1).tolist() for found in given)
    return {
        "numbers": tuple(numbers),
        "kept": tuple(of_own),
        "mistaken": tuple(of_others),
        "n_accurate": fewest_for(of_own, numbers),
    }


def _others(kept: Kept, labels: Tensor, wanted: int, rng: np.random.Generator) -> Tensor:
    """The images of other classes; a sample where the head has to be computed again."""
    found = torch.nonzero((labels != wanted) & (labels >= 0))[:, 0]
    order = torch.from_numpy(rng.permutation(len(found)))
    return found[order] if kept.slopes is not None else found[order[:MOST_OTHERS]]


def _mean(found: Sequence[Standing]) -> Standing:
    """Of both halves."""
    return Standing(*(float(np.mean([getattr(one, name) for one in found])) for name in Standing.__annotations__))
