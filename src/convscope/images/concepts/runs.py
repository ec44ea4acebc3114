"""Which pixels are in a run-length code or in a polygon of a COCO file?

Both count down the columns. Polygons are filled as pycocotools fills them (rleFrPoly of maskApi.c), pixel by pixel the same.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

_STEPS = 5  # parts of a pixel to which a polygon's corners are rounded


def from_counts(counts: Sequence[int] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Truth values `y x` from the lengths of runs, outside first.  Raises ValueError where they do not add up to height x width."""
    lengths = np.asarray(counts)
    if lengths.ndim != 1 or (len(lengths) and not np.issubdtype(lengths.dtype, np.integer)):
        raise ValueError("its run lengths are no list of whole numbers")
    total = int(lengths.sum()) if len(lengths) else 0
    if (lengths < 0).any() or total != size[0] * size[1]:
        raise ValueError(f"its runs cover {total:,} pixels; {size[0]} x {size[1]} are {size[0] * size[1]:,}")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(size[1], size[0]).T


def counts_of(text: str) -> np.ndarray:
    """The lengths of runs in a compressed string: base 32, low digits first, from the fourth on as differences to two before.

    Raises ValueError for a character that cannot be in it, or an end within a number.
    """
    digits = np.frombuffer(text.encode("ascii", "replace"), np.uint8).astype(np.int64) - 48
    if ((digits < 0) | (digits > 63)).any():
        raise ValueError("its compressed counts hold characters that cannot be in them")
    counts: list[int] = []
    value, shift = 0, 0
    for digit in digits.tolist():
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise ValueError("its compressed counts end within a number")
    return np.array(counts, np.int64)


def from_polygon(corners: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """Truth values `y x` of the pixels inside a polygon x0, y0, x1, y1 ... (px).  Raises ValueError for what is no polygon."""
    points = np.asarray(corners, np.float64)
    if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not np.isfinite(points).all():
        raise ValueError("one of its polygons is no list of at least three corners x, y")
    if np.abs(points).max() > 1e6:
        raise ValueError("one of its polygons reaches a million pixels away")
    x, y = np.trunc(points.reshape(-1, 2) * _STEPS + 0.5).astype(np.int64).T
    walk = [_line(*ends) for ends in zip(x, y, np.roll(x, -1), np.roll(y, -1), strict=True)]
    across, down = (np.concatenate(parts) for parts in zip(*walk, strict=True))
    return _filled(across, down, size)


def _line(x0: int, y0: int, x1: int, y1: int) -> tuple[np.ndarray, np.ndarray]:
    """The grid points of a line, both ends among them; the coordinate that changes more takes every value."""
    width, height = abs(x1 - x0), abs(y1 - y0)
    steep = width < height
    flip = (y0 > y1) if steep else (x0 > x1)
    if flip:
        x0, y0, x1, y1 = x1, y1, x0, y0
    t = np.arange(max(width, height) + 1)
    t = t[::-1] if flip else t
    if steep:
        return np.trunc(x0 + (x1 - x0) / height * t + 0.5).astype(np.int64), t + y0
    slope = (y1 - y0) / width if width else 0.0
    return t + x0, np.trunc(y0 + slope * t + 0.5).astype(np.int64)


def _filled(across: np.ndarray, down: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where a walk on the finer grid crosses the middle of a column, inside and outside change places from there on."""
    height, width = size
    moved = np.flatnonzero(np.diff(across)) + 1
    left = np.where(across[moved] < across[moved - 1], across[moved], across[moved] - 1)
    column = (left + 0.5) / _STEPS - 0.5
    row = np.ceil(np.clip((np.minimum(down[moved], down[moved - 1]) + 0.5) / _STEPS - 0.5, 0, height))
    kept = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    changes = np.bincount((column[kept] * height + row[kept]).astype(np.int64), minlength=height * width)
    inside = np.cumsum(changes[: height * width]) % 2 == 1
    return inside.reshape(width, height).T


def from_segmentation(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Truth values `y x` of a COCO annotation's `segmentation`: polygons, or run lengths as a list or a compressed string.

    Raises ValueError, with the reason, where it cannot be one.
    """
    if isinstance(segmentation, list):
        if not segmentation:
            raise ValueError("it has no polygon")
        mask = np.zeros(size, bool)
        for polygon in segmentation:
            mask |= from_polygon(polygon, size)
        return mask
    if not isinstance(segmentation, dict) or "counts" not in segmentation:
        raise ValueError("its segmentation is neither polygons nor run lengths")
    told = tuple(segmentation.get("size") or size)
    if told != size:
        raise ValueError(
            f"its run lengths are for {' x '.join(map(str, told))} pixels; the image has {size[0]} x {size[1]}"
        )
    counts = segmentation["counts"]
    return from_counts(counts_of(counts) if isinstance(counts, str) else counts, size)
