"""Where is each class of PASCAL VOC?  From its class maps, or its instance maps with the annotations that name the instances."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch

from convscope.errors import ImagesError
from convscope.images.concepts.concept import Concept, Masks, input_size, nothing_known
from convscope.images.concepts.label_maps import Numbering, way_of
from convscope.images.concepts.mask_files import MaskFiles, read_numbers, stem_of
from convscope.images.picture import Picture, Skip
from convscope.images.preprocess import Preprocess
from convscope.registry import register

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
VOID = 255  # the rims of objects, and what is too hard
_MAX_XML = 4_000_000  # bytes


@register("concepts", "voc")
@dataclass(frozen=True)
class VOC:
    """Where is each of the twenty classes, in a folder as VOC2012 (SegmentationClass, SegmentationObject, Annotations)?

    An image with a class map uses that. One with an instance map alone takes the class of instance n from the n-th object of its
    annotation. 0 is none of the classes, 255 is void. Raises ImagesError where there are neither maps.
    """

    folder: str | os.PathLike[str]

    per_pixel = True
    concepts = tuple(Concept(name, "object") for name in CLASSES)

    def __post_init__(self) -> None:
        _ = self.files

    @cached_property
    def files(self) -> tuple[MaskFiles | None, MaskFiles | None]:
        """Class maps and instance maps."""
        root = Path(self.folder)
        folders = [root / name for name in ("SegmentationClass", "SegmentationObject")]
        if not any(folder.is_dir() for folder in folders):
            raise ImagesError(
                f"Masks of PASCAL VOC were to be read from '{root.name}'.",
                "It has neither a folder SegmentationClass nor SegmentationObject.",
                "Give the folder that holds these, as VOCdevkit/VOC2012.",
            )
        classes, instances = (MaskFiles(folder) if folder.is_dir() else None for folder in folders)
        return classes, instances

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        size = input_size(inputs)
        try:
            numbers = self._classes_of(picture.id)
            if numbers is None:
                return nothing_known(len(CLASSES), size)
            seen = way_of(numbers.shape, picture.shape, size, preprocess)
        except ImagesError as error:
            return nothing_known(len(CLASSES), size, [Skip(picture.id, error.found)])
        return _NUMBERING.masks(picture.id, numbers, seen)

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        return tuple({skip.id: skip for files in self.files if files for skip in files.strays(ids)}.values())

    def _classes_of(self, id: str) -> np.ndarray | None:
        classes, instances = self.files
        path = classes.path_of(id) if classes else None
        if path is not None:
            return read_numbers(path)
        path = instances.path_of(id) if instances else None
        if path is None:
            return None
        annotation = Path(self.folder) / "Annotations" / f"{stem_of(path.name)}.xml"
        names = _objects(annotation)
        table = np.full(256, len(CLASSES) + 1)  # an instance beyond the annotation has no name
        table[[0, VOID]] = 0, VOID
        for instance, name in enumerate(names, start=1):
            table[instance] = CLASSES.index(name) + 1 if name in CLASSES else len(CLASSES) + 1
        return table[np.clip(read_numbers(path), 0, 255)]


def _objects(path: Path) -> list[str]:
    """The class of each object of an annotation, in order."""
    asked = f"The annotation '{path.name}' was to be read."
    try:
        if path.stat().st_size > _MAX_XML:
            raise ImagesError(asked, f"It has more than {_MAX_XML:,} bytes.")
        text = path.read_text("utf-8")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:  # entities can grow without bound
            raise ImagesError(asked, "It declares entities, which annotations do not need.")
        return [(found.findtext("name") or "").strip() for found in ElementTree.fromstring(text).iter("object")]
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise ImagesError(asked, f"Without it instances have no class: {error}.") from error


_NUMBERING = Numbering(dict(enumerate(CLASSES, start=1)), void=(VOID,))
