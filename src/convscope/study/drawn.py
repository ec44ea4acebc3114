"""Which units are looked at one by one?  Live ones, spread over the depth and drawn by the seed, so that nobody has picked them."""

from collections import Counter

import numpy as np

from convscope.network.chosen_layers import depths
from convscope.study.claim import Measured, Question
from convscope.study.plan import SATURATING
from convscope.sweep.gauges import Exemplars, Moments

N_EXEMPLARS = 9  # as every study has them: one gauge serves all


def hidden(question: Question) -> tuple[str, ...]:
    """The measured layers below the logits, in the order of depth."""
    order = depths(question.network.graph)
    return tuple(layer for layer in question.layers if order[layer] < order[question.network.output])


def spread(question: Question, n: int) -> Counter[str]:
    """How many of n units each layer gives: places spread evenly over the hidden layers."""
    layers = hidden(question)
    places = np.linspace(0, len(layers) - 1, n if layers else 0).round().astype(int)
    return Counter(layers[place] for place in places)


def peaks(question: Question, layer: str, n_units: int) -> tuple[Exemplars, Moments]:
    """The gauges that say which units of a layer live, and which image drives each most."""
    return Exemplars(n_units, N_EXEMPLARS, question.network.layers[layer].op in SATURATING), Moments(n_units)


def drawn(measured: Measured, which: str, n: int, what: str) -> list[tuple[str, int]]:
    """Layer and number of at most n units of the trained network, or of a draw of fresh weights; fewer where layers are small.

    Live ones: not dead, and above zero in some image.
    """
    found = []
    for layer, n_here in spread(measured, n).items():
        moments = measured.result(which, layer, "moments")
        live = np.flatnonzero(~moments.dead & (moments.max > 0)) if moments.n_images else np.zeros(0, np.int64)
        chosen = measured.rng(f"{what} {which} {layer}").permutation(live)[:n_here]
        found += [(layer, int(unit)) for unit in np.sort(chosen)]
    return found


def n_affordable(question: Question, macs_each: float, budget: float, most: int, fewest: int) -> int:
    """How many things to measure that cost so many multiplications each: as many as the budget allows, between the bounds."""
    return int(max(fewest, min(most, budget // max(macs_each * question.network.layers.total.n_macs, 1))))
