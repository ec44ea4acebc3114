"""What do the units of a network mean?  One call: labels, the network and its control held against them; pages are made of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from convscope.errors import UnknownNameError, UsageError
from convscope.images import Images
from convscope.images import images as open_images
from convscope.images.concepts.concept import Concept, Source
from convscope.images.concepts.opened import sources_of
from convscope.instruments.concepts.dissect import Dissection, Labels, labels_of, spread_over, with_maps
from convscope.instruments.concepts.dissect import dissect as dissect_one
from convscope.network import Network
from convscope.network.calibration import calibrated_fresh
from convscope.network.chosen_layers import chosen_layers
from convscope.see.sheet import Sheet

MOST_IMAGES = 500  # that concepts are looked for in, unless more are asked for
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Dissected:
    """A network's units against concepts, beside its controls."""

    network: Network
    labels: Labels
    trained: Dissection
    fresh: tuple[Dissection, ...] = ()  # the same architecture with weights that have learned nothing
    settings: dict[str, Any] = field(default_factory=dict)
    detects: dict[str, np.ndarray] = field(init=False)  # layer: truth values `unit concept`, of concepts with masks

    def __post_init__(self) -> None:
        single = self.trained.single
        object.__setattr__(self, "detects", {} if single is None else single.detectors())

    def __repr__(self) -> str:
        n = sum(int(own.any(axis=1).sum()) for own in self.detects.values())
        of = sum(len(own) for own in self.detects.values())
        return f"Dissected({self.network.name}: {n:,} of {of:,} units detect one of {len(self.concepts)} concepts)"

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """The concepts with masks."""
        return () if self.trained.single is None else self.trained.single.concepts

    def sheet(self, concept: str) -> Sheet:
        """The page of a concept with masks: `wheel`, or `part: wheel` where several have the name.

        Raises UnknownNameError, UsageError where several are meant.
        """
        from convscope.see.concept import concept_sheet  # makes pages of this

        return concept_sheet(self, self.number_of(concept))

    def layer(self, name: str) -> Sheet:
        """The page of a layer. Raises UnknownNameError for one that was not measured."""
        from convscope.see.meanings import layer_page

        if name not in self.trained.layers:
            raise UnknownNameError("measured layer", name, self.trained.layers)
        return layer_page(self, name)

    def number_of(self, concept: str) -> int:
        """The place of a concept among those with masks."""
        return number_of(concept, self.labels.sources)


def number_of(concept: str, sources: Sequence[Source]) -> int:
    """The place of a concept among those of all sources that have masks; nothing need be measured for that.

    Raises UnknownNameError for one that is not there, UsageError where several are meant, or one that has no masks.
    """
    known, whole = (
        [one for source in sources if source.per_pixel == per_pixel for one in source.concepts]
        for per_pixel in (True, False)
    )
    found = _called(concept, known)
    if len(found) > 1:
        several = ", ".join(f"'{known[i]}'" for i in found)
        raise UsageError(f"The concept '{concept}' was asked for.", f"It may be {several}.", "Give one of these.")
    if found:
        return found[0]
    if _called(concept, whole):
        raise UsageError(
            f"The page of the concept '{concept}' was asked for.",
            "It is one of whole images: it is nowhere in them.",
            "Give masks; or read `trained.of_images` of `dissect`.",
        )
    raise UnknownNameError("concept", concept, [one.name for one in known])


def _called(name: str, concepts: Sequence[Concept]) -> list[int]:
    wanted = name.casefold()
    return [i for i, one in enumerate(concepts) if wanted in (one.name.casefold(), str(one).casefold())]


def dissect(
    network: Network,
    images: Any,
    concepts: Sequence[str | Source] = (),
    *,
    layers: Sequence[str] = (),
    n_fresh: int = 1,
    limit: int | None = MOST_IMAGES,
    seed: int = 0,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Dissected:
    """What do the units of these layers mean, and what do several mean together?  Network Dissection and Net2Vec with controls.

    Bau et al. 2017 (arXiv:1704.05796, eq. 1) and Fong and Vedaldi 2018 (arXiv:1801.03454); thresholds, units and weights are chosen
    on one half of the images and measured on the other. `images` is anything `convscope.images` opens. `concepts` are names or
    sources: "pixels" (colours, brightness, edges, textures found in the images), "world" (all that the built-in world drew),
    "classes", a folder of label maps, "voc:DIR", "coco:FILE", "pascal_part:DIR", "examples:DIR"; by default "pixels", or "world" in
    the built-in world. `layers` are names or patterns (default: the end of every chain of convolution, norm and activation).
    `n_fresh` draws of fresh weights are measured beside. Raises UnknownNameError, UsageError for what is not there, ImagesError
    where no image can be read or nothing is known of any.
    """
    shown: Images = open_images(images, limit=limit, seed=seed)
    sources = sources_of(shown, concepts)
    if not sources:
        raise UsageError("Units were to be held against concepts.", "None were given.", "Give 'pixels', or masks.")
    chosen = chosen_layers(network, layers)
    told = progress or _silent
    labels = labels_of(network, shown, sources, seed=seed, workers=workers, progress=told)
    read = spread_over(with_maps(network, chosen))
    found = []
    for number in range(1 + n_fresh):
        own = network if number == 0 else calibrated_fresh(network, shown, seed, n_fresh * seed + number - 1)
        stage = "units against concepts" if number == 0 else f"fresh weights against concepts, {number} of {n_fresh}"
        found.append(
            dissect_one(
                own,
                labels,
                chosen,
                read=read,
                seed=seed,
                batch_size=batch_size,
                workers=workers,
                progress=partial(told, stage),
            )
        )
    settings = {"concepts": [one if isinstance(one, str) else type(one).__name__ for one in concepts], "seed": seed}
    return Dissected(network, labels, found[0], tuple(found[1:]), settings)


def _silent(stage: str, done: int, total: int) -> None:
    pass
