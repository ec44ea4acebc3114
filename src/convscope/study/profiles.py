"""How does class selectivity change with depth?  The mean index of each layer beyond shuffled labels, with draws.

A gauge keeps no single responses, so images are drawn again by groups; units within layers are drawn again too. Drawing groups
twice makes every index larger; `bootstrap(..., centered=True)` takes that off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from convscope.study.claim import Measured
from convscope.sweep.gauges import Selectivity

TRUE, SHUFFLED, OTHER = 0, 1, 2  # labelings: the true one, and two shuffled ones
N_DRAWS = 200
FEWEST_GROUPS = 8  # fewer are no sample
LEAST_LAYERS = 4


@dataclass(frozen=True, eq=False)
class Profile:
    """One network's layers in order: how far the mean index lies beyond that of shuffled labels."""

    beyond: np.ndarray  # layer; NaN where no unit is alive
    shuffled: np.ndarray  # layer: the same for shuffled labels against other shuffled ones
    beyond_draws: np.ndarray  # draw layer
    shuffled_draws: np.ndarray


def profile(measured: Measured, which: str, layers: Sequence[str]) -> Profile:
    """The profile of the trained network, or of one with fresh weights."""
    rng = measured.rng("class selectivity")  # the same draws for all networks, which saw the same images
    n_groups = measured.n_groups
    groups = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=N_DRAWS)
    rows = [_layer(measured, which, layer, groups, rng) for layer in layers]
    values, draws = np.array([row[0] for row in rows]), np.stack([row[1] for row in rows], axis=1)
    return Profile(
        values[:, TRUE] - values[:, SHUFFLED],
        values[:, OTHER] - values[:, SHUFFLED],
        draws[..., TRUE] - draws[..., SHUFFLED],
        draws[..., OTHER] - draws[..., SHUFFLED],
    )


def _layer(
    measured: Measured, which: str, layer: str, groups: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mean index over the live units of a layer: `labelling`, and for each draw of images and units `draw labelling`."""
    gauge = measured.sweeps[which].gauges[layer]["selectivity"]
    assert isinstance(gauge, Selectivity)
    alive = np.flatnonzero(~measured.result(which, layer, "moments").dead)
    if not len(alive):
        return np.full(3, np.nan), np.full((len(groups), 3), np.nan)
    index = gauge.result().index
    drawn = gauge.resampled(groups) if draws_images(measured) else np.broadcast_to(index, (len(groups), *index.shape))
    units = alive[rng.integers(0, len(alive), (len(groups), len(alive)))]
    return index[:, alive].mean(axis=1), np.take_along_axis(drawn, units[:, None, :], axis=2).mean(axis=2)


def draws_images(measured: Measured) -> bool:
    """Whether images are drawn again, not only units."""
    return measured.n_groups >= FEWEST_GROUPS


def rank(depth: np.ndarray, values: np.ndarray) -> float:
    """Rank correlation (Spearman) of depth and the layers' values; NaN for too few layers, 0 where all are equal."""
    known = np.isfinite(values)
    if known.sum() < LEAST_LAYERS:
        return float("nan")
    return float(spearmanr(depth[known], values[known]).statistic) if np.ptp(values[known]) else 0.0


def growth(depth: np.ndarray, values: np.ndarray) -> float:
    """Mean over the last third of the depth less that over the first; NaN where one of them has no value."""
    return third(depth, values, 2) - third(depth, values, 0)


def third(depth: np.ndarray, values: np.ndarray, which: int) -> float:
    """Mean over the layers of the first (0) or last (2) third of the depth."""
    place = (depth - depth.min()) / max(np.ptp(depth), 1)
    chosen = values[place <= 1 / 3] if which == 0 else values[place >= 2 / 3]
    chosen = chosen[np.isfinite(chosen)]
    return float(chosen.mean()) if len(chosen) else float("nan")
