"""How does the network decide for a class?  Its page: units that make the logit, concepts they detect, what goes without them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from convscope.instruments.readout.by_concept import by_concept
from convscope.network import Network
from convscope.see.about import network_of
from convscope.see.asked import asked
from convscope.see.dissected import Dissected
from convscope.see.sheet import Checked, Outcome, Sheet

N_UNITS, N_CONCEPTS = 15, 20  # rows
MOST_LOSS = 0.01 + 1e-6  # of other classes: one image of a hundred, in single precision
KEEP_UNITS = ("pool", "activation", "norm")  # kinds of steps whose units are those below
Row = dict[str, Any]  # what was measured of a class: readout/by_class.py


def class_page(
    network: Network, row: Row, layer: str, detects: Mapping[int, Sequence[str]], images: dict[str, Any]
) -> Sheet:
    """The page of a class. `detects` says which concepts units of the read layer detect; empty where that is not known."""
    name = class_name(network, row["index"])
    before, after = row["before"], row["removed"]["mean"]
    by = "accuracy" if row["n_images"] >= 20 else "probability"
    matched = float(np.mean([one[by] for one in row["as_active"]["mean"]]))
    fall, fall_matched = before[by] - after[by], before[by] - matched
    sentence = (
        f"Without its {len(row['top'])} strongest units of {layer} its {by} goes from {_percent(before[by])} to "
        f"{_percent(after[by])}; without as many others that are as active to {_percent(matched)}. "
        f"{_number(row['n_units']['signed'])} units make 90 % of its logit"
        + (f", {row['n_enough']:.0f} keep the prediction" if _known(row["n_enough"]) else "")
        + (f", {row['n_accurate']:.0f} keep 90 % of its accuracy." if _known(row["n_accurate"]) else ".")
    )
    notes = ["Units were chosen on the images they are measured on: it has fewer than 4."] if row["same"] else []
    return Sheet(
        layer=None,
        unit=None,
        address=name,
        title=f"Class '{name}'",
        sentence=sentence,
        facts=_facts(row, layer, by),
        sections=(),
        checks=(
            _check(
                "Falls further than without units as active", fall >= max(0.05, 2 * fall_matched), fall, fall_matched
            ),
            _others(before["others"], after["others"]),
        ),
        notes=tuple(notes),
        network=network_of(network),
        images=images,
        settings={},
        repeat=(),
        evidence=tuple(_evidence(network, row, layer, detects)),
        numbers={name: row[name] for name in ("index", "n_images", "top", "n_units", "n_enough", "n_accurate")},
    )


def class_name(network: Network, index: int) -> str:
    """What a class is called, with its number where two are called the same."""
    names = () if network.classes is None else network.classes.names
    if index >= len(names):
        return f"class {index}"
    return names[index] if names.count(names[index]) == 1 else f"{names[index]} ({index})"


def detected_by(network: Network, layer: str, known: Dissected | None) -> dict[int, list[str]]:
    """Which concepts each unit of a layer detects, best first; a unit of a concatenation is looked up in its branch."""
    if known is None or known.trained.single is None:
        return {}
    single, found = known.trained.single, {}
    for unit in range(network.layers[layer].n_units):
        name, number = _measured_at(network, layer, unit, known)
        if name:
            own = known.detects[name][number]
            order = np.argsort(-single.layers[name].corrected[number])
            names = [str(single.concepts[i]) for i in order if own[i]]
            if names:
                found[unit] = names
    return found


def _measured_at(network: Network, layer: str, unit: int, known: Dissected) -> tuple[str, int]:
    """Where a unit was held against concepts: there, in its branch, or below what keeps units apart; "" for nowhere."""
    while True:
        place = asked(network, f"{layer}:{unit}")
        assert place.unit is not None
        layer, unit = place.layer, place.unit
        if layer in known.detects:
            return layer, unit
        step = network.graph[layer]
        below = step.inputs[0] if len(step.inputs) == 1 else ""
        if step.kind not in KEEP_UNITS or below not in network.layers.names:
            return "", unit
        layer = below


def _facts(row: Row, layer: str, by: str) -> tuple[tuple[str, str], ...]:
    need = row["n_units"]
    return (
        ("images", f"{row['n_images']:,}, accuracy {_percent(row['before']['accuracy'])}"),
        ("read at", layer),
        (
            "units for 90 % of the logit",
            f"{_number(need['signed'])} by what they add, {_number(need['absolute'])} by size, {_number(need['centred'])} of what "
            "is particular to an image",
        ),
        (
            "units for 90 % of the accuracy",
            f"{_number(row['n_accurate'])}, the others at their mean; of {row['numbers'][-1]:,}. {_mistaken(row)}",
        ),
        ("at zero instead of the mean", f"{by} {_percent(row['removed']['zero'][by])} without its strongest units"),
    )


def _mistaken(row: Row) -> str:
    """How many of the others are given to a class where no more units are kept."""
    if not _known(row["n_accurate"]):
        return "Its images are not given to it."
    share = row["mistaken"][list(row["numbers"]).index(round(row["n_accurate"]))]
    return f"Of other images {_percent(share)} are then given to it by mistake"


def _known(number: float | None) -> bool:
    return number is not None and bool(np.isfinite(number))


def _number(number: float | None) -> str:
    """A number of units; a dash where there is none: a logit below zero has no share."""
    return f"{number:.0f}" if number is not None and np.isfinite(number) else "–"


def _check(title: str, passes: object, fall: float, matched: float) -> Checked:
    words = f"By {_points(fall)} points against {_points(matched)}; at least 5, and twice as much, is asked."
    return Checked(title, Outcome.PASSES if passes else Outcome.FAILS, words)


def _others(before: float, after: float) -> Checked:
    words = f"Their accuracy goes from {_percent(before, 1)} to {_percent(after, 1)}; a point may be lost."
    return Checked("Other classes stay", Outcome.PASSES if before - after <= MOST_LOSS else Outcome.FAILS, words)


def _evidence(network: Network, row: Row, layer: str, detects: Mapping[int, Sequence[str]]) -> list[dict[str, Any]]:
    found = [_units(row, layer, detects)]
    if detects:
        found.append(_concepts(row, detects))
    curve = {
        "panel": "curves",
        "title": "Where only its strongest units are kept, the others at their mean",
        "x_label": "units kept",
        "y_label": "share of images",
        "unit": "fraction",
        "x": list(row["numbers"]),
        "log": True,
        "series": [
            {
                "name": "its images given to it",
                "values": list(row["kept"]),
                "low": None,
                "high": None,
                "control": False,
            },
            {"name": "others, by mistake", "values": list(row["mistaken"]), "low": None, "high": None, "control": True},
        ],
    }
    return [*found, curve]


def _units(row: Row, layer: str, detects: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    added = np.asarray(row["added"])
    total = float(added.sum())
    order = np.argsort(-added, kind="stable")[:N_UNITS]
    rows = []
    for unit in order:
        names = ", ".join(detects.get(int(unit), ())[:3]) or "–"
        share = f"{100 * added[unit] / total:.1f} %" if total > 0 else "–"
        rows.append(
            [f"{layer}:{unit}", round(float(added[unit]), 2), share, "yes" if int(unit) in row["top"] else "", names]
        )
    return {
        "panel": "table",
        "title": f"What adds most to its logit, mean over its images ({total:.1f} in all, from {len(added):,} units)",
        "columns": ["unit", "adds", "of the sum", "removed above", "detects"],
        "align": ["left", "right", "right", "left", "left"],
        "rows": rows,
    }


def _concepts(row: Row, detects: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    """The logit as a sum over concepts: what units add, shared among the concepts they detect."""
    found = by_concept(torch.tensor([row["added"]], dtype=torch.float32), detects)
    values = found.values[0].numpy()
    order = sorted(range(len(values)), key=lambda i: -abs(values[i]))[:N_CONCEPTS]
    rows = [[found.names[i], found.n_units[i], round(float(values[i]), 2)] for i in order]
    more = f", {len(rows)} of {len(values)}" if len(rows) < len(values) else ""
    return {
        "panel": "table",
        "title": f"Its logit as a sum over what units detect{more} (a unit that detects several shares what it adds)",
        "columns": ["concept", "units", "adds"],
        "align": ["left", "right", "right"],
        "rows": rows,
    }


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def _points(share: float) -> str:
    return f"{100 * share:.0f}".replace("-", "−")
