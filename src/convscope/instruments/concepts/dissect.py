"""What do the layers of one network say of concepts?  One sweep over the images counts all that single units and read-outs need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from convscope.errors import ImagesError, UsageError
from convscope.images import Images, Preprocess, Skip
from convscope.images.concepts.concept import Concept, Masks, Several, Source
from convscope.instruments.concepts.chance import n_dealings
from convscope.instruments.concepts.collect import Collected, collect
from convscope.instruments.concepts.counting import N_ROTATED, ROTATED, UNITS, overlap_gauges, place_of, shapes_of
from convscope.instruments.concepts.image_level import ImageLevel, image_level
from convscope.instruments.concepts.single_units import SingleUnits, evaluated
from convscope.instruments.concepts.together.directions import Directions, directions
from convscope.network import Network
from convscope.sweep.engine import Gauges, keys_of, n_units, sweep
from convscope.sweep.gauges import AtPixels, Peaks
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE

PIXELS, FEWEST_PIXELS, MOST_PIXELS = 32_000, 64, 1024  # that are looked at: in all, and in one image
N_READ = 6  # layers, spread over the depth, whose units are also read together
PEAKS, VALUES = "peaks", "at_pixels"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Labels:
    """What is labelled in some images: concepts with masks, and concepts of whole images."""

    images: Images
    sources: tuple[Source, ...]
    preprocess: Preprocess  # how the network gets them
    pixels: Collected | None
    whole: Collected | None

    @property
    def concepts(self) -> tuple[Concept, ...]:
        return tuple(concept for found in self.parts for concept in found.concepts)

    @property
    def parts(self) -> tuple[Collected, ...]:
        return tuple(found for found in (self.pixels, self.whole) if found is not None)

    def masks(self, key: int) -> Masks:
        """The masks of one image (by key), all concepts with masks; read again. Raises ImagesError where it cannot be read."""
        assert self.pixels is not None
        own = tuple(source for source in self.sources if source.per_pixel)
        picture = self.images.picture(int(np.flatnonzero(keys_of(self.images) == key)[0]))
        return Several(own).masks(picture, self.preprocess, self.preprocess(picture))

    @property
    def skipped(self) -> tuple[Skip, ...]:
        return tuple(skip for found in self.parts for skip in found.skipped)

    @property
    def not_used(self) -> tuple[str, ...]:
        """What of masks, examples and images could not be used, in sentences, alike ones together."""
        return tuple(line for found in self.parts for line in found.not_used())

    @property
    def remarks(self) -> dict[Concept, str]:
        """What is to be said of concepts that cannot be measured."""
        return {concept: words for found in self.parts for concept, words in found.remarks.items()}


@dataclass(frozen=True, eq=False)
class Dissection:
    """One network's layers against all concepts."""

    layers: tuple[str, ...]  # in the order they are computed
    single: SingleUnits | None  # units against concepts with masks
    of_images: dict[str, ImageLevel]  # layer: units against concepts of whole images
    read: dict[str, Directions]  # layer, some: several units against concepts with masks
    not_finite: tuple[tuple[str, str], ...] = field(default=())  # layer, image: left out


def labels_of(
    network: Network,
    images: Images,
    sources: Sequence[Source],
    *,
    n_pixels: int | None = None,
    n_null: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Labels:
    """What these sources know of the images, as the network sees them; dealt out wrongly `n_null` times (see chance.py).

    `n_pixels` are looked at in each image: by default 64 of 500 images, and more of fewer.

    Raises UsageError where two concepts are the same, ImagesError where a source knows nothing of any image, or a half has none.
    """
    _check(sources)
    if n_pixels is None:
        n_pixels = min(MOST_PIXELS, max(FEWEST_PIXELS, PIXELS // max(1, len(images))))
    if n_null is None:
        n_units_in_all = sum(layer.n_units for layer in network.layers.of_kind("conv"))
        n_null = n_dealings(n_units_in_all * sum(len(source.concepts) for source in sources))
    found: dict[bool, Collected | None] = {True: None, False: None}
    for per_pixel, told in ((True, "what is labelled in the images"), (False, "which images have the concepts")):
        own = tuple(source for source in sources if source.per_pixel == per_pixel)
        if own:
            size = network.input_shape[1:]
            found[per_pixel] = collect(
                images,
                own[0] if len(own) == 1 else Several(own),
                network.preprocess,
                size=(size[0], size[1]),
                n_pixels=n_pixels,
                n_null=n_null,
                seed=seed,
                workers=workers,
                progress=None if progress is None else partial(progress, told),
            )
    for one in found.values():
        if one is not None and not {CHOOSE, MEASURE} <= set(one.labelled.half.tolist()):
            raise _too_few(one)
    return Labels(images, tuple(sources), network.preprocess, found[True], found[False])


def _too_few(found: Collected) -> ImagesError:
    n = int((found.labelled.half >= 0).sum())
    skipped = f" The first that was not: '{found.skipped[0].id}': {found.skipped[0].reason}" if found.skipped else ""
    return ImagesError(
        "Units were to be held against concepts: one half of the images chooses, the other measures.",
        f"{n:,} image{'s were' if n != 1 else ' was'} read, which leaves a half empty.{skipped}",
        "Give more images.",
    )


def dissect(
    network: Network,
    labels: Labels,
    layers: Sequence[str],
    *,
    read: Sequence[str] = (),
    control: bool = False,
    n_rotated: int = N_ROTATED,
    seed: int = 0,
    batch_size: int = 32,
    workers: int | None = None,
    checkpoint: Path | None = None,
    signature: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Dissection:
    """Units of these layers against all concepts, in one sweep; in those of `read` also several units together.

    Concepts with masks are looked for in layers with maps. Of a `control`, which is itself one, no more controls of read-outs are
    measured. With `checkpoint` the sweep is gone on with, see sweep.engine.
    """
    images = labels.images
    gauges: Gauges = {layer: {} for layer in layers}
    pixels, whole = labels.pixels, labels.whole
    if pixels is not None:
        shapes = shapes_of(network, with_maps(network, layers))
        gauges |= overlap_gauges(
            network,
            images,
            pixels,
            shapes,
            n_rotated=n_rotated,
            batch_size=batch_size,
            workers=workers,
            seed=seed,
        )
        for layer in (layer for layer in read if layer in shapes):
            own, (n, *size), anchor = pixels.labelled.pixels, shapes[layer], place_of(network, pixels, layer)
            gauges[layer][VALUES] = AtPixels(n, own, anchor, len(images), (size[0], size[1]))
    if whole is not None:
        for layer in layers:
            gauges[layer][PEAKS] = Peaks(n_units(network, layer), len(images))
    gauges = {layer: own for layer, own in gauges.items() if own}
    asked = repr((signature, n_rotated, seed, [(layer, *own) for layer, own in gauges.items()], labels_hash(labels)))
    swept = sweep(
        network,
        images,
        gauges,
        batch_size=batch_size,
        workers=workers,
        checkpoint=checkpoint,
        signature=sha256(asked.encode("utf-8", "backslashreplace")).hexdigest(),
        progress=progress,
    )
    return _concluded(labels, tuple(layers), swept.gauges, seed, control, tuple(swept.not_finite))


def _concluded(
    labels: Labels,
    layers: tuple[str, ...],
    gauges: Gauges,
    seed: int,
    control: bool,
    not_finite: tuple[tuple[str, str], ...],
) -> Dissection:
    single, of_images, read = None, {}, {}

    if labels.pixels is not None:
        counts = {
            layer: {name: own[name].result() for name in (UNITS, ROTATED) if name in own}
            for layer, own in gauges.items()
            if UNITS in own
        }
        single = evaluated(labels.pixels, counts)
        for layer, own in gauges.items():
            if VALUES in own:
                values = own[VALUES].result()
                if not all((values.seen & (labels.pixels.labelled.half == half)).any() for half in (CHOOSE, MEASURE)):
                    continue  # in one half no image gave finite values
                read[layer] = directions(
                    labels.pixels,
                    layer,
                    values,
                    single.layers[layer],
                    made=not control,
                    n_wrong=0 if control else 1,
                    seed=seed,
                )
    if labels.whole is not None:
        of_images = {layer: image_level(labels.whole, gauges[layer][PEAKS].result()) for layer in gauges}
    return Dissection(layers, single, of_images, read, not_finite)


def with_maps(network: Network, layers: Sequence[str]) -> tuple[str, ...]:
    """Those of the layers whose units have maps of more than one neuron."""
    shapes = {layer: network.layers[layer].shape for layer in layers}
    return tuple(layer for layer, shape in shapes.items() if len(shape) == 3 and shape[1] * shape[2] > 1)


def spread_over(layers: Sequence[str], n: int = N_READ) -> tuple[str, ...]:
    """Some of the layers, spread evenly over the depth, the last among them."""
    places = np.unique(np.linspace(0, len(layers) - 1, min(n, len(layers))).round().astype(int)) if layers else ()
    return tuple(layers[place] for place in places)


def labels_hash(labels: Labels) -> str:
    """A hash of everything that is labelled, and of how wrong labels are dealt out."""
    digest = sha256()
    for found in labels.parts:
        own = found.labelled
        digest.update(repr((found.concepts, own.pixels, own.n_null, own.seed)).encode("utf-8", "backslashreplace"))
        for array in (own.labels, own.known, own.half):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _check(sources: Sequence[Source]) -> None:
    every = [concept for source in sources for concept in source.concepts]
    twice = next((concept for concept in every if every.count(concept) > 1), None)
    if twice is not None:
        raise UsageError(
            "Concepts were to be looked for.",
            f"'{twice}' comes from two sources: {_sources_of(sources, twice)}.",
            "Give one of them.",
        )


def _sources_of(sources: Sequence[Source], concept: Concept) -> str:
    return " and ".join(type(source).__name__ for source in sources if concept in source.concepts)
