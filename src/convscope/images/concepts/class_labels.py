"""Which images are of a class?  Concepts that a whole image has: its class label."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch

from convscope.errors import ImagesError
from convscope.images.collection import Images
from convscope.images.concepts.concept import Concept, Masks, nothing_known
from convscope.images.picture import Picture, Skip
from convscope.images.preprocess import Preprocess
from convscope.registry import register


@register("concepts", "classes")
@dataclass(frozen=True)
class ClassLabels:
    """Which images are of this class?  By each image's own label; of an image without one nothing is known.

    `names` in the order of the labels, as `images.label_names`. A label beyond the names is skipped and said.
    """

    names: tuple[str, ...]
    category: str = "class"

    per_pixel = False

    @classmethod
    def of(cls, images: Images) -> "ClassLabels":
        """The classes of labelled images.  Raises ImagesError where no image has a label."""
        if images.label_names is not None:
            return cls(tuple(images.label_names))
        if not (images.labels >= 0).any():
            raise ImagesError(
                "Classes were asked for as concepts.",
                "No image has a label.",
                "Put the images into one folder per class, or give labels=...",
            )
        return cls(tuple(f"class {index}" for index in range(int(images.labels.max()) + 1)))

    @property
    def concepts(self) -> tuple[Concept, ...]:
        return tuple(Concept(name, self.category) for name in self.names)

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        n, label = len(self.names), picture.label
        if label is None:
            return nothing_known(n, None)
        if not 0 <= label < n:
            return nothing_known(n, None, [Skip(picture.id, f"label {label} has no name")])
        return Masks(np.arange(n) == label, np.ones(n, bool))

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        return ()
