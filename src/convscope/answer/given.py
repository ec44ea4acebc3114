"""What was given: which images, their labels as the network's classes, and the masks of what is in them?"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from convscope.errors import ImagesError, UsageError
from convscope.images import Images, Picture, Preprocess
from convscope.images import images as open_images
from convscope.images.arrays import numbered
from convscope.images.as_seen import as_seen
from convscope.images.datasets import Items
from convscope.network import Network


@dataclass(frozen=True, eq=False)
class _Pictures(Items):
    """Pictures and Pillow images; a Picture keeps its id, others are named by place."""

    @cached_property
    def ids(self) -> tuple[str, ...]:
        names = [
            getattr(one, "id", place) for one, place in zip(self.dataset, numbered(len(self.dataset)), strict=True)
        ]
        return tuple(names) if len(set(names)) == len(names) else tuple(numbered(len(names)))

    @property
    def name(self) -> str:
        return "pictures"


def opened(images: Any, network: Network, labels: Any = None, limit: int | None = None, seed: int = 0) -> Images:
    """The images that were given, labelled with the network's classes where their labels name such.

    A Picture, a Pillow image or a list of them, or whatever `convscope.images` opens.
    """
    several = [images] if isinstance(images, Picture | Image.Image) else images
    if isinstance(several, list | tuple) and any(isinstance(one, Picture | Image.Image) for one in several):
        source = _Pictures(list(several))
        several = Images(
            source, np.arange(len(source.ids)), np.full(len(source.ids), -1), label_source="each item's own"
        )
    found = open_images(several, labels=labels, limit=limit, seed=seed)
    return _labelled(found, network) if (found.labels >= 0).any() else found


def _labelled(images: Images, network: Network) -> Images:
    """The images with the network's classes as labels; without labels, where those are not known to be its classes."""
    names, classes = images.label_names, network.classes
    if network.n_classes == 1:
        return _yes_or_no(images, network)
    if classes is None:
        told = (names is None or len(names) == network.n_classes) and images.labels.max() < network.n_classes
        return images if told else open_images(images, labels=False)
    try:
        return images.match(classes, partial=True)
    except ImagesError:
        return open_images(images, labels=False)


def _yes_or_no(images: Images, network: Network) -> Images:
    """Labels for a network of one logit: 1 for its class, 0 for any other."""
    names, classes = images.label_names, network.classes
    if names is None:
        return images if images.labels.max() <= 1 else open_images(images, labels=False)
    yes = [] if classes is None else [i for i, name in enumerate(names) if name.casefold() == classes[0].casefold()]
    if not yes:
        return open_images(images, labels=False)
    labels = np.where(images.labels < 0, -1, np.isin(images.labels, yes).astype(np.int64))
    return replace(images, labels=labels, label_names=None)


Masks = Mapping[str, Any] | Sequence[Any] | str | os.PathLike[str] | np.ndarray | None


@dataclass(frozen=True, eq=False)
class MaskSource:
    """The mask of each image, where there is one: what should matter in it."""

    given: Masks = field(repr=False)

    def of(
        self, id: str, index: int, shape: tuple[int, int], preprocess: Preprocess, size: tuple[int, int]
    ) -> torch.Tensor | None:
        """The mask as the network sees it, truth values `y x` of `size`; None where there is none.

        `shape` is the size of the image as it was read. A mask of that size goes the image's own way (resize, crop); one of
        `size` is taken as it is. Raises UsageError for another size, ImagesError for one that cannot be read.
        """
        found = self._find(id, index)
        if found is None:
            return None
        mask = _as_mask(found)
        if mask.shape == shape:
            return torch.from_numpy(as_seen(shape, preprocess)(mask))
        if mask.shape != size:
            raise UsageError(
                f"A mask was given for the image '{id}'.",
                f"It is {mask.shape[0]} x {mask.shape[1]} pixels; the image is {shape[0]} x {shape[1]}.",
                f"Give one of the image's size, or of what the network sees ({size[0]} x {size[1]}).",
            )
        return torch.from_numpy(mask)

    def _find(self, id: str, index: int) -> Any:
        given = self.given
        if given is None:
            return None
        if isinstance(given, Mapping):
            return given.get(id)
        if isinstance(given, str | os.PathLike):
            return _file_of(Path(given), id)
        return given[index] if index < len(given) else None


def check_masks(masks: Masks, images: Images) -> MaskSource:
    """The masks. Raises UsageError or ImagesError where none of them belongs to an image, or a list has another length."""
    if isinstance(masks, Mapping) and masks and not set(masks) & set(images.ids):
        raise UsageError(
            "Masks were given by the names of images.",
            f"None of '{next(iter(masks))}' and {len(masks) - 1} others is an image here.",
            f"Name them as the images: '{images.ids[0]}' is the first.",
        )
    if isinstance(masks, str | os.PathLike):
        folder = Path(masks)
        if not folder.is_dir():
            raise ImagesError(f"Masks were to be read from '{folder}'.", "There is no such folder.", "Give one.")
        if not any(_file_of(folder, id) for id in images.ids):
            raise ImagesError(
                f"Masks were to be read from '{folder}'.",
                "No file in it is named like one of the images.",
                f"'{Path(images.ids[0]).stem}.png' would be the mask of the first.",
            )
    if isinstance(masks, Sequence | np.ndarray) and not isinstance(masks, str):
        single = isinstance(masks, np.ndarray) and masks.ndim == 2
        masks = [masks] if single else masks
        if len(masks) != len(images):
            raise UsageError(
                "Masks were given in a list.",
                f"There are {len(masks)} for {len(images)} images.",
                "Give one for each, or None.",
            )
    return MaskSource(masks)


def _file_of(folder: Path, id: str) -> Path | None:
    """The file whose path in the folder is the image's own, apart from its ending."""
    beside = folder / id
    names = [beside, *(beside.with_suffix(ending) for ending in (".png", ".bmp", ".tif", ".gif", ".npy", ".jpg"))]
    return next((path for path in names if path.is_file() and path.resolve().is_relative_to(folder.resolve())), None)


def _as_mask(given: Any) -> np.ndarray:
    """Truth values `y x`: what is not zero."""
    if isinstance(given, str | os.PathLike):
        try:
            if Path(given).suffix == ".npy":
                values = np.load(given, allow_pickle=False)
            else:
                with Image.open(given) as image:
                    values = np.asarray(image.convert("L") if image.mode in ("RGB", "RGBA", "LA") else image)
        except (OSError, ValueError) as error:
            raise ImagesError(f"The mask '{given}' was to be read.", f"{error}.", "Give a PNG or .npy file.") from error
    elif isinstance(given, torch.Tensor):
        values = given.detach().cpu().numpy()
    else:
        values = np.asarray(given)
    values = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
    if values.ndim != 2 or values.dtype == object:
        raise UsageError(
            "A mask was given.", f"Its shape is {values.shape}.", "A mask is `y x`, not zero where the object is."
        )
    return values != 0
