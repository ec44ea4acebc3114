"""How does a number change from layer to layer, or with another number?  Lines with their bands, controls dashed."""

from itertools import pairwise
from pathlib import Path

from convscope.page.panels.panel import Evidence, drawn_by, listed, number, numbers, text
from convscope.registry import register


@register("panel", "curves")
@drawn_by(Path(__file__).with_suffix(".js"))
def curves(evidence: Evidence) -> Evidence:
    """title, words, x_label, y_label, unit, x, log and series of name, values, low, high, control.

    `x` are names in order, which stand at equal distances, or numbers that grow, which stand at their values, or with `log` at the
    logarithms of these; numbers are shown as they are given. `words` say above the lines what they are.
    """
    x, log = _x(evidence)
    if not x or not listed(evidence, "series"):
        raise ValueError(f"'{evidence.get('title')}' needs at least one item in 'x' and one in 'series'")
    series = [_one(one, len(x)) for one in evidence["series"]]
    labels = {key: text(evidence, key) for key in ("title", "x_label", "y_label")}
    labels |= {key: text(evidence, key, "") for key in ("words", "unit")}
    return {"panel": "curves", **labels, "x": x, "log": log, "series": series}


def _x(evidence: Evidence) -> tuple[list[str] | list[float], bool]:
    """Names or numbers, and whether these stand at their logarithms."""
    x, log, title = listed(evidence, "x"), bool(evidence.get("log", False)), evidence.get("title")
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in x):
        if log:
            raise ValueError(f"'{title}' has names in 'x', which have no place on a logarithmic axis")
        return [str(name) for name in x], False
    found = [number(one, f"'{title}', 'x'[{i}]") for i, one in enumerate(x)]
    if any(after <= before for before, after in pairwise(found)):
        raise ValueError(f"'{title}' has numbers in 'x' that do not grow")
    if log and found and found[0] <= 0:
        raise ValueError(f"'{title}' has {found[0]:g} in 'x', which has no place on a logarithmic axis")
    return found, log


def _one(one: Evidence, n: int) -> Evidence:
    if (one.get("low") is None) != (one.get("high") is None):
        raise ValueError(f"'{one.get('name')}' needs both 'low' and 'high', or neither")
    band = {key: None if one.get(key) is None else numbers(one, key, n) for key in ("low", "high")}
    control = bool(one.get("control", False))
    return {"name": text(one, "name"), "values": numbers(one, "values", n), **band, "control": control}
