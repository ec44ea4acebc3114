"""Which scenes can be drawn, and what does each pixel of them show?  The built-in world."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from convscope.errors import UsageError
from convscope.images.world.concepts import CLASSES, CONCEPTS, concepts_of, number_of
from convscope.images.world.drawing import draw_scenes
from convscope.images.world.parameters import N_CLUTTER, draw

CHUNK_PIXELS = 1 << 21  # pixels drawn by one thread at a time
Range = tuple[float, float]


@dataclass(frozen=True)
class World:
    """A world of scenes: one object of a known class each, over a background, among loose things.

    Every range is that of a parameter of the scene; fractions of a length are of the picture's shorter side.
    """

    size: tuple[int, int] = (64, 64)  # y, x in pixels, 16 to 256 each
    center_frac: Range = (0.4, 0.6)  # the object's centre, as a fraction of height and width
    scale_frac: Range = (0.6, 0.9)  # the object's extent
    rotation_deg: Range = (-25.0, 25.0)  # counter-clockwise
    mirrored_share: float = 0.5  # of the scenes whose object faces left
    aspect_ratio: Range = (0.87, 1.15)  # width against height, beyond the object's own
    warp_frac: Range = (0.0, 0.025)  # how far the deformation moves a point
    flat_share: float = 0.4  # of the surfaces without texture
    object_period_frac: Range = (0.09, 0.16)  # period of the object's texture, at scale 1
    background_period_frac: Range = (0.1, 0.3)
    background_gradient_frac: Range = (0.0, 0.25)
    shade_frac: Range = (0.85, 1.05)  # lightness of the background, as a factor
    clutter_count: tuple[int, int] = (0, 5)  # loose things behind the object; at most 6
    clutter_size_frac: Range = (0.05, 0.12)  # their half extent
    occluder_count: tuple[int, int] = (0, 1)  # loose things in front; at most 1
    brightness_frac: Range = (-0.1, 0.1)  # added, of the full range
    contrast_frac: Range = (0.7, 1.05)  # factor about mid-grey
    light_frac: Range = (0.0, 0.3)  # slope of the light, from the middle to the border
    cast_frac: Range = (0.0, 0.12)  # strength of the lamp's color
    noise_frac: Range = (0.0, 0.035)  # s.d. of the camera's noise, of the full range

    def __post_init__(self) -> None:
        if not all(16 <= side <= 256 for side in self.size):
            raise UsageError(f"A world of size {self.size} was asked for.", "", "Both sides must be 16 to 256 pixels.")
        for name, most in (("clutter_count", N_CLUTTER - 1), ("occluder_count", 1)):
            low, high = getattr(self, name)
            if not 0 <= low <= high <= most:
                raise UsageError(f"{name}={(low, high)} was asked for.", "", f"It must be a range within 0 to {most}.")

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of their labels."""
        return CLASSES

    def concepts(self, level: str) -> tuple[str, ...]:
        """The concepts of a level: edge, curve, color, texture, part or object. Raises UnknownNameError."""
        return concepts_of(level)

    def scenes(self, n: int, seed: int = 0, start: int = 0, **fixed: Any) -> "Scenes":
        """Scenes `start` to `start + n` of a seed; a scene is the same in whatever chunk it is drawn.

        `fixed` sets parameters by name, for all scenes or one by one: `rotation_deg=30`, `label="face"`,
        `center_x_px=np.linspace(10, 50, n)`. The other parameters stay as they were.
        Raises UnknownNameError for an unknown parameter or choice, UsageError for values of the wrong shape or range.
        """
        if n < 0 or start < 0:
            raise UsageError(f"n={n} scenes from start={start} were asked for.", "", "Both must be 0 or more.")
        parameters = draw(self, n, seed, start, fixed)
        images = np.empty((n, *self.size, 3), np.uint8)
        for rows, pictures, _ in _drawn(parameters, self.size, with_maps=False):
            images[rows] = pictures
        return Scenes(self, images, parameters["label"], parameters)


@dataclass(frozen=True, eq=False)
class Scenes:
    """Pictures, labels, parameters and, drawn when first asked for, what each pixel shows."""

    world: World
    images: np.ndarray  # batch y x channel, uint8, RGB
    labels: np.ndarray  # (batch,): index into world.classes
    parameters: dict[str, np.ndarray]  # by name, (batch,) or (batch, width); units are in the names

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice | np.ndarray | list[int]) -> "Scenes":
        """Some of the scenes."""
        parameters = {name: values[rows] for name, values in self.parameters.items()}
        return Scenes(self.world, self.images[rows], self.labels[rows], parameters)

    @cached_property
    def maps(self) -> dict[str, np.ndarray]:
        """What each pixel shows, by level: batch y x, uint8: the concept's number in its level, 0 for none."""
        maps = {level: np.empty(self.images.shape[:3], np.uint8) for level in CONCEPTS}
        for rows, _, drawn in _drawn(self.parameters, self.world.size, with_maps=True):
            for level, numbers in drawn.items():
                maps[level][rows] = numbers
        return maps

    def mask(self, level: str, concept: str) -> np.ndarray:
        """Where is this concept visible?  Batch y x, bool. Raises UnknownNameError for a level or concept."""
        number = number_of(level, concept)
        return self.maps[level] == number

    def masks(self, level: str) -> "Masks":
        """All masks of a level by name, each made when looked up. Raises UnknownNameError for a level."""
        concepts_of(level)
        return Masks(self, level)


@dataclass(frozen=True, eq=False)
class Masks(Mapping[str, np.ndarray]):
    """The masks of one level, by concept: batch y x, bool."""

    scenes: Scenes
    level: str

    def __getitem__(self, concept: str) -> np.ndarray:
        return self.scenes.mask(self.level, concept)

    def __iter__(self) -> Iterator[str]:
        return iter(concepts_of(self.level))

    def __len__(self) -> int:
        return len(concepts_of(self.level))


def _drawn(
    parameters: dict[str, np.ndarray], size: tuple[int, int], *, with_maps: bool
) -> Iterator[tuple[slice, np.ndarray, dict[str, np.ndarray]]]:
    """Rows, pictures and maps, chunk by chunk; drawn by as many threads as there are processors."""
    n_chunk = max(1, CHUNK_PIXELS // (size[0] * size[1]))
    chunks = [slice(start, start + n_chunk) for start in range(0, len(parameters["label"]), n_chunk)]

    def one(rows: slice) -> tuple[slice, np.ndarray, dict[str, np.ndarray]]:
        pictures, maps = draw_scenes({k: v[rows] for k, v in parameters.items()}, size, with_maps=with_maps)
        return rows, pictures, maps

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(one, chunks)
