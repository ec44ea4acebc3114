"""What share of the concepts do units detect, how surely?  Which concepts are labelled is the sample: they are drawn again."""

from collections.abc import Sequence

import numpy as np

from convscope.images.concepts.concept import Concept
from convscope.instruments.concepts.collect import Collected
from convscope.instruments.concepts.detected import Detected
from convscope.instruments.concepts.dissect import Dissection
from convscope.instruments.concepts.single_units import SingleUnits
from convscope.intervals import Interval, bootstrap
from convscope.study.claim import TRAINED, Measured

N_DRAWS = 1000
FEWEST_CONCEPTS = 5  # fewer are no sample
LOW = ("colour", "brightness", "orientation", "scale", "corner", "curve", "texture")  # what a few pixels show
HIGH = ("part", "object", "scene")
NO_CONCEPTS = "No concepts with masks were given: --concepts pixels, --concepts masks/, why(..., concepts=[...])."


def mean_of(measured: Measured, each: np.ndarray) -> Interval:
    """The mean of a value of each concept, with its interval over draws of the concepts; the same draws for all values."""
    picked = measured.rng("concepts").integers(0, len(each), (N_DRAWS, len(each)))
    return bootstrap(float(each.mean()), each[picked].mean(axis=1))


def held(measured: Measured, n_concepts: int, n_draws: int = 200) -> np.ndarray:
    """Which concepts each of some draws holds, truth values `draw concept`: for what is no mean over concepts.

    Half of them, none twice: such draws scatter as much as those of a bootstrap (Shao and Wu 1989, Ann. Statist. 17:1176), and a
    concept that is there counts once. What a bootstrap happens to hold, 63 of 100, would scatter by a quarter less.
    """
    order = measured.rng("concepts").permuted(np.tile(np.arange(n_concepts), (n_draws, 1)), axis=1)
    return order < (n_concepts + 1) // 2


def of_concepts(measured: Measured, found: Detected) -> np.ndarray:
    """How likely each concept is to have a detector among K units, mean over the layers; of concepts that can be tested."""
    own: np.ndarray = found.likely.mean(axis=0)[pixels_of(measured).testable]
    return own


def pixels_of(measured: Measured) -> Collected:
    """What is labelled pixel by pixel, where it is."""
    assert measured.concepts is not None
    assert measured.concepts.labels.pixels is not None
    return measured.concepts.labels.pixels


def fresh_of(measured: Measured) -> list[SingleUnits]:
    """What the single units of the draws of fresh weights say."""
    return [single_of(measured, which) for which in measured.concepts.fresh] if measured.concepts else []


def dissected(measured: Measured, which: str = TRAINED) -> Dissection | None:
    """What was found of one of the networks, where concepts with masks were given."""
    if measured.concepts is None or measured.concepts.labels.pixels is None:
        return None
    return measured.concepts.networks[which]


def single_of(measured: Measured, which: str = TRAINED) -> SingleUnits:
    """What its single units say, where `why_not` says nothing."""
    found = dissected(measured, which)
    assert found is not None
    assert found.single is not None
    return found.single


def why_not(measured: Measured) -> str:
    """Why detectors cannot be counted; empty if they can."""
    found = dissected(measured)
    if found is None or found.single is None:
        return NO_CONCEPTS
    n = int(pixels_of(measured).testable.sum())
    if n < FEWEST_CONCEPTS:
        return f"{n} of the concepts are in both halves of the images; it takes {FEWEST_CONCEPTS}. Give more, or more images."
    return "" if found.single.layers else "No measured layer has maps."


def at_level(concepts: Sequence[Concept], categories: Sequence[str]) -> np.ndarray:
    """Which concepts are of these categories, truth values."""
    return np.array([concept.category in categories for concept in concepts], bool)
