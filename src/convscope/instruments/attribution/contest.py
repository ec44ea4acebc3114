"""Which method is the most faithful on these images?  Insertion gains over random order, beside those of the trivial maps.

The best of many methods looks better than it is on the images it was chosen on. So it is chosen on one half of them and measured
on the other, and the other way round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
        fills = tuple(next(iter(rows[0]["trivial"].values())))
        names = tuple(dict.fromkeys(name for row in rows for name in row["methods"]))
        trivial = tuple(rows[0]["trivial"])
        return cls(
            names,
            np.array([[_by_fill(row["methods"].get(name), fills) for name in names] for row in rows], float),
            trivial,
            np.array([[_by_fill(row["trivial"][name], fills) for name in trivial] for row in rows], float),
            fills,
        )

    def __len__(self) -> int:
        return len(self.gains)

    def chosen(self) -> tuple[int, int]:
        """The best method by the even images, and by the odd ones; the mean over fills counts, and all images of the half."""
        means = [self.gains[start::2].mean((0, 2)) if len(self) > start else np.zeros(0) for start in (0, 1)]
        return tuple(int(np.argmax(np.where(np.isfinite(mean), mean, -np.inf))) for mean in means)  # type: ignore[return-value]

    def held_out(self) -> np.ndarray:
        """What the chosen method gained on the images it was not chosen on, `image fill`."""
        by_even, by_odd = self.chosen()
        found = self.gains[:, by_odd].copy()
        found[1::2] = self.gains[1::2, by_even]
        return found

    def gain(self, rng: np.random.Generator) -> Interval:
        """Mean of that over images and fills."""
        return mean_interval(self.held_out().mean(1), rng)

    def beyond(self, rng: np.random.Generator, fill: int | None = None) -> Interval:
        """How much more that is than the gain of the strongest trivial map, on the same images."""
        over = slice(None) if fill is None else slice(fill, fill + 1)
        differences = self.held_out()[:, None, over] - self.trivial[:, :, over]
        found = [mean_interval(difference.mean(1), rng) for difference in differences.transpose(1, 0, 2)]
        return min(found, key=lambda interval: interval.low)


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


def _by_fill(gains: Mapping[str, float | None] | None, fills: Sequence[str]) -> list[float]:
    found = [None if gains is None else gains.get(fill) for fill in fills]
    return [float("nan") if gain is None else float(gain) for gain in found]
