"""How does a table of parameters become pictures?  Back to front; then light."""

from collections.abc import Callable

import numpy as np

from convscope.images.world import clutter, creatures, places, vehicles
from convscope.images.world.concepts import CLASSES
from convscope.images.world.light import photograph
from convscope.images.world.look import Look
from convscope.images.world.paint import Paint
from convscope.images.world.parameters import N_CLUTTER
from convscope.images.world.pen import Pen, placed
from convscope.images.world.record import LEVELS
from convscope.images.world.sheet import Sheet, blank

Parameters = dict[str, np.ndarray]
DRAWN: dict[str, Callable[[Pen, Look], None]] = {
    "face": creatures.face,
    "cat": creatures.cat,
    "fish": creatures.fish,
    "bus": vehicles.bus,
    "car": vehicles.car,
    "bicycle": vehicles.bicycle,
    "ship": vehicles.ship,
    "house": places.house,
    "tree": places.tree,
    "flower": places.flower,
}
CACHED_PIXELS = 1 << 17  # pixels painted at a time: what stays in a processor's cache
WARP_WAVES = 2.6  # radians of the warp's wave per unit of the object's frame


def draw_scenes(
    parameters: Parameters, size: tuple[int, int], *, with_maps: bool
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Pictures (batch y x channel, uint8) and maps by level (batch y x, uint8; none unless wanted)."""
    n_scenes = len(parameters["label"])
    n_piece = max(1, CACHED_PIXELS // (size[0] * size[1]))
    pieces = [slice(start, start + n_piece) for start in range(0, n_scenes, n_piece)]
    sheet = blank(n_scenes, size, with_maps=with_maps)
    for piece in pieces:
        _background(sheet.rows(piece), _rows(parameters, piece))
    for slot in range(N_CLUTTER - 1):
        _clutter(sheet, parameters, slot, parameters["clutter_count"] > slot)
    for label in np.unique(parameters["label"]):
        rows = np.flatnonzero(parameters["label"] == label)
        for piece in pieces[: -(-len(rows) // n_piece)]:
            _object(sheet, parameters, int(label), rows[piece])
    _clutter(sheet, parameters, N_CLUTTER - 1, parameters["occluder_count"] > 0)
    pictures = [photograph(sheet.rows(piece), _rows(parameters, piece)) for piece in pieces]
    maps = {} if sheet.maps is None else {level: sheet.maps[:, k] for k, level in enumerate(LEVELS)}
    return np.concatenate(pictures), maps


def _background(sheet: Sheet, parameters: Parameters) -> None:
    height, width = sheet.size
    n_scenes = len(parameters["label"])
    middle = np.full(n_scenes, height / 2), np.full(n_scenes, width / 2)
    pen = placed(sheet.window(), middle, np.full(n_scenes, min(height, width) / 2), parameters["background_angle_deg"])
    paint = Paint(
        parameters["background_color"],
        parameters["background_color_2"],
        parameters["background_texture"],
        _floats(parameters["background_period_frac"]) * 2,
        _floats(parameters["shade_frac"]),
    )
    pen.window.fill((pen.x, pen.y, pen.unit_px), paint)
    gradient = _floats(parameters["background_gradient_frac"])[:, None, None]
    np.multiply(sheet.image, (1 + gradient * pen.y)[:, None], out=sheet.image)


def _clutter(sheet: Sheet, parameters: Parameters, slot: int, wanted: np.ndarray) -> None:
    of_slot = {name: values[:, slot] for name, values in parameters.items() if values.ndim == 2 and name != "traits"}
    unit_px = of_slot["clutter_size_frac"] * min(sheet.size)
    period = np.full(len(wanted), 0.5, np.float32)
    first = Paint(of_slot["clutter_color"], of_slot["clutter_color_2"], of_slot["clutter_texture"], period)
    center = of_slot["clutter_y_px"], of_slot["clutter_x_px"]
    paints = first, Paint(of_slot["clutter_color_2"])
    clutter.scatter(
        sheet, of_slot["clutter_kind"], center, unit_px, of_slot["clutter_angle_deg"], paints, np.flatnonzero(wanted)
    )


def _object(sheet: Sheet, every: Parameters, label: int, rows: np.ndarray) -> None:
    """Draw the objects of one class, in the scenes that show one."""
    parameters = _rows(every, rows)
    unit_px = parameters["scale_frac"] * min(sheet.size) / 2
    center = parameters["center_y_px"], parameters["center_x_px"]
    pen = placed(sheet.window(rows), center, unit_px, parameters["rotation_deg"])
    stretch = np.sqrt(_floats(parameters["aspect_ratio"]))[:, None, None]
    x = pen.x / (stretch * (1 - 2 * _floats(parameters["mirrored"]))[:, None, None])
    x, y = _warped(x, pen.y * stretch, parameters)
    warp = 1 + 2 * WARP_WAVES * np.abs(_floats(parameters["warp_frac"]))[:, None, None]
    step = pen.step * np.maximum(stretch, 1 / stretch) * warp
    body = Paint(
        parameters["object_color"],
        parameters["object_color_2"],
        parameters["object_texture"],
        _floats(parameters["object_period_frac"]) * 2,
    )
    look = Look(body, Paint(parameters["trim_color"]), Paint(parameters["detail_color"]), parameters["traits"])
    DRAWN[CLASSES[label]](Pen(pen.window, x, y, pen.unit_px, step, label + 1), look)


def _warped(x: np.ndarray, y: np.ndarray, parameters: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """A smooth deformation: every column slides along y and every row along x, in waves."""
    size = _floats(parameters["warp_frac"])[:, None, None] * 2
    phase = _floats(np.radians(parameters["warp_phase_deg"]))[:, None, None]
    return x + size * np.sin(WARP_WAVES * y + phase), y + size * np.sin(WARP_WAVES * x + 2 * phase)


def _rows(parameters: Parameters, rows: slice | np.ndarray) -> Parameters:
    return {name: values[rows] for name, values in parameters.items()}


def _floats(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)
