"""How is a mosaic drawn?  In a picture with a palette: tiles are laid out by reshaping; frames and letters have colours too."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from convscope.drawing.lettering import font, plain, width, wrapped
from convscope.drawing.palettes import DIVERGING, SEQUENTIAL, colors

N_LEVELS = 247  # an odd number: zero is the middle of a signed scale
MIDDLE = N_LEVELS // 2
PAPER, GAP, MARK, SOFT, ODD = range(N_LEVELS, N_LEVELS + 5)  # ODD: values that are not finite
_MARKS = {True: (20, 20, 20), False: (255, 96, 48)}  # on a diverging palette, on a sequential one
LETTER_PX, LINE_PX, HEAD_PX, LEAST_PX = 12, 16, 11, 360
MOST_HEAD_PX = 110
Box = tuple[int, int, int, int]  # top left bottom right


@dataclass(frozen=True)
class Texts:
    """What stands beside the tiles and below them."""

    left: int  # px before the tiles
    heads: Sequence[tuple[int, str]]  # rows, and what heads them
    legend: Sequence[str]  # under the colours: their ends, and zero between them where there are three
    framed: str  # which tiles are framed


def head_px(heads: Sequence[str]) -> int:
    """The room that what heads the rows needs."""
    longest = sorted(heads, key=len)[-8:]  # the widest is among them, near enough
    return round(min(MOST_HEAD_PX, max(width(plain(text), HEAD_PX) for text in longest))) + 8


def drawn(
    tiles: np.ndarray, cells: np.ndarray, frames: Sequence[Box], signed: bool, texts: Texts | None
) -> Image.Image:
    """Tiles (levels, `unit y x`, in the order of the cells that hold one), a gap of 1 px around each; then what is written."""
    (rows, columns), (high, wide) = cells.shape, (tiles.shape[1] + 2, tiles.shape[2] + 2)
    left, extent = (texts.left if texts else 0), rows * high
    across = max(left + columns * wide, LEAST_PX if texts else 0)
    under = _lines(texts.framed, across - left - 2) if texts else []
    below = 2 * LINE_PX + 2 + len(under) * LINE_PX if texts else 0
    sheet = np.full((extent + below, across), PAPER, np.uint8)
    grid = sheet[:extent, left : left + columns * wide].reshape(rows, high, columns, wide)
    first = 0
    for row, n in enumerate((cells >= 0).sum(1).tolist()):
        some, first = tiles[first : first + n], first + n
        grid[row, :, :n] = GAP
        grid[row, 1:-1, :n, 1:-1] = some.transpose(1, 0, 2)
    long = min(N_LEVELS, across - left - 2)
    if texts:
        sheet[extent + 6 : extent + 14, left + 1 : left + long + 1] = np.linspace(0, N_LEVELS - 1, long).round()
    image = Image.fromarray(sheet)
    image.putpalette(_palette(signed))
    pen: Any = ImageDraw.Draw(image)
    pen.fontmode = "1"  # a palette has no shades between two colours
    for box in frames:
        _frame(pen, box, min(tiles.shape[1:]))
    if texts:
        _heads(pen, texts, high, rows)
        _ends(pen, texts.legend, left, long, extent + 16, across)
        for i, line in enumerate(under):
            pen.text((left + 1, extent + 16 + (i + 1) * LINE_PX), line, font=font(LETTER_PX), fill=SOFT)
    return image


def _lines(text: str, room: float) -> list[str]:
    if not text:
        return []
    return [text] if width(text, LETTER_PX) <= room else wrapped(text, LETTER_PX, room, 3)


@cache
def _palette(signed: bool) -> bytes:
    table = np.rint(colors(DIVERGING if signed else SEQUENTIAL, N_LEVELS)).astype(np.uint8)
    others = (255, 255, 255), (214, 214, 209), _MARKS[signed], (86, 94, 104), (238, 51, 200)
    return table.tobytes() + bytes(part for color in others for part in color)


def _frame(pen: Any, box: Box, side: int) -> None:
    """Two rings, one dark or bright and one of paper, so that it is seen on every colour."""
    top, left, bottom, right = box
    thick = 2 if side >= 32 else 1
    for i in range(thick + (side >= 12)):
        pen.rectangle([left - 1 + i, top - 1 + i, right - i, bottom - i], outline=MARK if i < thick else PAPER)


def _heads(pen: Any, texts: Texts, high: int, rows: int) -> None:
    """What heads the rows, right before them; a row whose head would stand over the one above has none."""
    ends = [row for row, _ in texts.heads[1:]] + [rows]
    line_px, free = HEAD_PX + 2, 0
    for (row, text), end in zip(texts.heads, ends, strict=True):
        room = (end - row) * high
        lines = [text] if text.isdigit() else wrapped(text, HEAD_PX, texts.left - 6, max(1, room // line_px))
        y = row * high + max(0, (min(high, room) - len(lines) * line_px) // 2)
        if y < free:
            continue
        for i, line in enumerate(lines):
            pen.text((texts.left - 5, y + i * line_px), line, font=font(HEAD_PX), fill=SOFT, anchor="ra")
        free = y + len(lines) * line_px


def _ends(pen: Any, legend: Sequence[str], left: int, long: int, y: int, room: int) -> None:
    """What stands under the colours, from left to right; never one over the other."""
    letter, end = font(LETTER_PX), left + 1.0
    for text, at in zip(map(plain, legend), (0.0, 0.5, 1.0) if len(legend) == 3 else (0.0, 1.0), strict=True):
        wide = letter.getlength(text)
        x = max(end, min(left + 1 + at * (long - wide), room - wide - 1))
        pen.text((x, y), text, font=letter, fill=SOFT)
        end = x + wide + 10
