"""What does the page get of a study?  One document: network, images, findings, layers, exemplars, cards."""

import base64
from typing import TYPE_CHECKING, Any

from convscope.documents import finite
from convscope.page.report import render
from convscope.study.chapters import read_chapters
from convscope.study.sprites import CELL_PX, COLUMNS, shown_units

if TYPE_CHECKING:
    from convscope.study.study import Study


def report_html(study: "Study") -> str:
    """The report as one HTML document."""
    return render(report_data(study))


def report_data(study: "Study") -> dict[str, Any]:
    """Everything the report shows, fit for JSON; see page/report.py for its form."""
    manifest = study.manifest
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in study.units.rows():
        rows.setdefault(row["layer"], []).append(row)
    return finite(
        {
            "schema": "convscope.report",
            "version": 1,
            **{name: manifest[name] for name in ("network", "images", "settings", "versions", "made", "not_finite")},
            "findings": [finding.as_dict() for finding in study.findings],
            "layers": [_layer(layer, rows.get(layer["name"])) for layer in study.layers],
            "exemplars": [_exemplars(study, name, rows[name]) for name in manifest["sprites"]],
            "chapters": read_chapters(study.folder, manifest),
            "cards": [study.card(entry["address"]) for entry in manifest.get("cards", [])],
        }
    )


def _layer(layer: dict[str, Any], units: list[dict[str, Any]] | None) -> dict[str, Any]:
    """A row of the table of layers, with what was measured there."""
    found: dict[str, Any] = {"measured": units is not None, "n_dead": None, "n_duplicates": None, "selectivity": None}
    if units and "dead" in units[0]:
        found["n_dead"] = sum(bool(unit["dead"]) for unit in units)
        found["n_duplicates"] = sum(unit["copy_of"] is not None for unit in units)
    if units and "selectivity" in units[0]:
        beyond = [unit["selectivity"] - unit["selectivity_shuffled"] for unit in units if not unit.get("dead")]
        found["selectivity"] = sum(beyond) / len(beyond) if beyond else None
    return {**layer, **found}


def _exemplars(study: "Study", layer: str, units: list[dict[str, Any]]) -> dict[str, Any]:
    """The exemplars of a layer: its picture, and what is in it."""
    shown = [int(unit) for unit in shown_units(len(units))]
    field = next(row for row in study.layers if row["name"] == layer)["receptive_field"]
    whole = study.manifest["network"]["input_shape"][1:]
    size = (
        whole if field is None or field["global"] else [min(a, b) for a, b in zip(field["size_px"], whole, strict=True)]
    )
    step = len(units) / len(shown)
    return {
        "layer": layer,
        "n_units": len(units),
        "shown": "all" if len(shown) == len(units) else f"{len(shown)} of them, one in {step:.0f} by number",
        "sprite": "data:image/webp;base64," + base64.b64encode(study.sprite(layer)).decode(),
        "cell_px": CELL_PX,
        "columns": COLUMNS,
        "rows": len(shown),
        "field_px": size,
        "units": [_unit(units[unit], row) for row, unit in enumerate(shown)],
    }


def _unit(unit: dict[str, Any], row: int) -> dict[str, Any]:
    tells = unit.get("tells_classes_apart")
    return {
        "unit": unit["unit"],
        "row": row,
        "dead": bool(unit["dead"] if "dead" in unit else unit["std"] == 0),
        "values": unit["exemplar_values"][:COLUMNS],
        "ids": unit["exemplar_ids"][:COLUMNS],
        "class": unit.get("class") if tells else None,
        "concept": unit.get("concept"),
        "selectivity": unit.get("selectivity") if tells else None,
    }
