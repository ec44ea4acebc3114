"""How is a number written beside a chart?  Three significant digits, the unit behind it: as the page writes it (`cs/format`)."""

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import partial
from math import floor, log10

_RAISED = str.maketrans("0123456789-", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b")
_STEPS = ((999.5e3, 1e3, "k"), (999.5e6, 1e6, "M"), (999.5e9, 1e9, "G"), (float("inf"), 1e12, "T"))
_PERCENT, _TWO_DECIMALS = ("fraction", "points"), ("correlation", "index")


def number(x: float) -> str:
    """Three significant digits."""
    if x == 0:
        return "0"
    size, whole = abs(x), float(x).is_integer()
    if size < 1e-3:
        digits, _, power = f"{Context(prec=2, rounding=ROUND_HALF_UP).create_decimal(Decimal(x)):.1e}".partition("e")
        return _minus(f"{digits} \u00d7 10") + str(int(power)).translate(_RAISED)
    if size >= 1e4:
        return _grouped(Decimal(x)) if whole and size < 1e5 else _short(x)
    return _grouped(Decimal(x) if whole else _three(x))


def aligned(x: float) -> str:
    """Three significant digits, zeros kept, for numbers that stand below one another."""
    if not 1e-2 <= abs(x) < 999.5:
        return number(x)
    return _fixed(x, max(0, 2 - _three(x).adjusted()))


def column(found: Sequence[float]) -> Callable[[float], str]:
    """How the numbers of a column are written: all with as many decimals as three digits of the largest and two of the smallest
    need, but no more than they are given with; each by itself where the largest would get more than four digits."""
    if all(float(x).is_integer() for x in found):
        return number
    powers = [floor(log10(abs(x)) + 1e-9) for x in found if x]
    top, least = max(powers), min(powers)
    decimals = min(max(map(_given, found)), max(2 - top, 1 - least))
    if top > 2 or top < -2 or decimals > 3 - top:
        return aligned
    return partial(_fixed, decimals=max(0, decimals))


def bare(x: float | None, unit: str, decimals: int | None = None) -> str:
    """A value without its unit, with so many decimals where given."""
    if x is None:
        return "\u2013"
    if unit in _TWO_DECIMALS:
        return _fixed(x, 2)
    shown = x * 100 if unit in _PERCENT else x
    if decimals is not None and abs(shown) < 1e4:
        return _fixed(shown, decimals)
    return _percent(shown) if unit in _PERCENT else number(x)


def sign(unit: str) -> str:
    """What stands behind a number of that unit."""
    if unit in ("fraction", "ratio"):
        return " %" if unit == "fraction" else " \u00d7"
    return "" if unit == "" or unit in _TWO_DECIMALS else f" {unit}"


def measured(value: float | None, low: float | None, high: float | None, unit: str) -> tuple[str, str]:
    """A value with its unit, and its bounds: empty where it is exact."""
    if low is None or high is None or low == high:
        return bare(value, unit) + (sign(unit) if value is not None else ""), ""
    decimals = _decimals(low, high, unit)
    ends = [bare(x, unit, decimals) for x in (low, high)]
    between = " to " if low < 0 or len(ends[1]) > 6 else "\u2013"
    return bare(value, unit, decimals) + (sign(unit) if value is not None else ""), between.join(ends)


def tick(x: float, unit: str, step: float) -> str:
    """The label of an axis at x, with no more digits than the ticks need."""
    if unit == "fraction":
        x, step = x * 100, step * 100
    if abs(x) >= 1e4 or 1e-12 < abs(x) < 1e-3:
        return number(x) + sign(unit)
    text = _fixed(0 if abs(x) < 1e-12 else x, max(0, -floor(log10(step) + 1e-9)))
    return text + (sign(unit) if unit in ("fraction", "ratio") else "")


def _given(x: float) -> int:
    """How many decimals a number is given with."""
    exponent = Decimal(repr(float(x))).normalize().as_tuple().exponent
    return max(0, -int(exponent))


def _decimals(low: float, high: float, unit: str) -> int:
    """As many decimals as half the interval needs for two digits; in percent one."""
    half = (high - low) / 2
    if unit in _PERCENT:
        return 2 if half < 5e-4 else 1
    return min(4, max(0, 1 - floor(log10(half))))


def _percent(p: float) -> str:
    if p == 0 or abs(p - 100) < 1e-9:
        return str(round(p))
    if abs(p) < 1e-3:
        return number(p)
    if abs(p) >= 0.05:
        return _fixed(p, 1)
    digit = Context(prec=1, rounding=ROUND_HALF_UP).create_decimal(Decimal(p))
    return _minus(f"{digit:f}")


def _short(x: float) -> str:
    """A large number in short: 1.24 M."""
    _, scale, letter = next(step for step in _STEPS if abs(x) < step[0])
    return _grouped(_three(x / scale)).replace(",", "") + f" {letter}"


def _three(x: float) -> Decimal:
    return Context(prec=3, rounding=ROUND_HALF_UP).create_decimal(Decimal(x))


def _grouped(x: Decimal) -> str:
    text = f"{x:,f}"
    return _minus(text.rstrip("0").rstrip(".") if "." in text else text)


def _fixed(x: float, decimals: int) -> str:
    text = f"{Decimal(x).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP):f}"
    return _minus(text if text.strip("-0.") else text.removeprefix("-"))


def _minus(text: str) -> str:
    return text.replace("-", "\u2212", 1) if text.startswith("-") else text
