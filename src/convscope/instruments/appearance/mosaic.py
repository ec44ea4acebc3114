"""What does a layer make of an image, at a glance?  One picture: a tile for each unit, the strongest marked, a legend with
numbers.

Rows are headed by the number of their first unit; where units come in groups (families of filters, for instance), each group begins
a row and its name heads it. Signed maps diverge from a neutral zero; others run from zero up. The values become levels of a palette
in one pass; mosaic_drawing.py draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from PIL import Image

from convscope.errors import UsageError
from convscope.instruments.appearance.maps import Maps
from convscope.instruments.appearance.mosaic_drawing import MIDDLE, N_LEVELS, ODD, Texts, drawn, head_px

SIDE_PX = 1000  # about the width of a mosaic: few units are drawn larger, large maps of many units smaller
LEAST_TILE_PX, WIDE_PX = 20, 1500  # so wide where tiles would be smaller than that
MOST_PX = 2000


@dataclass(frozen=True, eq=False)
class Mosaic:
    """A layer's maps in one picture, and where in it each unit is."""

    maps: Maps
    image: Image.Image  # with a palette
    cells: np.ndarray  # `row column`: the unit whose tile is there, -1 for none
    groups: tuple[tuple[int, str], ...]  # the row that each group begins at, and its name; empty where there are none
    left: int  # px before the tiles, for what heads the rows
    tile: tuple[int, int]  # (y, x) in px
    pitch: tuple[int, int]  # from tile to tile
    zoom: int  # px for a neuron
    pooled: int  # neurons for a px, along each axis; of those the largest in size is shown
    marked: tuple[int, ...]
    tops: np.ndarray  # where the colours of each unit end, in the order of the layer's units
    signed: bool

    @property
    def columns(self) -> int:
        return int(self.cells.shape[1])

    @cached_property
    def units(self) -> np.ndarray:
        """The units that are shown, in the order of the tiles, row by row."""
        return self.cells[self.cells >= 0]

    @cached_property
    def at(self) -> dict[int, tuple[int, int]]:
        """The row and column of each unit's tile."""
        rows, columns = np.nonzero(self.cells >= 0)
        return dict(zip(self.units.tolist(), zip(rows.tolist(), columns.tolist(), strict=True), strict=True))

    def box(self, unit: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of a unit's tile in the picture. Raises KeyError for a unit that is not shown."""
        row, column = self.at[unit]
        top, left = row * self.pitch[0] + 1, self.left + column * self.pitch[1] + 1
        return top, left, top + self.tile[0], left + self.tile[1]

    def unit_at(self, y: int, x: int) -> int | None:
        """The unit whose tile holds this pixel of the picture; None between tiles and beyond."""
        row, in_y = divmod(y - 1, self.pitch[0])
        column, in_x = divmod(x - 1 - self.left, self.pitch[1])
        inside = in_y < self.tile[0] and in_x < self.tile[1]
        if not inside or not (0 <= row < self.cells.shape[0] and 0 <= column < self.columns):
            return None
        unit = int(self.cells[row, column])
        return unit if unit >= 0 else None

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
    def heads(self) -> tuple[tuple[int, str], ...]:
        """What heads the rows: the names of groups, or the number of each row's first unit."""
        return self.groups or tuple((row, str(int(unit))) for row, unit in enumerate(self.cells[:, 0]))

    @property
    def framed(self) -> str:
        """Which units are framed, and their peaks; empty where none is."""
        shown = [unit for unit in self.marked if unit in self.at]
        return f"framed: {', '.join(f'{unit} ({self.maps.highest[unit]:.3g})' for unit in shown)}" if shown else ""

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
    order: "str | Sequence[int] | np.ndarray | Mapping[str, Sequence[int]]" = "number",
    scale: "str | float" = "layer",
    marked: "int | Sequence[int]" = 0,
    columns: int | None = None,
    *,
    legend: bool = True,
) -> Mosaic:
    """The maps in one picture.

    `order` is "number", "response", the units themselves (see Maps.order), or groups of them by name (families.families(...), or
    any other grouping by what units are tuned to). `scale` is "layer", "unit" or the value where all colours end; `marked` frames
    the n strongest that are shown, or those given. Without `legend`, tiles alone are drawn. Raises UsageError.
    """
    given = order if isinstance(order, Mapping) else {}
    groups = {name: maps.order(units) for name, units in given.items() if len(units)}
    units = maps.order([unit for some in groups.values() for unit in some] if isinstance(order, Mapping) else order)
    if not units.size:
        raise UsageError(f"A mosaic of '{maps.layer}' was asked for.", "No unit is to be shown.", "Give some units.")
    tops, signed = maps.tops(scale), maps.signed
    columns = columns or max(1, round((len(units) * maps.size[0] / maps.size[1]) ** 0.5))
    cells, starts = _cells(list(groups.values()) or [units], min(columns, len(units)))
    zoom, pooled = _sizes(maps.size, cells.shape[1])
    levels = _levels(_pooled(maps.values, pooled, signed), tops, signed)
    in_order = np.array_equal(units, np.arange(len(levels)))
    tiles = levels if in_order else levels[units]
    if zoom > 1:
        tiles = tiles.repeat(zoom, 1).repeat(zoom, 2)
    tile = (int(tiles.shape[1]), int(tiles.shape[2]))
    found = Mosaic(
        maps=maps,
        image=Image.new("P", (1, 1)),
        cells=cells,
        groups=tuple(zip(starts, groups, strict=True)) if groups else (),
        left=0,
        tile=tile,
        pitch=(tile[0] + 2, tile[1] + 2),
        zoom=zoom,
        pooled=pooled,
        marked=maps.strongest(marked, of=units) if isinstance(marked, int) else tuple(int(unit) for unit in marked),
        tops=tops,
        signed=signed,
    )
    if not legend:
        return replace(found, image=drawn(tiles, cells, [], signed, None))
    found = replace(found, left=head_px([text for _, text in found.heads]))
    texts = Texts(found.left, found.heads, found.legend, found.framed)
    frames = [found.box(unit) for unit in found.marked if unit in found.at]
    return replace(found, image=drawn(tiles, cells, frames, signed, texts))


def _cells(groups: Sequence[np.ndarray], columns: int) -> tuple[np.ndarray, list[int]]:
    """Where each unit goes, `row column` (-1: nothing), and the row each group begins at."""
    columns = min(columns, max(map(len, groups)))
    heights = [-(-len(group) // columns) for group in groups]
    cells = np.full((sum(heights), columns), -1, np.int64)
    starts = [sum(heights[:i]) for i in range(len(heights))]
    for start, group in zip(starts, groups, strict=True):
        cells[start:].flat[: len(group)] = group
    return cells, starts


def _sizes(size: tuple[int, int], columns: int) -> tuple[int, int]:
    """How large a neuron is drawn, or how many are drawn as one."""
    zoom = min(48, (SIDE_PX // columns - 2) // size[1])
    if zoom * max(size) < LEAST_TILE_PX:
        zoom = (WIDE_PX // columns - 2) // size[1]
    return max(1, zoom), max(1, -(-columns * size[1] // MOST_PX))


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
