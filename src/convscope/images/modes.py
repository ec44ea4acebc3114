"""How does each of Pillow's modes become 8 bits?  Scaled, never clipped; transparency laid on a stated background."""

import numpy as np
from PIL import Image

SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def as_8_bits(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """A loaded image in mode L if it is grey, in RGB otherwise.

    `I` and `I;16` are taken as 0-65535, `F` as 0-1 or, if it goes beyond 1, as 0-255. Raises ValueError for values
    outside.
    """
    if image.mode in SIXTEEN_BITS:
        return Image.fromarray(from_16_bits(np.asarray(image)))
    if image.mode == "F":
        return Image.fromarray(from_float(np.asarray(image)))
    if image.has_transparency_data:
        return _composed(image, background)
    if image.mode in ("1", "L"):
        return image.convert("L")
    return image if image.mode == "RGB" else image.convert("RGB")


def from_16_bits(values: np.ndarray) -> np.ndarray:
    """uint8 from 0-65535, rounded to the nearest: 65535 becomes 255, 257 becomes 1."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ValueError(f"its values run from {low} to {high}; a 16-bit image has 0 to 65535")
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def from_float(values: np.ndarray) -> np.ndarray:
    """uint8 from a floating-point image, 0-1 or 0-255, rounded to the nearest."""
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite([low, high]).all() and low >= 0 and high <= 255):
        raise ValueError(f"its floating-point values run from {low:g} to {high:g}; 0 to 1 or 0 to 255 can be read")
    return np.rint(values * (255 if high <= 1 else 1)).astype(np.uint8)


def _composed(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """The image laid over the background: (color * alpha + background * (255 - alpha)) / 255, rounded."""
    grey = image.mode in ("1", "L", "LA", "La") and len(set(background)) == 1
    if image.mode in ("La", "RGBa"):  # premultiplied
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    layers = np.asarray(image.convert("LA" if grey else "RGBA")).astype(np.uint32)
    color, alpha = layers[..., :-1], layers[..., -1:]
    behind = np.asarray(background[:1] if grey else background, np.uint32)
    mixed = ((color * alpha + behind * (255 - alpha) + 127) // 255).astype(np.uint8)
    return Image.fromarray(mixed[..., 0] if grey else mixed)
