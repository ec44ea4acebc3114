"""What is labelled in these images, at the pixels that will be looked at?  One pass over the images, for all layers and networks.

Labels do not depend on a network, only on the size of its input and its way of preparing images. Only what is looked at is kept:
a bit for each image, pixel and concept, twice (labelled, known): 500 images, 64 pixels and 60 concepts take half a megabyte, 20,000
images and 1,000 concepts 320 MB.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from threading import Lock

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from convscope.errors import ImagesError, UsageError
from convscope.images import Images, Picture, Preprocess, Skip
from convscope.images.concepts.concept import Masks, Source
from convscope.instruments.concepts.collected import Collected as Collected
from convscope.sweep.engine import keys_of
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE, Labelled
from convscope.sweep.gauges.pixels import Pixels

Progress = Callable[[int, int], None]  # images done, images in all
TOGETHER = 16  # images between two reports
N_CELLS = 56  # along the longer side, at most: places at which the mean masks are known


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
    progress: Progress | None = None,
) -> Collected:
    """The labels of the images as a network of this input size (y, x) sees them, read by the threads that decode.

    `half` says which images thresholds are chosen on (0) and which they are measured on (1), in the images' own order; see
    `halves`. Images that cannot be read, and masks of another size, are skipped and named; `Collected.said` tells all of it.
    `progress` is told of (images done, images in all); an interrupt ends it at once. Raises ImagesError where nothing is known of
    any image, UsageError for a source without concepts.
    """
    if not source.concepts:
        raise UsageError("Concepts were to be looked for.", "The source names none.", "Give one with concepts.")
    keys = keys_of(images)
    by_key = np.empty(len(images), np.int8)
    by_key[keys] = halves(images, folders=not source.per_pixel) if half is None else half
    pixels = Pixels(size, n_pixels) if source.per_pixel else Pixels((1, 1), 1)
    taking = _Taking(source, preprocess, pixels, dict(zip(images.ids, keys.tolist(), strict=True)), by_key)
    alone = threadpool_limits(1, user_api="blas")  # the decoding threads share the cores already
    with alone, closing(images.stream(taking, batch_size=TOGETHER, workers=workers)) as batches:
        for batch in batches:
            taking.skipped.extend(batch.skipped)
            if progress:
                progress(batch.stop, len(images))
    skipped, strays = tuple(sorted(taking.skipped)), source.strays(images.ids)
    if not taking.n_seen.any():
        raise _nothing_fits(images, (*skipped, *strays), per_pixel=source.per_pixel)
    by_key[~taking.read] = -1
    labelled = Labelled(pixels, len(source.concepts), taking.labels, taking.known, by_key, n_null, seed)
    frequency = taking.n_labelled / np.maximum(taking.n_known, 1)
    counts = taking.n_images, taking.n_seen, frequency, taking.cells
    return Collected(source.concepts, labelled, source.per_pixel, *counts, taking.n_silent, skipped, strays)


def _nothing_fits(images: Images, reasons: tuple[Skip, ...], *, per_pixel: bool) -> ImagesError:
    first = f" The first that was given: '{reasons[0].id}': {reasons[0].reason.rstrip('.')}." if reasons else ""
    would = "Name masks as the images" if per_pixel else "Give labelled images, or the folder of the examples as images"
    return ImagesError(
        f"Concepts were to be looked for in {len(images):,} images.",
        f"Nothing is known of any of them.{first}",
        f"{would}: the first image is '{images.ids[0]}'.",
    )


def halves(images: Images, scenes: Mapping[str, str] | None = None, *, folders: bool = False) -> np.ndarray:
    """Which images choose (0) and which measure (1), int8 by the images' own order: the earlier ids choose, within each class.

    Neighbouring frames of a film are alike, so halves are runs of ids, not a random draw. `scenes` (id -> name) keeps the images of
    one scene together instead, scenes in the order of their first id. With `folders` images without a class are of that of their
    folder: where folders are the concepts, a run of ids would have all of one concept in one half.
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
    labels = _with_folders(images) if folders else images.labels
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        own = own[np.argsort(keys[own])]
        found[own[: (len(own) + int(label) % 2) // 2]] = CHOOSE  # of single images, every other class's
    return found


def _with_folders(images: Images) -> np.ndarray:
    """The labels of the images; of those without one a number of their own for each folder, int64."""
    parents = np.array([id.rpartition("/")[0] for id in images.ids])
    beyond = images.labels.max(initial=-1) + 1 + np.unique(parents, return_inverse=True)[1].reshape(-1)
    found: np.ndarray = np.where(images.labels >= 0, images.labels, beyond)
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
        self.n_images, self.n_seen = np.zeros((2, n_concepts), np.int64), np.zeros((2, n_concepts), np.int64)
        self.n_labelled, self.n_known = np.zeros((2, n_concepts), np.int64), np.zeros((2, n_concepts), np.int64)
        self.cell = max(1, -(-max(pixels.size) // N_CELLS))
        cells = tuple(-(-side // self.cell) for side in pixels.size) if source.per_pixel else (0, 0)
        self.cells = np.zeros((2, 2, n_concepts, *cells), np.int32)
        self.n_silent = 0
        self.skipped: list[Skip] = []
        self.lock = Lock()

    def __call__(self, picture: Picture) -> torch.Tensor:
        inputs = self.preprocess.prepare_one(picture)
        masks = self.source.masks(picture, self.preprocess, inputs)
        values = masks.values if self.source.per_pixel else masks.values.reshape(-1, 1, 1)
        size = self.pixels.size if self.source.per_pixel else (1, 1)
        if values.shape[1:] != size:
            raise ImagesError(
                "Concepts were to be looked for.",
                f"Its masks are {values.shape[1]} x {values.shape[2]} pixels; the network sees {size[0]} x {size[1]}.",
            )
        self._keep(self.keys[picture.id], values, masks)
        return torch.zeros(1, 1, 1)  # the image itself is needed no more

    def _keep(self, key: int, values: np.ndarray, masks: Masks) -> None:
        known = np.broadcast_to(masks.known[:, None, None], values.shape)
        if masks.void is not None:
            known = known & ~masks.void
        values = values & known
        rows, columns = self.pixels.places(np.array([key]))
        for kept, mask in ((self.labels, values), (self.known, known)):
            at = mask[:, rows[0][:, None], columns[0][None, :]]
            kept[key] = np.packbits(at.reshape(len(at), -1).T, axis=1)
        there = np.flatnonzero(values.reshape(len(values), -1).any(axis=1))
        own, seen = _pooled(values[there], self.cell), _known_cells(masks, values.shape[1:], self.cell)
        n_known, half = seen.sum(axis=(1, 2)), int(self.half[key])
        with self.lock:
            self.skipped.extend(masks.skipped)
            self.read[key] = True
            self.n_silent += not n_known.any()
            if half < 0:
                return
            self.n_images[half, there] += 1
            self.n_seen[half] += n_known > 0
            self.n_labelled[half, there] += own.sum(axis=(1, 2))
            self.n_known[half] += n_known
            if self.source.per_pixel:
                self.cells[0, half, there] += own
                self.cells[1, half] += seen


def _known_cells(masks: Masks, size: tuple[int, ...], cell: int) -> np.ndarray:
    """Pixels of each cell of which something is known, int32 `concept y x`."""
    void = np.zeros((1, *size), bool) if masks.void is None else masks.void
    if void.strides[0] == 0:
        void = void[:1]  # the same for all concepts
    found: np.ndarray = masks.known[:, None, None] * _pooled(~void, cell)
    return found


def _pooled(mask: np.ndarray, cell: int) -> np.ndarray:
    """Pixels of the mask in each cell, int32 `concept y x`."""
    n, height, width = mask.shape
    rows = np.zeros((n, -(-height // cell), width), np.uint16)
    for first in range(cell):
        part = mask[:, first::cell].view(np.uint8)
        rows[:, : part.shape[1]] += part
    found = np.zeros((n, rows.shape[1], -(-width // cell)), np.int32)
    for first in range(cell):
        part = rows[:, :, first::cell]
        found[:, :, : part.shape[2]] += part
    return found
