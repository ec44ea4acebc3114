"""Which few units together say most of a concept?  A path of units, each the one that adds most to those before it.

Forward selection by orthogonal least squares (Chen, Billings and Luo 1989, Int. J. Control 50:1873), with a ridge: the next unit is
the one that lowers |y - X w|^2 / n + ridge |w|^2 most, all weights fitted anew. It needs the units' covariance and their
covariance with the concept only: pixels are gone through once for all concepts, and all concepts go their ways together.
"""

import numpy as np

SELECTING = (
    0.1  # ridge while units are chosen, in variances of a unit: of units that are alike, the choice is then steadier
)


def forward(among: np.ndarray, along: np.ndarray, n_most: int, ridge: float = SELECTING) -> np.ndarray:
    """The first units of each concept's path, int64 `concept rank`.

    `among`: covariance of the units, float64 `unit unit`; `along`: of units with concepts, `unit concept`.
    """
    n_units, n_concepts = along.shape
    every = np.arange(n_concepts)
    order = np.empty((n_concepts, n_most), np.int64)
    left = np.tile(
        np.diag(among) + ridge, (n_concepts, 1)
    )  # of each unit: what those before it do not say; concept unit
    rest = along.T.copy()  # what that has in common with the concept
    steps = np.zeros((n_concepts, n_most, n_units))  # a column of a Cholesky factor for each unit of the path
    taken = np.zeros((n_concepts, n_units), bool)
    for rank in range(n_most):
        unit = order[:, rank] = np.where(taken, -1.0, rest**2 / left).argmax(axis=1)
        taken[every, unit] = True
        step = among[unit]
        step[every, unit] += ridge
        if rank:
            step -= np.matmul(steps[every, None, :rank, unit], steps[:, :rank])[:, 0]
        step /= np.sqrt(left[every, unit])[:, None]
        rest -= step * (rest[every, unit] / np.sqrt(left[every, unit]))[:, None]
        left = np.maximum(left - step**2, 1e-12)
        steps[:, rank] = step
    return order


def refitted(among: np.ndarray, along: np.ndarray, units: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """Weights of these units (int64 `concept rank`), with a ridge for each concept (float64 `concept`): float64 `concept rank`."""
    own = among[units[:, :, None], units[:, None, :]] + ridge[:, None, None] * np.eye(units.shape[1])
    return np.linalg.solve(own, np.take_along_axis(along.T, units, axis=1)[..., None])[..., 0]
