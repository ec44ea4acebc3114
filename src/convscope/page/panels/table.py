"""What are the numbers themselves?  A plain table."""

from pathlib import Path
from typing import Any

from convscope.page.panels.panel import Evidence, drawn_by, listed, number, text
from convscope.registry import register


@register("panel", "table")
@drawn_by(Path(__file__).with_suffix(".js"))
def table(evidence: Evidence) -> Evidence:
    """title, words, columns, rows and align ("left" or "right" a column; numbers stand right where it is not given).

    `words` say above the table what its columns mean.
    """
    title = text(evidence, "title")
    columns = [str(name) for name in listed(evidence, "columns")]
    rows = [[_cell(cell, title) for cell in row] for row in listed(evidence, "rows")]
    for i, row in enumerate(rows):
        if len(row) != len(columns):
            raise ValueError(f"row {i} of '{title}' has {len(row)} cells, not {len(columns)}")
    align = listed(evidence, "align", len(columns)) if evidence.get("align") else _by_kind(rows, len(columns))
    if not set(align) <= {"left", "right"}:
        raise ValueError(f"'{title}' has an 'align' other than left and right")
    words = text(evidence, "words", "")
    return {"panel": "table", "title": title, "words": words, "columns": columns, "rows": rows, "align": align}


def _cell(cell: Any, title: str) -> Any:
    if cell is None or isinstance(cell, str | bool):
        return cell
    number(cell, f"a cell of '{title}'")
    return cell


def _by_kind(rows: list[list[Any]], n: int) -> list[str]:
    return ["left" if any(isinstance(row[i], str) for row in rows) else "right" for i in range(n)]
