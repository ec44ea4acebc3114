"""How is the built-in world shown as a collection of images?  `images("builtin:world")`: scenes drawn when they are asked for."""

from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import numpy as np

from convscope.errors import UnknownNameError, UsageError
from convscope.images.decode import Decode
from convscope.images.labels import Labels
from convscope.images.picture import Picture, Skip
from convscope.images.world import Scenes, World

N_SCENES = 1000
CHUNK = 64  # scenes drawn together
PREFIX = "builtin:"


@dataclass(eq=False)
class WorldSource:
    """Scenes of a world by number. Scene 17 is the same picture however many there are."""

    world: World
    n: int = N_SCENES
    seed: int = 1

    @property
    def name(self) -> str:
        return f"{PREFIX}world?n={self.n}&seed={self.seed}"

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._id(index) for index in range(self.n))

    def _id(self, index: int) -> str:
        return f"scene-{self.seed}-{index:06d}"

    @property
    def left_out(self) -> tuple[Skip, ...]:
        return ()

    def read(self, index: int, decode: Decode) -> Picture:
        scenes = self._chunk(index // CHUNK)
        row = index % CHUNK
        label = int(scenes.labels[row])
        origin = f"scene {index} of the built-in world, seed {self.seed}"
        return Picture(id=self._id(index), held=scenes.images[row], label=label, origin=origin)

    def labels(self) -> Labels:
        every = np.concatenate([self._chunk(c).labels for c in range(-(-self.n // CHUNK))])[: self.n]
        return Labels(every.astype(np.int64), self.world.classes, "the built-in world")

    def size(self, index: int) -> int:
        return self.world.size[0] * self.world.size[1] * 3

    def content(self, index: int) -> bytes:
        return self._chunk(index // CHUNK).images[index % CHUNK].tobytes()

    def _chunk(self, number: int) -> Scenes:
        return chunk(self.world, self.seed, number)


def chunk(world: World, seed: int, number: int) -> Scenes:
    """Scenes that are drawn together; the last few thousand are kept, for whoever asks for pictures or masks of them."""
    with _DRAWING:
        return _drawn(world, seed, number)


def maps_of_chunk(world: World, seed: int, number: int) -> dict[str, np.ndarray]:
    """What their pixels show, by level."""
    scenes = chunk(world, seed, number)
    with _DRAWING:  # drawn when first asked for, by one thread
        return scenes.maps


_DRAWING = Lock()


@lru_cache(maxsize=64)
def _drawn(world: World, seed: int, number: int) -> Scenes:
    return world.scenes(CHUNK, seed, start=number * CHUNK)


def world_source(name: str) -> WorldSource:
    """The collection named `builtin:world`, `builtin:world?n=500&seed=3`.

    Raises UnknownNameError for another name, UsageError for an option it does not have.
    """
    body, _, query = name.removeprefix(PREFIX).partition("?")
    if body != "world":
        raise UnknownNameError("built-in collection of images", body, ["world"])
    options = {"n": N_SCENES, "seed": 1}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        if key not in ("n", "seed") or not value.isdecimal():
            raise UsageError(
                f"The images '{name}' were asked for.", f"'{part}' is not known.", "Write n=500 or seed=3."
            )
        options[key] = int(value)
    return WorldSource(World(), options["n"], options["seed"])
