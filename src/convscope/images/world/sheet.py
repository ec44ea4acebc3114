"""What is visible where?  A batch of pictures being painted, back to front, and what each pixel shows at each level.

Whatever is painted covers what was there, in the picture and in every map, so masks know occlusion.
"""

from dataclasses import dataclass

import numpy as np

from convscope.images.world.concepts import CONCEPTS
from convscope.images.world.paint import Paint, pattern
from convscope.images.world.record import record, record_ground

MARGIN_PX = 3  # around a shape: soft outlines, and the neighbours that an outline's slope is taken from
Place = tuple[np.ndarray, np.ndarray, np.ndarray]  # x, y (batch y x) in the frame of a texture; its unit in pixels


@dataclass(frozen=True)
class Sheet:
    """Pictures and maps that are painted in place."""

    image: np.ndarray  # batch channel y x, float32 0-1
    maps: np.ndarray | None  # batch level y x, uint8: number of the concept, 0 for none; None: not wanted

    @property
    def size(self) -> tuple[int, int]:
        """Pixels of a picture along y and x."""
        return self.image.shape[2], self.image.shape[3]

    def rows(self, rows: slice) -> "Sheet":
        """Some of the pictures, to be painted in place."""
        return Sheet(self.image[rows], None if self.maps is None else self.maps[rows])

    def window(self, rows: np.ndarray | None = None) -> "Window":
        """The whole of some of the pictures; of all, unless told."""
        rows = np.arange(len(self.image)) if rows is None else rows
        corner = np.zeros(len(rows), np.int64)
        return Window(self, rows, corner, corner, self.size)


@dataclass(frozen=True)
class Window:
    """A rectangle in some pictures of a sheet: of one size, at a place of its own in each."""

    sheet: Sheet
    rows: np.ndarray  # (batch,): which pictures; none twice
    top: np.ndarray  # (batch,): its corner, in pixels
    left: np.ndarray
    size: tuple[int, int]  # y, x in pixels

    def x(self) -> np.ndarray:
        """Pixel centres, in pixels from the left of the picture: (batch, 1, x)."""
        return self.left[:, None, None].astype(np.float32) + np.arange(self.size[1], dtype=np.float32) + np.float32(0.5)

    def y(self) -> np.ndarray:
        """Pixel centres, in pixels from the top of the picture: (batch, y, 1)."""
        across = np.arange(self.size[0], dtype=np.float32)[:, None]
        return self.top[:, None, None].astype(np.float32) + across + np.float32(0.5)

    def part(self, top: np.ndarray, left: np.ndarray, size: tuple[int, int]) -> "Window":
        """A rectangle in this one; its corners are counted from this one's."""
        return Window(self.sheet, self.rows, self.top + top, self.left + left, size)

    def fill(self, place: Place, paint: Paint) -> None:
        """Paint all of it, as no part and no object."""
        assert self.size == self.sheet.size
        pattern_px = _pattern_px(place, paint)
        self.sheet.image[self.rows] = _colors(paint, pattern_px)
        if self.sheet.maps is not None:
            maps = self.sheet.maps[self.rows]
            record_ground(maps, pattern_px, paint)
            self.sheet.maps[self.rows] = maps

    def paint(self, field_px: np.ndarray, place: Place, paint: Paint, numbers: dict[str, int]) -> None:
        """Paint the inside of a field (batch y x), with soft outlines one pixel wide.

        `numbers` are those of the part and the object that this is.  Only a window round the shape is touched.
        """
        touched = field_px < 1
        shown = np.flatnonzero(touched.any(axis=(1, 2)))
        if not len(shown):
            return
        top, left, size = surroundings(touched[shown], MARGIN_PX, self.size)
        corners = shown, top, left
        field_px, paint = windows(field_px, size)[corners], paint.rows(shown)
        pattern_px = None
        if paint.is_textured():
            x, y, unit_px = place
            pattern_px = _pattern_px((windows(x, size)[corners], windows(y, size)[corners], unit_px[shown]), paint)
        colors = _colors(paint, pattern_px)
        where = self.rows[shown], slice(None), self.top[shown] + top, self.left[shown] + left
        images = windows(self.sheet.image, size)
        image = images[where]
        if self.sheet.maps is not None:
            all_maps = windows(self.sheet.maps, size)
            maps = all_maps[where]
            record(maps, image, field_px, colors, pattern_px, paint, numbers)
            all_maps[where] = maps
        change = colors - image
        change *= _coverage(-field_px)[:, None]
        image += change
        images[where] = image


def blank(n_scenes: int, size: tuple[int, int], *, with_maps: bool) -> Sheet:
    """An empty sheet for `n_scenes` pictures of `size` (y, x) pixels."""
    maps = np.zeros((n_scenes, len(CONCEPTS), *size), np.uint8) if with_maps else None
    return Sheet(np.zeros((n_scenes, 3, *size), np.float32), maps)


def windows(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Every window of that size, as a view: batch ... y x becomes batch ... top left y x."""
    n_top, n_left = (whole - part + 1 for whole, part in zip(planes.shape[-2:], size, strict=True))
    shape, strides = (*planes.shape[:-2], n_top, n_left, *size), planes.strides + planes.strides[-2:]
    return np.lib.stride_tricks.as_strided(planes, shape, strides)


def surroundings(
    touched: np.ndarray, margin: int, size: tuple[int, int], step: int = 1
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Where is the window round all that is touched (batch y x, bool), with a margin?  Top, left and the common size.

    `touched` tells of every `step`th pixel, from step // 2 on, of pictures of `size`; the rest is in pixels.
    """
    top, height = _span(np.logical_or.reduce(touched, axis=2), margin, size[0], step)
    left, width = _span(np.logical_or.reduce(touched, axis=1), margin, size[1], step)
    return top, left, (height, width)


def _span(touched: np.ndarray, margin: int, length: int, step: int) -> tuple[np.ndarray, int]:
    first = touched.argmax(axis=1)
    last = touched.shape[1] - 1 - touched[:, ::-1].argmax(axis=1)
    reach = np.where(touched.any(axis=1), last - first, 0).max() * step
    common = min(length, int(reach) + 1 + 2 * margin)
    start = first * step + step // 2 - margin
    return np.minimum(np.maximum(start, 0), length - common), common


def _coverage(depth_px: np.ndarray) -> np.ndarray:
    """The share of a pixel that lies inside, from how deep inside its centre lies."""
    cover = depth_px + np.float32(0.5)
    np.maximum(cover, 0, out=cover)
    return np.minimum(cover, 1, out=cover)


def _pattern_px(place: Place, paint: Paint) -> np.ndarray | None:
    x, y, unit_px = place
    field = pattern(x, y, paint)
    if field is not None:
        field *= unit_px
    return field


def _colors(paint: Paint, pattern_px: np.ndarray | None) -> np.ndarray:
    """Batch channel y x; (batch, channel, 1, 1) where flat."""
    first = paint.first_rgb()
    if pattern_px is None:
        return first
    colors = _coverage(pattern_px)[:, None] * (paint.second_rgb() - first)
    colors += first
    return colors
