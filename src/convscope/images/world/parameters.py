"""What was set in each scene?  Every property of a scene is a named number, drawn or fixed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.errors import UnknownNameError, UsageError
from convscope.images.world import clutter
from convscope.images.world.concepts import CLASSES
from convscope.images.world.paint import COLOR_NAMES, TEXTURES

if TYPE_CHECKING:  # the world is above; only its settings are read here
    from convscope.images.world.scenes import World

N_CLUTTER = 7  # slots; the last one is the thing in front
N_TRAITS = 9
TEXTURED = ("object_texture", "background_texture", "clutter_texture")
CHOICES: dict[str, tuple[str, ...]] = {  # parameters that are a number in one of these lists, or given by name
    "label": CLASSES,
    "object_color": COLOR_NAMES,
    "object_color_2": COLOR_NAMES,
    "trim_color": COLOR_NAMES,
    "detail_color": COLOR_NAMES,
    "object_texture": TEXTURES,
    "background_color": COLOR_NAMES,
    "background_color_2": COLOR_NAMES,
    "background_texture": TEXTURES,
    "clutter_kind": clutter.KINDS,
    "clutter_color": COLOR_NAMES,
    "clutter_color_2": COLOR_NAMES,
    "clutter_texture": TEXTURES,
}
# A color that was drawn, not fixed, steps on until it differs from these; later ones give way to earlier ones.
DIFFERS = {
    "trim_color": ("object_color",),
    "detail_color": ("object_color", "trim_color"),
    "object_color_2": ("object_color", "trim_color", "detail_color"),
    "background_color": ("object_color", "object_color_2", "trim_color"),
    "background_color_2": ("background_color", "object_color", "trim_color"),
}
RANGES = (  # fields of World that are the range of the parameter of the same name
    *("scale_frac", "rotation_deg", "aspect_ratio", "warp_frac", "shade_frac"),
    *("object_period_frac", "background_period_frac", "background_gradient_frac"),
    *("brightness_frac", "contrast_frac", "light_frac", "cast_frac", "noise_frac", "clutter_size_frac"),
)
ANGLES = ("warp_phase_deg", "background_angle_deg", "light_direction_deg", "cast_hue_deg", "clutter_angle_deg")
WIDTHS = dict.fromkeys((name for name in CHOICES if name.startswith("clutter")), N_CLUTTER) | {
    "clutter_y_px": N_CLUTTER,
    "clutter_x_px": N_CLUTTER,
    "clutter_size_frac": N_CLUTTER,
    "clutter_angle_deg": N_CLUTTER,
    "traits": N_TRAITS,
}
NAMES = (
    *CHOICES, "center_y_px", "center_x_px", "mirrored", *RANGES, *ANGLES, "noise_offset", "traits",
    "clutter_count", "clutter_y_px", "clutter_x_px", "occluder_count",
)  # fmt: skip
N_DRAWS = sum(WIDTHS.get(name, 1) for name in NAMES)  # random numbers per scene


def draw(world: "World", n_scenes: int, seed: int, start: int, fixed: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Every parameter of scenes `start` to `start + n_scenes` of a seed, by name.

    Arrays of shape (n_scenes,), or (n_scenes, width) for `traits` and `clutter_...`;
    choices are int64, the rest float64.
    A fixed parameter leaves the others as they are, but for colors that step aside for a fixed one.
    Raises UnknownNameError for a parameter or choice that is not known, UsageError for a value of the wrong shape.
    """
    uniform = _uniform(n_scenes, seed, start)
    parameters = {name: _scaled(world, name, values) for name, values in uniform.items()}
    for name, value in fixed.items():
        parameters[name] = _as_given(name, value, parameters)
    for name, others in DIFFERS.items():
        if name not in fixed:
            parameters[name] = _stepped(parameters[name], [parameters[other] for other in others], len(COLOR_NAMES))
    return parameters


def _uniform(n_scenes: int, seed: int, start: int) -> dict[str, np.ndarray]:
    """Numbers in 0-1 by parameter; a scene's numbers depend on the seed and its index alone."""
    bits = np.random.PCG64(seed)
    bits.advance(start * N_DRAWS)
    table = np.random.Generator(bits).random((n_scenes, N_DRAWS))
    columns = np.split(table, np.cumsum([WIDTHS.get(name, 1) for name in NAMES])[:-1], axis=1)
    return {name: part if name in WIDTHS else part[:, 0] for name, part in zip(NAMES, columns, strict=True)}


def _scaled(world: "World", name: str, uniform: np.ndarray) -> np.ndarray:
    if name in CHOICES:
        return _chosen(uniform, world.flat_share if name in TEXTURED else None, len(CHOICES[name]))
    if name in RANGES:
        return _between(uniform, getattr(world, name))
    if name in ANGLES:
        return uniform * 360
    if name in ("clutter_count", "occluder_count"):
        low, high = getattr(world, name)
        return low + (uniform * (high - low + 1)).astype(np.int64)
    if name.endswith(("y_px", "x_px")):
        side_px = world.size[0] if name.endswith("y_px") else world.size[1]
        return _between(uniform, (0.0, 1.0) if name.startswith("clutter") else world.center_frac) * side_px
    if name == "mirrored":
        return (uniform < world.mirrored_share).astype(np.int64)
    return uniform  # traits, noise_offset


def _between(uniform: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    return bounds[0] + uniform * (bounds[1] - bounds[0])


def _chosen(uniform: np.ndarray, first_share: float | None, n_choices: int) -> np.ndarray:
    """One of n numbers; all alike, or the first with a share of its own."""
    if first_share is None:
        return (uniform * n_choices).astype(np.int64)
    rest = (uniform - first_share) / max(1 - first_share, 1e-9) * (n_choices - 1)
    return np.where(uniform < first_share, 0, 1 + np.clip(rest.astype(np.int64), 0, n_choices - 2))


def _stepped(values: np.ndarray, others: list[np.ndarray], n_choices: int) -> np.ndarray:
    for _ in others:
        taken = np.any([values == other for other in others], axis=0)
        values = np.where(taken, (values + 1) % n_choices, values)
    return values


def _as_given(name: str, value: Any, parameters: Mapping[str, np.ndarray]) -> np.ndarray:
    if name not in parameters:
        raise UnknownNameError("parameter of a scene", name, parameters)
    drawn = parameters[name]
    if name in CHOICES:
        value = _numbers(name, value)
    given = np.asarray(value, dtype=drawn.dtype)
    if given.ndim == 1 and drawn.ndim == 2 and len(given) == len(drawn) != drawn.shape[1]:
        given = given[:, None]
    try:
        return np.broadcast_to(given, drawn.shape).copy()
    except ValueError as error:
        raise UsageError(
            f"Parameter '{name}' was fixed.",
            f"Its values have shape {given.shape}.",
            f"Give one number, or an array of shape {drawn.shape}.",
        ) from error


def _numbers(name: str, value: Any) -> np.ndarray:
    known = CHOICES[name]
    names = np.asarray(value)
    if names.dtype.kind in "US":
        for given in np.unique(names):
            if given not in known:
                raise UnknownNameError(name, str(given), known)
        return np.vectorize(known.index, otypes=[np.int64])(names)
    if names.size and (names.min() < 0 or names.max() >= len(known)):
        raise UsageError(
            f"Parameter '{name}' was fixed.",
            f"Its values reach from {names.min()} to {names.max()}.",
            f"Give names, or numbers from 0 to {len(known) - 1}.",
        )
    return names
