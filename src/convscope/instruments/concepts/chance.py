"""Which of many overlaps would wrong labels not have given?  A null for every unit and concept, and one test of all of them.

Labels of other images, rolled (sweep/gauges/labelled.py), are measured exactly as the true ones are. A single pair has too few of
them for a p value of its own; so scores are brought to one scale, by how much the wrong ones scatter for that concept and for that
unit, and a pair is held against the wrong scores of all pairs of all layers. Which of many tests are discoveries follows Benjamini
and Hochberg (1995, JRSS B 57:289). With R wrong dealings and n pairs no p value is below 1 / (R n + 1): at a rate of 5 % at least
20 / R pairs have to stand out before any is found. So small networks get 20 dealings (`n_dealings`).
"""

from dataclasses import dataclass

import numpy as np

from convscope.instruments.concepts.collect import Collected
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE

RATE = 0.05  # of false ones among what is found
FEW, MANY, MANY_PAIRS = 4, 20, 50_000  # wrong dealings; more of them up to so many pairs of units and concepts


def n_dealings(n_pairs: int) -> int:
    """How often labels are dealt out wrongly: so often that a single pair can stand out, where few pairs are tested."""
    return MANY if n_pairs <= MANY_PAIRS else FEW


@dataclass(frozen=True, eq=False)
class Scaled:
    """Scores in units of their scatter under wrong labels."""

    z: np.ndarray  # `unit concept`; 0 for concepts that cannot be tested
    wrong: np.ndarray  # float32, ascending: all of those under wrong labels


def scaled(score: np.ndarray, wrong: np.ndarray, testable: np.ndarray) -> Scaled:
    """Scores `unit concept` and those under wrong labels `null unit concept`, brought to one scale.

    A wrong score is held against the scatter of the other dealings: its own would be in its scale, as the true one's is not.
    """
    z, nothing = np.zeros(score.shape), np.zeros(0, np.float32)
    if not testable.any() or not len(wrong) or not len(score):
        return Scaled(z, nothing)
    own = wrong[:, :, testable].astype(np.float64)
    z[:, testable] = score[:, testable] / _scatter(own)
    parts = [one / _scatter(np.delete(own, i, axis=0) if len(own) > 1 else own) for i, one in enumerate(own)]
    return Scaled(z, np.sort(np.concatenate([part.ravel() for part in parts]).astype(np.float32)))


def rare(z: np.ndarray, wrong: np.ndarray, testable: np.ndarray) -> np.ndarray:
    """How rare scores are among wrong ones (ascending; of all layers), `unit concept`; 1 for concepts that cannot be tested."""
    p_values = np.ones(z.shape)
    if len(wrong):
        n_above = len(wrong) - np.searchsorted(wrong, z[:, testable] * (1 - 1e-6))
        p_values[:, testable] = (1 + n_above) / (1 + len(wrong))
    return p_values


def _scatter(wrong: np.ndarray) -> np.ndarray:
    """How much wrong scores `null unit concept` scatter, as a product of one factor for the unit and one for the concept."""
    squares = wrong**2
    unit, concept, every = squares.mean((0, 2)), squares.mean((0, 1)), squares.mean()
    product = np.outer(unit, concept) / max(every, 1e-30)
    return np.sqrt(np.where(product > 0, product, max(every, 1e-30)))


def position_prior(found: Collected) -> np.ndarray:
    """How well does the mean mask of the images that choose cover each concept in those that measure?  IoU, `concept`.

    The mean mask is what one knows of a concept without looking at the image. Its threshold is the one that is best on the images
    it comes from.
    """
    labelled, known = found.cells.reshape(2, 2, len(found.concepts), -1)
    overlap = np.zeros(len(found.concepts))
    for concept in range(len(found.concepts)):
        there, seen = labelled[:, concept].astype(np.float64), known[:, concept].astype(np.float64)
        mean = there[CHOOSE] / np.maximum(seen[CHOOSE], 1)
        order = np.argsort(-mean, kind="stable")
        curves = [
            there[half, order].cumsum()
            / np.maximum(there[half].sum() + (seen[half, order] - there[half, order]).cumsum(), 1)
            for half in (CHOOSE, MEASURE)
        ]
        if len(order):
            overlap[concept] = curves[1][curves[0].argmax()]
    return overlap
