"""What does an answer look like in one picture?  The image with what the network says, then a tile for each map with its checks."""

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from convscope.answer.colors import Scale, over, scale_of
from convscope.answer.prediction import percent
from convscope.answer.record import Answer, Explanation
from convscope.answer.sentence import reason
from convscope.drawing.lettering import (
    BAD,
    CARE,
    GOOD,
    INK,
    OPEN,
    PAPER,
    SOFT,
    font,
    plain,
    sign,
    width,
    wrapped,
    write,
)
from convscope.drawing.pieces import TONES, piece, resized

TILE_PX, GAP_PX, EDGE_PX = 300, 28, 28
MOST_COLUMNS = 5
VERDICTS = {
    "trusted": "passes its checks",
    "limited": "to be read with care",
    "distrusted": "not to be relied on",
    "unchecked": "not checked",
}
_SIGNS = {"trusted": "passes", "limited": "care", "distrusted": "fails", "unchecked": "not run"}
_VERDICT_COLORS = {"trusted": GOOD, "limited": CARE, "distrusted": BAD, "unchecked": OPEN}

Tile = Callable[[ImageDraw.ImageDraw, Image.Image, float, float], float]


def picture(answer: Answer) -> Image.Image:
    """The picture of an answer, RGB."""
    tiles: list[Tile] = [lambda *at: _image_tile(answer, *at)]
    tiles += [lambda *at, one=one: _map_tile(answer, one, *at) for one in answer.explanations]
    columns = _columns(len(tiles))
    wide = 2 * EDGE_PX + columns * TILE_PX + (columns - 1) * GAP_PX
    return piece(partial(_draw, answer, tiles, columns), wide)


def _columns(n_tiles: int) -> int:
    """As many columns as fill their rows best."""
    rows = -(-n_tiles // MOST_COLUMNS)
    return max(2, -(-n_tiles // rows))


def _draw(answer: Answer, tiles: list[Tile], columns: int, pen: ImageDraw.ImageDraw, image: Image.Image) -> float:
    y = _head(answer, pen, image.width - 2 * EDGE_PX)
    for first in range(0, len(tiles), columns):
        row = tiles[first : first + columns]
        ends = [tile(pen, image, EDGE_PX + i * (TILE_PX + GAP_PX), y) for i, tile in enumerate(row)]
        y = max(ends) + GAP_PX
    y -= 0 if answer.refused else GAP_PX
    for refusal in answer.refused:
        text = f"{refusal.title} gave no map. {refusal.reason}"
        y = write(pen, EDGE_PX, y, wrapped(text, 13, image.width - 2 * EDGE_PX, 3), 13, SOFT) + 4
    return y + EDGE_PX


def _head(answer: Answer, pen: ImageDraw.ImageDraw, room: float) -> float:
    y = write(pen, EDGE_PX, EDGE_PX - 8, wrapped(answer.prediction.sentence, 22, room, 2), 22)
    below = answer.id
    if answer.about != answer.prediction.best.name:
        below += f", explained: {answer.about}"
    return write(pen, EDGE_PX, y + 2, wrapped(below, 14, room, 2), 14, SOFT) + 14


def _image_tile(answer: Answer, pen: ImageDraw.ImageDraw, image: Image.Image, x: float, y: float) -> float:
    y = write(pen, x, y, ["What the network sees"], 17)
    pixels = answer.pixels
    y = write(pen, x, y, [f"{pixels.shape[0]} x {pixels.shape[1]} pixels"], 12, SOFT) + 4
    shown = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    y = _paste(image, shown, x, y) + 12
    for one in answer.prediction.top:
        share = percent(one.probability)
        names = wrapped(one.name, 13, TILE_PX - width(share, 13) - 12, 1)
        pen.text((x + TILE_PX - width(share, 13), y), share, font=font(13), fill=INK)
        write(pen, x, y, names, 13)
        y += 18
        pen.rectangle([x, y, x + TILE_PX, y + 5], fill="#ececea")
        pen.rectangle([x, y, x + max(1, round(TILE_PX * one.probability)), y + 5], fill="#0b57a4")
        y += 12
    return y


def _map_tile(
    answer: Answer, one: Explanation, pen: ImageDraw.ImageDraw, image: Image.Image, x: float, y: float
) -> float:
    y = write(pen, x, y, wrapped(one.title, 17, TILE_PX, 1), 17)
    y = write(pen, x, y, wrapped(place_of(one), 12, TILE_PX, 1), 12, SOFT) + 4
    scale = scale_of(one)
    top = y
    y = _paste(image, over(answer.pixels, one, scale), x, y)
    if one.distrust:
        _banner(pen, image, x, top, y, reason(one.distrust))
    y = _legend(pen, image, one, scale, x, y + 8) + 8
    verdict = one.verdict
    color = _VERDICT_COLORS[verdict]
    sign(pen, x + 1, y + 2, _SIGNS[verdict], color, 13)
    y = write(pen, x + 22, y, [VERDICTS[verdict]], 15, color) + 2
    for check in one.checks:
        sign(pen, x + 2, y + 3, str(check.outcome), TONES[check.outcome], 10)
        word = str(check.outcome)
        pen.text((x + TILE_PX - width(word, 12), y), word, font=font(12), fill=TONES[check.outcome])
        y = write(pen, x + 22, y, wrapped(check.title, 12, TILE_PX - 84, 1), 12) + 2
    return write(pen, x, y + 6, wrapped(one.sentence, 13, TILE_PX, 9), 13, SOFT)


def place_of(one: Explanation) -> str:
    """Where the scores live, and what was set."""
    where = "at the image" if one.layer == "input" else f"at {one.layer}, {one.map.shape[0]} x {one.map.shape[1]}"
    given = one.name.partition(":")[2]
    return where + (f"; {given}" if given else "")


def _paste(image: Image.Image, shown: Image.Image, x: float, y: float) -> float:
    """A picture at the tile's width."""
    high = max(1, round(TILE_PX * shown.height / shown.width))
    image.paste(resized(shown, (TILE_PX, high)), (round(x), round(y)))
    return y + high


def _banner(pen: ImageDraw.ImageDraw, image: Image.Image, x: float, top: float, bottom: float, reason: str) -> None:
    """Why a map is not to be relied on, written over its lower part."""
    room = max(1, int((bottom - top) / 2 - 12) // 18)
    lines = wrapped(f"Not to be relied on: {reason}", 13, TILE_PX - 20, room)
    high = 18 * len(lines) + 12
    box = (round(x), round(bottom - high), round(x + TILE_PX), round(bottom))
    below = image.crop(box)
    if below.size[1]:
        image.paste(Image.blend(below, Image.new("RGB", below.size, PAPER), 0.86), box[:2])
    write(pen, x + 10, bottom - high + 5, lines, 13, BAD)


def _legend(pen: ImageDraw.ImageDraw, image: Image.Image, one: Explanation, scale: Scale, x: float, y: float) -> float:
    """The colours with their numbers."""
    colors = scale.palette[1:] if scale.signed else scale.palette
    row = Image.fromarray(np.ascontiguousarray(colors[None]), "RGBA").resize((TILE_PX, 10), Image.Resampling.BILINEAR)
    below = Image.new("RGBA", row.size, "#b4b4b4")
    below.alpha_composite(row)
    image.paste(below.convert("RGB"), (round(x), round(y)))
    y += 13
    ends = legend_of(one, scale)
    places = (0.0, 0.5, 1.0) if len(ends) == 3 else (0.0, 1.0)
    for text, at in zip(ends, places, strict=True):
        text = plain(text)
        pen.text((x + at * (TILE_PX - width(text, 12)), y), text, font=font(12), fill=SOFT)
    return y + 16


def legend_of(one: Explanation, scale: Scale) -> tuple[str, ...]:
    """What stands under the colours, from left to right."""
    beyond = "≥" if scale.beyond else ""
    top = f"{beyond}{_number(scale.top)}"
    if scale.signed:
        return (f"{'≤' if scale.beyond else ''}−{_number(scale.top)} against", "0", f"for {top} {one.unit}")
    return "0", f"{top} {one.unit}"


def _number(value: float) -> str:
    text = f"{value:.2g}"
    return f"{value:.2e}" if value and abs(value) < 1e-4 else f"{float(text):g}"
