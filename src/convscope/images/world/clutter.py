"""What lies about in a scene that belongs to no object?  Plain shapes, and loose parts (in the masks too)."""

from dataclasses import replace

import numpy as np

from convscope.images.world import parts, shapes
from convscope.images.world.paint import Paint, contrasting, named
from convscope.images.world.pen import Pen, placed
from convscope.images.world.sheet import Sheet, Window

KINDS = ("disc", "square", "triangle", "bar", "ring", "wheel", "window", "eye", "door", "leaf")
MARGIN_PX = 3


def scatter(
    sheet: Sheet,
    kind: np.ndarray,
    center_px: tuple[np.ndarray, np.ndarray],
    unit_px: np.ndarray,
    angle_deg: np.ndarray,
    paints: tuple[Paint, Paint],
    rows: np.ndarray,
) -> None:
    """Draw one loose thing in each of the scenes `rows`; the other arguments are one value per scene of the sheet."""
    for index in np.unique(kind[rows]):
        chosen = rows[kind[rows] == index]
        center = center_px[0][chosen], center_px[1][chosen]
        window = _window_around(sheet, center, unit_px[chosen].max(), chosen)
        pen = placed(window, center, unit_px[chosen], angle_deg[chosen])
        _draw(pen, KINDS[index], paints[0].rows(chosen), paints[1].rows(chosen))


def _window_around(sheet: Sheet, center_px: tuple[np.ndarray, np.ndarray], unit_px: float, rows: np.ndarray) -> Window:
    height, width = sheet.size
    reach = int(np.ceil(unit_px * np.sqrt(2))) + MARGIN_PX
    size = min(2 * reach, height), min(2 * reach, width)
    top = np.clip(np.floor(center_px[0]).astype(int) - reach, 0, height - size[0])
    left = np.clip(np.floor(center_px[1]).astype(int) - reach, 0, width - size[1])
    return sheet.window(rows).part(top, left, size)


def _draw(pen: Pen, kind: str, first: Paint, second: Paint) -> None:
    flat = replace(first, texture=None)
    if kind == "wheel":
        parts.wheel(pen, named("grey"))
    elif kind == "window":
        parts.window(pen, contrasting(first.color), flat)
    elif kind == "eye":
        parts.eye(pen, second)
    elif kind == "door":
        parts.door(pen, flat, second)
    elif kind == "leaf":
        parts.leaf(pen, flat)
    else:
        pen.fill(_plain(pen, kind), first)


def _plain(pen: Pen, kind: str) -> np.ndarray:
    if kind == "disc":
        return shapes.disc(pen.x, pen.y, 0.9)
    if kind == "square":
        return shapes.box(pen.x, pen.y, 0.75, 0.75)
    if kind == "triangle":
        return shapes.polygon(pen.x, pen.y, [(0.0, -0.9), (0.85, 0.7), (-0.85, 0.7)])
    if kind == "bar":
        return shapes.box(pen.x, pen.y, 1.0, 0.16)
    return shapes.ring(shapes.disc(pen.x, pen.y, 0.75), 0.18)
