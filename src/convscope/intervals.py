"""How sure is a measured share?  Intervals."""

from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Interval:
    """A measured value between two bounds."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


def share(n_hits: int, n: int, z: float = 1.959964) -> Interval:
    """A share of successes with its 95 % score interval (Wilson 1927, JASA 22:209; Brown, Cai and DasGupta 2001, eq. 4).

    Both bounds lie in 0-1. Raises ValueError for n = 0 or more hits than trials.
    """
    if n < 1 or not 0 <= n_hits <= n:
        raise ValueError(f"{n_hits} of {n} is not a share")
    p, z2 = n_hits / n, z * z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Interval(p, max(0.0, middle - half), min(1.0, middle + half))
