"""How do lamp and camera change a painted scene?  A slope of light, a color cast, contrast, brightness and grain."""

import numpy as np

from convscope.images.world.sheet import Sheet

_GRAIN = np.random.Generator(np.random.Philox(21)).standard_normal(1 << 17, dtype=np.float32)


def photograph(sheet: Sheet, parameters: dict[str, np.ndarray]) -> np.ndarray:
    """The picture of a painted sheet, batch y x channel, uint8; the sheet is used up."""
    lamp = _slope(sheet, parameters)
    offset = _planes(0.5 + parameters["brightness_frac"] - 0.5 * parameters["contrast_frac"])
    offset = offset + _planes(parameters["noise_frac"]) * _grain(sheet, parameters["noise_offset"])
    gains = parameters["contrast_frac"] * _cast(parameters)  # channel batch
    pixels = np.empty((len(sheet.image), *sheet.size, 3), np.uint8)
    for channel, gain in enumerate(gains):
        seen = sheet.image[:, channel]
        seen *= lamp * _planes(gain)
        seen += offset
        seen *= 255
        seen += 0.5
        pixels[..., channel] = np.clip(seen, 0, 255, out=seen)
    return pixels


def _slope(sheet: Sheet, parameters: dict[str, np.ndarray]) -> np.ndarray:
    """Brightness factor, batch y x: 1 in the middle, more toward the lamp (counter-clockwise from the right)."""
    height, width = sheet.size
    angle = np.radians(parameters["light_direction_deg"])
    window = sheet.window()
    right = (window.x() - width / 2) / (width / 2) * _planes(np.cos(angle))
    up = (height / 2 - window.y()) / (height / 2) * _planes(np.sin(angle))
    return 1 + _planes(parameters["light_frac"]) * (right + up)


def _cast(parameters: dict[str, np.ndarray]) -> np.ndarray:
    """Factor per channel, channel batch, of mean 1: a lamp of that hue."""
    hue = np.radians(parameters["cast_hue_deg"])
    wheel = np.radians(np.array([0, 120, 240]))[:, None]
    return 1 + parameters["cast_frac"] * np.cos(hue - wheel)


def _grain(sheet: Sheet, offsets: np.ndarray) -> np.ndarray:
    shape = sheet.size
    n_pixels = shape[0] * shape[1]
    starts = (offsets * (len(_GRAIN) - n_pixels)).astype(int)
    return np.stack([_GRAIN[start : start + n_pixels] for start in starts]).reshape(-1, *shape)


def _planes(values: np.ndarray) -> np.ndarray:
    return values[:, None, None].astype(np.float32)
