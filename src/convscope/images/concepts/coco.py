"""Where is each category of a COCO file?  Instances joined by category; crowds are void."""

import json
import os
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convscope.errors import ImagesError, InputError
from convscope.images.as_seen import AsSeen
from convscope.images.concepts.concept import Concept, Masks, input_size, nothing_known
from convscope.images.concepts.label_maps import way_of
from convscope.images.concepts.runs import from_segmentation
from convscope.images.picture import Picture, Skip, printable
from convscope.images.preprocess import Preprocess
from convscope.registry import register

_MAX_PIXELS = 100_000_000


@register("concepts", "coco")
@dataclass(frozen=True)
class COCO:
    """Where is each category of a COCO file (instances_val2017.json)?  Polygons, run lengths and crowds; overlap allowed.

    All annotations of a category in an image are one mask. A crowd is a region whose single things are not told apart,
    roughly drawn: its pixels are void for that category. An image that is listed without annotations shows none of the
    categories; of one that is not listed nothing is known. An annotation that cannot be used is skipped, and its category is
    not known in that image. Raises InputError for a file that cannot be read or is no such file.
    """

    file: str | os.PathLike[str]

    per_pixel = True

    def __post_init__(self) -> None:
        _ = self.contents

    @cached_property
    def contents(self) -> "Contents":
        path = Path(self.file)
        asked = f"Annotations were to be read from '{printable(path.name)}'."
        try:
            read = json.loads(path.read_text("utf-8-sig"))
            return _contents(read)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}" if isinstance(error, LookupError) else str(error)
            hint = "Give a file with images, annotations and categories, as COCO's instances_val2017.json."
            raise InputError(asked, f"That failed: {reason}.", hint) from error

    @property
    def concepts(self) -> tuple[Concept, ...]:
        return self.contents.concepts

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        size = input_size(inputs)
        found = self.contents.image_of(picture.id)
        if found is None:
            return nothing_known(len(self.concepts), size)
        told = (int(found["height"]), int(found["width"]))
        try:
            seen = way_of(told, picture.shape, size, preprocess)
        except ImagesError as error:
            return nothing_known(len(self.concepts), size, [Skip(picture.id, error.found)])
        return self._drawn(picture.id, found["id"], told, size, seen)

    def _drawn(self, name: str, key: Any, told: tuple[int, int], size: tuple[int, int], seen: AsSeen | None) -> Masks:
        n = len(self.concepts)
        values, known, skipped = np.zeros((n, *size), bool), np.ones(n, bool), []
        crowds: dict[int, np.ndarray] = {}
        for annotation in self.contents.annotations.get(key, ()):
            place = self.contents.places.get(str(annotation.get("category_id")))
            if place is None:
                skipped.append(Skip(name, f"annotation {annotation.get('id')}: its category has no name"))
                continue
            try:
                mask = from_segmentation(annotation.get("segmentation"), told)
            except (ValueError, TypeError, OverflowError) as error:
                skipped.append(Skip(name, f"annotation {annotation.get('id')}: {error}"))
                known[place] = False
                continue
            mask = mask if seen is None else seen(mask)
            if annotation.get("iscrowd"):
                crowds[place] = mask | crowds.get(place, False)
            else:
                values[place] |= mask
        values[~known] = False
        return Masks(values, known, _void(values, crowds, seen), tuple(skipped))

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        wanted = {id(self.contents.image_of(name)) for name in ids}
        listed = self.contents.images.values()
        keys = {one["id"] for one in listed}
        unlisted = [key for key in self.contents.annotations if key not in keys]
        return (
            *(
                Skip(str(one["file_name"]), "no image looked at has its name")
                for one in listed
                if id(one) not in wanted
            ),
            *(Skip(f"image {key}", "it has annotations and is not listed") for key in unlisted),
        )


def _void(values: np.ndarray, crowds: dict[int, np.ndarray], seen: AsSeen | None) -> np.ndarray | None:
    """Crowds where nothing else of the category is, and the border around the image."""
    beyond = np.zeros(values.shape[1:], bool) if seen is None else ~seen.inside
    if not crowds:
        return np.broadcast_to(beyond, values.shape) if beyond.any() else None
    void = np.repeat(beyond[None], len(values), axis=0)
    for place, mask in crowds.items():
        void[place] |= mask & ~values[place]
    return void


@dataclass(frozen=True, eq=False)
class Contents:
    """What a COCO file holds, by what is looked up."""

    concepts: tuple[Concept, ...]
    places: dict[str, int]  # by a category's id
    images: dict[str, dict[str, Any]]  # by file name
    annotations: dict[Any, list[dict[str, Any]]]  # by an image's id

    @cached_property
    def by_name(self) -> dict[str, dict[str, Any] | None]:
        """Images by the last part of the file name; None where two share it."""
        names: dict[str, dict[str, Any] | None] = {}
        for file, image in self.images.items():
            name = file.rpartition("/")[2]
            names[name] = None if name in names else image
        return names

    def image_of(self, name: str) -> dict[str, Any] | None:
        return self.images.get(name) or self.by_name.get(name.rpartition("/")[2])


def _contents(read: dict[str, Any]) -> Contents:
    categories = sorted(read["categories"], key=lambda one: one["id"])
    names = list(dict.fromkeys(str(one["name"]) for one in categories))
    if not names:
        raise ValueError("it names no category")
    images = {str(one["file_name"]): one for one in read["images"]}
    for one in images.values():
        if not 0 < int(one["height"]) * int(one["width"]) <= _MAX_PIXELS:
            raise ValueError(f"the image '{one['file_name']}' is said to have {one['height']} x {one['width']} pixels")
    annotations = defaultdict(list)
    for annotation in read["annotations"]:
        annotations[annotation["image_id"]].append(annotation)
    places = {str(one["id"]): names.index(str(one["name"])) for one in categories}
    return Contents(tuple(Concept(name, "object") for name in names), places, images, dict(annotations))
