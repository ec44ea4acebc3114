"""Is one value unlike many others?  And the test that the literature makes of it, which counts one value as many."""

import numpy as np
from scipy.special import stdtr


def one_against_many(one: np.ndarray | float, many: np.ndarray, *, two_sided: bool = True) -> np.ndarray:
    """p values of single values `...` against others `... other` that follow a normal distribution.

    The t test for a sample of one (Crawford & Howell 1998, Clin. Neuropsychol. 12:482): the distance from the mean of n others, in
    units of sd sqrt(1 + 1/n), has n - 1 degrees of freedom. One-sided: how rare a value so large is.
    """
    one, n = np.asarray(one, np.float64), many.shape[-1]
    spread = many.std(axis=-1, ddof=1) * np.sqrt(1 + 1 / n)
    away = one - many.mean(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(away == 0, 0.0, away / spread)  # without any spread, what is away is infinitely so
    t = np.abs(t) if two_sided else t
    return np.asarray((2 if two_sided else 1) * stdtr(n - 1, -t))
