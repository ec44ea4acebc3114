"""Do units have preferred patterns?  Images optimised to drive them, and whether somebody else recognises what they show.

That an optimised image drives a unit beyond every photograph says little: so does raw gradient ascent, whose pictures are noise,
and so do the pictures of units with fresh weights and of random directions. What these do not pass is to be recognised by an
observer that has none of the network's weights (study/observers.py). How the pictures are made: study/patterns.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.finding import Control, Finding
from convscope.intervals import Interval, exact, paired_difference, share, share_of_groups
from convscope.registry import register
from convscope.study.claim import NONE, TRAINED, Claim, Measured, Networks, Question
from convscope.study.drawn import peaks, spread
from convscope.study.patterns import KINDS, OBSERVER, directions, patterns
from convscope.study.samples import Row, Sample
from convscope.sweep.gauges import Directions, Gauge

CONTROLS = {
    "raw": "Pictures by gradient ascent on the pixels alone, for the same classes of the same network.",
    "fresh": "Optimised images of the same classes of the same architecture with weights that have learned nothing.",
    "direction": "Images optimised for random directions: half of the classes raised, half lowered; a raised one is asked for.",
}
FEWEST_UNITS, FEWEST_CLASSES = 6, 6
A_HALF = 0.5
GIVE_OTHER = "Give another network of the same classes: --other NET, why(..., other=net)."


@register("claim", "preferred_patterns")
@dataclass(frozen=True)
class PreferredPatterns(Claim):
    """Share of class pictures that an observer recognises; controls: raw ascent, fresh weights, random directions."""

    key = "preferred_patterns"
    statement = "Units have preferred patterns, which others recognise"
    quantity = "share of the classes' optimised images in which an observer recognises the class"
    unit = "fraction"
    least = 0.1  # ten pictures in a hundred beyond the strongest control
    means = (
        "Images are optimised that drive single units, over the depth of the network, and its classes. That they drive them beyond "
        "the best natural image, as bytes and moved by a pixel in any direction, is measured, and does not decide: raw ascent, "
        "fresh weights and random directions do that too. What decides is whether the class is recognised by an observer that has "
        "none of the network's weights: another network, or a witness that learned from these images alone. Then the pattern a "
        "class prefers is of the world and not of these weights only. It is asked of classes: that the pictures of hidden units "
        "mean something to others is not shown, nor that a unit answers to nothing else."
    )
    n_sampled = 12  # units
    n_classes = 16
    version = 2
    doing = "images optimised for units and classes"
    asks_other = True

    def gauges(self, question: Question, which: str, layer: str, n_units: int) -> Sequence[Gauge]:
        if layer not in spread(question, self.n_sampled):
            return ()
        own = peaks(question, layer, n_units)
        return (*own, Directions(weights=directions(question, layer, self.n_sampled))) if which == TRAINED else own

    def sample(self, measured: Measured, networks: Networks) -> Sample:
        return patterns(measured, networks, self.key, self.n_sampled, self.n_classes)

    def find(self, measured: Measured) -> Finding:
        rows = measured.rows[self.key]
        units = [row for row in rows if row["what"] == "unit" and "refused" not in row]
        classes = [row for row in rows if row["what"] == "classes" and "refused" not in row]
        who = next(row for row in rows if row["what"] == OBSERVER)
        exceeding = _beyond_natural(units, "trained")
        recognised = _recognised(classes)
        why_not = _why_not(who, recognised, [row for row in rows if "refused" in row and row["what"] != OBSERVER])
        if len(units) >= FEWEST_UNITS and exceeding.high <= A_HALF:
            why_not = ""  # whoever looks at them, they are not what drives the units most
        found = {kind: share_of_groups(hits) for kind, hits in recognised.items()}
        beyond = {
            kind: paired_difference(recognised["trained"], recognised[kind]) for kind in CONTROLS if kind in found
        }
        strongest = sorted(beyond, key=lambda kind: beyond[kind].low)
        enough = len(units) >= FEWEST_UNITS
        return self.finding(
            value=found.get("trained", NONE),
            controls=[Control(KINDS[kind], _control(kind, who), found[kind]) for kind in strongest],
            beyond=beyond[strongest[0]] if strongest else NONE,
            conditions=[exceeding.minus(exact(A_HALF))] if enough else [],
            summary=" ".join(filter(None, (_classes_said(who, found), _units_said(measured, units, exceeding)))),
            why_not=why_not,
            evidence=_evidence(measured, who, found, units, classes),
            resampled="classes" if found else "",
        )


def _control(kind: str, who: Row) -> str:
    """What was done; of random directions also what an observer finds in them without knowing any class."""
    n = who["n_classes"] // 2
    told = (
        f" Chance is {min(1, who['n_top'] / n):.0%} for whoever tells the raised from the lowered, and no more."
        if n
        else ""
    )
    return CONTROLS[kind] + told * (kind == "direction")


def _why_not(who: Row, recognised: dict[str, np.ndarray], refused: list[Row]) -> str:
    """Why nothing can be said; empty if it can."""
    if "refused" in who:
        return f"{who['refused']} {GIVE_OTHER}"
    if not who["enough"]:
        return (
            f"{_upper(who['name'])} recognises {who['n_right']} of {who['n']} natural images, hardly more than by chance: what it "
            f"makes of pictures says nothing. {GIVE_OTHER}"
        )
    n = len(recognised.get("trained", ()))
    if n >= FEWEST_CLASSES:
        return ""
    why = f" {refused[0]['refused']}" if refused else ""
    return f"There are pictures of {n} classes that the observer knows; it takes {FEWEST_CLASSES}.{why}"


def _recognised(rows: list[Row]) -> dict[str, np.ndarray]:
    """Which pictures were recognised, truth values `class picture`, by kind."""
    if not rows:
        return {}
    found = {}
    for kind in rows[0]["ranks"]:
        by_class: dict[int, list[bool]] = {}
        for row in rows:
            for index, rank in zip(row["classes"], row["ranks"][kind], strict=True):
                by_class.setdefault(index, []).append(rank < row["n_top"])
        n = min(len(hits) for hits in by_class.values())
        found[kind] = np.array([hits[:n] for hits in by_class.values()])
    return found


def _beyond_natural(units: list[Row], kind: str) -> Interval:
    """Share of units that the picture drives beyond their best natural image."""
    passed = [row["passes"][kind] for row in units if row["passes"].get(kind) is not None]
    return share(sum(passed), len(passed)) if passed else NONE


def _times(units: list[Row], kind: str) -> float:
    known = [row["times"][kind] for row in units if row["times"].get(kind) is not None]
    return float(np.median(known)) if known else float("nan")


def _classes_said(who: Row, found: dict[str, Interval]) -> str:
    if not found:
        return "Whether others recognise the pictures was not measured."
    own = found["trained"]
    others = ", ".join(f"{KINDS[kind]} {100 * found[kind].value:.0f} %" for kind in CONTROLS if kind in found)
    top = f", among its best {who['n_top']} of {who['n_classes']:,} classes" if who["n_top"] > 1 else ""
    return (
        f"{_upper(who['name'])} recognises the class in {100 * own.value:.0f} % of optimised images (95 % interval "
        f"{100 * own.low:.0f} to {100 * own.high:.0f}){top}; {others}. Of natural images it recognises "
        f"{100 * who['n_right'] / who['n']:.0f} %."
    )


def _units_said(measured: Measured, units: list[Row], exceeding: Interval) -> str:
    if not units:
        return "No live unit could be driven."
    own = sum(row["passes"]["trained"] for row in units)
    others = [(KINDS[kind], _beyond_natural(units, kind).value, _times(units, kind)) for kind in CONTROLS]
    compared = ", ".join(
        f"{name} {100 * part:.0f} %, {times:.1f} times" for name, part, times in others if times == times
    )
    return (
        f"{own} of {len(units)} units over the depth ({100 * exceeding.low:.0f} to {100 * exceeding.high:.0f} %) are driven beyond "
        f"the best of {len(measured.images):,} images, {_times(units, 'trained'):.1f} times as far in the median. That alone says "
        f"little: {compared}."
    )


def _evidence(
    measured: Measured, who: Row, found: dict[str, Interval], units: list[Row], classes: list[Row]
) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if found:
        bars = [{"name": KINDS[kind], **value.as_dict(), "control": kind != "trained"} for kind, value in found.items()]
        bars.append({"name": "natural images", **share(who["n_right"], who["n"]).as_dict(), "control": True})
        title = f"Share of pictures in which {who['name']} recognises the class"
        parts += [
            {"panel": "bars", "title": title, "unit": "fraction", "bars": bars},
            _class_table(measured, who, classes),
        ]
    if units:
        layers = list(dict.fromkeys(row["layer"] for row in units))
        series = [
            {
                "name": KINDS[kind],
                "values": [_known(_times([row for row in units if row["layer"] == layer], kind)) for layer in layers],
                "low": None,
                "high": None,
                "control": kind != "trained",
            }
            for kind in KINDS
        ]
        parts.append(
            {
                "panel": "curves",
                "title": "How far pictures drive units, over their best natural image",
                "x_label": "layer",
                "y_label": "times the best natural image",
                "unit": "ratio",
                "x": layers,
                "series": series,
            }
        )
        parts.append(_unit_table(units))
    return parts


def _class_table(measured: Measured, who: Row, classes: list[Row]) -> dict[str, Any]:
    names = measured.network.classes
    rows: dict[int, list[list[str]]] = {}
    for row in classes:
        for i, index in enumerate(row["classes"]):
            rows.setdefault(index, []).append([str(row["ranks"][kind][i] + 1) for kind in row["ranks"]])
    kinds = list(classes[0]["ranks"])
    return {
        "panel": "table",
        "title": f"The place of the class among the answers of {who['name']}, picture by picture",
        "columns": ["class", *(KINDS[kind] for kind in kinds)],
        "rows": [
            [str(index) if names is None else names[index], *(", ".join(column) for column in zip(*found, strict=True))]
            for index, found in rows.items()
        ],
    }


def _unit_table(units: list[Row]) -> dict[str, Any]:
    return {
        "panel": "table",
        "title": "Each unit's picture, over its best natural image (as bytes and moved by a pixel in any direction, the weakest)",
        "columns": ["unit", *KINDS.values()],
        "rows": [
            [f"{row['layer']}:{row['unit']}", *(_text(row["times"].get(kind)) for kind in KINDS)] for row in units
        ],
    }


def _text(times: float | None) -> str:
    return "" if times is None else f"{times:.2f}"


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:] if text.startswith("a ") else text
