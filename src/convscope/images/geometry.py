"""Which pixels of an image does a network see?  Resize and centre crop as in timm, torchvision and transformers."""

import numpy as np
from PIL import Image

from convscope.images.picture import Held, to_array

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
FITS = ("squash", "cover", "contain")
CENTERS = ("even", "floor")


def resized_shape(shape: tuple[int, int], resize: "int | tuple[int, int] | None", fit: str) -> tuple[int, int]:
    """The (height, width) an image of this (height, width) is resized to.

    A number is the new short side; the long side is cut to a whole number, as torchvision does. A pair with "cover"
    or "contain" keeps the proportions, rounding as timm does; with "squash" it is the new shape itself.
    """
    height, width = shape
    if resize is None:
        return shape
    if isinstance(resize, int):
        if width <= height:
            return max(1, int(resize * height / width)), resize
        return resize, max(1, int(resize * width / height))
    if fit == "squash":
        return resize
    ratios = height / resize[0], width / resize[1]
    ratio = min(ratios) if fit == "cover" else max(ratios)
    return max(1, round(height / ratio)), max(1, round(width / ratio))


def crop_start(length: int, crop: int, center: str) -> int:
    """The first row (column) of a centre crop; below zero when the image is shorter than the crop.

    "even" rounds half a pixel to the even number, and cuts it off when padding (torchvision, timm); "floor" always
    rounds down (transformers). They differ by a pixel for some odd differences, 3 for instance.
    """
    if center == "floor":
        return (length - crop) // 2
    return round((length - crop) / 2) if length >= crop else -((crop - length) // 2)


def resize_values(values: Held, shape: tuple[int, int], interpolation: str) -> np.ndarray:
    """`y x channel` values, resized by Pillow, which smooths when shrinking; uint8 and float32 stay what they are."""
    how, size = INTERPOLATIONS[interpolation], (shape[1], shape[0])
    if isinstance(values, Image.Image):
        return to_array(values if values.size == size else values.resize(size, how))
    if values.shape[:2] == shape:
        return values
    if values.dtype == np.uint8 and values.shape[2] == 3:
        return np.asarray(Image.fromarray(values).resize(size, how))
    bands = (Image.fromarray(np.ascontiguousarray(values[..., c])) for c in range(values.shape[2]))
    return np.stack([np.asarray(band.resize(size, how)) for band in bands], axis=-1)


def crop_values(values: np.ndarray, crop: "tuple[int, int] | None", center: str, fill: tuple[int, ...]) -> np.ndarray:
    """The centre crop of `y x channel` values; outside the image they are `fill` (0-255, one per channel; () is 0)."""
    if crop is None:
        return values
    top, left = (crop_start(length, size, center) for length, size in zip(values.shape[:2], crop, strict=True))
    if values.shape[0] >= crop[0] and values.shape[1] >= crop[1]:
        return values[top : top + crop[0], left : left + crop[1]]
    color = np.asarray(fill or 0, np.float64) / (1 if values.dtype == np.uint8 else 255)
    out = np.empty((*crop, values.shape[2]), values.dtype)
    out[:] = color.astype(values.dtype)
    inside = values[max(top, 0) : max(top, 0) + crop[0], max(left, 0) : max(left, 0) + crop[1]]
    out[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    return out
