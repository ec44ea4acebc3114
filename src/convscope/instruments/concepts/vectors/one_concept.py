"""What is one concept's direction, and how well does it tell?  Fits against random counter-examples, and random concepts alike.

In a random concept as many counter-examples, drawn at random, take the examples' place, and are held against others of them; it
goes through all the steps of the concept, on both halves.
"""

from dataclasses import dataclass

import numpy as np

from convscope.instruments.concepts.vectors.example_sets import Half
from convscope.instruments.concepts.vectors.logistic import Pair, fitted
from convscope.instruments.concepts.vectors.one_against_many import one_against_many


@dataclass(frozen=True, eq=False)
class OneConcept:
    """One concept's part of ConceptVectors (vectors.py), where the arrays are described, without their first axis."""

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
    ) -> "OneConcept":
        used = np.unique(np.concatenate([part for half in halves for part in (half.examples, half.others)]))
        rows = values[used].astype(np.float64)
        fit, held_out = (Half(*(np.searchsorted(used, part) for part in (h.examples, h.others))) for h in halves)
        pairs = [(fit.examples, some) for some in _some(fit.others, len(fit.examples), n_runs, rng)]
        tried: list[Pair] = [(held_out.examples, held_out.others)] * n_runs
        for _ in range(n_random):
            own, rest = _split(fit.others, len(fit.examples), rng)
            pairs += [(own, some) for some in _some(rest, len(own), n_runs, rng)]
            tried += [_split(held_out.others, len(held_out.examples), rng)] * n_runs
        found = fitted(rows, np.concatenate([fit.examples, fit.others]), pairs, penalty)
        accuracy = np.array([found.correct(rows, i, sides) for i, sides in enumerate(tried)]).reshape(-1, n_runs)
        weights = found.weights.reshape(1 + n_random, n_runs, -1)
        vectors = unit_length(weights)
        apart = rows[held_out.examples].mean(axis=0) - rows[held_out.others].mean(axis=0)
        reached = accuracy.mean(axis=1)
        return cls(
            vectors[0].astype(np.float32),
            weights[0].mean(axis=0).astype(np.float32),
            accuracy[0],
            vectors[0] @ apart,
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
