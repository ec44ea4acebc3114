"""How is a number written in a sentence, or under a picture?  Three digits, whole from a thousand on."""

from math import isfinite


def number(value: float) -> str:
    """A number in three digits: 6.80, 27.4, 1,480, 0.00312; what is not finite by its name."""
    if not isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 999.5:
        return f"{value:#.3g}".rstrip(".")
    return f"{value:.2e}" if abs(value) < 1e-3 or abs(value) >= 1e7 else f"{value:,.0f}"
