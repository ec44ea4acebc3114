"""How often is the network right?  Hits among its best one and best five, under the true labels and under shuffled ones."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.response import Response


@dataclass(frozen=True)
class HitCounts:
    """One entry for each labelling, the true one first."""

    n: np.ndarray  # int64: labelled images
    top1: np.ndarray  # int64
    top5: np.ndarray  # int64


@register("gauge", "hits")
@dataclass
class Hits(Gauge):
    """Counts of right answers; fed with logits, `batch class`."""

    name = "hits"
    n_units: int
    labelings: np.ndarray  # int64 labelling image, as for Selectivity
    counts: np.ndarray = field(init=False)  # int64 labelling (n, top1, top5)

    def __post_init__(self) -> None:
        self.counts = np.zeros((len(self.labelings), 3), np.int64)

    def update(self, response: Response) -> None:
        best = response.maps.float().topk(min(5, self.n_units), dim=1).indices.cpu().numpy()
        for counts, labels in zip(self.counts, self.labelings[:, response.keys], strict=True):
            known = labels >= 0
            right = best[known] == labels[known, None]
            counts += [known.sum(), right[:, :1].sum(), right.any(axis=1).sum()]

    def merge(self, other: Self) -> None:
        self.counts += other.counts

    def state(self) -> dict[str, np.ndarray]:
        return {"counts": self.counts}

    def result(self) -> HitCounts:
        return HitCounts(*self.counts.T.copy())
