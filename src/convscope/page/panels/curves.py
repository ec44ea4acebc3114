"""How does a number change from layer to layer?  Lines over depth with their bands, controls dashed."""

from pathlib import Path

from convscope.page.panels.panel import Evidence, drawn_by, listed, numbers, text
from convscope.registry import register


@register("panel", "curves")
@drawn_by(Path(__file__).with_suffix(".js"))
def curves(evidence: Evidence) -> Evidence:
    """title, x_label, y_label, unit, x (names in depth order) and series of name, values, low, high, control."""
    x = [str(name) for name in listed(evidence, "x")]
    if not x or not listed(evidence, "series"):
        raise ValueError(f"'{evidence.get('title')}' needs at least one item in 'x' and one in 'series'")
    series = [_one(one, len(x)) for one in evidence["series"]]
    labels = {key: text(evidence, key) for key in ("title", "x_label", "y_label")}
    return {"panel": "curves", **labels, "unit": text(evidence, "unit", ""), "x": x, "series": series}


def _one(one: Evidence, n: int) -> Evidence:
    if (one.get("low") is None) != (one.get("high") is None):
        raise ValueError(f"'{one.get('name')}' needs both 'low' and 'high', or neither")
    band = {key: None if one.get(key) is None else numbers(one, key, n) for key in ("low", "high")}
    control = bool(one.get("control", False))
    return {"name": text(one, "name"), "values": numbers(one, "values", n), **band, "control": control}
