"""What is visible where?  A batch of pictures being painted, back to front, and what each pixel shows at each level.

Whatever is painted covers what was there, in the picture and in every map, so masks know occlusion.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.images.world.concepts import CONCEPTS
from convscope.images.world.outlines import Outline, outline_of
from convscope.images.world.paint import Paint, pattern

VISIBLE_STEP = 0.12  # an outline is an edge where the largest channel changes by at least this much, of 0-1
MARGIN_PX = 3  # around a shape: soft outlines, and the neighbours that an outline's slope is taken from


@dataclass(frozen=True)
class Sheet:
    """Pictures and maps that are painted in place."""

    image: np.ndarray  # channel batch y x, float32 0-1
    x: np.ndarray  # (batch or 1, 1, x): pixel centres, in pixels from the left
    y: np.ndarray  # (batch or 1, y, 1): pixel centres, in pixels from the top
    maps: dict[str, np.ndarray]  # by level, batch y x, uint8: number of the concept, 0 for none; empty: not wanted

    def paint(
        self,
        field_px: np.ndarray,
        place: tuple[np.ndarray, np.ndarray, np.ndarray],
        paint: Paint,
        numbers: dict[str, int],
    ) -> None:
        """Paint the inside of a field, with soft outlines one pixel wide.

        `place` holds x, y in the frame that the texture lives in, and that frame's unit in pixels; `numbers` are
        those of the part and the object that this is.
        """
        around = _surroundings(field_px)
        if around is None:
            return
        field_px, (x, y, unit_px) = field_px[around], place
        pattern_px = pattern(x[around], y[around], paint)
        if pattern_px is not None:
            pattern_px *= unit_px
        colors = _colors(paint, pattern_px)
        image = self.image[(slice(None), *around)]
        if self.maps:
            maps = {level: numbers_there[around] for level, numbers_there in self.maps.items()}
            _record(image, maps, field_px, colors, numbers)
            _record_paint(maps, field_px < 0, pattern_px, paint)
        _blend(image, _coverage(-field_px), colors)

    def window(self, rows: np.ndarray, top: np.ndarray, left: np.ndarray, size: tuple[int, int]) -> "Window":
        """A copy of a part of some of the pictures; what is painted there counts once it is put back."""
        at_y = top[:, None, None] + np.arange(size[0])[:, None]
        at_x = left[:, None, None] + np.arange(size[1])
        where = (rows[:, None, None], at_y, at_x)
        image = self.image[(slice(None), *where)]
        maps = {level: numbers[where] for level, numbers in self.maps.items()}
        x, y = (at_x + 0.5).astype(np.float32), (at_y + 0.5).astype(np.float32)
        return Window(Sheet(image, x, y, maps), self, where)

    def taken(self, rows: np.ndarray) -> "Window":
        """A copy of some of the pictures; what is painted there counts once it is put back."""
        maps = {level: numbers[rows] for level, numbers in self.maps.items()}
        return Window(Sheet(self.image[:, rows], self.x, self.y, maps), self, (rows,))

    def rows(self, rows: slice) -> "Sheet":
        """Some of the pictures, to be painted in place."""
        return Sheet(self.image[:, rows], self.x, self.y, {level: values[rows] for level, values in self.maps.items()})


@dataclass(frozen=True)
class Window:
    """Some pictures of a sheet, or a part of each, to be painted on and put back."""

    sheet: Sheet
    whole: Sheet
    where: tuple[np.ndarray, ...]  # rows, or rows, y, x

    def put_back(self) -> None:
        """Let what was painted here be seen."""
        whole_image: Any = self.whole.image
        whole_image[(slice(None), *self.where)] = self.sheet.image
        for level, numbers in self.sheet.maps.items():
            self.whole.maps[level][self.where] = numbers


def blank(n_scenes: int, size: tuple[int, int], *, with_maps: bool) -> Sheet:
    """An empty sheet for `n_scenes` pictures of `size` (y, x) pixels."""
    x = np.arange(size[1], dtype=np.float32)[None, None, :] + np.float32(0.5)
    y = np.arange(size[0], dtype=np.float32)[None, :, None] + np.float32(0.5)
    maps = {level: np.zeros((n_scenes, *size), np.uint8) for level in CONCEPTS} if with_maps else {}
    return Sheet(np.zeros((3, n_scenes, *size), np.float32), x, y, maps)


def _surroundings(field_px: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The smallest part of the pictures that holds the shape in every scene; None where there is none."""
    touched = field_px.min(axis=0) < 1
    rows, columns = np.flatnonzero(touched.any(axis=1)), np.flatnonzero(touched.any(axis=0))
    if not len(rows):
        return None
    top, left = max(rows[0] - MARGIN_PX, 0), max(columns[0] - MARGIN_PX, 0)
    return slice(None), slice(top, rows[-1] + 1 + MARGIN_PX), slice(left, columns[-1] + 1 + MARGIN_PX)


def _coverage(depth_px: np.ndarray) -> np.ndarray:
    """The share of a pixel that lies inside, from how deep inside its centre lies."""
    cover = depth_px + np.float32(0.5)
    np.maximum(cover, 0, out=cover)
    return np.minimum(cover, 1, out=cover)


def _colors(paint: Paint, pattern_px: np.ndarray | None) -> list[np.ndarray]:
    """One array per channel: (batch, 1, 1) where flat, batch y x where textured."""
    first = paint.first_rgb()
    if pattern_px is None:
        return list(first)
    mix = _coverage(pattern_px)
    return [color + mix * change for color, change in zip(first, paint.second_rgb() - first, strict=True)]


def _blend(image: np.ndarray, cover: np.ndarray, colors: list[np.ndarray]) -> None:
    for channel, color in zip(image, colors, strict=True):
        change = color - channel
        change *= cover
        channel += change


def _record(
    image: np.ndarray,
    maps: dict[str, np.ndarray],
    field_px: np.ndarray,
    colors: list[np.ndarray],
    numbers: dict[str, int],
) -> None:
    """Enter the outline and what the shape is; whatever it hides goes."""
    inside = field_px < 0
    for level in maps:
        np.copyto(maps[level], numbers.get(level, 0), where=inside)
    outline = outline_of(field_px)
    seen = [np.broadcast_to(color, inside.shape)[outline.where] for color in colors]
    before = [channel[outline.where] for channel in image]
    _record_edges(maps, outline.kept(np.abs(np.subtract(seen, before)).max(axis=0) > VISIBLE_STEP))


def _record_paint(maps: dict[str, np.ndarray], inside: np.ndarray, pattern_px: np.ndarray | None, paint: Paint) -> None:
    """Enter the colors and the texture, and the edges between a texture's colors."""
    color = paint.color + 1
    texture = np.ones_like(color) if paint.texture is None else paint.texture + 1
    maps["color"][inside] = np.broadcast_to(color[:, None, None], inside.shape)[inside]
    maps["texture"][inside] = np.broadcast_to(texture[:, None, None], inside.shape)[inside]
    if pattern_px is None:
        return
    second = inside & (pattern_px > 0)
    maps["color"][second] = np.broadcast_to(paint.second_color()[:, None, None] + 1, inside.shape)[second]
    change = np.abs(paint.first_rgb() - paint.second_rgb()).max(axis=(0, 2, 3))
    visible = np.broadcast_to((change > VISIBLE_STEP) & ~paint.is_grain(), len(inside))
    outline = outline_of(np.where(inside & visible[:, None, None], pattern_px, np.float32(9)))
    _record_edges(maps, outline)


def _record_edges(maps: dict[str, np.ndarray], outline: Outline) -> None:
    maps["edge"][outline.where] = outline.edge_numbers()
    maps["curve"][outline.where] = outline.curve_numbers()
