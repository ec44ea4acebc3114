"""Which images does a limited sample hold?  The same on every machine, balanced over classes, and nested.

The order is that of a hash of seed and id, not of a random generator: it does not depend on library versions, a
smaller limit picks a part of what a larger one picks, and one more image in the folder changes at most one place.
"""

from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np


def hashed_order(ids: Sequence[str], seed: int) -> np.ndarray:
    """The places of the ids, in the order of their hashes."""
    keys = [blake2b(f"{seed}:{name}".encode(), digest_size=8).digest() for name in ids]
    return np.array(sorted(range(len(ids)), key=keys.__getitem__), np.int64)


def sample(ids: Sequence[str], labels: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """The places of `limit` images, in the collection's order.

    Classes take turns, so their counts differ by one at most (as long as a class has images left); unlabelled images
    count as one more class.
    """
    if limit >= len(ids):
        return np.arange(len(ids))
    seen: dict[int, int] = defaultdict(int)
    turns = []
    for rank, place in enumerate(hashed_order(ids, seed)):
        label = int(labels[place])
        turns.append((seen[label], rank, int(place)))
        seen[label] += 1
    return np.sort(np.array([place for _, _, place in sorted(turns)[:limit]], np.int64))
