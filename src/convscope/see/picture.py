"""What does a sheet look like in one picture?  Title and facts, the checks, charts, then a row of tiles for each section."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from convscope.drawing.charts import chart, is_wide
from convscope.drawing.lettering import INK, RULE, SOFT, canvas, font, plain, sign, width, wrapped, write
from convscope.drawing.pieces import TONES, Draw, piece, resized
from convscope.page.evidence import checked
from convscope.see.sheet import SMALL_PX, Outcome, Section, Sheet, Tile

WIDE_PX, EDGE_PX, GAP_PX, BESIDE_PX = 1000, 28, 10, 170
ALONE_PX = 400  # tiles larger than this stand alone
BACKGROUND = (128, 128, 128)
WORDS = {Outcome.PASSES: "passes", Outcome.CARE: "with care", Outcome.FAILS: "fails", Outcome.NOT_RUN: "not run"}
_ROOM = WIDE_PX - 2 * EDGE_PX
FACTS_PX = 70  # least room for the names of facts
CHARTS_PX = 30  # between two charts side by side


def picture(sheet: Sheet) -> Image.Image:
    """The picture of a sheet, RGB."""

    def notes(pen: ImageDraw.ImageDraw, image: Image.Image) -> float:
        return write(pen, EDGE_PX, 0, wrapped(" ".join(sheet.notes), 12, _ROOM), 12, SOFT)

    sections: list[Draw] = [*(partial(_section, one) for one in sheet.sections), *([notes] if sheet.notes else [])]
    below = [piece(draw, WIDE_PX) for draw in sections]
    pieces = [piece(partial(_head, sheet), WIDE_PX), *_charts(sheet), *below]
    whole, _ = canvas(WIDE_PX, 2 * EDGE_PX + sum(one.height for one in pieces) + 18 * (len(pieces) - 1))
    y = EDGE_PX
    for one in pieces:
        whole.paste(one, (0, y))
        y += one.height + 18
    return whole


def _charts(sheet: Sheet) -> list[Image.Image]:
    """The evidence, two charts side by side; a wide table alone."""
    rows: list[list[dict[str, Any]]] = []
    for one in checked(sheet.evidence, f"the sheet of '{sheet.address}'"):
        if rows and len(rows[-1]) == 1 and not is_wide(one) and not is_wide(rows[-1][0]):
            rows[-1].append(one)
        else:
            rows.append([one])
    return [_side_by_side(row) for row in rows]


def _side_by_side(row: Sequence[dict[str, Any]]) -> Image.Image:
    half = (_ROOM - CHARTS_PX) // 2
    drawn = [chart(one, _ROOM if is_wide(one) else half) for one in row]
    image, pen = canvas(WIDE_PX, 8 + max(one.height for one in drawn))
    pen.line([(EDGE_PX, 1), (WIDE_PX - EDGE_PX, 1)], fill=RULE)
    for i, one in enumerate(drawn):
        image.paste(one, (EDGE_PX + i * (half + CHARTS_PX), 8))
    return image


def _head(sheet: Sheet, pen: ImageDraw.ImageDraw, image: Image.Image) -> float:
    y = write(pen, EDGE_PX, 0, wrapped(sheet.title, 24, _ROOM, 2), 24)
    y = write(pen, EDGE_PX, y, wrapped(sheet.network["name"], 13, _ROOM, 1), 13, SOFT) + 6
    y = write(pen, EDGE_PX, y, wrapped(sheet.sentence, 15, _ROOM), 15) + 6
    names = [wrapped(name, 13, _ROOM / 3, 1)[0] for name, _ in sheet.facts]
    beside = max((FACTS_PX, *(width(name, 13) + 12 for name in names)))
    for name, (_, text) in zip(names, sheet.facts, strict=True):
        pen.text((EDGE_PX, y), name, font=font(13), fill=SOFT)
        y = write(pen, EDGE_PX + beside, y, wrapped(text, 13, _ROOM - beside), 13)
    y += 8 if sheet.checks else 0
    for check in sheet.checks:
        sign(pen, EDGE_PX + 1, y + 3, str(check.outcome), TONES[check.outcome], 11)
        title = f"{check.title}: "
        pen.text((EDGE_PX + 20, y), title, font=font(13), fill=TONES[check.outcome])
        begin = width(title, 13)
        lines = _hanging(check.words, begin)
        for i, line in enumerate(lines):
            pen.text((EDGE_PX + 20 + (begin if i == 0 else 0), y), line, font=font(13), fill=INK)
            y += 18
    return y


def _hanging(text: str, begin: float) -> list[str]:
    """Lines of a text whose first line begins further to the right."""
    first = wrapped(text, 13, _ROOM - 20 - begin)[0]
    rest = plain(text)[len(first) :].strip()
    return [first, *(wrapped(rest, 13, _ROOM - 20) if rest else [])]


def _section(section: Section, pen: ImageDraw.ImageDraw, image: Image.Image) -> float:
    pen.line([(EDGE_PX, 1), (WIDE_PX - EDGE_PX, 1)], fill=RULE)
    px = section.tile_px or _ROOM
    if px < SMALL_PX:
        y = write(pen, EDGE_PX, 8, wrapped(section.title, 13, BESIDE_PX - GAP_PX, 3), 13)
        y = write(pen, EDGE_PX, y, wrapped(section.words, 11, BESIDE_PX - GAP_PX, 3), 11, SOFT)
        return max(y, _tiles(section.tiles, px, pen, image, EDGE_PX + BESIDE_PX, 8))
    y = write(pen, EDGE_PX, 8, wrapped(section.title, 17, _ROOM, 1), 17)
    words = f"{section.words} {section.order}".strip()
    y = write(pen, EDGE_PX, y, wrapped(words, 12, _ROOM), 12, SOFT) + 6 if words else y + 4
    return _tiles(section.tiles, px, pen, image, EDGE_PX, y)


def _tiles(
    tiles: Sequence[Tile], px: int, pen: ImageDraw.ImageDraw, image: Image.Image, left: float, y: float
) -> float:
    """Tiles in rows; in a row pictures of the same kind stand at the same height."""
    columns = max(1, int((WIDE_PX - EDGE_PX - left + GAP_PX) // (px + GAP_PX)))
    for first in range(0, len(tiles), columns):
        row = tiles[first : first + columns]
        shown = [[fitted(pixels, px) for _, pixels in tile.pictures] for tile in row]
        heights = [max(one[k].height for one in shown if k < len(one)) for k in range(max(map(len, shown)))]
        ends = []
        for i, (tile, pictures) in enumerate(zip(row, shown, strict=True)):
            x = left + i * (px + GAP_PX)
            tops = np.cumsum([0, *(high + 4 for high in heights)])
            for top, high, one in zip(tops[:-1], heights, pictures, strict=False):
                image.paste(one, (round(x), round(y + top + (high - one.height) // 2)))
            ends.append(_below(tile, px, pen, x, y + int(tops[-1])))
        y = max(ends) + GAP_PX
    return y - GAP_PX


def _below(tile: Tile, px: int, pen: ImageDraw.ImageDraw, x: float, y: float) -> float:
    """Caption and outcome of a tile."""
    small = 10 if px < 80 else 11
    for line in wrapped(tile.caption, small, px, 3) if tile.caption else ():
        pen.text((x, y), line, font=font(small), fill=SOFT)
        y += small + 4
    if tile.outcome:
        sign(pen, x + 1, y + 3, str(tile.outcome), TONES[tile.outcome], 9)
        pen.text((x + 15, y), WORDS[tile.outcome], font=font(small), fill=TONES[tile.outcome])
        y += small + 4
    return y


def fitted(pixels: np.ndarray, px: int) -> Image.Image:
    """A picture at a width and height of at most `px`, its proportions kept, as wide as its tile; few pixels stay square, many are
    made smooth. One that stands alone is only made smaller."""
    high, wide = pixels.shape[:2]
    scale = min(1.0, px / wide) if px > ALONE_PX else px / max(high, wide)
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    made = resized(Image.fromarray(np.ascontiguousarray(pixels)), size)
    if px > ALONE_PX or size[0] == px:
        return made
    beside = Image.new("RGB", (px, size[1]), BACKGROUND)
    beside.paste(made, ((px - size[0]) // 2, 0))
    return beside
