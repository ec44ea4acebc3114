"""What is labelled in these images, at the pixels that will be looked at?  One pass over the images, for all layers and networks.

Labels do not depend on a network, only on the size of its input and its way of preparing images. Only what is looked at is kept:
a bit for each image, pixel and concept, twice (labelled, known): 500 images, 64 pixels and 60 concepts take half a megabyte, 20,000
images and 1,000 concepts 320 MB.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np
import torch

from convscope.errors import ImagesError, UsageError
from convscope.images import Images, Picture, Preprocess, Skip
from convscope.images.concepts.concept import Concept, Source
from convscope.sweep.engine import keys_of
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE, Labelled
from convscope.sweep.gauges.pixels import Pixels

N_CELLS = 56  # along the longer side, at most: places at which the mean masks are known


@dataclass(frozen=True, eq=False)
class Collected:
    """The labels of some images, and what was found in them."""

    concepts: tuple[Concept, ...]
    labelled: Labelled  # per pixel; per image with a single "pixel"
    per_pixel: bool
    n_images: np.ndarray  # int64 half concept: images in which it is there
    frequency: (
        np.ndarray
    )  # float64 half concept: share of the pixels (of which something is known) that are labelled so
    cells: (
        np.ndarray
    )  # int64 (labelled, known) half concept y x: pixels in each of a few thousand places; empty per image
    skipped: tuple[Skip, ...] = field(default=())

    @property
    def remarks(self) -> dict[Concept, str]:
        """What is to be said of concepts that cannot be measured, or hardly."""
        found = {}
        for concept, n, share in zip(self.concepts, self.n_images.T, self.frequency.T, strict=True):
            if not n.sum():
                found[concept] = "It is in none of the images."
            elif not n.all():
                found[concept] = (
                    f"It is in {n.sum()} image{'s' if n.sum() > 1 else ''}, none of which is in the other half."
                )
            elif share.min() >= 1:
                found[concept] = "It is everywhere, so nothing can answer to it."
        return found

    @property
    def testable(self) -> np.ndarray:
        """Which concepts are in both halves, and not everywhere, truth values."""
        return np.logical_and((self.n_images > 0).all(axis=0), (self.frequency < 1).all(axis=0))


def collect(
    images: Images,
    source: Source,
    preprocess: Preprocess,
    *,
    size: tuple[int, int],
    n_pixels: int = 64,
    half: np.ndarray | None = None,
    n_null: int = 4,
    seed: int = 0,
    workers: int | None = None,
) -> Collected:
    """The labels of the images as a network of this input size (y, x) sees them.

    `half` says which images thresholds are chosen on (0) and which they are measured on (1), in the images' own order; see
    `halves`. Images that cannot be read, and masks of another size, are skipped and named. Raises ImagesError where nothing is
    left, UsageError for a source without concepts.
    """
    if not source.concepts:
        raise UsageError("Concepts were to be looked for.", "The source names none.", "Give one with concepts.")
    keys = keys_of(images)
    by_key = np.empty(len(images), np.int8)
    by_key[keys] = halves(images) if half is None else half
    pixels = Pixels(size, n_pixels) if source.per_pixel else Pixels((1, 1), 1)
    taking = _Taking(source, preprocess, pixels, dict(zip(images.ids, keys.tolist(), strict=True)), by_key)
    for batch in images.stream(taking, batch_size=64, workers=workers):
        taking.skipped.extend(batch.skipped)
    if not taking.read.any():
        raise ImagesError("Concepts were to be looked for.", "No image has labels that can be used.", "Give masks.")
    by_key[~taking.read] = -1
    labelled = Labelled(pixels, len(source.concepts), taking.labels, taking.known, by_key, n_null, seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        frequency = np.nan_to_num(taking.n_labelled / taking.n_known)
    skipped = (*taking.skipped, *source.strays(images.ids))
    return Collected(source.concepts, labelled, source.per_pixel, taking.n_images, frequency, taking.cells, skipped)


def with_null(found: Collected, n_null: int, seed: int = 0) -> Collected:
    """The same with another number of wrong dealings."""
    return replace(found, labelled=replace(found.labelled, n_null=n_null, seed=seed, _made={}))


def halves(images: Images, scenes: Mapping[str, str] | None = None) -> np.ndarray:
    """Which images choose (0) and which measure (1), int8 by the images' own order: the earlier ids choose, within each class.

    Neighbouring frames of a film are alike, so halves are runs of ids, not a random draw. `scenes` (id -> name) keeps the images of
    one scene together instead, scenes in the order of their first id.
    """
    keys = keys_of(images)
    found = np.full(len(images), MEASURE, np.int8)
    if scenes is not None:
        order = np.argsort(keys)
        names = [scenes.get(images.ids[place], images.ids[place]) for place in order]
        sizes = {name: names.count(name) for name in dict.fromkeys(names)}
        before = dict(zip(sizes, np.cumsum([0, *sizes.values()][:-1]).tolist(), strict=True))
        chosen = {name for name, size in sizes.items() if before[name] + size / 2 <= len(names) / 2}
        chosen = chosen or {names[0]}
        found[order] = [CHOOSE if name in chosen else MEASURE for name in names]
        return found
    for label in np.unique(images.labels):
        own = np.flatnonzero(images.labels == label)
        own = own[np.argsort(keys[own])]
        found[own[: (len(own) + int(label) % 2) // 2]] = CHOOSE  # of single images, every other class's
    return found


class _Taking:
    """Prepares images like a Preprocess, and keeps their labels on the way."""

    def __init__(
        self, source: Source, preprocess: Preprocess, pixels: Pixels, keys: dict[str, int], half: np.ndarray
    ) -> None:
        self.source, self.preprocess, self.pixels, self.keys, self.half = source, preprocess, pixels, keys, half
        n_concepts, n_pixels = len(source.concepts), pixels.shape[0] * pixels.shape[1]
        shape = (len(keys), n_pixels, -(-n_concepts // 8))
        self.labels, self.known = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        self.read = np.zeros(len(keys), bool)
        self.n_images = np.zeros((2, n_concepts), np.int64)
        self.n_labelled, self.n_known = np.zeros((2, n_concepts), np.int64), np.zeros((2, n_concepts), np.int64)
        self.cell = max(1, -(-max(pixels.size) // N_CELLS))
        cells = tuple(-(-side // self.cell) for side in pixels.size) if source.per_pixel else (0, 0)
        self.cells = np.zeros((2, 2, n_concepts, *cells), np.int64)
        self.skipped: list[Skip] = []
        self.lock = Lock()

    def __call__(self, picture: Picture) -> torch.Tensor:
        inputs = self.preprocess.prepare_one(picture)
        masks = self.source.masks(picture, self.preprocess, inputs)
        values = masks.values if self.source.per_pixel else masks.values.reshape(-1, 1, 1)
        size = self.pixels.size if self.source.per_pixel else (1, 1)
        with self.lock:
            self.skipped.extend(masks.skipped)
            if values.shape[1:] != size:
                told = f"Its masks are {values.shape[1]} x {values.shape[2]} pixels; the network sees {size[0]} x {size[1]}."
                self.skipped.append(Skip(picture.id, told))
                return torch.zeros(1, 1, 1)
        known = np.broadcast_to(masks.known.reshape(-1, 1, 1), values.shape)
        known = known if masks.void is None else known & ~masks.void
        self._keep(self.keys[picture.id], values & known, known)
        return torch.zeros(1, 1, 1)

    def _keep(self, key: int, values: np.ndarray, known: np.ndarray) -> None:
        rows, columns = self.pixels.places(np.array([key])) if self.source.per_pixel else ([[0]], [[0]])
        for kept, mask in ((self.labels, values), (self.known, known)):
            at = mask[:, np.asarray(rows[0])[:, None], np.asarray(columns[0])[None, :]]
            kept[key] = np.packbits(at.reshape(len(at), -1).T, axis=1)
        n_labelled, n_known = values.sum(axis=(1, 2)), known.sum(axis=(1, 2))
        half = int(self.half[key])
        pooled = [_pooled(mask, self.cell) for mask in (values, known)] if self.source.per_pixel else None
        with self.lock:
            self.read[key] = True
            if half < 0:
                return
            self.n_labelled[half] += n_labelled
            self.n_known[half] += n_known
            self.n_images[half] += n_labelled > 0
            if pooled:
                self.cells[:, half] += pooled


def _pooled(mask: np.ndarray, cell: int) -> np.ndarray:
    """Pixels of the mask in each cell, `concept y x`."""
    rows = np.add.reduceat(mask, np.arange(0, mask.shape[1], cell), axis=1, dtype=np.int32)
    return np.add.reduceat(rows, np.arange(0, mask.shape[2], cell), axis=2)
