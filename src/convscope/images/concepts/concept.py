"""What is a concept, where is it in an image, and what can be asked?  The words that all sources of concepts share."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from convscope.images.picture import Picture, Skip
from convscope.images.preprocess import Preprocess


@dataclass(frozen=True, order=True)
class Concept:
    """Something labelled in images.

    Categories: colour, brightness, orientation, scale, corner, curve, texture, material, part, object, scene, class, example,
    text. Two concepts of one name and different categories are two concepts.
    """

    name: str
    category: str

    def __str__(self) -> str:
        return f"{self.category}: {self.name}"


@dataclass(frozen=True, eq=False)
class Masks:
    """Where the concepts of a source are in one image.

    Per pixel: `values` has the size of the network's input; concepts may overlap. Per image: `values` has the shape (concept,).
    """

    values: np.ndarray  # bool, concept y x; or concept
    known: np.ndarray  # bool, concept; False: nothing is known of that concept in this image
    void: np.ndarray | None = None  # bool, concept y x: pixels of which nothing is known; None: there are none
    skipped: tuple[Skip, ...] = field(
        default=()
    )  # what was given for this image and could not be used, with the reason


class Source(Protocol):
    """Where concepts come from.  Reading is safe from several threads."""

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """All concepts, in the order of the masks' first axis."""

    @property
    def per_pixel(self) -> bool:
        """Whether masks are `concept y x`, or one truth value an image."""

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        """The masks of one image: as read, with the recipe, and as the network gets it (`channel y x` or `1 channel y x`).

        What cannot be used is in `skipped`, and its concepts are not known in this image; nothing is raised for one image.
        """

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        """What the source has for images that are not among these ids."""


def input_size(inputs: torch.Tensor) -> tuple[int, int]:
    """(height, width) of a network's input."""
    return int(inputs.shape[-2]), int(inputs.shape[-1])


def nothing_known(n_concepts: int, size: tuple[int, int] | None, skipped: Sequence[Skip] = ()) -> Masks:
    """Masks of an image of which the source knows nothing; of a size, or per image."""
    shape = (n_concepts, *(size or ()))
    return Masks(np.zeros(shape, bool), np.zeros(n_concepts, bool), skipped=tuple(skipped))


@dataclass(frozen=True)
class Several:
    """Several sources as one: their concepts one after the other.  All of them per pixel, or all per image."""

    sources: tuple[Source, ...]

    @property
    def concepts(self) -> tuple[Concept, ...]:
        return tuple(concept for source in self.sources for concept in source.concepts)

    @property
    def per_pixel(self) -> bool:
        return self.sources[0].per_pixel

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        every = [source.masks(picture, preprocess, inputs) for source in self.sources]
        return Masks(
            np.concatenate([one.values for one in every]),
            np.concatenate([one.known for one in every]),
            None if all(one.void is None for one in every) else np.concatenate([_void(one) for one in every]),
            tuple(skip for one in every for skip in one.skipped),
        )

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        return tuple(skip for source in self.sources for skip in source.strays(ids))


def _void(masks: Masks) -> np.ndarray:
    return np.zeros_like(masks.values) if masks.void is None else np.broadcast_to(masks.void, masks.values.shape)
