"""Which concepts does a class's logit hang on?  What units add to it, shared among the concepts they detect.

Which concepts a unit detects is found elsewhere. A unit that detects several shares what it adds among them equally; what
units without a known concept add stands in a row of its own, so that the rows add up to what all units add.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from convscope.errors import UsageError

UNKNOWN = "no concept known"


@dataclass(frozen=True, eq=False)
class ByConcept:
    """What concepts add to the logits of images."""

    names: tuple[str, ...]  # the last is UNKNOWN
    values: Tensor  # `image concept`
    n_units: tuple[int, ...]  # that detect each


def by_concept(values: Tensor, detects: Mapping[int, Sequence[str]]) -> ByConcept:
    """What units add (`image unit`) as sums over concepts; `detects` gives the concepts of units, those without left out.

    A name that is given twice for a unit counts once. Raises UsageError for a unit that is not there.
    """
    n = values.shape[1]
    wrong = [unit for unit in detects if not 0 <= unit < n]
    if wrong:
        raise UsageError(f"Concepts of unit {wrong[0]} were given.", f"There are {n} units.", "Count from 0.")
    known = {unit: tuple(dict.fromkeys(names)) for unit, names in detects.items() if names}
    names = (*sorted({name for own in known.values() for name in own}), UNKNOWN)
    place = {name: i for i, name in enumerate(names)}
    shares = torch.zeros(n, len(names))
    for unit in range(n):
        own = known.get(unit, (UNKNOWN,))
        for name in own:
            shares[unit, place[name]] = 1 / len(own)
    return ByConcept(names, values @ shares, tuple((shares > 0).sum(0).tolist()))
