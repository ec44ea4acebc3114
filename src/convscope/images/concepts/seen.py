"""What is found in the image itself?  What the network sees, as an eye would: worked out once for all kinds of concepts."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from convscope.errors import UsageError
from convscope.images.concepts.concept import Concept, Masks
from convscope.images.concepts.filters import gradients
from convscope.images.concepts.oklab import oklab
from convscope.images.concepts.structure import Structure, structure
from convscope.images.picture import Picture, Skip
from convscope.images.preprocess import Preprocess


@dataclass(frozen=True, eq=False)
class Seen:
    """One image as the network sees it, its border included, in OKLab."""

    lab: np.ndarray  # float32 channel y x
    _gradients: dict[float, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)
    _structures: dict[tuple[float, float], Structure] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, preprocess: Preprocess, inputs: torch.Tensor) -> "Seen":
        """From what the network gets (`channel y x` or `1 channel y x`).

        Raises UsageError for inputs that are neither colour nor luminance.
        """
        if preprocess.n_channels not in (1, 3):
            raise UsageError(
                "Colours, edges and textures were to be found in the images.",
                f"The network takes {preprocess.n_channels} channels, which are no colours.",
                "Give masks of the concepts instead.",
            )
        image = inputs.detach().float().cpu()
        images01 = preprocess.denormalize(image if image.dim() == 4 else image[None])
        rgb01 = images01[0].permute(1, 2, 0).expand(-1, -1, 3).numpy()
        return cls(np.ascontiguousarray(oklab(rgb01).transpose(2, 0, 1)))

    def gradients(self, scale_px: float) -> tuple[np.ndarray, np.ndarray]:
        """The derivatives of the three channels down and to the right at a scale, each `channel y x`."""
        if scale_px not in self._gradients:
            self._gradients[scale_px] = gradients(self.lab, scale_px)
        return self._gradients[scale_px]

    def structure(self, scale_px: float, window_px: float) -> Structure:
        """The structure tensor of gradients at a scale, gathered over a window (both s.d.)."""
        asked = scale_px, window_px
        if asked not in self._structures:
            self._structures[asked] = structure(*self.gradients(scale_px), *asked)
        return self._structures[asked]


class FromPixels(ABC):
    """A source of concepts that are found in the image itself: all of them are known everywhere."""

    per_pixel = True

    @property
    @abstractmethod
    def concepts(self) -> tuple[Concept, ...]: ...

    @abstractmethod
    def found(self, seen: Seen) -> np.ndarray:
        """Where the concepts are, truth values `concept y x`."""

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        return Masks(self.found(Seen.of(preprocess, inputs)), np.ones(len(self.concepts), bool))

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        return ()


@dataclass(frozen=True)
class Together(FromPixels):
    """Several of them, which share what is worked out of an image."""

    parts: tuple[FromPixels, ...]

    @cached_property
    def concepts(self) -> tuple[Concept, ...]:
        return tuple(concept for part in self.parts for concept in part.concepts)

    def found(self, seen: Seen) -> np.ndarray:
        return np.concatenate([part.found(seen) for part in self.parts])
