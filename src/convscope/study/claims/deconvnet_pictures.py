"""Do deconvnet pictures show what drives the unit?  What they mark is covered, and so is a disc in the middle of what it sees.

The pictures are those of Zeiler and Fergus 2013 (arXiv:1311.2901), each of the strongest image of a unit; the check is that of
instruments/appearance/covering.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from convscope.errors import ConvscopeError
from convscope.finding import Control, Finding
from convscope.instruments.appearance.covering import AT_LEAST, Covered, cover
from convscope.instruments.appearance.deconvnet_picture import project
from convscope.intervals import Interval, difference, exact, none, share
from convscope.registry import register
from convscope.study.claim import N_FRESH, TRAINED, Claim, Measured, Networks, Question
from convscope.study.drawn import drawn, hidden, n_affordable, peaks, spread
from convscope.study.samples import Row, Sample, of_things
from convscope.sweep.engine import keys_of
from convscope.sweep.gauges import Gauge

FEWEST = 20  # units: fewer are no sample
MOST_COSTLY = 60  # units of the largest network
PASSES = 25  # of the network, about, for one unit: its picture, and pixels covered
BUDGET = 1e12  # multiplications for the network, and as many for fresh weights: less than a minute on two cores
A_HALF = 0.5
DECIDING = (
    "share of units that fall further with marked pixels covered than with a disc, less a half or that of fresh weights"
)


@register("claim", "deconvnet_pictures")
@dataclass(frozen=True)
class DeconvnetPictures(Claim):
    """Share of deconvnet pictures confirmed by covering; controls: shifted mask, random pixels, a centre disc, fresh weights."""

    key = "deconvnet_pictures"
    statement = "Deconvnet pictures show what drives the unit"
    quantity = "share of units whose deconvnet picture is confirmed by covering what it marks"
    unit = "fraction"
    least = 0.1  # it must beat the disc in ten units of a hundred more than by luck, and more than with fresh weights
    means = (
        "A unit's strongest image is projected back to the pixels, and the tenth of them that the picture marks most is covered: "
        "the picture is confirmed where that lowers the unit at least twice as much as random pixels of the same number, and more "
        "than the same mask elsewhere. Almost anything near the middle of what a unit sees passes that, for there its response is "
        "made. So what decides is whether the marked pixels matter more than a disc in the middle, drawn without looking at the "
        "network: in more than half of the units, and in more than with weights that have learned nothing, where such a picture "
        "marks what drives the unit too, but nothing that was learned. It shows what one image held; it does not show what a "
        "unit looks for in others, nor what its class is."
    )
    n_sampled = 180
    doing = "deconvnet pictures tested"

    def gauges(self, question: Question, which: str, layer: str, n_units: int) -> Sequence[Gauge]:
        n = _n_units(self, question, which)
        return peaks(question, layer, n_units) if layer in spread(question, n) else ()

    def sample(self, measured: Measured, networks: Networks) -> Sample:
        index_of = np.argsort(keys_of(measured.images))
        places = {}
        for which in (TRAINED, *measured.draws):
            for layer, unit in drawn(measured, which, _n_units(self, measured, which), self.key):
                table = measured.result(which, layer, "exemplars")
                at = int(table.y[unit, 0]), int(table.x[unit, 0])
                places[f"{which} {layer}:{unit}"] = (which, layer, unit, int(index_of[table.keys[unit, 0]]), at)
        return of_things(places, partial(_tested, measured, networks))

    def find(self, measured: Measured) -> Finding:
        every = measured.rows[self.key]
        rows = [row for row in every if row["which"] == TRAINED]
        ran, refused = _ran(rows), [row["refused"] for row in rows if "refused" in row]
        why_not = f"{len(ran)} units could be tested; it takes {FEWEST}." if len(ran) < FEWEST else ""
        if not ran:
            why_not += f" {refused[0]}" if refused else ""
            return self.finding(summary="Deconvnet pictures could not be tested.", why_not=why_not)
        fresh = _ran([row for row in every if row["which"] != TRAINED])
        found, beats = _share(ran, "confirmed"), _share(ran, "beyond_centre")
        by_luck = _share(fresh, "beyond_centre") if fresh else exact(A_HALF)
        return self.finding(
            value=found,
            controls=_controls(ran, fresh),
            beyond=_beyond(beats, by_luck),
            conditions=[found.minus(exact(A_HALF))],
            summary=_summary(ran, refused, found, beats, by_luck, rows),
            why_not=why_not,
            evidence=_evidence(measured, ran, fresh),
            resampled="units",
            deciding=DECIDING,
            deciding_unit="fraction",
        )


def _beyond(beats: Interval, fresh: Interval) -> Interval:
    """How much more often the disc is beaten than by luck, or with fresh weights, whichever is less.

    The difference of two shares by their score intervals (Newcombe 1998, Stat. Med. 17:873, method 10).
    """
    return min((beats.minus(exact(A_HALF)), difference(beats, fresh)), key=lambda interval: interval.low)


def _n_units(claim: Claim, question: Question, which: str) -> int:
    """How many units are drawn; as many of all draws of fresh weights together."""
    n = n_affordable(question, PASSES, BUDGET, claim.n_sampled, min(MOST_COSTLY, claim.n_sampled))
    return n if which == TRAINED else -(-n // N_FRESH)


Place = tuple[str, str, int, int, tuple[int, int]]  # network, layer, unit, image, position of the peak


def _tested(measured: Measured, networks: Networks, place: Place) -> Row:
    """What covering the pixels did that the picture marks; or why it could not be done."""
    which, layer, unit, image, at = place
    network = networks(which)
    row: Row = {"which": which, "layer": layer, "unit": unit}
    try:
        inputs = network.preprocess(measured.images[image])
        position = at if len(network.layers[layer].shape) == 3 else None
        (picture,) = project(network, inputs, layer, [unit], [position])
        found = cover(network, inputs, picture.place, picture.seen, picture.energy, seed=measured.seed)
    except ConvscopeError as error:  # no rule, an image that is gone
        return row | {"refused": error.found}
    if not found.ran:
        return row | {"refused": f"In {picture.place} {found.why_not}."}
    drops = {name: getattr(found, name) for name in ("top", "random", "shifted", "centre", "share")}
    passed = {name: getattr(found, name) for name in ("confirmed", "beyond_centre", "centre_passes")}
    return (
        row
        | drops
        | passed
        | {"elsewhere": _elsewhere(found), "one_random": _one_random(found), "notes": picture.notes}
    )


def _elsewhere(found: Covered) -> bool | None:
    """Whether the mask, moved elsewhere once, would have passed against random pixels; None where it cannot be moved."""
    return _passes(found.shifted_each[0], found.random) if found.shifted_each else None


def _one_random(found: Covered) -> bool:
    """Whether one draw of random pixels would have, against the others."""
    return _passes(found.random_each[0], float(np.mean(found.random_each[1:])))


def _passes(drop: float, random: float) -> bool:
    return drop > 0 and drop >= AT_LEAST * random


def _ran(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if "refused" not in row]


def _share(rows: Sequence[Row], name: str) -> Interval:
    known = [row[name] for row in rows if row[name] is not None]
    return share(sum(known), len(known)) if known else none()


def _controls(ran: list[Row], fresh: list[Row]) -> list[Control]:
    """The strongest first."""
    held = (
        (
            "a disc in the middle",
            "As many pixels nearest to the middle of what the unit sees, covered instead.",
            "centre_passes",
        ),
        ("the mask elsewhere", "The same mask moved by a quarter of the field or more, covered instead.", "elsewhere"),
        ("random pixels", "As many random pixels as the picture marks, against other random ones.", "one_random"),
    )
    found = [Control(name, what, _share(ran, key)) for name, what, key in held]
    if fresh:
        what = f"The same pictures and test for {len(fresh)} units of the same architecture with weights that have learned nothing."
        found.insert(1, Control("fresh weights", what, _share(fresh, "confirmed")))
    return found


def _summary(
    ran: list[Row], refused: list[str], found: Interval, beats: Interval, fresh: Interval, rows: list[Row]
) -> str:
    drops = {name: f"{100 * np.median([row[name] for row in ran]):.0f}" for name in ("top", "random", "centre")}
    disc = 100 * _share(ran, "centre_passes").value
    text = (
        f"Of {len(ran)} live units, each with its strongest image, {_percent(found)} of the pictures are confirmed; a disc in the "
        f"middle passes the same test in {disc:.0f} %. The unit falls further with the marked pixels covered than with the disc in "
        f"{_percent(beats)}; with fresh weights in {100 * fresh.value:.0f} %. Marked pixels lower it by {drops['top']} % in the "
        f"median, the disc by {drops['centre']}, random pixels by {drops['random']}."
    )
    if refused:
        text += f" {len(refused)} of {len(rows)} units could not be tested: {refused[0]}"
    notes = dict.fromkeys(note for row in ran for note in row["notes"])
    return " ".join([text, *notes])


def _percent(found: Interval) -> str:
    return f"{100 * found.value:.0f} % (95 % interval {100 * found.low:.0f} to {100 * found.high:.0f})"


def _evidence(measured: Measured, ran: list[Row], fresh: list[Row]) -> list[dict[str, Any]]:
    bars = [_bar("marked pixels", _share(ran, "confirmed"))]
    bars += [_bar(c.name, c.value, control=True) for c in _controls(ran, fresh) if np.isfinite(c.value.value)]
    beats = [_bar("marked pixels", _share(ran, "beyond_centre"))]
    beats += [_bar("marked pixels, fresh weights", _share(fresh, "beyond_centre"), control=True)] if fresh else []
    thirds = [part for part in np.array_split(np.array(hidden(measured)), 3) if len(part)]
    rows = []
    for part in thirds:
        here = [row for row in ran if row["layer"] in part]
        if here:
            shares = [100 * _share(here, name).value for name in ("confirmed", "centre_passes", "beyond_centre")]
            name = str(part[0]) if len(part) == 1 else f"{part[0]} to {part[-1]}"
            rows.append([name, len(here), *(f"{value:.0f} %" for value in shares)])
    return [
        {
            "panel": "bars",
            "title": "Share of units that fall twice as far as with random pixels",
            "unit": "fraction",
            "bars": bars,
        },
        {
            "panel": "bars",
            "title": "Share of units that fall further than with a disc",
            "unit": "fraction",
            "bars": beats,
        },
        {
            "panel": "table",
            "title": "From the first layers to the last",
            "columns": ["layers", "units", "confirmed", "the disc passes", "beyond the disc"],
            "rows": rows,
        },
    ]


def _bar(name: str, value: Interval, *, control: bool = False) -> dict[str, Any]:
    return {"name": name, **value.as_dict(), "control": control}
