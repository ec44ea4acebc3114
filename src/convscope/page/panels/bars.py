"""How large are a few numbers side by side?  Horizontal bars with their intervals."""

from pathlib import Path

from convscope.page.panels.panel import Evidence, drawn_by, listed, number, text
from convscope.registry import register


@register("panel", "bars")
@drawn_by(Path(__file__).with_suffix(".js"))
def bars(evidence: Evidence) -> Evidence:
    """title, words, unit, log and bars of name, value, low, high, control.

    An interval may be left out, a value may be None; `words` say above the bars what they are.
    """
    log = bool(evidence.get("log", False))
    found = [_one(one, log) for one in listed(evidence, "bars")]
    if not found:
        raise ValueError(f"'{evidence.get('title')}' needs at least one item in 'bars'")
    words = {"title": text(evidence, "title"), "words": text(evidence, "words", "")}
    return {"panel": "bars", **words, "unit": text(evidence, "unit", ""), "log": log, "bars": found}


def _one(one: Evidence, log: bool) -> Evidence:
    name = text(one, "name")
    found = {key: one.get(key) for key in ("value", "low", "high")}
    checked = {key: None if at is None else number(at, f"'{name}', '{key}'") for key, at in found.items()}
    if (checked["low"] is None) != (checked["high"] is None):
        raise ValueError(f"'{name}' needs both 'low' and 'high', or neither")
    if log and checked["value"] is not None and checked["value"] <= 0:
        raise ValueError(f"'{name}' is {checked['value']}, which has no place on a logarithmic axis")
    return {"name": name, **checked, "control": bool(one.get("control", False))}
