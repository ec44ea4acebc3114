"""Which positions are best computed together?  Those whose windows are alike: all windows of a batch are as wide as its widest.

How wide a change becomes in each layer depends on where it meets the strides of the network, and on how soon it is cut off at a
border. Positions along y are joined into classes of like widths, where that costs least; those along x alike. A batch holds the
positions of one class of each.
"""

from collections.abc import Iterator

import numpy as np

TYPICAL = (
    30  # positions in a batch, if there are as many as that: smaller batches cost more calls than they save operations
)


def n_classes(n: int) -> int:
    """Into how many classes n positions are parted along each axis."""
    return max(1, round((n / TYPICAL) ** 0.5))


def classes(widths: np.ndarray, cost: np.ndarray, n: int) -> np.ndarray:
    """The class (0 to n - 1) of each position along an axis, of its `widths` in each layer (`position layer`) and their costs."""
    kinds, kind_of = np.unique(widths, axis=0, return_inverse=True)
    counts = np.bincount(kind_of.reshape(-1)).astype(float)
    members = [[i] for i in range(len(kinds))]
    widest = kinds * cost
    while len(members) > n:
        joined = np.maximum(widest[:, None], widest[None]).sum(-1) * (counts[:, None] + counts[None])
        single = widest.sum(-1) * counts
        loss = joined - single[:, None] - single[None]
        np.fill_diagonal(loss, np.inf)
        i, j = sorted(divmod(int(loss.argmin()), len(members)))
        members[i] += members.pop(j)
        widest[i] = np.maximum(widest[i], widest[j])
        counts[i] += counts[j]
        widest, counts = np.delete(widest, j, axis=0), np.delete(counts, j)
    class_of_kind = np.zeros(len(kinds), dtype=np.int64)
    for number, kinds_of_class in enumerate(members):
        class_of_kind[kinds_of_class] = number
    return class_of_kind[kind_of.reshape(-1)]


def batches(tops: np.ndarray, class_y: np.ndarray, class_x: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Indices of positions (`tops`, y x), batch by batch, at most so many at once; what is left over of a class joins the next."""
    order = np.lexsort((tops[:, 1], tops[:, 0], class_x, class_y))
    pair = np.stack([class_y, class_x], axis=1)[order]
    ends = [*(np.flatnonzero((pair[1:] != pair[:-1]).any(axis=1)) + 1), len(order)]
    begin = 0
    for end in ends:
        if end - begin < min(most, TYPICAL) / 2 and end != len(order):
            continue
        yield from np.array_split(order[begin:end], -(-(end - begin) // most))
        begin = end
