"""Which method is the most faithful on these images?  Insertion gains over random order, beside those of the trivial maps.

The best of many methods looks better than it is on the images it was chosen on. So it is chosen on one half of them and measured
on the other, and the other way round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import stdtrit

from convscope.errors import MissingRuleError, UsageError
from convscope.instruments.attribution.checks import Subject
from convscope.instruments.attribution.checks.faithfulness import gains
from convscope.instruments.attribution.method import Attribution, Method
from convscope.intervals import Interval, bootstrap

TRIVIAL = ("centre", "edges")
N_DRAWS = 2000
FEWEST_IMAGES = 8  # fewer are no sample


@dataclass(frozen=True, eq=False)
class Contest:
    """What several methods gained on several images; NaN where a method gave no map."""

    names: tuple[str, ...]
    gains: np.ndarray  # image method fill
    trivial_names: tuple[str, ...]
    trivial: np.ndarray  # image trivial-map fill
    fills: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> "Contest":
        """From one row for each image: `methods` and `trivial`, by name and fill."""
        names = tuple(dict.fromkeys(name for row in rows for name in row["methods"]))
        trivial = tuple(dict.fromkeys(name for row in rows for name in row["trivial"]))
        fills = tuple(dict.fromkeys(fill for row in rows for gains in row["trivial"].values() for fill in gains))
        return cls(
            names,
            np.array([[_by_fill(row["methods"].get(name), fills) for name in names] for row in rows], float),
            trivial,
            np.array([[_by_fill(row["trivial"].get(name), fills) for name in trivial] for row in rows], float),
            fills,
        )

    def __len__(self) -> int:
        return len(self.gains)

    def only(self, names: Sequence[str]) -> "Contest":
        """The same among these methods."""
        return replace(self, names=tuple(names), gains=self.gains[:, [self.names.index(name) for name in names]])

    def chosen(self) -> tuple[int, int]:
        """The best method by the even images, and by the odd ones; the mean over fills and images counts. Needs two images."""
        by_even, by_odd = (known_mean(self.gains[start::2], (0, 2)) for start in (0, 1))
        return _best(by_even), _best(by_odd)

    def held_out(self) -> np.ndarray:
        """What the chosen method gained on the images it was not chosen on, `image fill`."""
        by_even, by_odd = self.chosen()
        found = self.gains[:, by_odd].copy()
        found[1::2] = self.gains[1::2, by_even]
        return found

    def gain(self, rng: np.random.Generator) -> Interval:
        """Mean of that over images and fills."""
        return mean_interval(known_mean(self.held_out(), 1), rng)

    def beyond(self, rng: np.random.Generator, fill: int | None = None) -> Interval:
        """How much more that is than the gain of the strongest trivial map, on the same images."""
        return self.strongest(self.held_out(), rng, fill)[1]

    def strongest(self, gains: np.ndarray, rng: np.random.Generator, fill: int | None = None) -> tuple[str, Interval]:
        """The trivial map that gains, `image fill`, are least surely beyond; and by how much they are."""
        over = slice(None) if fill is None else slice(fill, fill + 1)
        differences = known_mean(gains[:, None, over] - self.trivial[:, :, over], 2)
        found = {name: mean_interval(differences[:, i], rng) for i, name in enumerate(self.trivial_names)}
        return min(found.items(), key=lambda item: item[1].low)

    def surely_beyond(self, name: str, n_compared: int) -> bool:
        """Whether a method's gain is beyond every trivial map's though it was picked among so many.

        One-sided t-tests of the mean difference at 2.5 %, divided by the number (Bonferroni).
        """
        gains = self.gains[:, self.names.index(name)]
        return all(_t(known_mean(gains - self.trivial[:, i], 1), n_compared) for i in range(len(self.trivial_names)))


def row_of(subject: Subject, methods: Mapping[str, Method]) -> dict[str, Any]:
    """The row of one image, for these methods by name; one that refuses the network is left out of it."""
    row: dict[str, Any] = {"methods": {}, "trivial": {}}
    for name, method in methods.items():
        try:
            found = gains_of(subject, subject.explain(method))
        except (MissingRuleError, UsageError):  # no rule, or no maps for it to live in
            continue
        row["methods"][name] = found["insertion"]
        row["trivial"] = found["trivial"]
    return row


def gains_of(subject: Subject, attribution: Attribution) -> dict[str, Any]:
    """How much more of the curve lies under a map's order than under random ones, by fill: "insertion", "deletion"; and "trivial",
    the same for insertion by each trivial map.
    """
    found = gains(subject, attribution)
    over = {way: {fill: by[way]["random"] for fill, by in found.items()} for way in ("insertion", "deletion")}
    trivial = {
        name: {fill: by["insertion"]["random"] - by["insertion"][name] for fill, by in found.items()}
        for name in TRIVIAL
    }
    return {**over, "trivial": trivial}


def mean_interval(values: np.ndarray, rng: np.random.Generator) -> Interval:
    """The mean over images, with its interval from images drawn again."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Interval(float("nan"), float("nan"), float("nan"))
    drawn = known[rng.integers(0, len(known), (N_DRAWS, len(known)))].mean(1)
    return bootstrap(float(known.mean()), drawn)


def _t(differences: np.ndarray, n_compared: int) -> bool:
    known = differences[np.isfinite(differences)]
    if len(known) < 2:
        return False
    error = float(known.std(ddof=1)) / len(known) ** 0.5
    return float(known.mean()) > float(stdtrit(len(known) - 1, 1 - 0.025 / n_compared)) * error


def known_mean(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """The mean of what is known; NaN where nothing is."""
    n_known = np.isfinite(values).sum(axis)
    return np.where(n_known > 0, np.nansum(values, axis) / np.maximum(n_known, 1), np.nan)


def _best(means: np.ndarray) -> int:
    return int(np.argmax(np.where(np.isfinite(means), means, -np.inf)))


def _by_fill(gains: Mapping[str, float | None] | None, fills: Sequence[str]) -> list[float]:
    found = [None if gains is None else gains.get(fill) for fill in fills]  # a fill that hides nothing says nothing
    return [float("nan") if gain is None else float(gain) for gain in found]
