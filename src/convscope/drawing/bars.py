"""How large are a few numbers side by side?  Horizontal bars with their intervals; controls hollow and dashed, and named so."""

from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageDraw

from convscope.drawing.axes import Axis, axis
from convscope.drawing.lettering import INK, RULE, SOFT, font, plain, width, wrapped, write
from convscope.drawing.numbers import measured, tick
from convscope.drawing.strokes import dashed

VALUE, FILL, CONTROL, CONTROL_FILL = "#0b57a4", "#9bbbd9", "#6a727d", "#e7e8e9"
BAR_PX, ROW_PX = 14, 24
EDGE_PX = 14  # beside the plot: room for half a label


def bars(evidence: Mapping[str, Any], pen: ImageDraw.ImageDraw, image: Image.Image, y: float) -> float:
    """Draws them from y down over the whole width; returns where they end."""
    rows, unit, log = evidence["bars"], evidence["unit"], evidence["log"]
    if log:
        y = write(pen, 0, y, ["Logarithmic axis"], 12, SOFT)
    scale = axis([row[name] for row in rows for name in ("value", "low", "high")], unit, log=log, n=3)
    told = [measured(row["value"], row["low"], row["high"], unit) for row in rows]
    room = max(width(plain(f"{value}  {bounds}"), 12) for value, bounds in told)
    left, right = EDGE_PX, max(image.width - room - EDGE_PX - 10, image.width * 0.3)

    def at(x: float) -> float:
        return left + scale.at(x) * (right - left)

    for row, (value, bounds) in zip(rows, told, strict=True):
        y = _name(row, pen, y + 3, image.width)
        _grid(pen, scale, at, y)
        _bar(row, pen, left if log else at(0), at, y + (ROW_PX - BAR_PX) / 2)
        x, value = right + EDGE_PX + 6, plain(value)
        pen.text((x, y + 4), value, font=font(12), fill=INK)
        pen.text((x + width(value, 12) + 6, y + 4), plain(bounds), font=font(12), fill=SOFT)
        y += ROW_PX
    for one in scale.ticks:
        label = plain(tick(one, unit, one if log else scale.step))
        pen.text((at(one) - width(label, 10) / 2, y + 2), label, font=font(10), fill=SOFT)
    return y + 18


def _name(row: Mapping[str, Any], pen: ImageDraw.ImageDraw, y: float, room: float) -> float:
    word = "  control" if row["control"] else ""
    (name,) = wrapped(row["name"], 13, room - width(word, 11), 1)
    pen.text((0, y), name, font=font(13), fill=INK)
    pen.text((width(name, 13), y + 2), word, font=font(11), fill=SOFT)
    return y + 17


def _grid(pen: ImageDraw.ImageDraw, scale: Axis, at: Any, y: float) -> None:
    for one in scale.ticks:
        pen.line([(at(one), y), (at(one), y + ROW_PX - 1)], fill="#8a9099" if one == 0 else RULE)


def _bar(row: Mapping[str, Any], pen: ImageDraw.ImageDraw, start: float, at: Any, top: float) -> None:
    color, fill = (CONTROL, CONTROL_FILL) if row["control"] else (VALUE, FILL)
    if row["value"] is not None:
        x0, x1 = sorted((start, at(row["value"])))
        pen.rectangle([x0, top, x1, top + BAR_PX], fill=fill, outline=None if row["control"] else color)
        if row["control"]:
            corners = [(x0, top), (x1, top), (x1, top + BAR_PX), (x0, top + BAR_PX), (x0, top)]
            dashed(pen, corners, (4, 3), color, 1)
    if row["low"] is not None and row["low"] != row["high"]:
        middle, ends = top + BAR_PX / 2, (at(row["low"]), at(row["high"]))
        pen.line([(ends[0], middle), (ends[1], middle)], fill=color, width=2)
        for x in ends:
            pen.line([(x, middle - 4), (x, middle + 4)], fill=color, width=2)
