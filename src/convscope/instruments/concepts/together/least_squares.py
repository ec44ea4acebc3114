"""With which weights do units say a concept, and with how strong a ridge?  Least squares, from sums over pixels alone.

A ridge is chosen by what is fitted on one part of the images and tried on the other (parts.py): the squared error there follows
from the sums of both, so no pixel is looked at twice.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve

from convscope.instruments.concepts.together.forward import forward, refitted
from convscope.instruments.concepts.together.pixel_rows import Rows
from convscope.sweep.gauges.labelled import CHOOSE

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # numbers of units
STRENGTHS = (1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)  # of the ridge, in variances of a unit


@dataclass(frozen=True, eq=False)
class Sums:
    """All that fitting asks of some pixels: numbers, sums and products, of units and targets."""

    n: int
    units: np.ndarray  # unit
    among: np.ndarray  # unit unit
    along: np.ndarray  # unit target
    targets: np.ndarray  # target

    def __add__(self, other: "Sums") -> "Sums":
        mine, others = vars(self).values(), vars(other).values()
        return Sums(*(a + b for a, b in zip(mine, others, strict=True)))

    def only(self, targets: slice) -> "Sums":
        return Sums(self.n, self.units, self.among, self.along[:, targets], self.targets[targets])


@dataclass(frozen=True, eq=False)
class Weights:
    """Read-outs of each size, for standardised units; the last size is all units."""

    path: np.ndarray  # int64 target rank: the units in the order they are taken
    few: np.ndarray  # float64 target size rank: weights of the first so many of them, 0 for the rest
    every: np.ndarray  # float64 unit target: weights of all
    constant: np.ndarray  # float64 target size

    def of(self, values: np.ndarray) -> np.ndarray:
        """What they say of values `row unit`, float32 `target size row`."""
        found = np.empty((*self.constant.shape, len(values)), np.float32)
        by_unit = np.ascontiguousarray(values.T)
        found[:, -1] = self.every.T @ by_unit + self.constant[:, -1:]
        for target, (own, path) in enumerate(zip(self.few, self.path, strict=True)):
            found[target, :-1] = own @ by_unit[path] + self.constant[target, :-1, None]
        return found

    def squared_error(self, sums: Sums) -> np.ndarray:
        """Sum of the squared errors on some pixels, less what does not depend on the weights, float64 `target size`."""
        path, every = self.path, self.every
        along, units = np.take_along_axis(sums.along.T, path, 1), sums.units[path]  # target rank
        among = sums.among[path[:, :, None], path[:, None, :]]
        few = (
            ((self.few @ among) * self.few).sum(axis=2),
            *((self.few @ part[..., None])[..., 0] for part in (along, units)),
        )
        full = (every * (sums.among @ every)).sum(axis=0), (every * sums.along).sum(axis=0), sums.units @ every
        squares, right, mean = (np.concatenate([a, b[:, None]], axis=1) for a, b in zip(few, full, strict=True))
        constant = self.constant
        return squares - 2 * right + 2 * constant * (mean - sums.targets[:, None]) + sums.n * constant**2


def sums_of(rows: Rows, part: np.ndarray, known: np.ndarray, targets: np.ndarray) -> list[Sums]:
    """Sums of the half that chooses, of each part."""
    labels, n = rows.labels(CHOOSE, targets), rows.n_units
    found = [
        Sums(0, np.zeros(n), np.zeros((n, n)), np.zeros((n, len(targets))), np.zeros(len(targets))) for _ in (0, 1)
    ]
    for images, values in rows.blocks(CHOOSE):
        for side in (0, 1):
            own = known[images] & (part[images] == side)[:, None]
            x, y = values[own], labels[images][own].astype(np.float64)
            found[side] += Sums(len(x), x.sum(axis=0), x.T @ x, x.T @ y, y.sum(axis=0))
    return found


def weighed(sums: list[Sums], sizes: tuple[int, ...]) -> tuple[list[Weights], Weights]:
    """The read-outs fitted on each part, and on both, with the ridge that is best from part to part."""
    ridges, whole = _strengths(sums, sizes), sums[0] + sums[1]
    crossed, both = ([_fitted(one, _path(one, sizes), sizes, ridges) for one in some] for some in (sums, [whole]))
    return crossed, both[0]


def _strengths(sums: list[Sums], sizes: tuple[int, ...]) -> np.ndarray:
    """The ridge of each target and size with the least squared error where it was not fitted, float64 `target size`."""
    paths = [_path(one, sizes) for one in sums]
    errors = []
    for strength in STRENGTHS:
        ridges = np.full((len(sums[0].targets), len(sizes) + 1), strength)
        fitted = [_fitted(one, path, sizes, ridges) for one, path in zip(sums, paths, strict=True)]
        errors.append(fitted[0].squared_error(sums[1]) + fitted[1].squared_error(sums[0]))
    return np.array(STRENGTHS)[np.argmin(errors, axis=0)]


def _path(sums: Sums, sizes: tuple[int, ...]) -> np.ndarray:
    return forward(*_centred(sums)[:2], sizes[-1])


def _fitted(sums: Sums, path: np.ndarray, sizes: tuple[int, ...], ridges: np.ndarray) -> Weights:
    """The read-outs along a path, with ridges `target size`."""
    among, along, unit, target = _centred(sums)
    few, every = np.zeros((len(path), len(sizes), path.shape[1])), np.empty_like(along)
    for at, size in enumerate(sizes):
        few[:, at, :size] = refitted(among, along, path[:, :size], ridges[:, at])
    for strength in np.unique(ridges[:, -1]):
        same = ridges[:, -1] == strength
        every[:, same] = solve(among + strength * np.eye(len(unit)), along[:, same], assume_a="pos")
    said = np.concatenate([(few @ unit[path][..., None])[..., 0], (unit @ every)[:, None]], axis=1)
    return Weights(path, few, every, target[:, None] - said)


def _centred(sums: Sums) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Covariance of units, of units with targets, and the means of both."""
    unit, target = sums.units / sums.n, sums.targets / sums.n
    return sums.among / sums.n - np.outer(unit, unit), sums.along / sums.n - np.outer(unit, target), unit, target
