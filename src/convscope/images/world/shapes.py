"""How far is each point from this shape?  Fields: negative inside, zero on the outline, positive outside.

Every function takes coordinates `x` (to the right) and `y` (downward) of shape batch y x, in units of one frame, and
returns a float32 field of that shape in the same units: a distance, exact or nearly so close to the
outline.  Other arguments are numbers, or arrays of shape (batch, 1, 1) for one value per scene.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Field: TypeAlias = np.ndarray  # batch y x, float32
Number: TypeAlias = Any  # a float, or one per scene: an array (batch, 1, 1); a union would not mix in one list


def disc(x: Field, y: Field, radius: Number = 1.0) -> Field:
    """A disc around the origin."""
    return np.sqrt(x * x + y * y) - radius


def ellipse(x: Field, y: Field, radius_x: Number, radius_y: Number) -> Field:
    """An ellipse around the origin; the distance is first-order near the outline when the radii are alike."""
    scaled_x, scaled_y = x / radius_x, y / radius_y
    return (np.sqrt(scaled_x * scaled_x + scaled_y * scaled_y) - 1) * np.minimum(radius_x, radius_y)


def box(x: Field, y: Field, half_x: Number, half_y: Number) -> Field:
    """A rectangle around the origin with sharp corners."""
    return np.maximum(np.abs(x) - half_x, np.abs(y) - half_y)


def rounded_box(x: Field, y: Field, half_x: Number, half_y: Number, corner: Number) -> Field:
    """A rectangle around the origin with corners of radius `corner`."""
    over_x = np.abs(x) - (half_x - corner)
    over_y = np.abs(y) - (half_y - corner)
    outside_x, outside_y = np.maximum(over_x, 0), np.maximum(over_y, 0)
    outside = np.sqrt(outside_x * outside_x + outside_y * outside_y)
    return outside + np.minimum(np.maximum(over_x, over_y), 0) - corner


def bar(x: Field, y: Field, start: tuple[Number, Number], end: tuple[Number, Number], half_width: Number) -> Field:
    """A straight stroke with round ends from `start` to `end`, both (x, y)."""
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    from_x, from_y = x - start[0], y - start[1]
    share = (from_x * along_x + from_y * along_y) / (along_x * along_x + along_y * along_y)
    share = np.clip(share, 0, 1)
    return disc(from_x - share * along_x, from_y - share * along_y, half_width)


def polygon(x: Field, y: Field, corners: Sequence[tuple[Number, Number]]) -> Field:
    """A convex polygon; corners are (x, y), in the order that runs clockwise on the screen."""
    sides = [_half_plane(x, y, corners[k - 1], corners[k]) for k in range(len(corners))]
    return intersection(*sides)


def smile(x: Field, y: Field, half_length: Number, bend: Number, half_width: Number) -> Field:
    """A stroke bent like a smile: the parabola y = -bend x² through the origin, cut at `half_length`."""
    sag = y + bend * x * x
    steep = np.sqrt(1 + (2 * bend * x) ** 2)
    return np.maximum(np.abs(sag) / steep - half_width, np.abs(x) - half_length)


def ring(field: Field, half_width: Number) -> Field:
    """The outline of a shape as a stroke."""
    return np.abs(field) - half_width


def union(*fields: Field) -> Field:
    """What lies in any of the shapes."""
    joined = fields[0]
    for field in fields[1:]:
        joined = np.minimum(joined, field)
    return joined


def intersection(*fields: Field) -> Field:
    """What lies in all of the shapes."""
    joined = fields[0]
    for field in fields[1:]:
        joined = np.maximum(joined, field)
    return joined


def spokes(x: Field, y: Field, n: int) -> tuple[Field, Field]:
    """Coordinates folded into one of `n` equal sectors: what is drawn along +x there appears n times around."""
    sector = 2 * np.pi / n
    angle = np.arctan2(y, x)
    angle -= sector * np.round(angle / sector)
    radius = np.sqrt(x * x + y * y)
    return radius * np.cos(angle), radius * np.sin(angle)


def _half_plane(x: Field, y: Field, start: tuple[Number, Number], end: tuple[Number, Number]) -> Field:
    across_x: Any = end[1] - start[1]
    across_y: Any = start[0] - end[0]
    length = np.sqrt(across_x * across_x + across_y * across_y)
    field, along_y = x - start[0], y - start[1]
    field *= np.float32(across_x / length)
    along_y *= np.float32(across_y / length)
    field += along_y
    return field
