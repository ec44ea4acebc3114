"""What is shown to the network?  A list of images with ids and labels, read one by one when asked for."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

from convscope.errors import ConvscopeError, ImagesError, UnknownNameError, UsageError
from convscope.images.archives import is_archive, read_archive
from convscope.images.arrays import from_array
from convscope.images.classes import Classes
from convscope.images.datasets import from_dataset
from convscope.images.decode import Decode
from convscope.images.files import is_folder, list_files, list_folder
from convscope.images.labels import Labels, given_labels, no_labels
from convscope.images.picture import Picture, Skip, printable
from convscope.images.sample import hashed_order, sample
from convscope.images.scenes_source import PREFIX, world_source
from convscope.images.source import Source
from convscope.images.stream import Batch, stream

# Files whose whole content enters a fingerprint; of the others only the id and the size do.
N_HASHED = 64
DECODE = Decode()


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """Which images, under which ids, of which class?  Nothing is decoded until an image is asked for.

    `images[3]` or `images["cat/1.jpg"]` is a Picture; `images[10:20]`, an array of places or of truth values is a
    sub-set, whose ids and labels are the same as before.
    """

    source: Source
    places: np.ndarray  # int64, which of the source's images, in which order
    labels: np.ndarray  # int64 class index of each, -1 where unknown
    label_names: tuple[str, ...] | None = None  # what labels count; None for bare indices, or no labels
    label_source: str = "none"  # how the labels were obtained, in words
    decode: Decode = DECODE
    unmatched: tuple[str, ...] = ()  # label names that `match` found no class for; their images are unlabelled

    def __len__(self) -> int:
        return len(self.places)

    def __repr__(self) -> str:
        n_labelled = int((self.labels >= 0).sum())
        return f"Images({len(self):,} images, {n_labelled:,} labelled; labels from: {self.label_source})"

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """One unique name per image: the path relative to the folder, or a zero-padded number.  Fit for JSON."""
        every = self.source.ids
        return tuple(every[place] for place in self.places)

    @property
    def skipped(self) -> tuple[Skip, ...]:
        """Files that were found and not taken as images, with the reason.  Damaged ones are met later, by `stream`."""
        return self.source.left_out

    @overload
    def __getitem__(self, key: "int | str | np.integer[Any]") -> Picture: ...
    @overload
    def __getitem__(self, key: "slice | Sequence[int] | np.ndarray") -> "Images": ...
    def __getitem__(self, key: Any) -> "Picture | Images":
        if isinstance(key, str):
            return self.picture(self.index_of(key))
        if isinstance(key, (int, np.integer)):
            return self.picture(int(key))
        chosen = key if isinstance(key, slice) else np.asarray(key)
        if not isinstance(chosen, slice) and chosen.size == 0:
            chosen = slice(0)
        return replace(self, places=self.places[chosen], labels=self.labels[chosen])

    def __iter__(self) -> Iterator[Picture]:
        return (self.picture(index) for index in range(len(self)))

    def picture(self, index: int) -> Picture:
        """The image at this place.  Raises IndexError beyond the last, ImagesError when it cannot be read."""
        picture = self.source.read(int(self.places[index]), self.decode)
        label = int(self.labels[index])
        return picture if label < 0 and self._own_labels else replace(picture, label=label if label >= 0 else None)

    def index_of(self, id: str) -> int:
        """The place of an id.  Raises UnknownNameError with the nearest ids."""
        try:
            return self.ids.index(id)
        except ValueError:
            raise UnknownNameError("image", id, self.ids) from None

    def limited(self, limit: int, seed: int = 0) -> "Images":
        """A sample of at most `limit` images, classes balanced; a smaller limit gives a part of a larger one's."""
        if limit < 1:
            raise UsageError(
                f"A sample of {limit} images was asked for.", "That is none.", "Give a limit of at least 1."
            )
        return self[sample(self.ids, self.labels, limit, seed)]

    def match(self, classes: "Classes | Sequence[str]", *, partial: bool = False) -> "Images":
        """The same images with the network's own class indices as labels.

        Label names are looked up by name, WordNet id or index (see Classes.index_of); bare indices are checked for
        range. Names without a class raise ImagesError, listed with the nearest names, or, if `partial`, leave their
        images unlabelled; two names for one class raise ImagesError as well.
        """
        classes = Classes.of(classes)
        if self.label_names is None:
            if self.labels.max(initial=-1) >= len(classes):
                raise ImagesError(
                    f"Labels from {self.label_source} were matched to {len(classes)} classes.",
                    f"The largest label is {self.labels.max()}; the classes are 0 to {len(classes) - 1}.",
                    "Give the labels by name, or the right classes.",
                )
            return replace(self, label_names=classes.names if (self.labels >= 0).any() else None)
        table, unmatched = _matched(
            [self.label_names[label] for label in np.unique(self.labels[self.labels >= 0])], classes
        )
        if unmatched and not (partial and table):
            raise _no_class(unmatched, len(table) + len(unmatched), classes)
        indices = np.array([*(table.get(name, -1) for name in self.label_names), -1])  # the last is for -1, unknown
        source = f"{self.label_source}, matched to the network's classes"
        return replace(
            self,
            labels=indices[self.labels],
            label_names=classes.names,
            label_source=source,
            unmatched=tuple(unmatched),
        )

    def stream(
        self,
        prepare: Callable[[Picture], torch.Tensor],
        *,
        batch_size: int = 32,
        workers: int | None = None,
        start: int = 0,
    ) -> Generator[Batch]:
        """All images from place `start` on as batches, in order, decoded and prepared by threads; see stream.py."""
        return stream(self, prepare, batch_size=batch_size, workers=workers, start=start)

    def fingerprint(self, *, content: bool = False) -> str:
        """A hash that tells collections apart: ids, labels, sizes of the files, and the whole content of 64 of them.

        It stays the same when files are copied or touched (dates do not enter), and changes when one is added,
        removed, renamed, relabelled or replaced by one of another size. With `content` every file is read, and any
        change is seen.
        """
        hashed = set(range(len(self)) if content else hashed_order(self.ids, 0)[:N_HASHED].tolist())
        total = sha256(repr(self.label_names).encode("utf-8", "backslashreplace"))
        for index, (name, place, label) in enumerate(
            zip(self.ids, self.places.tolist(), self.labels.tolist(), strict=True)
        ):
            total.update(f"{len(name)} {name} {label} {self.source.size(place)}\n".encode())
            if index in hashed:
                total.update(sha256(self._content(place)).digest())
        return total.hexdigest()

    def _content(self, place: int) -> bytes:
        try:
            return self.source.content(place)
        except ConvscopeError as error:  # an unreadable item is part of what the collection is
            return error.found.encode("utf-8", "backslashreplace")

    @property
    def _own_labels(self) -> bool:
        return self.label_source.startswith("each item's own")


def images(
    source: Any,
    *,
    labels: Any = None,
    classes: "Classes | Sequence[str] | None" = None,
    limit: int | None = None,
    seed: int = 0,
    decode: Decode = DECODE,
) -> Images:
    r"""Which images are to be shown?  Opens a folder, files, an array file, arrays, or a torch Dataset.

    `source`: `builtin:world`, a folder (flat, or one sub-folder per class), an image file or a list of them, an .npz, .npy or IDX
    (MNIST) file, an array `image y x channel`, a tensor `image channel y x` (uint8 0-255 or float 0-1), a torch
    Dataset, or an Images. `labels`: None finds them (sub-folders; WordNet ids in all file names; a labels array or
    file), False leaves them out; or a list, a dictionary from id, a CSV or JSON file, a pattern such as
    `"(?P<label>\d+)_.*"`. `classes` matches them to a network's (see Images.match). `limit` takes a sample, balanced
    over classes, chosen by `seed`. Raises ImagesError where there is nothing to show, or what is found contradicts
    itself; UsageError for other kinds of source.
    """
    if isinstance(source, Images):
        found = source
        if labels is not None:
            found = _labelled(found, given_labels(labels, found.ids))
    else:
        opened = open_source(source)
        known = opened.labels() if labels is None else given_labels(labels, opened.ids)
        every = np.arange(len(opened.ids))
        bare = Images(opened, every, np.full(len(every), -1), decode=decode)
        found = _labelled(bare, known or no_labels(len(every)))
    if classes is not None:
        found = found.match(classes)
    return found if limit is None else found.limited(limit, seed)


def open_source(source: Any) -> Source:
    """The Source for a folder, file, list, array, tensor or data set."""
    if isinstance(source, str) and source.startswith(PREFIX):
        return world_source(source)
    if isinstance(source, (str, os.PathLike)):
        if is_folder(os.fspath(source)):
            return list_folder(source)
        path = Path(source)
        return read_archive(path) if is_archive(path) else list_files([path])
    if isinstance(source, (np.ndarray, torch.Tensor)):
        return from_array(source, "a tensor" if isinstance(source, torch.Tensor) else "an array")
    if isinstance(source, (list, tuple)):
        if all(isinstance(item, (str, os.PathLike)) for item in source):
            return list_files(source)
        if (
            all(isinstance(item, (np.ndarray, torch.Tensor)) for item in source)
            and len({np.shape(i) for i in source}) == 1
        ):
            return from_array(torch.stack(source) if isinstance(source[0], torch.Tensor) else np.stack(source))
    return from_dataset(source)


def _labelled(found: Images, known: Labels) -> Images:
    return replace(found, labels=known.indices, label_names=known.names, label_source=known.source)


def _matched(names: list[str], classes: Classes) -> tuple[dict[str, int], list[str]]:
    """The class index of each name, and the names without one."""
    table: dict[str, int] = {}
    unmatched: list[str] = []
    for name in names:
        try:
            table[name] = classes.index_of(name)
        except UnknownNameError:
            unmatched.append(name)
    taken: dict[int, str] = {}
    for name, index in table.items():
        if index in taken:
            found = f"'{printable(taken[index])}' and '{printable(name)}' both name class {index} ('{classes[index]}')."
            raise ImagesError("Labels were matched to the network's classes.", found, "Rename one, or give labels=...")
        taken[index] = name
    return table, unmatched


def _no_class(unmatched: list[str], n_names: int, classes: Classes) -> ImagesError:
    told = []
    for name in unmatched[:8]:
        near = classes.nearest(name)
        told.append(f"'{printable(name)}'" + (f" (nearest: {', '.join(near)})" if near else ""))
    more = f" and {len(unmatched) - 8} more" if len(unmatched) > 8 else ""
    return ImagesError(
        f"{n_names} label names were matched to the network's {len(classes)} classes.",
        f"{len(unmatched)} have no class of that name: {', '.join(told)}{more}.",
        "Rename them, give labels=..., match(classes, partial=True) to unlabel their images, or labels=False.",
    )
