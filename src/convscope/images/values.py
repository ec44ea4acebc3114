"""Which numbers does an image hold, given as array, tensor, file or Pillow image?

Always `y x channel`, uint8 0-255 or float32 0-1.
"""

import os
from typing import Any

import numpy as np
import torch
from PIL import Image

from convscope.errors import ImagesError, UsageError
from convscope.images.decode import Decode
from convscope.images.picture import Held, Picture

# Float images may leave 0-1 by this much (resampling overshoots a little); they are cut to 0-1.
SLACK = 1e-3


def as_held(image: Any, decode: Decode, keep: bool = False) -> Held:
    """One image as `y x channel`, uint8 0-255 or float32 0-1, or as a Pillow image of mode L or RGB.

    `image` is a Picture, path, Pillow image, array `y x [channel]` or tensor `[channel] y x`. Four channels are taken
    as RGBA and laid on the decoder's background, unless `keep`. Raises ImagesError for values out of range,
    UsageError for other things.
    """
    if isinstance(image, Picture):
        values = image.held
    elif isinstance(image, (str, os.PathLike, Image.Image)):
        return decode.image(image)
    elif isinstance(image, torch.Tensor):
        array = image.detach().cpu().numpy()
        values = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    elif isinstance(image, np.ndarray):
        values = image
    else:
        raise UsageError(
            f"A {type(image).__name__} was given as an image.", "It is none.", "Give a path, array, tensor or Picture."
        )
    if isinstance(values, Image.Image):
        return values
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or 0 in values.shape:
        raise ImagesError(
            f"An image of shape {tuple(image.shape)} was given.", "It has no rows and columns to show.", _LAYOUT
        )
    values = checked(values)
    return on_background(values, decode.background) if values.shape[2] in (2, 4) and not keep else values


_LAYOUT = "Arrays are `y x channel` (or `y x`), tensors `channel y x`."


def checked(values: np.ndarray, name: str = "A float image") -> np.ndarray:
    """uint8 as it is, truth values as 0 and 255, floats as float32 within 0-1.

    Raises ImagesError for other types, for NaN or infinity, and for floats outside 0-1.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if not np.issubdtype(values.dtype, np.floating):
        raise ImagesError(
            f"An image of type {values.dtype} was given.",
            "Its range is not known.",
            "Give uint8 0-255 or float 0-1; 16-bit values, for instance, divided by 65535.",
        )
    low, high = float(values.min()), float(values.max())
    if not (low >= -SLACK and high <= 1 + SLACK):  # false for NaN too
        raise ImagesError(
            f"{name} was given.",
            f"Its values run from {low:.4g} to {high:.4g}.",
            "Give uint8 0-255 or float 0-1. An already normalised tensor goes to the network as it is, unprepared.",
        )
    return np.clip(values.astype(np.float32), 0, 1)


def on_background(values: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """RGBA (or LA) values laid on a background colour 0-255, in the type they have."""
    if values.dtype != np.uint8:
        behind01 = np.asarray(background, np.float32)[: values.shape[2] - 1] / 255
        return values[..., :-1] * values[..., -1:] + behind01 * (1 - values[..., -1:])
    wide = values.astype(np.uint32)
    behind = np.asarray(background, np.uint32)[: values.shape[2] - 1]
    return ((wide[..., :-1] * wide[..., -1:] + behind * (255 - wide[..., -1:]) + 127) // 255).astype(np.uint8)


def to_grey(values: Held) -> Held:
    """Luminance of RGB values (ITU-R 601: 0.299 R + 0.587 G + 0.114 B), as Pillow computes it."""
    if isinstance(values, Image.Image):
        return values.convert("L")
    if values.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(values)).convert("L"))[..., None]
    return values @ np.asarray([[0.299], [0.587], [0.114]], np.float32)


def is_batch(images: Any) -> bool:
    """Whether this is several images: a list, a tuple, or an array or tensor with four axes."""
    return isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4
