"""What are the numbers themselves?  A plain table; of a long one the first rows, and how many more there are."""

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw

from convscope.drawing.lettering import INK, RULE, SOFT, font, plain, width, wrapped, write
from convscope.drawing.numbers import column

WIDE = 6  # columns: more take the whole width
MOST_ROWS = 20
GAP_PX, LINE_PX, LETTERS_PX = 14, 16, 12
LEAST_PX = 56  # a column is never narrower for its words


def table(evidence: Mapping[str, Any], pen: ImageDraw.ImageDraw, image: Image.Image, y: float) -> float:
    """Draws it from y down over the whole width; returns where it ends."""
    rows, right = evidence["rows"], [side == "right" for side in evidence["align"]]
    shown = rows[:MOST_ROWS]
    texts = _texts(shown, rows, len(right))
    wide = _widths([evidence["columns"], *texts], image.width - 1)
    heads = [wrapped(name, LETTERS_PX, room, 3) for name, room in zip(evidence["columns"], wide, strict=True)]
    y = _row(heads, wide, right, pen, y, SOFT)
    for cells in texts:
        pen.line([(0, y), (image.width, y)], fill=RULE)
        y = _row(
            [wrapped(text, LETTERS_PX, room, 3) for text, room in zip(cells, wide, strict=True)],
            wide,
            right,
            pen,
            y,
            INK,
        )
    if len(rows) > len(shown):
        more = f"and {len(rows) - len(shown):,} more rows, on the page and in the JSON"
        y = write(pen, 0, y + 2, wrapped(more, LETTERS_PX, image.width), LETTERS_PX, SOFT)
    return y + 2


def _texts(shown: Sequence[Sequence[Any]], rows: Sequence[Sequence[Any]], n: int) -> list[list[str]]:
    """Cells as text: the numbers of a column alike, a dash where there is none."""
    write = [column([row[i] for row in rows if _is_number(row[i])]) for i in range(n)]
    return [[write[i](cell) if _is_number(cell) else _text(cell) for i, cell in enumerate(row)] for row in shown]


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _text(cell: str | bool | None) -> str:
    if isinstance(cell, str):
        return cell
    return "\u2013" if cell is None else "yes" if cell else "no"


def _widths(rows: Sequence[Sequence[str]], room: float) -> list[float]:
    """How wide the columns are: as their words need, or where that is too much, the widest made narrower."""
    n = len(rows[0])
    free = room - GAP_PX * (n - 1)
    wanted = [max(width(plain(row[i]), LETTERS_PX) for row in rows) + 1 for i in range(n)]
    while sum(wanted) > free:
        widest = max(range(n), key=lambda i: wanted[i])
        if wanted[widest] <= LEAST_PX:
            return [free / n] * n
        others = max((wanted[i] for i in range(n) if i != widest), default=0)
        wanted[widest] = max(LEAST_PX, min(others, wanted[widest] - 1), wanted[widest] - (sum(wanted) - free))
    spare = (free - sum(wanted)) / n
    return [one + spare for one in wanted]


def _row(
    cells: Sequence[list[str]],
    wide: Sequence[float],
    right: Sequence[bool],
    pen: ImageDraw.ImageDraw,
    y: float,
    color: str,
) -> float:
    x = 0.0
    for lines, room, is_right in zip(cells, wide, right, strict=True):
        for k, line in enumerate(lines):
            at = x + room - width(line, LETTERS_PX) if is_right else x
            pen.text((at, y + 3 + k * LINE_PX), line, font=font(LETTERS_PX), fill=color)
        x += room + GAP_PX
    return y + 6 + LINE_PX * max(map(len, cells))
