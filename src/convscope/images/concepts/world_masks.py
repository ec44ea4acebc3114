"""Where is what in the scenes of the built-in world?  Exact, for it drew them: edges, curves, colours, textures, parts, objects."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import torch

from convscope.images.as_seen import as_seen
from convscope.images.concepts.concept import Concept, Masks, input_size, nothing_known
from convscope.images.picture import Picture, Skip
from convscope.images.preprocess import Preprocess
from convscope.images.scenes_source import CHUNK, maps_of_chunk
from convscope.images.world import CONCEPTS, World
from convscope.registry import register

CATEGORIES = {
    "edge": "orientation",
    "curve": "curve",
    "color": "colour",
    "texture": "texture",
    "part": "part",
    "object": "object",
}
_ID = re.compile(r"scene-(\d+)-(\d+)")


@register("concepts", "world")
@dataclass(frozen=True)
class WorldMasks:
    """What does each pixel of a scene show?  For `images("builtin:world")`, whose ids say which scene of which seed they are.

    Levels overlap: a pixel of an eye is one of a face, has a colour, and may be on an edge. Other images are not known.
    """

    world: World = field(default_factory=World)
    levels: tuple[str, ...] = tuple(CONCEPTS)

    per_pixel = True

    @property
    def concepts(self) -> tuple[Concept, ...]:
        return tuple(Concept(name, CATEGORIES[level]) for level in self.levels for name in self.world.concepts(level))

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        scene = _ID.fullmatch(picture.id)
        if scene is None or picture.shape != self.world.size:
            return nothing_known(len(self.concepts), input_size(inputs))
        maps = _maps(self.world, int(scene[1]), int(scene[2]))
        seen = as_seen(picture.shape, preprocess)
        values = np.concatenate(
            [
                seen(maps[level]) == np.arange(1, len(self.world.concepts(level)) + 1, dtype=np.uint8)[:, None, None]
                for level in self.levels
            ]
        )
        void = None if seen.inside.all() else np.broadcast_to(~seen.inside, values.shape)
        return Masks(values, np.ones(len(values), bool), void)

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        return ()


def _maps(world: World, seed: int, index: int) -> dict[str, np.ndarray]:
    """What the pixels of one scene show, by level: `y x`."""
    return {level: numbers[index % CHUNK] for level, numbers in maps_of_chunk(world, seed, index // CHUNK).items()}
