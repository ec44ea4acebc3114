"""Which images are in this torch Dataset?"""

import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image

from convscope.errors import ImagesError, UsageError
from convscope.images.arrays import Arrays, from_array, numbered
from convscope.images.decode import Decode
from convscope.images.labels import Labels, from_values, no_labels
from convscope.images.picture import Picture, Skip
from convscope.images.values import as_held


@dataclass(frozen=True, eq=False)
class Items:
    """Images that are the items of a map-style torch Dataset: an image, (image, label, ...) or {"image", "label"}.

    Items are fetched one at a time, since few data sets may be read from several threads; give the folder itself
    where there is one. Labels come from `targets` (or `labels`) of the data set where it has them, and else with each
    item.
    """

    dataset: Any
    left_out: tuple[Skip, ...] = ()
    lock: Any = field(default_factory=threading.Lock)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        return tuple(numbered(len(self.dataset)))

    @property
    def name(self) -> str:
        return type(self.dataset).__name__

    def read(self, index: int, decode: Decode) -> Picture:
        with self.lock:
            try:
                image, label = _parts(self.dataset[index])
                if isinstance(image, Image.Image):
                    image.load()
            except Exception as error:  # whatever the user's own data set raises
                found = f"The data set {self.name} failed: {type(error).__name__}: {error}."
                raise ImagesError(f"The image '{self.ids[index]}' was to be read.", found) from error
        return Picture(self.ids[index], as_held(image, decode, keep=True), _label(label), f"{self.name}, item {index}")

    def labels(self) -> Labels:
        targets = _targets(self.dataset)
        if targets is None:
            return no_labels(len(self.ids), "each item's own, as it is read")
        known = from_values(list(targets), f"the targets of {self.name}")
        names = getattr(_innermost(self.dataset), "classes", None)
        if known.names is None and isinstance(names, (list, tuple)) and known.indices.max(initial=-1) < len(names):
            return Labels(known.indices, tuple(map(str, names)), known.source)
        return known

    def size(self, index: int) -> int:
        return 0  # not known without reading

    def content(self, index: int) -> bytes:
        return self.read(index, Decode()).images01.tobytes()


def from_dataset(dataset: Any) -> Items | Arrays:
    """The items of a map-style Dataset.  The first is read twice.

    Raises UsageError for a data set without length, ImagesError for one that is empty, or whose items change from one
    reading to the next: a measurement needs the same image for the same id.
    """
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise UsageError(
            f"Images were to be read from a {type(dataset).__name__}.",
            "It has no length or no items by number.",
            "Give a folder, a list of files, an array, a tensor, or a map-style torch Dataset.",
        )
    if isinstance(dataset, torch.utils.data.TensorDataset):
        images, *rest = dataset.tensors
        known = (
            from_values(rest[0].tolist(), "the second tensor of a TensorDataset")
            if rest and rest[0].ndim == 1
            else None
        )
        return from_array(images, "a TensorDataset", known)
    items = Items(dataset)
    if not len(dataset):
        raise ImagesError(
            f"Images were to be read from the data set {items.name}.", "It is empty.", "Give one with items."
        )
    first, again = items.read(0, Decode()).images01, items.read(0, Decode()).images01
    if first.shape != again.shape or not np.array_equal(first, again):
        raise ImagesError(
            f"Images were to be read from the data set {items.name}.",
            "Its first item changes from one reading to the next.",
            "Leave random augmentations out of its transform.",
        )
    return items


def _parts(item: Any) -> tuple[Any, Any]:
    if isinstance(item, dict):
        image = next((item[key] for key in ("image", "img", "pixel_values", "x") if key in item), None)
        return image, next((item[key] for key in ("label", "labels", "target", "y") if key in item), None)
    if isinstance(item, (tuple, list)):
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def _label(label: Any) -> int | None:
    """A class index, or None for anything else (a box, a mask, a name, -1)."""
    if hasattr(label, "item") and np.prod(np.shape(label)) == 1:
        label = label.item()
    return int(label) if isinstance(label, int) and label >= 0 else None


def _targets(dataset: Any) -> Any:
    """The labels a data set keeps beside its items; through `Subset`, which picks some of another's."""
    if hasattr(dataset, "dataset") and hasattr(dataset, "indices"):
        inner = _targets(dataset.dataset)
        return None if inner is None else [inner[index] for index in dataset.indices]
    for name in ("targets", "labels"):
        found = getattr(dataset, name, None)
        if found is not None and not callable(found) and len(found) == len(dataset) and np.ndim(found) == 1:
            return found
    return None


def _innermost(dataset: Any) -> Any:
    while hasattr(dataset, "dataset") and hasattr(dataset, "indices"):
        dataset = dataset.dataset
    return dataset
