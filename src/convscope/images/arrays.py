"""Which images are in this array or tensor?"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from convscope.errors import ImagesError
from convscope.images.decode import Decode
from convscope.images.labels import Labels
from convscope.images.picture import Picture, Skip
from convscope.images.values import checked

COLORS = (1, 3, 4)


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images that are an array `image y x channel`, uint8 0-255 or float 0-1.  Ids are zero-padded places."""

    array: np.ndarray
    name: str = "an array"
    known: Labels | None = None
    left_out: tuple[Skip, ...] = ()

    @cached_property
    def ids(self) -> tuple[str, ...]:
        return tuple(numbered(len(self.array)))

    def read(self, index: int, decode: Decode) -> Picture:
        values = checked(np.asarray(self.array[index]), f"Image {self.ids[index]} of {self.name}")
        # Copied: a picture is not changed when the array is.
        return Picture(self.ids[index], values.copy(), origin=f"{self.name}, place {index}")

    def labels(self) -> Labels | None:
        return self.known

    def size(self, index: int) -> int:
        return int(np.prod(self.array.shape[1:])) * self.array.itemsize

    def content(self, index: int) -> bytes:
        return np.ascontiguousarray(self.array[index]).tobytes()


def numbered(n_images: int) -> Iterator[str]:
    """The places 0, 1, 2 ... as ids of equal length, at least five digits."""
    digits = max(5, len(str(n_images - 1)))
    return (f"{index:0{digits}d}" for index in range(n_images))


def from_array(array: Any, name: str = "an array", known: Labels | None = None) -> Arrays:
    """Images from an array `[image] y x [channel]` or a tensor `[image] [channel] y x`.

    Three axes are one colour image if the channel axis has 1, 3 or 4 entries, and otherwise a stack of grey images.
    Raises ImagesError for other numbers of axes, axes in the wrong order, and types or values that are no images.
    """
    is_tensor = isinstance(array, torch.Tensor)
    values = array.detach().cpu().numpy() if is_tensor else np.asanyarray(array)
    if values.ndim == 3:
        one_image = values.shape[0 if is_tensor else 2] in COLORS
        values = values[None] if one_image else values[:, None] if is_tensor else values[..., None]
    elif values.ndim == 2:
        values = values[None, None] if is_tensor else values[None, ..., None]
    if values.ndim != 4 or 0 in values.shape:
        raise _unfit(name, array, "It holds no images.")
    here, there = values.shape[1 if is_tensor else 3], values.shape[3 if is_tensor else 1]
    if here > 4 and there in COLORS:
        raise _unfit(name, array, "Its axes seem to be in the other order.")
    images = Arrays(np.moveaxis(values, 1, 3) if is_tensor else values, name, known)
    images.read(0, Decode())  # a wrong type or range is said now, not after an hour
    return images


def _unfit(name: str, array: Any, found: str) -> ImagesError:
    return ImagesError(
        f"Images were to be taken from {name} of shape {tuple(array.shape)}.",
        found,
        "Arrays are `image y x channel` (or `image y x`), tensors `image channel y x`; transpose or permute it.",
    )
