"""Above which threshold does a score cover a concept best?  Every value that occurs is tried."""

import numpy as np


def best_thresholds(scores: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The threshold with the largest IoU, and that IoU, float64 `score`, for scores `score row` and labels `row` (truth values).

    On is what is above it. It lies halfway between the least score that is on and the largest that is not; -inf: all is on.
    """
    order = np.argsort(-scores, axis=1)
    ordered = np.take_along_axis(scores, order, 1).astype(np.float64)
    joint = there[order].cumsum(axis=1)
    overlap = joint / (there.sum() + np.arange(1, scores.shape[1] + 1) - joint)
    after = np.concatenate([ordered[:, 1:], np.full((len(scores), 1), -np.inf)], axis=1)
    overlap[ordered == after] = -1  # scores that tie are on together
    at = overlap.argmax(axis=1)[:, None]
    threshold = (np.take_along_axis(ordered, at, 1) + np.take_along_axis(after, at, 1)) / 2
    return threshold[:, 0], np.take_along_axis(overlap, at, 1)[:, 0]
