"""Where are objects and their parts?  A folder of Pascal-Part masks as PNG: a part's pixels are its object's as well."""

import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convscope.errors import ImagesError
from convscope.images.as_seen import AsSeen
from convscope.images.concepts.concept import Concept, Masks, input_size, nothing_known
from convscope.images.concepts.label_maps import way_of
from convscope.images.concepts.mask_files import MaskFiles, read_numbers
from convscope.images.concepts.part_words import IN_HEAD, part_word
from convscope.images.picture import Picture, Skip
from convscope.images.preprocess import Preprocess
from convscope.registry import register


@dataclass(frozen=True, eq=False)
class _Listed:
    """What the numbers of one image's masks are."""

    objects: dict[int, tuple[str, ...]]  # the class of each instance
    parts: dict[int, tuple[str, ...]]  # the words for each part: its own, and the head's for what is in a face
    bare: frozenset[str]  # classes of the objects that have no part here


@register("concepts", "pascal_part")
@dataclass(frozen=True)
class PascalPart:
    """Where is each class, and each part of one (head, wheel, leg), with left and right taken together?

    The folder holds, for each image, NAME.json (objects and parts by number), NAME_instance.png and NAME_part.png. Parts of
    an image are not known where an object has none though its class has elsewhere: it was not annotated that finely. Raises
    ImagesError where there is no such folder.

    A map has one part a pixel, so parts are cut out of what they lie in. An eye, nose, ear, hair ... of an object that has a head
    is given back to the head; windows and lamps stay cut out of a vehicle's front and sides.
    """

    folder: str | os.PathLike[str]

    per_pixel = True

    def __post_init__(self) -> None:
        _ = self.concepts

    @cached_property
    def files(self) -> MaskFiles:
        root = Path(self.folder)
        return MaskFiles(root / "masks" if (root / "masks").is_dir() else root, ".json")

    @cached_property
    def listed(self) -> dict[str, _Listed | str]:
        """By an image's key; the reason where its list cannot be read."""
        return {key: _listed(path) for key, path in self.files.files.items()}

    @cached_property
    def concepts(self) -> tuple[Concept, ...]:
        good = [one for one in self.listed.values() if isinstance(one, _Listed)]
        if not good:
            raise ImagesError(
                f"Masks of Pascal-Part were to be read from '{self.files.folder.name}'.",
                f"None of its lists can be used; the first: {next(iter(self.listed.values()))}.",
                'Give a folder of NAME.json with "objects" and "parts", NAME_instance.png and NAME_part.png.',
            )
        objects = sorted({name for one in good for (name,) in one.objects.values()})
        parts = sorted({name for one in good for names in one.parts.values() for name in names})
        return (*(Concept(name, "object") for name in objects), *(Concept(name, "part") for name in parts))

    @cached_property
    def with_parts(self) -> frozenset[str]:
        """The classes of which some object has parts."""
        good = [one for one in self.listed.values() if isinstance(one, _Listed)]
        return frozenset(name for one in good for (name,) in one.objects.values() if name not in one.bare)

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        size = input_size(inputs)
        key = self.files.key_of(picture.id)
        if key is None:
            return nothing_known(len(self.concepts), size)
        listed = self.listed[key]
        if not isinstance(listed, _Listed):
            return nothing_known(len(self.concepts), size, [Skip(picture.id, listed)])
        known, skipped = np.ones(len(self.concepts), bool), []
        values, void = np.zeros((len(self.concepts), *size), bool), None
        for category, suffix, names in (("object", "instance", listed.objects), ("part", "part", listed.parts)):
            of_it = np.array([concept.category == category for concept in self.concepts])
            if category == "part" and listed.bare & self.with_parts:
                known[of_it] = False
                continue
            try:
                numbers = read_numbers(self.files.folder / f"{key}_{suffix}.png")
                seen = way_of(numbers.shape, picture.shape, size, preprocess)
            except ImagesError as error:
                known[of_it] = False
                skipped.append(Skip(picture.id, error.found))
                continue
            numbers = numbers if seen is None else seen(numbers)
            void = _beyond(seen, values.shape) if void is None else void
            self._draw(values, category, names, numbers)
            skipped += [
                Skip(picture.id, f"{category} {n} has no name; its pixels are counted as none")
                for n in sorted(set(np.unique(numbers).tolist()) - {0} - names.keys())
            ]
        return Masks(values, known, void, tuple(skipped))

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        return self.files.strays(ids)

    def _draw(self, values: np.ndarray, category: str, names: dict[int, tuple[str, ...]], numbers: np.ndarray) -> None:
        for number, words in names.items():
            for word in words:
                values[self.concepts.index(Concept(word, category))] |= numbers == number


def _beyond(seen: AsSeen | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """The border around the image, of which nothing is known."""
    return None if seen is None or seen.inside.all() else np.broadcast_to(~seen.inside, shape)


def _listed(path: Path) -> _Listed | str:
    try:
        read: dict[str, list[dict[str, Any]]] = json.loads(path.read_text("utf-8-sig"))
        objects = {int(one["id"]): str(one["class"]) for one in read["objects"]}
        words = {int(one["id"]): part_word(str(one["part"])) for one in read["parts"]}
        owner = {int(one["id"]): int(one["object"]) for one in read["parts"]}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return f"its list {path.name} cannot be used: {type(error).__name__}: {error}"
    headed = {owner[number] for number, word in words.items() if word == "head"}
    parts: dict[int, tuple[str, ...]] = {
        number: (word, "head") if word in IN_HEAD and owner[number] in headed else (word,)
        for number, word in words.items()
    }
    bare = frozenset(name for number, name in objects.items() if number not in owner.values())
    return _Listed({number: (name,) for number, name in objects.items()}, parts, bare)
