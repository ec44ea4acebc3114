"""Which images show a concept, and which do not?  Examples and counter-examples of each, drawn without looking at a network.

A concept of whole images: images that have it, and images that do not. A concept with masks: its pixels in images of which it
covers at least a share; the counter-example is the mask of an example, laid over an image that shows less of the concept, without
what is labelled so there. So neither the size of a part nor its place tells examples from counter-examples.
Vectors are fitted on the half of the images that chooses, and tried on the half that measures (collect.halves).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from convscope.errors import ImagesError, UsageError
from convscope.images import Images
from convscope.images.concepts.concept import Concept
from convscope.instruments.concepts.collect import Collected, halves
from convscope.network import Network
from convscope.sweep.engine import keys_of, n_units
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE
from convscope.sweep.gauges.pixels import Pixels, anchor_of
from convscope.sweep.gauges.regions import RegionMeans, Regions

N_EXAMPLES = 50  # of each concept, in each half, at most; as in the paper
LEAST_SHARE = 0.05  # of the pixels that a concept must cover, to be there
LEAST_EXAMPLES, LEAST_HELD_OUT = 8, 5
SETS = 3  # so many disjoint sets must the counter-examples be good for
MOST_SETS = 5  # and so many are kept


@dataclass(frozen=True, eq=False)
class Half:
    """The examples and counter-examples of one concept in one half of the images, as places among the regions."""

    examples: np.ndarray  # int64
    others: np.ndarray  # int64, at least SETS times as many


@dataclass(frozen=True, eq=False)
class ExampleSets:
    """What is to be compared, for each concept; and why some cannot be."""

    concepts: tuple[Concept, ...]
    halves: tuple[tuple[Half, Half], ...]  # for each concept: the half that fits, the half that is held out
    regions: Regions  # of the images that were labelled
    outside: Regions  # of the images given as counter-examples; their places come after those of `regions`
    pixels: Pixels | None  # None for whole images
    refused: dict[Concept, str] = field(default_factory=dict)

    def gauges(self, network: Network, layer: str) -> tuple[RegionMeans, RegionMeans]:
        """What a sweep of the labelled images has to gather of a layer, and one of the images beside them.

        Raises UnknownNameError, and UsageError for a layer without units, or without maps where concepts have masks.
        """
        step = network.resolve(layer)
        found = network.graph.by_name.get(step)
        layout = found.layout[0] if found else None
        if layout is None or not layout.map_shape:
            raise _no_values(layer, "It has no units.", "Name a layer of the table (convscope layers).")
        shape, anchor = layout.map_shape, None
        if self.pixels is not None:
            if len(shape) != 3:
                told = "It has no maps, and the concepts are parts of images."
                raise _no_values(layer, told, "Name a layer below the pooling, or give concepts of whole images.")
            anchor = anchor_of(network.layers[step].receptive_field, (shape[1], shape[2]), self.pixels.size)
        units = n_units(network, layer)
        inside, outside = (RegionMeans(units, regions, self.pixels, anchor) for regions in (self.regions, self.outside))
        return inside, outside


def example_sets(
    found: Collected,
    *,
    concepts: Sequence[Concept] | None = None,
    against: Images | None = None,
    n_examples: int = N_EXAMPLES,
    least_share: float = LEAST_SHARE,
    seed: int = 0,
) -> ExampleSets:
    """Examples and counter-examples of the concepts (by default all of them), as the seed draws them.

    `against`: images none of which is known to show the concepts, as counter-examples; by default those of the labelled images
    that do not. A concept has at most `n_examples` in each half. Those with too few are named in `refused`. Raises UsageError for
    settings that cannot be, or a concept that was not collected; ImagesError where no concept has enough.
    """
    if n_examples < LEAST_EXAMPLES or not 0 < least_share <= 1:
        raise UsageError(
            "Examples of concepts were to be drawn.",
            f"n_examples={n_examples}, least_share={least_share}.",
            f"Give at least {LEAST_EXAMPLES} examples, and a share above 0, at most 1.",
        )
    wanted = found.concepts if concepts is None else tuple(concepts)
    drawing = _Drawing(found, against, n_examples, least_share)
    kept, refused = [], {}
    for concept in wanted:
        if concept not in found.concepts:
            raise UsageError(f"The concept '{concept}' was asked for.", "It is not among those collected.", "Name one.")
        place = found.concepts.index(concept)
        try:
            drawing.draw(place, np.random.default_rng([seed, place]))
            kept.append(concept)
        except _TooFewError as few:
            refused[concept] = str(few)
    if not kept:
        told = f"{wanted[0]}: {refused[wanted[0]]}" if wanted else "None was named."
        raise ImagesError(
            "Concept vectors were asked for.",
            f"No concept has enough examples. {told}",
            "Give more images, or other images as counter-examples (against=...).",
        )
    return drawing.drawn(tuple(kept), refused)


class _TooFewError(Exception):
    """A concept has too few examples or counter-examples."""


class _Drawing:
    """Gathers regions, each once."""

    def __init__(self, found: Collected, against: Images | None, n_examples: int, least_share: float) -> None:
        self.found, self.n_examples, self.least_share = found, n_examples, least_share
        self.n_pixels = found.labelled.labels.shape[1]
        self.beside: np.ndarray | None = None  # half of each image outside, by key
        if against is not None:
            self.beside = np.empty(len(against), np.int8)
            self.beside[keys_of(against)] = halves(against)
        self.places: tuple[dict[tuple[int, bytes], int], ...] = ({}, {})  # inside, outside
        self.masks: tuple[list[np.ndarray], ...] = ([], [])
        self.halves: list[tuple[tuple[list[int], list[int]], ...]] = []

    def draw(self, concept: int, rng: np.random.Generator) -> None:
        labelled, known = (
            self._bits(bits, concept) for bits in (self.found.labelled.labels, self.found.labelled.known)
        )
        labelled = labelled & known
        share = labelled.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        least = self.least_share if self.found.per_pixel else 1
        there, elsewhere = share >= least, known.any(axis=1) & (share < least)
        half, parts = self.found.labelled.half, []
        for which, needed in ((CHOOSE, LEAST_EXAMPLES), (MEASURE, LEAST_HELD_OUT)):
            examples = rng.permutation(np.flatnonzero(there & (half == which)))
            if len(examples) < needed:
                raise _TooFewError(self._few("images show it", len(examples), needed, which))
            examples = examples[: self.n_examples]
            masks = [(int(key), labelled[key]) for key in examples]
            if self.beside is None:
                others = rng.permutation(np.flatnonzero(elsewhere & (half == which)))
                free = known & ~labelled
            else:
                others, free = rng.permutation(np.flatnonzero(self.beside == which)), None
            beside = self._laid(others, [mask for _, mask in masks], free, MOST_SETS * len(examples), rng)
            n = min(len(examples), len(beside) // SETS)
            if n < needed:
                raise _TooFewError(self._few("images are without it", len(beside), SETS * needed, which))
            parts.append((masks[:n], beside[: MOST_SETS * n]))
        outside = self.beside is not None
        self.halves.append(
            tuple(
                ([self._place(False, *one) for one in own], [self._place(outside, *one) for one in beside])
                for own, beside in parts
            )
        )

    def drawn(self, concepts: tuple[Concept, ...], refused: dict[Concept, str]) -> ExampleSets:
        n_inside = len(self.masks[False])
        shift = 0 if self.beside is None else n_inside
        sets = tuple(
            tuple(Half(np.array(own), np.array(others) + shift) for own, others in parts) for parts in self.halves
        )
        pixels = self.found.labelled.pixels if self.found.per_pixel else None
        inside, outside = (self._regions(which) for which in (False, True))
        return ExampleSets(concepts, sets, inside, outside, pixels, refused)  # type: ignore[arg-type]

    def _laid(
        self,
        images: np.ndarray,
        masks: list[np.ndarray],
        free: np.ndarray | None,
        most: int,
        rng: np.random.Generator,
    ) -> list[tuple[int, np.ndarray]]:
        """Masks laid over other images, each where the concept is not; half of a mask at least must be left."""
        found: list[tuple[int, np.ndarray]] = []
        for image in images:
            if len(found) == most:
                break
            mask = masks[rng.integers(len(masks))]
            left = mask if free is None else mask & free[image]
            if 2 * left.sum() >= mask.sum():
                found.append((int(image), left))
        return found

    def _place(self, outside: bool, key: int, mask: np.ndarray) -> int:
        """The place of a region among its kind."""
        kept = self.places[outside]
        name = (key, np.packbits(mask).tobytes())
        if name not in kept:
            kept[name] = len(kept)
            self.masks[outside].append(mask)
        return kept[name]

    def _regions(self, outside: bool) -> Regions:
        keys = np.array([key for key, _ in self.places[outside]], np.int64)
        masks = np.array(self.masks[outside], bool).reshape(len(keys), self.n_pixels)
        return Regions(keys, masks if self.found.per_pixel else None)

    def _bits(self, bits: np.ndarray, concept: int) -> np.ndarray:
        return (bits[:, :, concept // 8] & (128 >> concept % 8)) > 0

    def _few(self, what: str, n: int, needed: int, which: int) -> str:
        covered = f" on at least {100 * self.least_share:g} % of the pixels" if self.found.per_pixel else ""
        half = "fits" if which == CHOOSE else "is held out"
        return f"In the half that {half}, {n} {what}{covered}; it takes {needed}."


def _no_values(layer: str, found: str, would_work: str) -> UsageError:
    return UsageError(f"Concept vectors were asked for at '{layer}'.", found, would_work)
