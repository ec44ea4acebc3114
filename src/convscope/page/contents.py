"""What does a report hold, and is it fit to be shown?  The data of a study, checked and cut into the blocks a page reads.

The page asks for one block at a time (`cs/source`): the overview, the findings, the layers, the exemplars of one layer, the card
of one unit, the table of a chapter, a page of it. So a file of many layers opens without reading the pictures of all of them.
"""

from typing import Any

from convscope.page.card_blocks import card_blocks, listings
from convscope.page.chapters import chapter_blocks, contents
from convscope.page.evidence import checked
from convscope.page.fit import need, need_finite, need_picture
from convscope.page.panels.panel import listed

SCHEMA, VERSION = "convscope.report", 1

# What must be there; other keys are passed on to the page, which shows those it knows.
_NEEDED = {
    "": ("network", "images", "settings", "made", "versions", "findings", "layers", "exemplars"),
    "network": ("name", "fingerprint", "input_shape", "n_classes", "n_layers", "parameters", "macs"),
    "images": ("source", "n", "fingerprint", "n_skipped", "skipped"),
    "findings": (
        *("claim", "statement", "quantity", "unit", "value", "controls", "beyond", "least", "verdict", "summary"),
        *("means", "resampled", "reason", "evidence"),
    ),
    "layers": ("name", "kind", "shape", "parameters", "macs"),
    "exemplars": ("layer", "n_units", "sprite", "cell_px", "columns", "rows", "units"),
    "units": ("unit", "row", "values", "ids"),
}
_READ_APART = ("findings", "layers", "exemplars", "cards", "chapters")
_VERDICTS = ("supported", "not supported", "undecided")


def blocks(report: dict[str, Any]) -> dict[str, Any]:
    """The blocks of a report by name. Raises ValueError naming what is missing or not finite."""
    if report.get("schema") != SCHEMA or report.get("version") != VERSION:
        other = f"{report.get('schema')} {report.get('version')}"
        raise ValueError(f"this is no report of schema {SCHEMA} {VERSION}, but '{other}'")
    _need(report, "", "the report")
    for key in ("network", "images"):
        _need(report[key], key, f"the report's {key}")
    exemplars = [_exemplars(one) for one in listed(report, "exemplars")]
    cards, chapters = (listed(report, key) if key in report else [] for key in ("cards", "chapters"))
    layers = listed(report, "layers")
    for i, layer in enumerate(layers):
        _need(layer, "layers", f"layer {i}")
    overview = {key: at for key, at in report.items() if key not in _READ_APART}
    pictures = (
        {f"exemplars/{i}": one for i, one in enumerate(exemplars)} | card_blocks(cards) | chapter_blocks(chapters)
    )
    overview |= {"exemplar_layers": [one["layer"] for one in exemplars], "cards": listings(cards)}
    overview |= {"chapters": contents(chapters)}
    findings = [_finding(one) for one in listed(report, "findings")]
    found = {"overview": overview, "findings": findings, "layers": layers, **pictures}
    need_finite(found, "report")
    return found


def _finding(finding: dict[str, Any]) -> dict[str, Any]:
    where = f"the finding '{finding.get('claim')}'"
    _need(finding, "findings", where)
    if finding["verdict"] not in _VERDICTS:
        raise ValueError(f"{where} has the verdict '{finding['verdict']}'; known: {', '.join(_VERDICTS)}")
    intervals = {key: finding[key] for key in ("value", "beyond")}
    intervals |= {f"control '{control.get('name')}'": control.get("value") for control in finding["controls"]}
    for key, interval in intervals.items():
        if not isinstance(interval, dict) or not {"value", "low", "high"} <= interval.keys():
            raise ValueError(f"{where}: {key} needs 'value', 'low' and 'high'")
    return {**finding, "evidence": checked(finding["evidence"], where)}


def _exemplars(exemplars: dict[str, Any]) -> dict[str, Any]:
    where = f"the exemplars of '{exemplars.get('layer')}'"
    _need(exemplars, "exemplars", where)
    need_picture(exemplars["sprite"], f"{where}: the sprite")
    for unit in exemplars["units"]:
        _need(unit, "units", f"{where}, unit {unit.get('unit')}")
    return exemplars


def _need(record: dict[str, Any], kind: str, where: str) -> None:
    need(record, _NEEDED[kind], where)
