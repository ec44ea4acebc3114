"""Which labels are compared?  The true ones, and the same labels dealt out to the images at random."""

import numpy as np

from convscope.study.claim import Question
from convscope.sweep.engine import keys_of


def labelings(question: Question, n_shuffled: int) -> np.ndarray:
    """int64 `labelling image`, true labels first; images by key (see sweep.engine.keys); -1 where unknown, in all rows alike."""
    true = np.empty(len(question.images), np.int64)
    true[keys_of(question.images)] = question.images.labels
    known = np.flatnonzero(true >= 0)
    rows = np.repeat(true[None], 1 + n_shuffled, axis=0)
    for row in range(1, 1 + n_shuffled):
        rows[row, known] = question.rng(f"shuffled labels {row}").permutation(true[known])
    return rows


def without_single_images(rows: np.ndarray) -> np.ndarray:
    """The same, the images of classes that have a single one unlabelled: class and image cannot be told apart there."""
    counts = np.bincount(rows[0][rows[0] >= 0], minlength=1)
    return np.where((rows >= 0) & (counts[np.maximum(rows, 0)] > 1), rows, -1)


def class_counts(question: Question) -> tuple[int, int]:
    """How many classes have two images or more, and how many have a single one."""
    counts = np.bincount(question.images.labels[question.images.labels >= 0])
    return int((counts > 1).sum()), int((counts == 1).sum())
