"""Which thresholds are looked at?  Some for each unit, chosen so that each is passed by a constant share less than the one before.

A unit's range is cut into 255 equal steps, and some of their edges are its thresholds: at every second or so half as many pixels
are left, down to a few in ten thousand. Round about the conventional one they are closer, and to both sides of its step: that one
is a quantile of the neurons, not of the pixels (of a coarse map, whose peaks are narrow, fewer pixels are above it). The range and
the choice come from a small sample of the images (a `Values` gauge); they only choose *which* thresholds are measured, what is
measured there is exact. On is what lies *above* a threshold; values in one step (1/255 of the range) count as equal, so units that
saturate (ReLU6) or are silent (ReLU) tie, and a tie is never cut in two.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch

from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.gauges.pixels import Anchor, Pixels, neurons_at, values_at
from convscope.sweep.response import Response

N_LEVELS = 256  # 0: nothing above the least threshold
LEAST_TAIL = 2.0**-11.5  # share of values above the highest threshold: .00035
NEAR_TOP = 0.005  # round about the conventional threshold they are closer
CLEAR = 1e-3  # steps by which a value must exceed a tie: what interpolation leaves of a zero is no answer
LOWEST_QUANTILE = 0.1  # where the range begins; below, nearly everything is on
HIGHEST_QUANTILE = 0.9995  # where it ends


@dataclass(frozen=True, eq=False)
class Levels:
    """Thresholds of each unit."""

    low: np.ndarray  # float32 unit
    step: np.ndarray  # float32 unit; above zero
    # int64 unit threshold: the first level beyond each, ascending; 0 for the first, where all is on, N_LEVELS where nothing can be
    first: np.ndarray

    @property
    def n_bins(self) -> int:
        return self.first.shape[1]

    @property
    def thresholds(self) -> np.ndarray:
        """What a value must exceed to be on, float64 `unit threshold`; -inf for the first, inf where nothing can be on."""
        values = self.low[:, None].astype(np.float64) + (self.first - 1) * self.step[:, None].astype(np.float64)
        return np.where(self.first == 0, -np.inf, np.where(self.first == N_LEVELS, np.inf, values))

    @property
    def tied(self) -> np.ndarray:
        """Whether a single level lies between a threshold and the next, `unit threshold`: what is there counts as equal."""
        after = np.concatenate([self.first[:, 1:], np.full((len(self.first), 1), N_LEVELS)], axis=1)
        return after - self.first == 1

    def levels_of(self, values: torch.Tensor) -> torch.Tensor:
        """The level of float32 values `image unit pixel`, uint8."""
        low = torch.from_numpy(self.low).to(values.device)[:, None]
        scale = torch.from_numpy(1 / self.step).to(values.device)[:, None]
        return (values - low).mul_(scale).ceil_().clamp_(0, N_LEVELS - 1).to(torch.uint8)


def levels_from(values: np.ndarray, n_bins: int = 24, neurons: np.ndarray | None = None) -> Levels:
    """Thresholds for units of which some values are known, float32 `unit value`, each finite; of pixels, and of neurons."""
    ordered = np.sort(values, axis=1)
    return _chosen(ordered, ordered if neurons is None else np.sort(neurons, axis=1), n_bins)


def _chosen(ordered: np.ndarray, near_top: np.ndarray, n_bins: int) -> Levels:
    """The same, of values in ascending order."""
    if not ordered.shape[1]:  # of no image a finite value is known: any threshold will do
        ordered = near_top = np.zeros((len(ordered), 1), np.float32)
    low = ordered[:, int(LOWEST_QUANTILE * (ordered.shape[1] - 1))]
    ends = (part[:, int(np.ceil(HIGHEST_QUANTILE * (part.shape[1] - 1)))] for part in (ordered, near_top))
    high = np.maximum(*ends)
    high = np.where(high > low, high, ordered[:, -1])
    step = (high - low) / (N_LEVELS - 1)
    step = np.where(step > 0, step, np.maximum(np.abs(low) * 1e-4, 1e-6)).astype(np.float32)
    low = low + CLEAR * step
    bare = Levels(low.astype(np.float32), _to_a_tie(near_top, low, step), np.zeros((len(low), 1), np.int64))
    pixels_above, neurons_above = (_above(bare, part) for part in (ordered, near_top))
    most = np.maximum(pixels_above[:, 1:2], 4 / ordered.shape[1])
    least = np.minimum(LEAST_TAIL, most / 4)
    n_near = n_bins // 4
    wide = most * (least / most) ** np.linspace(0, 1, n_bins - 1 - n_near)
    near = np.broadcast_to(NEAR_TOP * 2 ** np.linspace(0.5, -0.5, n_near - 4), (len(low), n_near - 4))
    wanted = [_levels_at(pixels_above, wide), _levels_at(neurons_above, near), _both_sides(neurons_above)]
    first = np.zeros((len(low), n_bins), np.int64)
    first[:, 1:] = np.sort(np.concatenate(wanted, axis=1), axis=1)
    for at in range(1, n_bins):
        first[:, at] = np.maximum(first[:, at], np.minimum(first[:, at - 1] + 1, N_LEVELS))
    return Levels(bare.low, bare.step, first)


def _to_a_tie(ordered: np.ndarray, low: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Steps a little larger, so that one ends where neurons tie round about the conventional threshold, if any do.

    What is just above a tie is then not taken for a part of it.
    """
    n = ordered.shape[1]
    alike = max(2, int(NEAR_TOP / 2 * n))  # neurons that make a tie
    top = ordered[:, max(0, n - int(2 * NEAR_TOP * n) - 2 * alike) : n - int(NEAR_TOP / 2 * n)]
    if top.shape[1] <= alike:
        return step
    spread = top[:, alike:] - top[:, :-alike]
    at = spread.argmin(axis=1)[:, None]
    value = np.take_along_axis(top, at + alike, 1)[:, 0]
    steps = np.floor((value - low) / step)
    tied = (np.take_along_axis(spread, at, 1)[:, 0] <= CLEAR * step) & (steps >= 1)
    return np.where(tied, (value + CLEAR * step - low) / np.maximum(steps, 1), step).astype(np.float32)


def _above(levels: Levels, values: np.ndarray) -> np.ndarray:
    """Share of values in each level or a higher one, `unit level`."""
    codes = levels.levels_of(torch.from_numpy(np.ascontiguousarray(values))[None])[0].numpy()
    counts = np.stack([np.bincount(row, minlength=N_LEVELS) for row in codes])
    return counts[:, ::-1].cumsum(axis=1)[:, ::-1] / values.shape[1]


def _levels_at(above: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The first level that no more than a share of the values reaches; the last, where it holds more.  `unit share`."""
    found = [(above <= share[:, None] * (1 + 1e-9)).argmax(axis=1) for share in shares.T]
    return np.where(above[:, -1:] > shares, N_LEVELS - 1, np.stack(found, axis=1))


def _both_sides(above: np.ndarray) -> np.ndarray:
    """Where the conventional threshold's own level begins and ends, and the fullest one nearby, `unit 4`.

    A tie near it may hold so many neurons that in other images the threshold is there.
    """
    after = np.concatenate([above[:, 1:], np.zeros_like(above[:, :1])], axis=1)
    nearby = (above >= NEAR_TOP / 2) & (after <= NEAR_TOP * 2)
    own = (above >= NEAR_TOP).sum(axis=1) - 1
    fullest = np.where(nearby, above - after, -1).argmax(axis=1)
    return np.maximum(np.stack([own, own + 1, fullest, fullest + 1], axis=1), 1)


@dataclass(frozen=True, eq=False)
class UnitValues:
    """Some values of each unit, ascending."""

    values: np.ndarray  # float32 unit value: at pixels
    neurons: np.ndarray  # float32 unit value: of neurons

    def levels(self, n_bins: int = 24) -> Levels:
        """Thresholds chosen from them."""
        return _chosen(self.values, self.neurons, n_bins)


@register("gauge", "values")
@dataclass
class Values(Gauge):
    """Keeps what the units say at a few pixels of each image, and a few neurons: from the first images thresholds are chosen."""

    name = "values"
    n_units: int
    pixels: Pixels
    anchor: Anchor
    axes: np.ndarray | None = field(default=None, repr=False)  # as for Overlap
    kept: list[np.ndarray] = field(init=False, default_factory=list, repr=False)  # float32 unit value: at pixels
    neurons: list[np.ndarray] = field(init=False, default_factory=list, repr=False)

    def update(self, response: Response) -> None:
        lattice = Pixels(response.size, self.pixels.n)
        at_pixels = values_at(response.maps, *self.pixels.places(response.keys), self.anchor)
        at_neurons = neurons_at(response.maps, *lattice.places(response.keys))
        for parts, values in ((self.kept, at_pixels), (self.neurons, at_neurons)):
            parts.append(along(values, self.axes).transpose(0, 1).flatten(1).cpu().numpy())

    def merge(self, other: Self) -> None:
        self.kept += other.kept
        self.neurons += other.neurons

    def state(self) -> dict[str, np.ndarray]:
        none = np.zeros((self.n_units if self.axes is None else len(self.axes), 0), np.float32)
        return {name: np.concatenate([none, *getattr(self, name)], axis=1) for name in ("kept", "neurons")}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.kept, self.neurons = [np.array(state["kept"])], [np.array(state["neurons"])]

    def result(self) -> UnitValues:
        found = UnitValues(*self.state().values())
        for values in (found.values, found.neurons):
            values.sort(axis=1)  # whatever the order of the images
        return found


def along(values: torch.Tensor, axes: np.ndarray | None) -> torch.Tensor:
    """Values `image unit pixel` along other axes of the layer's space (`axis unit`), where such are given."""
    return values if axes is None else torch.matmul(torch.from_numpy(axes).to(values), values)
