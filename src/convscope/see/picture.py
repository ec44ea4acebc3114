"""What does a sheet look like in one picture?  Title and facts, the checks, then a row of tiles for each section."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from convscope.drawing.lettering import (
    BAD,
    CARE,
    GOOD,
    INK,
    OPEN,
    RULE,
    SOFT,
    canvas,
    font,
    plain,
    sign,
    width,
    wrapped,
    write,
)
from convscope.see.sheet import SMALL_PX, Outcome, Section, Sheet, Tile

WIDE_PX, EDGE_PX, GAP_PX, BESIDE_PX = 1000, 28, 10, 170
ALONE_PX = 400  # tiles larger than this stand alone
_ROOM_PX = 2400  # more than the text of a section takes; what is left is cut off
BACKGROUND = (128, 128, 128)
COLORS = {Outcome.PASSES: GOOD, Outcome.CARE: CARE, Outcome.FAILS: BAD, Outcome.NOT_RUN: OPEN}
WORDS = {Outcome.PASSES: "passes", Outcome.CARE: "with care", Outcome.FAILS: "fails", Outcome.NOT_RUN: "not run"}
_ROOM = WIDE_PX - 2 * EDGE_PX
Draw = Callable[[ImageDraw.ImageDraw, Image.Image], float]  # returns how far down it went


def picture(sheet: Sheet) -> Image.Image:
    """The picture of a sheet, RGB."""

    def notes(pen: ImageDraw.ImageDraw, image: Image.Image) -> float:
        return write(pen, EDGE_PX, 0, wrapped(" ".join(sheet.notes), 12, _ROOM), 12, SOFT)

    draws: list[Draw] = [partial(_head, sheet), *(partial(_section, one) for one in sheet.sections)]
    pieces = [_piece(draw) for draw in [*draws, *([notes] if sheet.notes else [])]]
    whole, _ = canvas(WIDE_PX, 2 * EDGE_PX + sum(one.height for one in pieces) + 18 * (len(pieces) - 1))
    y = EDGE_PX
    for one in pieces:
        whole.paste(one, (0, y))
        y += one.height + 18
    return whole


def _piece(draw: Draw) -> Image.Image:
    """What was drawn, as high as it came out."""
    room = _ROOM_PX
    while True:
        image, pen = canvas(WIDE_PX, room)
        high = round(draw(pen, image))
        if high <= room:
            return image.crop((0, 0, WIDE_PX, max(1, high)))
        room = high + 10


def _head(sheet: Sheet, pen: ImageDraw.ImageDraw, image: Image.Image) -> float:
    y = write(pen, EDGE_PX, 0, wrapped(sheet.title, 24, _ROOM, 2), 24)
    y = write(pen, EDGE_PX, y, wrapped(sheet.network["name"], 13, _ROOM, 1), 13, SOFT) + 6
    y = write(pen, EDGE_PX, y, wrapped(sheet.sentence, 15, _ROOM), 15) + 6
    for name, text in sheet.facts:
        pen.text((EDGE_PX, y), plain(name), font=font(13), fill=SOFT)
        y = write(pen, EDGE_PX + 70, y, wrapped(text, 13, _ROOM - 70), 13)
    y += 8 if sheet.checks else 0
    for check in sheet.checks:
        sign(pen, EDGE_PX + 1, y + 3, str(check.outcome), COLORS[check.outcome], 11)
        title = f"{check.title}: "
        pen.text((EDGE_PX + 20, y), title, font=font(13), fill=COLORS[check.outcome])
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
    y = write(pen, EDGE_PX, y, wrapped(section.words, 12, _ROOM), 12, SOFT) + 6 if section.words else y + 4
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
        sign(pen, x + 1, y + 3, str(tile.outcome), COLORS[tile.outcome], 9)
        pen.text((x + 15, y), WORDS[tile.outcome], font=font(small), fill=COLORS[tile.outcome])
        y += small + 4
    return y


def fitted(pixels: np.ndarray, px: int) -> Image.Image:
    """A picture at a width and height of at most `px`, its proportions kept, as wide as its tile; few pixels stay square, many are
    made smooth. One that stands alone is only made smaller."""
    high, wide = pixels.shape[:2]
    scale = min(1.0, px / wide) if px > ALONE_PX else px / max(high, wide)
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    how = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS
    resized = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, how)
    if px > ALONE_PX or size[0] == px:
        return resized
    beside = Image.new("RGB", (px, size[1]), BACKGROUND)
    beside.paste(resized, ((px - size[0]) // 2, 0))
    return beside
