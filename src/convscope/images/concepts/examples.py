"""Which images are examples of a concept?  A folder with a sub-folder for each, without masks."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from convscope.errors import ImagesError
from convscope.images.collection import Images
from convscope.images.collection import images as open_images
from convscope.images.concepts.concept import Concept, Masks, nothing_known
from convscope.images.files import list_folder
from convscope.images.picture import Picture, Skip, printable
from convscope.images.preprocess import Preprocess
from convscope.registry import register


@register("concepts", "examples")
@dataclass(frozen=True)
class Examples:
    """Which images are examples of `striped`, which of `wooden`?  `images` are the examples themselves, to be swept.

    An example of one concept says nothing of the others, which it may show too; with `exclusive`, as where it is opened by its
    name, it shows none of them. An image is an example by its id, its path within the folder; of others nothing is known.
    Raises ImagesError where there is no sub-folder with an image.
    """

    folder: str | os.PathLike[str]
    exclusive: bool = False
    category: str = "example"

    per_pixel = False

    def __post_init__(self) -> None:
        if not self.names:
            raise ImagesError(
                f"Examples of concepts were to be read from '{printable(Path(self.folder).name)}'.",
                "It has no sub-folder with images.",
                "Put the examples of each concept into a folder of the concept's name.",
            )

    @cached_property
    def images(self) -> Images:
        """All examples, labelled by concept; those that lie beside the sub-folders left out."""
        found = open_images(self.folder, labels=False)
        kept = [place for place, id in enumerate(found.ids) if "/" in id]
        return open_images(found[kept], labels=[id.partition("/")[0] for id in np.array(found.ids)[kept]])

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(id.partition("/")[0] for id in list_folder(self.folder).ids if "/" in id))

    @property
    def concepts(self) -> tuple[Concept, ...]:
        return tuple(Concept(name, self.category) for name in self.names)

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        n, name = len(self.names), picture.id.partition("/")[0]
        if picture.id not in self._ids:
            return nothing_known(n, None)
        own = np.array([other == name for other in self.names])
        return Masks(own, np.ones(n, bool) if self.exclusive else own.copy())

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        """Examples that are not among the images, and files that belong to no concept."""
        beside = [id for id in list_folder(self.folder).ids if "/" not in id]
        return (
            *(Skip(id, "it lies beside the concepts' folders") for id in beside),
            *(Skip(id, "it is not among the images") for id in sorted(self._ids - set(ids))),
        )

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(id for id in list_folder(self.folder).ids if "/" in id)
