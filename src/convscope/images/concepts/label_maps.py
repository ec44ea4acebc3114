"""Where is each class of a label map?  One number a pixel, as CamVid, ADE20K, Cityscapes and PASCAL VOC write them."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from convscope.errors import ImagesError, InputError
from convscope.images.as_seen import AsSeen, as_seen
from convscope.images.concepts.concept import Concept, Masks, input_size, nothing_known
from convscope.images.concepts.label_names import Names, label_names
from convscope.images.concepts.mask_files import MaskFiles, read_numbers
from convscope.images.picture import Picture, Skip
from convscope.images.preprocess import Preprocess
from convscope.registry import register

VOID_NAMES = frozenset(("unlabelled", "unlabeled", "void", "ignore", "ignored", "unknown"))
_FOLDERS, _FILES = ("labels", "annotations", "masks"), ("classes.json", "objectInfo150.csv", "objectInfo150.txt")


@dataclass(frozen=True, eq=False)
class Numbering:
    """What do the numbers of a label map mean?  Of a named one its concept; of others nothing, or that nothing is known."""

    names: Mapping[int, str]
    category: str | Mapping[str, str] = "object"  # of all, or by name (others are objects)
    void: tuple[int, ...] = (255,)  # numbers that say nothing; those called void, unlabelled ... too
    background: tuple[int, ...] = (0,)  # numbers without a name that are none of the concepts

    @cached_property
    def numbers(self) -> np.ndarray:
        """The numbers that are concepts, in order; two numbers of one name are two entries."""
        return np.array([n for n, name in sorted(self.names.items()) if n not in self.void and not _is_void(name)], int)

    @cached_property
    def concepts(self) -> tuple[Concept, ...]:
        names = dict.fromkeys(self.names[int(n)] for n in self.numbers)
        category = self.category
        return tuple(
            Concept(name, category if isinstance(category, str) else category.get(name, "object")) for name in names
        )

    @cached_property
    def places(self) -> dict[int, int]:
        """The place of each number's concept."""
        order = {concept.name: place for place, concept in enumerate(self.concepts)}
        return {int(n): order[self.names[int(n)]] for n in self.numbers}

    def masks(self, id: str, numbers: np.ndarray, seen: AsSeen | None) -> Masks:
        """The masks of one label map `y x`, as the network sees it; None: it is as the network sees it already."""
        skipped = []
        table, nameless = {**self.places}, []
        for number, count in zip(*np.unique(numbers, return_counts=True), strict=True):
            if number in table:
                continue
            known = number in self.background and number not in self.names
            table[int(number)] = -1 if known else -2
            if not known and number not in self.names and number not in self.void:
                nameless.append(f"label {number} has no name; its {count:,} pixels are not counted")
        skipped = [Skip(id, said) for said in nameless]
        keys = np.array(sorted(table), int)
        places = np.array([table[int(key)] for key in keys], int)[np.searchsorted(keys, numbers)]
        places = places if seen is None else np.where(seen.inside, seen(places), -2)
        n = len(self.concepts)
        values = places == np.arange(n)[:, None, None]
        void = places == -2
        return Masks(
            values,
            np.ones(n, bool),
            np.broadcast_to(void, values.shape) if void.any() else None,
            tuple(skipped),
        )


@register("concepts", "labels")
@dataclass(frozen=True)
class LabelMaps:
    """Where is each class of a folder of label maps (index PNGs named as the images)?

    `names` says what the numbers are called; it is found beside the maps if it is called classes.json or objectInfo150.csv.
    `folder` may be that of the data set, with the maps in `labels`. A map has the image's size, or that of the network's
    input. Pixels of a number without a name, and those of void, are not counted. Raises ImagesError or InputError for a
    folder or names that are not there.
    """

    folder: str | os.PathLike[str]
    names: Names | None = None
    category: str | Mapping[str, str] = field(default="object", hash=False)
    void: tuple[int, ...] = (255,)
    background: tuple[int, ...] = (0,)
    ending: str = ".png"

    per_pixel = True

    def __post_init__(self) -> None:
        _ = self.files, self.concepts  # what is not there is said now

    @cached_property
    def files(self) -> MaskFiles:
        root = Path(self.folder)
        inside = next((root / name for name in _FOLDERS if (root / name).is_dir()), root)
        return MaskFiles(inside, self.ending)

    @cached_property
    def numbering(self) -> Numbering:
        names = self.names
        if names is None:
            near = (self.files.folder, self.files.folder.parent)
            names = next((folder / name for folder in near for name in _FILES if (folder / name).is_file()), None)
        if names is None:
            raise InputError(
                f"Label maps were to be read from '{self.files.folder.name}'.",
                f"There is no {' or '.join(_FILES)} that says what their numbers are called.",
                'Give names={0: "sky", 1: "building"}, or a file with them.',
            )
        return Numbering(label_names(names), self.category, tuple(self.void), tuple(self.background))

    @property
    def concepts(self) -> tuple[Concept, ...]:
        return self.numbering.concepts

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        size = input_size(inputs)
        path = self.files.path_of(picture.id)
        if path is None:
            return nothing_known(len(self.concepts), size)
        try:
            numbers = read_numbers(path)
            seen = way_of(numbers.shape, picture.shape, size, preprocess)
        except ImagesError as error:
            return nothing_known(len(self.concepts), size, [Skip(picture.id, error.found)])
        return self.numbering.masks(picture.id, numbers, seen)

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        return self.files.strays(ids)


def way_of(
    mask: tuple[int, ...], image: tuple[int, int], size: tuple[int, int], preprocess: Preprocess
) -> AsSeen | None:
    """How a mask of this shape reaches the network: the image's own way, or as it is (None).

    Raises ImagesError where it has neither the image's size nor that of the network's input.
    """
    if mask == image:
        return as_seen(image, preprocess)
    if mask == size:
        return None
    raise ImagesError(
        "A mask was given.",
        f"The mask is {mask[0]} x {mask[1]} pixels; the image is {image[0]} x {image[1]}.",
        f"Give one of the image's size, or of what the network sees ({size[0]} x {size[1]}).",
    )


def _is_void(name: str) -> bool:
    return name.casefold() in VOID_NAMES
