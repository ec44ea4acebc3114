"""Which labels are compared?  The true ones, and the same labels dealt out to the images at random."""

import numpy as np

from convscope.study.claims.base import Question


def labelings(question: Question, n_shuffled: int) -> np.ndarray:
    """int64 `labelling image`, true labels first; images by key (see sweep.engine.keys); -1 where unknown, in all rows alike."""
    from convscope.sweep.engine import keys_of

    true = np.empty(len(question.images), np.int64)
    true[keys_of(question.images)] = question.images.labels
    known = np.flatnonzero(true >= 0)
    rows = np.repeat(true[None], 1 + n_shuffled, axis=0)
    for row in range(1, 1 + n_shuffled):
        rows[row, known] = question.rng(f"shuffled labels {row}").permutation(true[known])
    return rows


def fewest_per_class(question: Question) -> int:
    """How many images the rarest class has; 0 without labels, or with one class only."""
    counts = np.bincount(question.images.labels[question.images.labels >= 0])
    counts = counts[counts > 0]
    return int(counts.min()) if len(counts) > 1 else 0
