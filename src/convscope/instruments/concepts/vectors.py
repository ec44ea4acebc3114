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
from convscope.instruments.concepts.example_sets import (
    LEAST_EXAMPLES,
    LEAST_HELD_OUT,
    LEAST_SHARE,
    N_EXAMPLES,
    SETS,
    ExampleSets,
    Half,
    example_sets,
)
from convscope.instruments.concepts.logistic import PENALTY, Pair, fitted
from convscope.instruments.concepts.one_against_many import one_against_many
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
    values, seen = (np.concatenate([getattr(part, name) for part in means]) for name in ("values", "seen"))
    refused = dict(sets.refused)
    parts: dict[Concept, _Vectors] = {}
    for concept, halves in zip(sets.concepts, sets.halves, strict=True):
        left = [Half(half.examples[seen[half.examples]], half.others[seen[half.others]]) for half in halves]
        why_not = _too_few_left(left)
        if why_not:
            refused[concept] = why_not
            continue
        rng = np.random.default_rng([seed, len(parts)])
        parts[concept] = _Vectors.of(values, (left[0], left[1]), n_runs, n_random, penalty, rng)
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


@dataclass(frozen=True, eq=False)
class _Vectors:
    """One concept's part of ConceptVectors."""

    vectors: np.ndarray
    weights: np.ndarray
    accuracy: np.ndarray
    gap: np.ndarray
    random_vectors: np.ndarray
    random_weights: np.ndarray
    random_accuracy: np.ndarray
    accuracy_p: float
    n_examples: tuple[int, int]

    @classmethod
    def of(
        cls,
        values: np.ndarray,
        halves: tuple[Half, Half],
        n_runs: int,
        n_random: int,
        penalty: float,
        rng: np.random.Generator,
    ) -> "_Vectors":
        fit, held_out = halves
        rows = values.astype(np.float64)
        pairs = [(fit.examples, some) for some in _some(fit.others, len(fit.examples), n_runs, rng)]
        tried: list[Pair] = [(held_out.examples, held_out.others)] * n_runs
        for _ in range(n_random):
            own, rest = _split(fit.others, len(fit.examples), rng)
            pairs += [(own, some) for some in _some(rest, len(own), n_runs, rng)]
            tried += [_split(held_out.others, len(held_out.examples), rng)] * n_runs
        used = np.unique(np.concatenate([fit.examples, fit.others]))
        found = fitted(rows[used], [tuple(np.searchsorted(used, side) for side in pair) for pair in pairs], penalty)  # type: ignore[misc]
        accuracy = np.array([found.correct(rows, i, sides) for i, sides in enumerate(tried)]).reshape(-1, n_runs)
        weights = found.weights.reshape(1 + n_random, n_runs, -1)
        vectors = unit_length(weights)
        along = (rows[held_out.examples] @ vectors[0].T).mean(axis=0) - (rows[held_out.others] @ vectors[0].T).mean(
            axis=0
        )
        reached = accuracy.mean(axis=1)
        return cls(
            vectors[0].astype(np.float32),
            weights[0].mean(axis=0).astype(np.float32),
            accuracy[0],
            along,
            vectors[1:, 0].astype(np.float32),
            weights[1:].mean(axis=1).astype(np.float32),
            reached[1:],
            float(one_against_many(reached[0], reached[1:], two_sided=False)),
            (len(fit.examples), len(held_out.examples)),
        )

    def untold(self, least: float, beyond: bool) -> str:
        """Why this vector says nothing; empty where it tells its concept, or nothing is asked of it (`least` = 0)."""
        if not self.weights.any():
            return "All examples have the same values in this layer."
        reached = self.accuracy.mean()
        if least == 0 or (beyond and reached >= least):
            return ""
        by_chance = f"{self.random_accuracy.mean():.2f} give or take {self.random_accuracy.std(ddof=1):.2f}"
        return (
            f"Its vector does not tell it: {reached:.2f} of held-out images are right (it takes {least:g} and more than "
            f"chance), random concepts get {by_chance}."
        )


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Vectors (last axis) of length 1; those of length 0 stay so."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def _split(places: np.ndarray, n: int, rng: np.random.Generator) -> Pair:
    """n of these places, and the rest."""
    order = rng.permutation(places)
    return order[:n], order[n:]


def _some(places: np.ndarray, n: int, n_times: int, rng: np.random.Generator) -> list[np.ndarray]:
    """n of these places, so many times."""
    return [rng.permutation(places)[:n] for _ in range(n_times)]


def _too_few_left(halves: Sequence[Half]) -> str:
    """Why what could be read does not suffice; empty if it does."""
    for half, least, word in zip(halves, (LEAST_EXAMPLES, LEAST_HELD_OUT), ("fit", "are held out"), strict=True):
        if len(half.examples) < least or len(half.others) < 2 * len(half.examples):
            return (
                f"Of the images that {word}, {len(half.examples)} examples and {len(half.others)} others could be "
                f"computed; it takes {least} and {SETS * least}."
            )
    return ""
