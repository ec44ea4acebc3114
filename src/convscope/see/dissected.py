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
from convscope.instruments.concepts.image_level import ranking
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
    ranks: dict[str, np.ndarray] = field(init=False)  # likewise, of concepts of whole images

    def __post_init__(self) -> None:
        single = self.trained.single
        object.__setattr__(self, "detects", {} if single is None else single.detectors())
        object.__setattr__(self, "ranks", ranking(self.trained.of_images))

    def __repr__(self) -> str:
        said = []
        for found, concepts, what in (
            (self.detects, self.concepts, "detect one of {} concepts"),
            (self.ranks, self.of_images, "rank images by one of {} concepts"),
        ):
            if concepts:
                n, of = (
                    sum(map(len, part)) for part in ([one[one.any(axis=1)] for one in found.values()], found.values())
                )
                said.append(f"{n:,} of {of:,} units {what.format(len(concepts))}")
        return f"Dissected({self.network.name}: {'; '.join(said)})"

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """The concepts with masks."""
        return () if self.trained.single is None else self.trained.single.concepts

    @property
    def of_images(self) -> tuple[Concept, ...]:
        """The concepts of whole images."""
        return () if self.labels.whole is None else self.labels.whole.concepts

    def sheet(self, concept: str) -> Sheet:
        """The page of a concept: `wheel`, or `part: wheel` where several have the name.

        Raises UnknownNameError, UsageError where several are meant, or it has masks and no measured layer has maps.
        """
        from convscope.see.concept import concept_sheet  # makes pages of this
        from convscope.see.image_concept import image_concept_sheet

        found = concept_of(concept, self.labels.sources)
        if found in self.concepts:
            if not self.detects:
                measured = ", ".join(self.trained.layers)
                raise UsageError(
                    f"Where '{found}' is was asked for.", f"No layer has maps: {measured}.", "Name others."
                )
            return concept_sheet(self, self.concepts.index(found))
        return image_concept_sheet(self, self.of_images.index(found))

    def layer(self, name: str) -> Sheet:
        """The page of a layer. Raises UnknownNameError for one that was not measured."""
        from convscope.see.meanings import layer_page

        if name not in self.trained.layers:
            raise UnknownNameError("measured layer", name, self.trained.layers)
        return layer_page(self, name)

    def number_of(self, concept: str) -> int:
        """The place of a concept among those with masks. Raises UsageError for one of whole images, else as `concept_of` does."""
        found = concept_of(concept, self.labels.sources)
        if found not in self.concepts:
            raise UsageError(
                f"Where '{concept}' is was asked for.",
                "It is a concept of whole images: it is nowhere in them.",
                "Give masks; or ask for its `sheet`, and `trained.of_images`.",
            )
        return self.concepts.index(found)


def concept_of(name: str, sources: Sequence[Source]) -> Concept:
    """The concept that is meant, of all sources; nothing need be measured for that.

    Raises UnknownNameError for one that is not there, UsageError where several are meant.
    """
    known = [one for source in sources for one in source.concepts]
    found = _called(name, known)
    if not found:
        raise UnknownNameError("concept", name, [one.name for one in known])
    if len(found) > 1:
        several = ", ".join(f"'{one}'" for one in found)
        raise UsageError(f"The concept '{name}' was asked for.", f"It may be {several}.", "Give one of these.")
    return found[0]


def _called(name: str, concepts: Sequence[Concept]) -> list[Concept]:
    wanted = name.casefold()
    return [one for one in concepts if wanted in (one.name.casefold(), str(one).casefold())]


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
    "classes", a folder of label maps, "voc:DIR", "coco:FILE", "pascal_part:DIR", "examples:DIR", "text:DIR=wheel,stripes"; by
    default "pixels", or "world" in the built-in world. `layers` are names or patterns (default: the end of every chain of
    convolution, norm and activation).
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
                control=number > 0,
                seed=seed,
                batch_size=batch_size,
                workers=workers,
                progress=partial(told, stage),
            )
        )
    by_name = all(isinstance(one, str) for one in concepts)
    settings: dict[str, Any] = {"seed": seed, **({"concepts": list(concepts)} if by_name else {})}
    return Dissected(network, labels, found[0], tuple(found[1:]), settings)


def _silent(stage: str, done: int, total: int) -> None:
    pass
