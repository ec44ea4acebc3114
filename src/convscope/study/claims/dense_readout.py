"""Does the last dense layer check few units for each class?  A class's strongest units removed, against units as active.

Which units are strongest and what is measured of them is said in instruments/readout/by_class.py. A hit is a class that falls
without its units at least twice as far as without others that are as active, and by 5 points or more, while all other classes
together lose at most one. The last is what tells it from weights that have learned nothing, whose logits are sums over
units as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.finding import Control, Finding
from convscope.instruments.readout.removal import FILLS
from convscope.instruments.readout.sections import WHOLE
from convscope.intervals import Interval, difference, exact, paired_difference, share
from convscope.registry import register
from convscope.study.claim import N_FRESH, TRAINED, Claim, Measured, Networks
from convscope.study.readout import SECTIONS, read_outs
from convscope.study.samples import Row, Sample

FEWEST = 5  # classes: fewer are no sample
KNOWN = 0.5  # of a class's images must be predicted right: what is not known cannot be lost
BY_ACCURACY = 20  # images of a class; with fewer its probability is measured
TWICE, LEAST_FALL, MOST_LOSS = 2.0, 0.05, 0.01
ROUNDING = 1e-6  # of shares in single precision: one image of a hundred is one point
A_HALF = 0.5
DECIDING = "share of classes that hang on their units, less that of the strongest control"


@register("claim", "dense_readout")
@dataclass(frozen=True)
class DenseReadout(Claim):
    """Share of classes that hang on few units alone; controls: units as active, those of another class, fresh weights."""

    key = "dense_readout"
    statement = "The read-out checks few units for each class, which matter to that class"
    quantity = "share of classes that fall without their strongest units at least twice as far as without units as active, alone"
    unit = "fraction"
    least = 0.1  # it must hold for one class in ten more than where it cannot
    means = (
        "A class's logit is a sum over the units the head reads. The few that add most to it are set to their mean, what they "
        "say of no image in particular; the class must fall by 5 points or more, and twice as far as without random units that "
        "are as active on its images, or as nearly as there are, while all other classes together lose at most a point. That a "
        "few units are needed does not say that they suffice, nor that they are all the class has: most classes keep part of "
        "their accuracy without them, and the units add to other classes too. Units set to zero rather than to their mean lower "
        "a class much further, but that also takes away what they add to every image: it shifts the logit, and says less of "
        "what is checked."
    )
    n_sampled = 60
    version = 3
    names_concepts = True
    doing = "classes read out"

    def sample(self, measured: Measured, networks: Networks) -> Sample:
        return read_outs(measured, networks, self.key, self.n_sampled)

    def find(self, measured: Measured) -> Finding:
        rows = measured.rows[self.key]
        refused = [row["refused"] for row in rows if "refused" in row]
        if refused:
            return self.finding(summary="The read-out could not be taken apart.", why_not=refused[0])
        classes = [row for row in rows if "index" in row]
        trained = [row for row in classes if row["which"] == TRAINED]
        fresh = [row for row in classes if row["which"] != TRAINED]
        known = [row for row in trained if row["before"]["accuracy"] >= KNOWN]
        if len(known) < FEWEST:
            why = f"{len(known)} of {len(trained)} classes with images are predicted right; it takes {FEWEST}. Give images of more."
            return self.finding(summary="The read-out was not tested.", why_not=why)
        value = _share(_hits(known))
        controls = _controls(known, fresh)
        return self.finding(
            value=value,
            controls=controls,
            beyond=_beyond(known, fresh),
            conditions=[value.minus(exact(A_HALF))],
            summary=_summary(known, trained, fresh, value),
            evidence=(*_evidence(measured, known, fresh, controls), *_sections(rows)),
            resampled="classes",
            deciding=DECIDING,
            deciding_unit="fraction",
        )


# ---------------------------------------------------------------------------------------------------- what counts as a hit


def _by(row: Row) -> str:
    return "accuracy" if row["n_images"] >= BY_ACCURACY else "probability"


def _fall(row: Row, after: Row) -> float:
    by = _by(row)
    return float(row["before"][by] - after[by])


def _matched(row: Row, fill: str = "mean", start: int = 0) -> float:
    """How far the class falls without units as active, mean of the draws from `start` on."""
    return float(np.mean([_fall(row, after) for after in row["as_active"][fill][start:]]))


def _passes(fall: float, matched: float) -> bool:
    return fall >= max(LEAST_FALL, TWICE * matched)


def _alone(row: Row, fill: str = "mean") -> bool:
    """Whether the other classes stay."""
    return bool(row["before"]["others"] - row["removed"][fill]["others"] <= MOST_LOSS + ROUNDING)


def _falls(rows: Sequence[Row], fill: str = "mean") -> list[bool]:
    return [_passes(_fall(row, row["removed"][fill]), _matched(row, fill)) for row in rows]


def _hits(rows: Sequence[Row], fill: str = "mean") -> list[bool]:
    return [falls and _alone(row, fill) for row, falls in zip(rows, _falls(rows, fill), strict=True)]


def _one_draw(rows: Sequence[Row]) -> list[bool]:
    return [_passes(_fall(row, row["as_active"]["mean"][0]), _matched(row, start=1)) for row in rows]


def _of_another(rows: Sequence[Row]) -> list[bool]:
    return [_passes(_fall(row, row["of_another"]), _matched(row)) for row in rows]


def _share(hits: Sequence[bool]) -> Interval:
    return share(sum(hits), len(hits))


def _controls(known: list[Row], fresh: list[Row]) -> list[Control]:
    found = [
        Control(
            "another class's units",
            "The strongest units of another class, removed in their place; that class's own loss is not counted.",
            _share(_of_another(known)),
        ),
        Control(
            "units as active",
            "One draw of random units, as nearly as active on the class's images as there are, against the other draws.",
            _share(_one_draw(known)),
        ),
    ]
    if fresh:
        what = (
            f"The same for {len(fresh)} classes of the same architecture with weights that have learned nothing, drawn {N_FRESH} "
            "times, whose own answers stand for the labels; their logits are scaled until these have .8 on average."
        )
        found.append(Control("fresh weights", what, _share(_hits(fresh))))
    return found


def _beyond(known: list[Row], fresh: list[Row]) -> Interval:
    """How much more often than in the control that comes nearest."""
    hits = np.array(_hits(known), float)[:, None]
    found = [paired_difference(hits, np.array(other(known), float)[:, None]) for other in (_of_another, _one_draw)]
    if fresh:
        found.append(difference(_share(_hits(known)), _share(_hits(fresh))))
    return min(found, key=lambda interval: interval.low)


# ------------------------------------------------------------------------------------------------------- words and pictures


def _summary(known: list[Row], trained: list[Row], fresh: list[Row], value: Interval) -> str:
    row, by = known[0], " and ".join(sorted({_by(row) for row in known}))
    fall, matched = (100 * np.mean([f(row) for row in known]) for f in (_removed, _matched))
    zero, matched_zero = (100 * np.mean([f(row, "zero") for row in known]) for f in (_removed, _matched))
    loss = 100 * np.mean([row["before"]["others"] - row["removed"]["mean"]["others"] for row in known])
    active = 100 * np.mean([row["activity"] for row in known])
    need = {by: _median([row["n_units"][by] for row in known]) for by in ("signed", "centred")}
    enough, accurate = (_median([row[name] for row in known]) for name in ("n_enough", "n_accurate"))
    text = (
        f"{row['layer']} has {row['n_layer']} units, which {row['head']} turns into classes. Without its {len(row['top'])} "
        f"strongest a class falls by {_whole(fall)} points of {by}, without random others (those most alike in activity, "
        f"{active:.0f} % of theirs on its images) by {_whole(matched)}; the other classes lose {loss:.1f}. Set to zero rather "
        f"than to their mean: {_whole(zero)} against {_whole(matched_zero)}. {sum(_hits(known))} of {len(known)} known classes "
        f"hang on them alone, {100 * value.value:.0f} % (95 % interval {100 * value.low:.0f} to {100 * value.high:.0f}). "
        f"{need['signed']} units make 90 % of a logit ({need['centred']} of what is particular to the image), {enough} keep the "
        f"prediction, {accurate} (the others at their mean) keep 90 % of a class's accuracy."
    )
    if len(trained) > len(known):
        text += f" {len(trained) - len(known)} classes that are mostly predicted wrong are left out."
    if fresh:
        falls, alone = (100 * np.mean(of(fresh)) for of in (_falls, _hits))
        text += f" With fresh weights {falls:.0f} % of classes fall so, {alone:.0f} % alone."
    if any(row["same"] for row in known):
        text += " Where a class has fewer than 4 images its units were chosen on the images they are measured on."
    return text.replace(" -", " −")


def _median(numbers: Sequence[float | None]) -> str:
    """Of numbers of units, those left out that are none (a logit below zero has no share)."""
    known = [number for number in numbers if number is not None and np.isfinite(number)]
    return f"{np.median(known):.0f}" if known else "–"


def _units(number: float | None) -> int | None:
    """A number of units; None where there is none."""
    return round(number) if number is not None and np.isfinite(number) else None


def _whole(points: Any) -> str:
    return f"{round(points):d}".replace("-", "−")


def _removed(row: Row, fill: str = "mean") -> float:
    return _fall(row, row["removed"][fill])


def _evidence(measured: Measured, known: list[Row], fresh: list[Row], controls: list[Control]) -> list[dict[str, Any]]:
    shares = [_bar("its strongest units", _share(_hits(known)))]
    shares += [_bar("the same, set to zero", _share(_hits(known, "zero")))]
    shares += [_bar(control.name, control.value, control=True) for control in controls]
    names = {"mean": "at their mean", "zero": "at zero"}
    falls = [
        _bar(f"its strongest units, {names[fill]}", _mean([_removed(row, fill) for row in known])) for fill in FILLS
    ]
    falls += [
        _bar(f"units as active, {names[fill]}", _mean([_matched(row, fill) for row in known]), control=True)
        for fill in FILLS
    ]
    falls += [_bar("another class's units", _mean([_fall(row, row["of_another"]) for row in known]), control=True)]
    return [
        {
            "panel": "bars",
            "title": "Share of classes that hang on the units removed",
            "unit": "fraction",
            "bars": shares,
        },
        {"panel": "bars", "title": "How far a class falls without units", "unit": "fraction", "bars": falls},
        _curve(known),
        _table(measured, known),
    ]


def _sections(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """How well the network is read anew, whole and without sections, beside fresh weights; nothing where that was not measured."""
    found = {row["which"]: row for row in rows if SECTIONS in row}
    if TRAINED not in found:
        return []
    own = found.pop(TRAINED)
    whole = share(*own[SECTIONS][WHOLE]).value
    bars, notes = [], list(own["said"])
    for name, hits in own[SECTIONS].items():
        bars.append(_bar("the whole network" if name == WHOLE else f"without {name}", share(*hits)))
    bars += [_bar("fresh weights, whole", share(*row[SECTIONS][WHOLE]), control=True) for row in found.values()]
    if own["more_than_the_sum"] is not None:
        more = 100 * own["more_than_the_sum"]
        notes.append(f"Both together cost {more:+.0f} points more than one by one.".replace("-", "−"))
    lost = [f"{name} {100 * (whole - share(*hits).value):.0f}" for name, hits in own[SECTIONS].items() if name != WHOLE]
    words = (
        "Nothing is trained again: the last layer is read anew by ridge regression, learned from half of the images."
    )
    if lost:
        words += f" Points lost without: {', '.join(lost)}."
    return [
        {
            "panel": "bars",
            "title": "Accuracy with sections left out and the last layer read anew",
            "words": " ".join([words, *notes]),
            "unit": "fraction",
            "bars": bars,
        }
    ]


def _curve(known: list[Row]) -> dict[str, Any]:
    """Classes with nothing but their strongest units."""
    series = []
    for name, key, control in (("images of the class", "kept", False), ("other images, by mistake", "mistaken", True)):
        bands = [_within(_mean([row[key][i] for row in known])) for i in range(len(known[0]["numbers"]))]
        parts = {part: [getattr(band, part) for band in bands] for part in ("value", "low", "high")}
        series.append(
            {"name": name, "values": parts["value"], "low": parts["low"], "high": parts["high"], "control": control}
        )
    return {
        "panel": "curves",
        "title": "Images given to a class where only its strongest units are kept",
        "x_label": "units kept, the others at their mean",
        "y_label": "share of images",
        "unit": "fraction",
        "x": [str(n) for n in known[0]["numbers"]],
        "series": series,
    }


def _table(measured: Measured, known: list[Row], most: int = 60) -> dict[str, Any]:
    rows = [
        [
            _name(measured, row["index"]),
            row["n_images"],
            f"{100 * row['before'][_by(row)]:.0f} %",
            *(_points(-fall) for fall in (_removed(row), _matched(row), _removed(row, "zero"))),
            _points(row["removed"]["mean"]["others"] - row["before"]["others"], 1),
            *(_units(number) for number in (row["n_units"]["signed"], row["n_accurate"])),
            ", ".join(map(str, row["top"][:5])),
        ]
        for row in known[:most]
    ]
    return {
        "panel": "table",
        "title": f"Class by class ({', '.join(sorted({_by(row) for row in known}))}, in points)",
        "columns": [
            *("class", "images", "whole", "without its units", "without others as active", "its units at zero"),
            *("other classes", "units for 90 %", "for 90 % of the accuracy", "strongest units"),
        ],
        "align": ["left", *["right"] * 8, "left"],
        "rows": rows,
    }


def _points(change: float, digits: int = 0) -> str:
    """A change of a share in points: +3, −12, 0."""
    points = round(100 * change, digits)
    return f"{points:+.{digits}f}".replace("-", "−") if points else "0"


def _name(measured: Measured, index: int) -> str:
    classes = measured.network.classes
    return classes.names[index] if classes is not None else f"class {index}"


def _mean(values: Sequence[float]) -> Interval:
    """A mean over classes, with the spread of that mean (normal, 95 %)."""
    known = np.array([value for value in values if value is not None], float)
    if len(known) < 2:
        return exact(float(known.mean()) if len(known) else float("nan"))
    half = 1.96 * float(known.std(ddof=1)) / len(known) ** 0.5
    return Interval(float(known.mean()), float(known.mean()) - half, float(known.mean()) + half)


def _within(band: Interval) -> Interval:
    """The interval of a mean of shares, cut off where shares end."""
    return Interval(band.value, max(0.0, band.low), min(1.0, band.high))


def _bar(name: str, value: Interval, *, control: bool = False) -> dict[str, Any]:
    return {"name": name, **value.as_dict(), "control": control}
