"""Which way does an outline run, and to which side does it bulge?  From the field of the shape itself."""

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

    def kept(self, chosen: np.ndarray) -> "Outline":
        """Some of the pixels."""
        return Outline(
            tuple(index[chosen] for index in self.where), self.down[chosen], self.right[chosen], self.curvature[chosen]
        )

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


def outline_of(field_px: np.ndarray) -> Outline:
    """The zero line of a field (batch y x, of slope near 1 per pixel), by differences between nearby pixels.

    At a corner the curvature depends on the distance between those pixels; it is then set to 0.
    """
    near = np.abs(field_px) < 1.6 * HALF_WIDTH_PX
    near[:, [0, 1, -2, -1]] = near[:, :, [0, 1, -2, -1]] = False
    where = np.nonzero(near)
    slope, by_y, by_x, curvature = _differences(field_px, where, 1)
    wider = _differences(field_px, where, 2)[3]
    same = np.abs(curvature - wider) < 0.3 * np.abs(curvature + wider) / 2
    outline = Outline(where, by_y / slope, by_x / slope, np.where(same, curvature, 0))
    return outline.kept(np.abs(field_px[where]) < HALF_WIDTH_PX * slope)


def _differences(field_px: np.ndarray, where: Pixels, step: int) -> tuple[np.ndarray, ...]:
    """Slope, its parts along y and x, and curvature (1/px), from the eight pixels `step` away."""
    scene, y, x = where

    def at(down: int, right: int) -> np.ndarray:
        return field_px[scene, y + down * step, x + right * step]

    above, here, below, left, right = at(-1, 0), at(0, 0), at(1, 0), at(0, -1), at(0, 1)
    by_y, by_x = (below - above) / (2 * step), (right - left) / (2 * step)
    by_yy, by_xx = (below + above - 2 * here) / step**2, (right + left - 2 * here) / step**2
    by_xy = (at(1, 1) + at(-1, -1) - at(1, -1) - at(-1, 1)) / (4 * step**2)
    slope = np.maximum(np.sqrt(by_y * by_y + by_x * by_x), 1e-3)
    curvature = (by_xx * by_y**2 - 2 * by_x * by_y * by_xy + by_yy * by_x**2) / slope**3
    return slope, by_y, by_x, curvature
