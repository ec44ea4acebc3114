"""What does each pixel show, once something is painted?  Numbers of concepts by level, edges and curves among them."""

import numpy as np

from convscope.images.world.concepts import CONCEPTS
from convscope.images.world.outlines import Outline, near_outline, outline_at
from convscope.images.world.paint import Paint

VISIBLE_STEP = 0.12  # an outline is an edge where the largest channel changes by at least this much, of 0-1
LEVELS = tuple(CONCEPTS)  # in the order of the maps: batch level y x
EDGE, CURVE, COLOR, TEXTURE = (LEVELS.index(level) for level in ("edge", "curve", "color", "texture"))


def record(
    maps: np.ndarray,
    image: np.ndarray,
    field_px: np.ndarray,
    colors: np.ndarray,
    pattern_px: np.ndarray | None,
    paint: Paint,
    numbers: dict[str, int],
) -> None:
    """Enter what a shape is, its outline and its paint; whatever it hides goes.  The image is that before painting."""
    inside = field_px < 0
    _enter(maps, inside, paint, numbers)
    where = near_outline(field_px)
    scene, y, x = where
    change = np.abs(np.broadcast_to(colors, image.shape)[scene, :, y, x] - image[scene, :, y, x]).max(axis=1)
    visible = change > VISIBLE_STEP
    _enter_edges(maps, outline_at(field_px, (scene[visible], y[visible], x[visible])))
    if pattern_px is not None:
        _enter_pattern(maps, inside, pattern_px, paint)


def record_ground(maps: np.ndarray, pattern_px: np.ndarray | None, paint: Paint) -> None:
    """Enter the paint of what fills the pictures."""
    inside = np.ones((len(maps), *maps.shape[2:]), bool)
    _enter(maps, inside, paint, {})
    if pattern_px is not None:
        _enter_pattern(maps, inside, pattern_px, paint)


def _enter(maps: np.ndarray, inside: np.ndarray, paint: Paint, numbers: dict[str, int]) -> None:
    table = np.zeros((len(maps), len(LEVELS), 1, 1), np.uint8)
    for level, number in numbers.items():
        table[:, LEVELS.index(level)] = number
    table[:, COLOR, 0, 0] = paint.color + 1
    table[:, TEXTURE, 0, 0] = 1 if paint.texture is None else paint.texture + 1
    np.copyto(maps, table, where=inside[:, None])


def _enter_pattern(maps: np.ndarray, inside: np.ndarray, pattern_px: np.ndarray, paint: Paint) -> None:
    """Enter a texture's second color, and the edges between its colors."""
    second = (paint.second_color() + 1).astype(np.uint8)
    np.copyto(maps[:, COLOR], second[:, None, None], where=inside & (pattern_px > 0))
    change = np.abs(paint.first_rgb() - paint.second_rgb()).max(axis=(1, 2, 3))
    visible = (change > VISIBLE_STEP) & ~paint.is_grain()
    field_px = np.where(inside & visible[:, None, None], pattern_px, np.float32(9))
    _enter_edges(maps, outline_at(field_px, near_outline(field_px)))


def _enter_edges(maps: np.ndarray, outline: Outline) -> None:
    scene, y, x = outline.where
    maps[scene, EDGE, y, x] = outline.edge_numbers()
    maps[scene, CURVE, y, x] = outline.curve_numbers()
