"""Which way does an outline run, and to which side does it bulge?  From the field of the shape itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from convscope.images.world.concepts import CURVES, N_ORIENTATIONS

HALF_WIDTH_PX = 1.0  # of an edge in the maps
RADII_PX = (3.0, 24.0)  # an outline counts as an arc when its radius of curvature lies between these
Pixels: TypeAlias = tuple[np.ndarray, ...]  # scene, y, x; one entry per pixel


@dataclass(frozen=True)
class Outline:
    """The pixels within `HALF_WIDTH_PX` of an outline, off the border of the picture; one entry per pixel."""

    where: Pixels
    down: np.ndarray  # the unit normal, to where the field grows
    right: np.ndarray
    curvature: np.ndarray  # 1/px; positive where the normal points out of the bulge

    def edge_numbers(self) -> np.ndarray:
        """The number of the orientation bin, from 1; the first is horizontal."""
        along = np.arctan2(self.right, self.down) / np.pi  # of the edge, counter-clockwise from horizontal, modulo 1
        return (np.round(along * N_ORIENTATIONS).astype(np.int16) % N_ORIENTATIONS + 1).astype(np.uint8)

    def curve_numbers(self) -> np.ndarray:
        """The number of the side to which the outline bulges, from 1; 0 where it is straight or a corner."""
        sign = np.sign(self.curvature)
        quarter = np.round(np.arctan2(-self.down * sign, self.right * sign) * (2 / np.pi)).astype(np.int16)
        bend = np.abs(self.curvature)
        is_arc = (bend > 1 / RADII_PX[1]) & (bend < 1 / RADII_PX[0])
        return np.where(is_arc, quarter % len(CURVES) + 1, 0).astype(np.uint8)


def near_outline(field_px: np.ndarray) -> Pixels:
    """The pixels that may lie on the zero line of a field (batch y x, of slope near 1 per pixel)."""
    near = np.abs(field_px) < 1.6 * HALF_WIDTH_PX
    near[:, :2] = near[:, -2:] = False
    near[:, :, :2] = near[:, :, -2:] = False
    return np.nonzero(near)


def outline_at(field_px: np.ndarray, where: Pixels) -> Outline:
    """The zero line of a field among some of its pixels, by differences between nearby ones.

    At a corner the curvature depends on the distance between those pixels; it is then set to 0.
    """
    by_y, by_x, slope = _slopes(field_px, where, 1)
    kept = np.abs(field_px[where]) < HALF_WIDTH_PX * slope
    where, by_y, by_x, slope = tuple(index[kept] for index in where), by_y[kept], by_x[kept], slope[kept]
    near, wide = _curvature(field_px, where, 1), _curvature(field_px, where, 2)
    same = np.abs(near - wide) < 0.3 * np.abs(near + wide) / 2
    return Outline(where, by_y / slope, by_x / slope, np.where(same, near, 0))


def _pixels(field_px: np.ndarray, where: Pixels, step: int) -> Callable[[int, int], np.ndarray]:
    """The field so many steps below and to the right of those pixels."""
    height, width = field_px.shape[1:]
    scene, y, x = where
    flat, index = field_px.ravel(), (scene * height + y) * width + x
    return lambda down, right: flat[index + (down * width + right) * step]


def _slopes(field_px: np.ndarray, where: Pixels, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slope along y, along x and altogether, from the pixels `step` away."""
    at = _pixels(field_px, where, step)
    by_y, by_x = (at(1, 0) - at(-1, 0)) / (2 * step), (at(0, 1) - at(0, -1)) / (2 * step)
    return by_y, by_x, np.maximum(np.sqrt(by_y * by_y + by_x * by_x), 1e-3)


def _curvature(field_px: np.ndarray, where: Pixels, step: int) -> np.ndarray:
    """Curvature (1/px) of the field's lines, from the eight pixels `step` away."""
    at = _pixels(field_px, where, step)
    by_y, by_x, slope = _slopes(field_px, where, step)
    here = at(0, 0)
    by_yy, by_xx = (at(1, 0) + at(-1, 0) - 2 * here) / step**2, (at(0, 1) + at(0, -1) - 2 * here) / step**2
    by_xy = (at(1, 1) + at(-1, -1) - at(1, -1) - at(-1, 1)) / (4 * step**2)
    return (by_xx * by_y**2 - 2 * by_x * by_y * by_xy + by_yy * by_x**2) / slope**3
