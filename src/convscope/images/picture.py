"""What is one image, once read?  A record that knows where it came from."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from PIL import Image

Held = np.ndarray | Image.Image


@dataclass(frozen=True, eq=False)
class Picture:
    """One image as it was read, before any network's preprocessing."""

    id: str  # the image's name in its collection; plain Unicode, fit for JSON
    held: Held = field(repr=False)  # as the source has it: uint8 0-255 or float32 0-1 `y x channel`, or Pillow L or RGB
    label: int | None = None  # class index, None where unknown
    origin: str = ""  # the file, or the place in the array or data set

    @cached_property
    def pixels(self) -> np.ndarray:
        """uint8 0-255 `y x channel`: 3 channels are RGB, 1 is luminance, others are as an array gave them."""
        if isinstance(self.held, Image.Image):
            return to_array(self.held)
        return self.held if self.held.dtype == np.uint8 else np.rint(self.held * 255).astype(np.uint8)

    @property
    def images01(self) -> np.ndarray:
        """float32 0-1 `y x channel`, as exact as the source."""
        if isinstance(self.held, np.ndarray) and self.held.dtype != np.uint8:
            return self.held
        return self.pixels.astype(np.float32) / 255

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        if isinstance(self.held, Image.Image):
            return self.held.height, self.held.width
        return int(self.held.shape[0]), int(self.held.shape[1])


class Skip(NamedTuple):
    """An image (or file) that was left out, and why."""

    id: str
    reason: str


def printable(name: str) -> str:
    r"""A file name as Unicode that can be printed and stored: bytes that are not UTF-8 become `\xe9`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def to_array(image: Image.Image) -> np.ndarray:
    """The uint8 values `y x channel` of a Pillow image of mode L or RGB."""
    array = np.array(image)
    return array[..., None] if array.ndim == 2 else array
