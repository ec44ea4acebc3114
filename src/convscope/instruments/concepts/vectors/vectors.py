"""In which direction of a layer does a concept lie?  Concept activation vectors, tried on images they were not fitted to.

Kim et al. 2018 (TCAV, arXiv:1711.11279, section 3.2): a linear classifier tells the activations of examples from those of random
counter-examples; its weights are the concept's direction. There activations are whole maps, unfolded. Here they are the layer's
units, as means over the image (or over the pixels of a mask): the vector is then the same at every place, it can be held against
single units and read-outs, and it has hundreds of entries rather than a hundred thousand, which tens of examples can settle.

Each concept is held against several random sets of counter-examples, and so are random "concepts": counter-examples that stand in
for examples. What random concepts reach is the yardstick for both questions: whether a vector tells its concept at all, on held-out
images, and whether a class is sensitive to it (sensitivity.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from convscope.errors import ImagesError, UsageError
from convscope.images import Images
from convscope.images.concepts.concept import Concept
from convscope.instruments.concepts.collect import Collected
from convscope.instruments.concepts.vectors.example_sets import (
    LEAST_EXAMPLES,
    LEAST_HELD_OUT,
    LEAST_SHARE,
    N_EXAMPLES,
    SETS,
    ExampleSets,
    Half,
    example_sets,
)
from convscope.instruments.concepts.vectors.logistic import PENALTY
from convscope.instruments.concepts.vectors.one_concept import OneConcept, unit_length
from convscope.intervals import false_discovery_rate
from convscope.network import Network
from convscope.sweep.engine import Progress, sweep
from convscope.sweep.gauges.regions import UnitMeans

N_RUNS = 10  # random sets of counter-examples
N_RANDOM = 40  # random concepts
LEAST_ACCURACY = 0.6  # on held-out images, of which a coin gets .5
RATE = 0.05  # of false ones among the concepts that are told


@dataclass(frozen=True, eq=False)
class ConceptVectors:
    """One layer's directions for some concepts. Vectors have the length 1, in the space of the layer's units."""

    layer: str
    concepts: tuple[Concept, ...]
    vectors: np.ndarray  # float32 concept run unit
    weights: np.ndarray  # float32 concept unit: of the classifiers as they are, mean over runs
    accuracy: np.ndarray  # float64 concept run: on held-out images, both sides counted alike
    gap: (
        np.ndarray
    )  # float64 concept run: how much further along the vector held-out examples lie than counter-examples
    random_vectors: np.ndarray  # float32 concept random unit: one run of random concepts in its place
    random_weights: np.ndarray  # float32 concept random unit: mean over runs
    random_accuracy: np.ndarray  # float64 concept random: mean over runs
    accuracy_p: np.ndarray  # float64 concept: how rare that accuracy is among random concepts
    baseline: np.ndarray  # float32 unit: the mean of all counter-examples
    n_examples: np.ndarray  # int64 concept 2: that fitted, that were held out
    refused: dict[Concept, str]  # what has no vector or one that says nothing, and why
    least_accuracy: float = LEAST_ACCURACY

    def __repr__(self) -> str:
        n, n_units = len(self.concepts), self.vectors.shape[-1]
        return f"ConceptVectors({self.layer}: {int(self.tells.sum())} of {n} concepts are told by a direction of {n_units} units)"

    @cached_property
    def vector(self) -> np.ndarray:
        """One vector for each concept, float32 `concept unit`: the mean over runs, of length 1 (0 where there is none)."""
        return unit_length(self.vectors.mean(axis=1))

    @property
    def tells(self) -> np.ndarray:
        """Whether each vector tells its concept on held-out images, truth values `concept`."""
        return np.array([concept not in self.refused for concept in self.concepts], bool)

    @property
    def agreement(self) -> np.ndarray:
        """How alike the vectors of different runs are, float64 `concept`: their mean cosine."""
        n_runs = self.vectors.shape[1]
        length = np.square(self.vectors.sum(axis=1, dtype=np.float64)).sum(axis=1)
        return (length - n_runs) / (n_runs * (n_runs - 1))

    @property
    def cosines(self) -> np.ndarray:
        """How alike the concepts' directions are, float64 `concept concept`."""
        vectors = self.vector.astype(np.float64)
        return vectors @ vectors.T


def concept_vectors(
    network: Network,
    images: Images,
    found: Collected,
    layer: str,
    *,
    concepts: Sequence[Concept] | None = None,
    against: Images | None = None,
    n_examples: int = N_EXAMPLES,
    least_share: float = LEAST_SHARE,
    n_runs: int = N_RUNS,
    n_random: int = N_RANDOM,
    penalty: float = PENALTY,
    least_accuracy: float = LEAST_ACCURACY,
    seed: int = 0,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ConceptVectors:
    """The vectors of a layer for concepts whose labels were collected from these images.

    `against` are counter-examples from elsewhere (see `example_sets`). Concepts with too few examples, and vectors that do not
    tell their concept on held-out images, are named in `refused`, with the reason. Raises UnknownNameError for the layer,
    UsageError for one without values or for settings that cannot be, ImagesError where no concept has enough examples.
    """
    sets = example_sets(
        found, concepts=concepts, against=against, n_examples=n_examples, least_share=least_share, seed=seed
    )
    inside, outside = sets.gauges(network, layer)
    sweep(network, images, {layer: {inside.name: inside}}, batch_size=batch_size, workers=workers, progress=progress)
    if against is not None:
        sweep(
            network,
            against,
            {layer: {outside.name: outside}},
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
    means = (inside.result(), outside.result())
    return vectors_from(
        sets,
        layer,
        means,
        n_runs=n_runs,
        n_random=n_random,
        penalty=penalty,
        least_accuracy=least_accuracy,
        seed=seed,
    )


def vectors_from(
    sets: ExampleSets,
    layer: str,
    means: tuple[UnitMeans, UnitMeans],
    *,
    n_runs: int = N_RUNS,
    n_random: int = N_RANDOM,
    penalty: float = PENALTY,
    least_accuracy: float = LEAST_ACCURACY,
    seed: int = 0,
) -> ConceptVectors:
    """The vectors, from what the gauges of `ExampleSets.gauges` saw."""
    if n_runs < 2 or n_random < 10 or penalty <= 0 or not 0 <= least_accuracy <= 1:
        raise UsageError(
            "Concept vectors were asked for.",
            f"n_runs={n_runs}, n_random={n_random}, penalty={penalty}, least_accuracy={least_accuracy}.",
            "Give at least 2 runs, at least 10 random concepts, a penalty above 0 and an accuracy in 0-1.",
        )
    inside, outside = means
    values = np.concatenate([inside.values, outside.values]) if len(outside.seen) else inside.values
    seen = np.concatenate([inside.seen, outside.seen])
    refused = dict(sets.refused)
    parts: dict[Concept, OneConcept] = {}
    for concept, halves in zip(sets.concepts, sets.halves, strict=True):
        left = [Half(half.examples[seen[half.examples]], half.others[seen[half.others]]) for half in halves]
        why_not = _too_few_left(left)
        if why_not:
            refused[concept] = why_not
            continue
        rng = np.random.default_rng([seed, len(parts)])
        parts[concept] = OneConcept.of(values, (left[0], left[1]), n_runs, n_random, penalty, rng)
    if not parts:
        concept, why_not = next(iter(refused.items()))
        raise ImagesError(
            f"Concept vectors were asked for at '{layer}'.",
            f"No concept has enough examples. {concept}: {why_not}",
            "Give more images.",
        )
    beyond = false_discovery_rate(np.array([part.accuracy_p for part in parts.values()]), RATE)
    for (concept, part), is_beyond in zip(parts.items(), beyond, strict=True):
        if told := part.untold(least_accuracy, bool(is_beyond)):
            refused[concept] = told
    joined = {name: np.stack([getattr(part, name) for part in parts.values()]) for name in _JOINED}
    others = np.unique(np.concatenate([half.others for halves in sets.halves for half in halves]))
    baseline = values[others[seen[others]]].mean(axis=0, dtype=np.float64).astype(np.float32)
    return ConceptVectors(
        layer, tuple(parts), **joined, baseline=baseline, refused=refused, least_accuracy=least_accuracy
    )


_JOINED = (
    *("vectors", "weights", "accuracy", "gap", "random_vectors", "random_weights", "random_accuracy"),
    *("accuracy_p", "n_examples"),
)


def _too_few_left(halves: Sequence[Half]) -> str:
    """Why what could be read does not suffice; empty if it does."""
    for half, least, word in zip(halves, (LEAST_EXAMPLES, LEAST_HELD_OUT), ("fit", "are held out"), strict=True):
        if len(half.examples) < least or len(half.others) < 2 * len(half.examples):
            return (
                f"Of the images that {word}, {len(half.examples)} examples and {len(half.others)} others could be "
                f"computed; it takes {least} and {SETS * least}."
            )
    return ""
