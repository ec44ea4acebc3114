"""Which pixel of an image lies under each pixel of a network's input?  So masks of an image's size go the image's own way."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from PIL import Image

from convscope.images.geometry import crop_start, resized_shape
from convscope.images.preprocess import Preprocess


@dataclass(frozen=True, eq=False)
class AsSeen:
    """Called with values `... y x` of an image's size; returns `... y x` of what the network sees of it, 0 beyond the image.

    Resized by taking the nearest pixel, whatever the recipe smooths images with: a label is not averaged.
    """

    rows: np.ndarray  # int64, the image's row under each row of the input; -1 beyond the image
    columns: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the input."""
        return len(self.rows), len(self.columns)

    @cached_property
    def inside(self) -> np.ndarray:
        """Where the input shows the image and no border, truth values `y x`."""
        return (self.rows >= 0)[:, None] & (self.columns >= 0)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        seen = np.take(np.take(values, self.rows, axis=-2), self.columns, axis=-1)
        if not self.inside.all():
            seen[..., ~self.inside] = 0
        return seen


def as_seen(shape: tuple[int, int], preprocess: Preprocess) -> AsSeen:
    """How an image of this (height, width) reaches the network."""
    recipe = (preprocess.resize, preprocess.fit, preprocess.crop, preprocess.center)
    return _way(shape, *recipe)


@lru_cache(maxsize=256)
def _way(
    shape: tuple[int, int], resize: int | tuple[int, int] | None, fit: str, crop: tuple[int, int] | None, center: str
) -> AsSeen:
    resized = resized_shape(shape, resize, fit)
    wanted = crop or resized
    places = (_places(*sides, center) for sides in zip(shape, resized, wanted, strict=True))
    return AsSeen(*places)


def _places(length: int, resized: int, crop: int, center: str) -> np.ndarray:
    """The pixel of a line of `length` under each pixel of its resized centre crop; -1 beyond it."""
    line = Image.fromarray(np.arange(length, dtype=np.int32)[None])  # Pillow itself, so that its rounding is ours
    nearest = np.asarray(line.resize((resized, 1), Image.Resampling.NEAREST))[0]
    wanted = np.arange(crop) + crop_start(resized, crop, center)
    within = (wanted >= 0) & (wanted < resized)
    return np.where(within, nearest[np.clip(wanted, 0, resized - 1)], -1).astype(np.int64)
