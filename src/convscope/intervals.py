"""How sure is what was measured?  Intervals, and corrections where many things are tested at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import stdtrit

Z = 1.959964  # 95 % of a normal distribution lies within so many deviations


@dataclass(frozen=True)
class Interval:
    """A measured value between two bounds."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}

    @classmethod
    def from_dict(cls, bounds: dict[str, float | None]) -> "Interval":
        """The inverse of `as_dict`; null stands for no number."""
        return cls(
            *(float("nan") if bounds[name] is None else float(bounds[name] or 0) for name in ("value", "low", "high"))
        )

    def minus(self, other: "Interval") -> "Interval":
        """The difference, with bounds that hold whatever the two have to do with each other."""
        return Interval(self.value - other.value, self.low - other.high, self.high - other.low)


def share(n_hits: float, n: float, z: float = 1.959964) -> Interval:
    """A share of successes with its 95 % score interval (Wilson 1927, JASA 22:209; Brown, Cai and DasGupta 2001, eq. 4).

    Both bounds lie in 0-1. What is not independent counts less: n may be a fraction (`share_of_groups`). Raises ValueError for
    n = 0 or more hits than trials.
    """
    if n < 1 or not 0 <= n_hits <= n:
        raise ValueError(f"{n_hits} of {n} is not a share")
    p, z2 = n_hits / n, z * z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Interval(p, max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half)))  # p itself, rounding aside


def share_of_groups(hits: np.ndarray) -> Interval:
    """A share of successes, truth values `group trial`, where the trials of a group may be alike; of groups, not of these trials.

    The score interval for as many independent trials as would vary as much (Korn and Graubard 1998, Survey Methodology 24:193):
    p (1 - p) over the variance of the groups' mean, less for its degrees of freedom. Where all are hits or none is, nothing is
    known of how alike they are, and each group counts once. With one trial a group it is `share`.
    """
    n_groups, n_each = hits.shape
    if n_each == 1:
        return share(int(hits.sum()), n_groups)
    p, n, independent = float(hits.mean()), hits.size, float(n_groups)
    if n_groups > 1 and 0 < p < 1:
        variance = max(float(hits.mean(1).var(ddof=1)) / n_groups, p * (1 - p) / n)
        of_t = stdtrit(n - 1, 0.975) / stdtrit(n_groups - 1, 0.975)
        independent = max(1.0, p * (1 - p) / variance * float(of_t) ** 2)
    return share(p * independent, independent)


def difference(one: Interval, other: Interval) -> Interval:
    """One share less another of other things, from their score intervals (Newcombe 1998, Stat. Med. 17:873, method 10)."""
    low = sqrt((one.value - one.low) ** 2 + (other.high - other.value) ** 2)
    high = sqrt((one.high - one.value) ** 2 + (other.value - other.low) ** 2)
    value = one.value - other.value
    return Interval(value, value - low, value + high)


def paired_difference(one: np.ndarray, other: np.ndarray) -> Interval:
    """One share less another of the same groups, truth values `group trial`: of groups, which are asked both ways.

    The adjusted interval of Agresti and Min 2005 (Stat. Med. 24:729), Wald+2, for the differences of the groups' shares; the value
    is the plain difference, and the interval is widened to hold it.
    """
    each = one.mean(1) - other.mean(1)
    n, value = len(each) + 2, float(each.mean())
    middle = float(each.sum()) / n
    half = Z * sqrt((float(np.square(each).sum()) + 1) / n - middle**2) / sqrt(n)
    return Interval(value, max(-1.0, min(value, middle - half)), min(1.0, max(value, middle + half)))


def exact(value: float) -> Interval:
    """A value that was counted, not sampled: both bounds are the value itself."""
    return Interval(value, value, value)


def none() -> Interval:
    """No value: what was to be measured could not be."""
    return exact(float("nan"))


def bootstrap(value: float, draws: np.ndarray, level: float = 0.95, *, centered: bool = False) -> Interval:
    """A value with its percentile interval from bootstrap draws of it (Efron 1979, Ann. Statist. 7:1); NaN draws are left out.

    `centered` moves the draws so that their median is the value: for a statistic that drawing with replacement makes larger or
    smaller by itself. The interval is widened to hold the value, where it does not.
    """
    known = draws[np.isfinite(draws)]
    if not len(known) or not np.isfinite(value):
        return Interval(value, float("nan"), float("nan"))
    known = known - np.median(known) + value if centered else known
    low, high = (float(np.quantile(known, q)) for q in ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(value), min(low, float(value)), max(high, float(value)))


def enclosing(intervals: Sequence[Interval]) -> Interval:
    """The mean of several values of one thing, with an interval that holds all of theirs."""
    if not intervals:
        return none()
    values, lows, highs = ([getattr(i, part) for i in intervals] for part in ("value", "low", "high"))
    return Interval(float(np.mean(values)), float(np.min(lows)), float(np.max(highs)))


def false_discovery_rate(p_values: np.ndarray, rate: float = 0.05) -> np.ndarray:
    """Which of many tests are discoveries, at most a share `rate` of them false?  Benjamini and Hochberg 1995, JRSS B 57:289.

    Returns truth values in the shape of `p_values`.
    """
    flat = np.asarray(p_values, float).ravel()
    if not flat.size:
        return np.zeros(np.shape(p_values), bool)
    order = np.sort(flat)
    passed = np.flatnonzero(order <= rate * np.arange(1, flat.size + 1) / flat.size)
    limit = order[passed[-1]] if len(passed) else -1.0
    return (flat <= limit).reshape(np.shape(p_values))
