"""Which direction tells two sets of activations apart?  Logistic regression with a quadratic penalty, solved to its optimum.

The mean logistic loss, plus `penalty` / 2 times the squared length of the weights, of activations divided by one number (their
mean distance from their mean, root of squares): so neither the scale of a layer nor the number of examples changes the answer, and
no unit is made larger than it is. scikit-learn solves it; where there are fewer examples than units, in the space of the examples,
which holds the optimum whatever the number of units.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PENALTY = 0.01
EQUAL = 1e-6  # rows that scatter less, in parts of their size, differ by rounding
Pair = tuple[np.ndarray, np.ndarray]  # places of the rows on either side


@dataclass(frozen=True, eq=False)
class Fitted:
    """Linear classifiers: a row is on the first side where `rows @ weights + intercepts` is above zero."""

    weights: np.ndarray  # float64 pair unit, by activations as they are
    intercepts: np.ndarray  # float64 pair

    def correct(self, rows: np.ndarray, pair: int, sides: Pair) -> float:
        """The share of rows that are put on the right side, each side counted alike."""
        above = [rows[side] @ self.weights[pair] + self.intercepts[pair] > 0 for side in sides]
        return float((above[0].mean() + (~above[1]).mean()) / 2)


def fitted(rows: np.ndarray, used: np.ndarray, pairs: Sequence[Pair], penalty: float = PENALTY) -> Fitted:
    """A classifier for each pair of sets of rows, all of them among the `used` ones; rows float64 `row unit`.

    Used rows that are all equal give weights of 0.
    """
    from sklearn import config_context  # late: slow to import

    centre = rows[used].mean(axis=0)
    scale = float(np.sqrt(np.square(rows[used] - centre).sum(axis=1).mean()))
    if scale <= EQUAL * np.linalg.norm(centre):
        return Fitted(np.zeros((len(pairs), rows.shape[1])), np.zeros(len(pairs)))
    short, basis = _in_their_space((rows[used] - centre) / scale)
    place = np.zeros(len(rows), np.int64)
    place[used] = np.arange(len(used))
    with config_context(assume_finite=True, skip_parameter_validation=True):  # a third of the time of so small a fit
        found = [_one(short[place[np.concatenate(pair)]], len(pair[0]), penalty) for pair in pairs]
    weights = np.array([weight for weight, _ in found])
    weights = (weights if basis is None else weights @ basis) / scale
    return Fitted(weights, np.array([intercept for _, intercept in found]) - weights @ centre)


def _in_their_space(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows by fewer coordinates, and the directions of these (`coordinate unit`), where there are more units than rows."""
    if rows.shape[0] >= rows.shape[1]:
        return rows, None
    left, sizes, basis = np.linalg.svd(rows, full_matrices=False)
    kept = sizes > 1e-12 * sizes[0]
    return left[:, kept] * sizes[kept], basis[kept]


def _one(rows: np.ndarray, n_first: int, penalty: float) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import LogisticRegression

    solver = LogisticRegression(C=1 / (penalty * len(rows)), solver="newton-cg", tol=1e-8, max_iter=10_000)
    solver.fit(rows, np.arange(len(rows)) < n_first)
    return solver.coef_[0], float(solver.intercept_[0])
