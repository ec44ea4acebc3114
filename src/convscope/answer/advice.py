"""What is said of methods that were compared?  The advice in words, and the table it rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.documents import finite
from convscope.instruments.attribution.contest import FEWEST_IMAGES
from convscope.intervals import Interval

CHECKS = ("class_dependence", "weight_dependence", "completeness", "repeatability")  # what decides besides faithfulness
MOST_FAILING = 0.2  # share of the images on which a check may fail


@dataclass(frozen=True, eq=False)
class Compared:
    """One method at one layer, on all images."""

    name: str
    title: str
    layer: str
    n_images: int
    gain: Interval  # insertion, over random order; mean over images and fills
    beyond: Interval  # the same over the strongest trivial map
    against: str  # which that is
    surely: bool  # whether it is beyond all trivial maps, the number of methods taken into account
    deletion: Interval
    holds: Mapping[str, float | None]  # check -> share of the images on which it holds; None where it could not be run
    cost: float  # in forward passes, about; a walk back counts as two
    refused: str = ""  # why there is nothing

    @property
    def trusted(self) -> bool:
        """Whether the checks that decide hold on nearly all images."""
        return all(share is None or share >= 1 - MOST_FAILING for share in self.holds.values())

    def as_dict(self) -> dict[str, Any]:
        """The row, fit for JSON."""
        names = ("name", "title", "layer", "n_images", "against", "surely", "cost", "refused", "trusted")
        same = {name: getattr(self, name) for name in names}
        measured = {name: getattr(self, name).as_dict() for name in ("gain", "beyond", "deletion")}
        return finite({**same, **measured, "holds": dict(self.holds)})


@dataclass(frozen=True, eq=False)
class Advice:
    """Which method to use here, and the evidence."""

    recommendation: str  # in words
    best: str | None  # the name that `explain --method` takes; None where nothing can be advised
    rows: tuple[Compared, ...]  # best first
    trivial: Mapping[str, Interval]  # insertion gain of each trivial map
    fills: tuple[str, ...]
    n_images: int
    seed: int
    skipped: tuple[tuple[str, str], ...] = ()  # id and reason

    def as_dict(self) -> dict[str, Any]:
        """The advice, fit for JSON."""
        return {
            "recommendation": self.recommendation,
            "best": self.best,
            "rows": [row.as_dict() for row in self.rows],
            "trivial": {name: gain.as_dict() for name, gain in self.trivial.items()},
            "fills": list(self.fills),
            "n_images": self.n_images,
            "seed": self.seed,
            "skipped": [{"id": id, "reason": reason} for id, reason in self.skipped],
            "evidence": self.evidence,
        }

    @property
    def evidence(self) -> list[dict[str, Any]]:
        """The panels that show it."""
        shown = [row for row in self.rows if not row.refused]
        bars = [
            {"name": f"{row.title} at {row.layer}", **finite(row.gain.as_dict()), "control": False} for row in shown
        ]
        bars += [
            {"name": f"{name} map", **finite(gain.as_dict()), "control": True} for name, gain in self.trivial.items()
        ]
        title = (
            f"Insertion gain over random order, in probability: mean of {self.n_images} images and of "
            f"{' and '.join(self.fills)} fill"
        )
        return [
            {"panel": "bars", "title": title, "unit": "index", "bars": bars},
            {
                "panel": "table",
                "title": "What was measured",
                "columns": list(COLUMNS),
                "rows": [list(cells(row)) for row in self.rows],
                "align": ["left", "left", *["right"] * (len(COLUMNS) - 2)],
            },
        ]


COLUMNS = (
    "method",
    "layer",
    "gain",
    "95 %",
    "beyond trivial",
    "deletion",
    "class",
    "weights",
    "sums",
    "repeats",
    "passes",
)


def cells(row: Compared) -> tuple[str, ...]:
    """A row as short text, in the order of COLUMNS."""
    if row.refused:
        return (row.title, row.refused, *["–"] * (len(COLUMNS) - 2))
    return (
        *(row.title, row.layer, _signed(row.gain.value), f"{_signed(row.gain.low)} to {_signed(row.gain.high)}"),
        *(_signed(row.beyond.value), _signed(row.deletion.value)),
        *(_share(row.holds.get(check)) for check in CHECKS),
        f"{row.cost:.3g}",
    )


def in_words(
    order: Sequence[Compared],
    best: Compared | None,
    held_out: tuple[str, Interval, Interval] | None,
    trivial: Mapping[str, Interval],
    n_images: int,
) -> str:
    """The recommendation. `held_out`: what the procedure gained on images it did not choose on: the trivial map it is held against,
    the gain over random order, and the gain beyond that map.
    """
    if n_images < FEWEST_IMAGES:
        return f"{n_images} image{'s are' if n_images > 1 else ' is'} too few for advice: give {FEWEST_IMAGES} or more."
    sound = [row for row in order if not row.refused and row.trusted]
    if best is None or held_out is None:
        told = f"No method can be advised yet: on these {n_images} images none that passes its checks is surely more faithful "
        told += "than maps that only know the centre of the image or its edges."
        if sound and sound[0].beyond.high > 0:
            nearest = sound[0]
            told += (
                f" {_at(nearest)} comes nearest, {_span(nearest.beyond)} beyond {_known(nearest.against, trivial)}: "
            )
            told += "more images may decide."
        return told
    against, gain, beyond = held_out
    told = (
        f"Use {_at(best)}, which takes about {best.cost:.3g} passes. Methods chosen this way gain {_signed(gain.value)} over "
        f"random order on images they were not chosen on, {_span(beyond)} beyond {_known(against, trivial)}."
    )
    if sound[0] is not best and sound[0].surely:
        told += f" {_at(sound[0])} ({sound[0].cost:.3g} passes) gains no more that these {n_images} images could tell."
    untrusted = dict.fromkeys(row.title for row in order if not row.refused and not row.trusted)
    if untrusted:
        told += f" Of {', '.join(untrusted)} more than one map in five fails a check that decides: see the table."
    return told


def _known(name: str, trivial: Mapping[str, Interval]) -> str:
    return f"a map that only knows the {name} of the image ({_signed(trivial[name].value)})"


def _at(row: Compared) -> str:
    return f"{row.title} at '{row.layer}'"


def _span(found: Interval) -> str:
    return f"{_signed(found.value)} ({_signed(found.low)} to {_signed(found.high)})"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−") if np.isfinite(value) else "–"


def _share(value: float | None) -> str:
    return "not run" if value is None else f"{100 * value:.0f} %"
