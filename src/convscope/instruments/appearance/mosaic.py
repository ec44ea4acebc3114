"""What does a layer make of an image, at a glance?  One picture: a tile for each unit, the strongest marked, a legend with
numbers.

The picture has a palette: the values become its levels in one pass, tiles are laid out by reshaping, frames and letters are drawn
in colours kept free for them. Signed maps diverge from a neutral zero; others run from zero up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from convscope.drawing.lettering import font, plain
from convscope.drawing.palettes import DIVERGING, SEQUENTIAL, colors
from convscope.errors import UsageError
from convscope.instruments.appearance.maps import Maps

N_LEVELS = 247  # an odd number: zero is the middle of a signed scale
MIDDLE = N_LEVELS // 2
PAPER, GAP, MARK, SOFT, ODD = range(N_LEVELS, N_LEVELS + 5)  # ODD: values that are not finite
_MARKS = {True: (20, 20, 20), False: (255, 96, 48)}  # on a diverging palette, on a sequential one
SIDE_PX = 1000  # about the width of a mosaic: few units are drawn larger, large maps of many units smaller
MOST_PX = 2000
LETTER_PX, ROOM_PX, LEAST_PX = 12, 34, 360  # of the legend


@dataclass(frozen=True, eq=False)
class Mosaic:
    """A layer's maps in one picture, and where in it each unit is."""

    maps: Maps
    image: Image.Image  # with a palette
    units: np.ndarray  # in the order of the tiles, row by row
    columns: int
    tile: tuple[int, int]  # (y, x) in px
    pitch: tuple[int, int]  # from tile to tile
    zoom: int  # px for a neuron
    pooled: int  # neurons for a px, along each axis; of those the largest in size is shown
    marked: tuple[int, ...]
    tops: np.ndarray  # where the colours of each unit end, in the order of the layer's units
    signed: bool

    @cached_property
    def at(self) -> dict[int, int]:
        """Which tile shows a unit."""
        return {int(unit): i for i, unit in enumerate(self.units)}

    def box(self, unit: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of a unit's tile in the picture. Raises KeyError for a unit that is not shown."""
        row, column = divmod(self.at[unit], self.columns)
        top, left = (i * pitch + 1 for i, pitch in zip((row, column), self.pitch, strict=True))
        return top, left, top + self.tile[0], left + self.tile[1]

    def unit_at(self, y: int, x: int) -> int | None:
        """The unit whose tile holds this pixel of the picture; None between tiles and beyond."""
        row, column = (y - 1) // self.pitch[0], (x - 1) // self.pitch[1]
        inside = 0 <= (y - 1) % self.pitch[0] < self.tile[0] and 0 <= (x - 1) % self.pitch[1] < self.tile[1]
        i = row * self.columns + column
        return (
            int(self.units[i]) if inside and row >= 0 and 0 <= column < self.columns and i < len(self.units) else None
        )

    @property
    def legend(self) -> tuple[str, ...]:
        """What stands under the colours: their ends, and what each stands for."""
        tops = self.tops[self.units]
        tops = tops[tops > 0]
        if not tops.size:
            return ("0", "0 everywhere")
        low, high = float(tops.min()), float(tops.max())
        own = f"each unit's own largest ({low:.3g} to {high:.3g})"
        sizes = self.maps.sizes[self.units]
        beyond = "≥ " if np.nanmax(np.where(np.isfinite(sizes), sizes, 0)) > high * 1.0001 else ""
        top = f"{beyond}{high:.3g}" if low == high else own
        if not self.signed:
            return "0", top
        return f"{'≤ ' if beyond else ''}−{high:.3g}" if low == high else f"−{own}", "0", top

    @property
    def words(self) -> str:
        """What is seen, in one or two sentences."""
        maps = self.maps
        shown = (
            f"{len(self.units):,} units"
            if len(self.units) == maps.n_units
            else f"{len(self.units):,} of {maps.n_units:,} units"
        )
        says = f"{maps.layer}: {shown}, maps of {maps.size[0]} x {maps.size[1]}."
        off = len(set(maps.off) & set(self.at))
        says += f" {off:,} {'is' if off == 1 else 'are'} off in this image." if off else ""
        odd = [unit for unit in maps.not_finite if unit in self.at]
        says += f" Not finite (pink): {', '.join(map(str, odd[:5]))}{' ...' if odd[5:] else ''}." if odd else ""
        if self.pooled > 1:
            says += f" Each dot shows the largest of {self.pooled} x {self.pooled} neurons."
        return says


def mosaic(
    maps: Maps,
    order: "str | Sequence[int] | np.ndarray" = "number",
    scale: "str | float" = "layer",
    marked: "int | Sequence[int]" = 0,
    columns: int | None = None,
    *,
    legend: bool = True,
) -> Mosaic:
    """The maps in one picture.

    `order` is "number", "response", or the units themselves (see Maps.order); `scale` is "layer", "unit" or the value where all
    colours end; `marked` frames the n strongest units, or those given. Raises UsageError for what is not possible.
    """
    units = maps.order(order)
    if not units.size:
        raise UsageError(f"A mosaic of '{maps.layer}' was asked for.", "No unit is to be shown.", "Give some units.")
    frames = maps.strongest(marked) if isinstance(marked, int) else tuple(int(unit) for unit in marked)
    tops, signed = maps.tops(scale), maps.signed
    columns = columns or max(1, round((len(units) * maps.size[0] / maps.size[1]) ** 0.5))
    columns = min(columns, len(units))
    zoom, pooled = _sizes(maps.size, columns)
    levels = _levels(_pooled(maps.values, pooled, signed), tops, signed)
    in_order = np.array_equal(units, np.arange(len(levels)))
    tiles = levels if in_order else levels[units]
    if zoom > 1:
        tiles = tiles.repeat(zoom, 1).repeat(zoom, 2)
    tile = (int(tiles.shape[1]), int(tiles.shape[2]))
    found = Mosaic(
        maps,
        Image.new("P", (1, 1)),
        units,
        columns,
        tile,
        (tile[0] + 2, tile[1] + 2),
        zoom,
        pooled,
        frames,
        tops,
        signed,
    )
    return replace(found, image=_drawn(tiles, found, ROOM_PX if legend else 0))


def _sizes(size: tuple[int, int], columns: int) -> tuple[int, int]:
    """How large a neuron is drawn, or how many are drawn as one."""
    zoom = max(1, min(48, (SIDE_PX // columns - 2) // size[1]))
    return zoom, max(1, -(-columns * size[1] // MOST_PX))


def _pooled(values: np.ndarray, n: int, signed: bool) -> np.ndarray:
    """Of every n x n neurons the largest in size."""
    if n == 1:
        return values
    rows, columns = (-(-side // n) for side in values.shape[1:])
    padded = np.zeros((len(values), rows * n, columns * n), values.dtype)
    padded[:, : values.shape[1], : values.shape[2]] = values
    blocks = padded.reshape(len(values), rows, n, columns, n)
    highest = blocks.max((2, 4))
    if not signed:
        return highest
    lowest = blocks.min((2, 4))
    return np.where(-lowest > highest, lowest, highest)


def _levels(values: np.ndarray, tops: np.ndarray, signed: bool) -> np.ndarray:
    """The level of each value, uint8."""
    reach = MIDDLE if signed else N_LEVELS - 1
    factor = np.divide(reach, tops, out=np.zeros_like(tops), where=tops > 0)
    share = values * factor[:, None, None]
    share += MIDDLE + 0.5 if signed else 0.5  # cut to whole numbers, this rounds
    known = np.isfinite(share.reshape(len(share), -1).sum(1, dtype=np.float64))
    np.clip(share, 0, N_LEVELS - 0.5, out=share)
    if known.all():
        return share.astype(np.uint8)
    odd = ~np.isfinite(values)
    share[odd] = ODD
    return share.astype(np.uint8)


def _drawn(tiles: np.ndarray, found: Mosaic, below: int) -> Image.Image:
    """Tiles in rows, a gap of 1 px around each; frames and, if there is room below, the legend."""
    (high, wide), columns = found.pitch, found.columns
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * high + below, max(columns * wide, LEAST_PX if below else 0)), PAPER, np.uint8)
    cells = sheet[: rows * high, : columns * wide].reshape(rows, high, columns, wide)
    for row in range(rows):
        some = tiles[row * columns : (row + 1) * columns]
        cells[row, :, : len(some)] = GAP
        cells[row, 1:-1, : len(some), 1:-1] = some.transpose(1, 0, 2)
    long = min(N_LEVELS, sheet.shape[1] - 2)
    if below:
        sheet[rows * high + 6 : rows * high + 14, 1 : long + 1] = np.linspace(0, N_LEVELS - 1, long).round()
    image = Image.fromarray(sheet)
    image.putpalette(_palette(found.signed))
    pen: Any = ImageDraw.Draw(image)
    pen.fontmode = "1"  # a palette has no shades between two colours
    for unit in set(found.marked) & found.at.keys():
        _frame(pen, found.box(unit), min(found.tile))
    if below:
        _ends(pen, found.legend, long, rows * high + 16, image.width)
    return image


@cache
def _palette(signed: bool) -> bytes:
    table = np.rint(colors(DIVERGING if signed else SEQUENTIAL, N_LEVELS)).astype(np.uint8)
    others = (255, 255, 255), (214, 214, 209), _MARKS[signed], (86, 94, 104), (238, 51, 200)
    return table.tobytes() + bytes(part for color in others for part in color)


def _frame(pen: Any, box: tuple[int, int, int, int], side: int) -> None:
    """Two rings, one dark or bright and one of paper, so that it is seen on every colour."""
    top, left, bottom, right = box
    thick = 2 if side >= 32 else 1
    for i in range(thick + (side >= 12)):
        pen.rectangle([left - 1 + i, top - 1 + i, right - i, bottom - i], outline=MARK if i < thick else PAPER)


def _ends(pen: Any, legend: Sequence[str], long: int, y: int, room: int) -> None:
    """What stands under the colours, from left to right; never one over the other."""
    letter, end = font(LETTER_PX), 1.0
    for text, at in zip(map(plain, legend), (0.0, 0.5, 1.0) if len(legend) == 3 else (0.0, 1.0), strict=True):
        wide = letter.getlength(text)
        x = max(end, min(1 + at * (long - wide), room - wide - 1))
        pen.text((x, y), text, font=letter, fill=SOFT)
        end = x + wide + 10
