"""Where on an axis does a value lie?  Round bounds, round ticks, linear or logarithmic: as on the page (`cs/scale`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10


@dataclass(frozen=True)
class Axis:
    """From one end to the other, and where the ticks are."""

    low: float
    high: float
    step: float  # between two ticks; on a logarithmic axis the first
    ticks: tuple[float, ...]
    log: bool = False

    def at(self, x: float) -> float:
        """A value as 0-1 along the axis."""
        if not self.log:
            return (x - self.low) / (self.high - self.low)
        return max(0.0, log10(x / self.low) / log10(self.high / self.low)) if x > 0 else 0.0


def axis(values: Sequence[float | None], unit: str, *, log: bool = False, n: int = 4) -> Axis:
    """An axis that holds all values, and zero unless it is logarithmic, with about `n` ticks or somewhat more."""
    known = [x for x in values if x is not None]
    return _logarithmic([x for x in known if x > 0], n) if log else _linear(known, unit, n)


def along(x: Sequence[str] | Sequence[float], *, log: bool) -> list[float]:
    """Where the points of a chart lie, 0-1: names at equal distances, numbers at their values, or at the logarithms of these."""
    if len(x) < 2:
        return [0.5] * len(x)
    numbers = [one for one in x if not isinstance(one, str)]
    at = [log10(one) for one in numbers] if log else numbers or [float(i) for i in range(len(x))]
    return [(one - at[0]) / (at[-1] - at[0]) for one in at]


def _linear(known: Sequence[float], unit: str, n: int) -> Axis:
    low, high = min(0.0, *known, 0.0), max(0.0, *known, 0.0)
    if unit in ("fraction", "correlation", "index") and 0.5 < high <= 1:
        high = 1.0  # a share that comes near 1 is seen best against 1
    if low == high:
        high = low + 1
    step = _round_step(high - low, n)
    high = ceil(high / step - 1e-9) * step
    first = ceil(low / step - 1e-9)  # a bound a little below zero needs no room for a whole step
    ticks = tuple(i * step for i in range(first, round(high / step) + 1))
    return Axis(low, high, step, ticks)


def _round_step(extent: float, n: int) -> float:
    """The round step that gives about n ticks, rather more than fewer."""
    rough = extent / n
    power = 10.0 ** floor(log10(rough))
    return next((f for f in (1, 2, 5, 10) if f * power >= rough * 0.8), 10) * power


def _logarithmic(known: Sequence[float], n: int) -> Axis:
    first = floor(log10(min(known, default=1)) + 1e-9)
    last = max(first + 1, ceil(log10(max(known, default=10)) - 1e-9))
    every = ceil((last - first) / n)
    ticks = tuple(10.0**power for power in range(first, last + 1, every))
    return Axis(10.0**first, 10.0**last, 10.0**first, ticks, log=True)
