"""Where does a network know a concept?  Its page: units that detect it, what several units tell, and what of that is trivial."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from convscope.instruments.concepts.single_units import CONVENTIONAL, LEAST, SingleUnits
from convscope.instruments.concepts.together.directions import Directions
from convscope.see.about import network_of, repeat_concept, source_of
from convscope.see.dissected import Dissected
from convscope.see.sheet import Checked, Outcome, Sheet
from convscope.see.shown_concept import Answer, where_section
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE

N_DETECTORS = 10  # rows of the table


@dataclass(frozen=True)
class BestUnit:
    """The single unit that covers a concept best, by the images that chose it."""

    layer: str
    unit: int
    iou: float  # on those that measure
    error: float  # of it, a standard error
    chance: float
    precision: float
    threshold: float
    detects: bool


def concept_sheet(known: Dissected, concept: int) -> Sheet:
    """The page of a concept with masks, by its number among these."""
    single, pixels = known.trained.single, known.labels.pixels
    assert single is not None
    assert pixels is not None
    what = single.concepts[concept]
    best, read = best_unit(known, concept), best_read(known, concept)
    testable = bool(pixels.testable[concept])
    answers = _answers(concept, best, read) if testable else []
    where = where_section(known.network, known.labels, concept, what.name, answers)
    notes = ("" if read is None else read.caution, *known.labels.not_used)
    return Sheet(
        layer=None,
        unit=None,
        address=str(what),
        title=f"{what.name} ({what.category})",
        sentence=_sentence(known, concept, best, read, testable=testable),
        facts=_facts(known, concept, best, read),
        sections=() if where is None else (where,),
        checks=_checks(known, concept, best, read) if testable else (),
        notes=tuple(filter(None, notes)),
        network=network_of(known.network),
        images={"source": source_of(known.labels.images), "n": len(known.labels.images)},
        settings=known.settings,
        repeat=repeat_concept(known, str(what)),
        evidence=_evidence(known, concept, best, read) if testable else (),
        numbers=_numbers(known, concept, best, read),
    )


def best_unit(known: Dissected, concept: int, single: SingleUnits | None = None) -> BestUnit:
    """The best single unit of all layers."""
    single = known.trained.single if single is None else single
    assert single is not None
    tops = {layer: own.chosen[:, concept] for layer, own in single.layers.items() if len(own.chosen)}
    if single is known.trained.single:  # of those that detect it, if any do
        found = {layer: np.where(known.detects[layer][:, concept], top, -1.0) for layer, top in tops.items()}
        tops = found if max(top.max() for top in found.values()) >= 0 else tops
    layer = max(tops, key=lambda name: float(tops[name].max()))
    unit, own = int(tops[layer].argmax()), single.layers[layer]
    at = unit, concept
    detects = bool(known.detects[layer][at]) if single is known.trained.single else False
    iou, error, chance, precision, threshold = (
        float(part[at]) for part in (own.iou, own.error, own.chance, own.average_precision, own.threshold)
    )
    return BestUnit(layer, unit, iou, error, chance, precision, threshold, detects)


def _chosen(known: Dissected, single: SingleUnits, layer: str, concept: int) -> int:
    """The best unit of a layer by the images that choose: of those that detect the concept, if any do."""
    top = single.layers[layer].chosen[:, concept]
    detects = known.detects[layer][:, concept] if single is known.trained.single else np.zeros(len(top), bool)
    return int(np.where(detects, top, -1.0).argmax() if detects.any() else top.argmax())


def best_read(known: Dissected, concept: int) -> Directions | None:
    """The layer of those whose units were read together that tells the concept best; None where none was read."""
    held = {
        layer: float(np.nanmax(np.nan_to_num(found.held_out[:, concept], nan=-1.0)))
        for layer, found in known.trained.read.items()
        if found.n_units[concept]
    }
    return known.trained.read[max(held, key=lambda name: held[name])] if held else None


def _answers(concept: int, best: BestUnit, read: Directions | None) -> list[Answer]:
    def above(values: torch.Tensor) -> torch.Tensor:
        return values[best.unit] > best.threshold

    found = [Answer(f"{best.layer}:{best.unit}", best.layer, above)]
    if read is not None:
        weights = torch.from_numpy((read.weights[:, concept] / read.scale).astype(np.float32))
        mean = torch.from_numpy(read.mean.astype(np.float32))
        least = float(read.threshold[concept] - read.constant[concept])

        def told(values: torch.Tensor) -> torch.Tensor:
            return weights @ (values - mean[:, None]) > least

        found.append(Answer(f"{int(read.n_units[concept])} units of {read.layer}", read.layer, told))
    return found


def _sentence(known: Dissected, concept: int, best: BestUnit, read: Directions | None, *, testable: bool) -> str:
    single = known.trained.single
    assert single is not None
    if not testable:
        return f"It cannot be measured. {single.remarks.get(single.concepts[concept], '')}".strip()
    n = n_detectors(known, concept)
    n_layers = sum(bool(own[:, concept].any()) for own in known.detects.values())
    text = (
        f"{n:,} unit{'s' if n != 1 else ''} in {n_layers} of {len(known.detects)} layers detect{'s' if n == 1 else ''} it. "
        if n
        else "No unit detects it. "
    )
    text += (
        f"The best single unit, {best.layer}:{best.unit}, covers it with IoU {best.iou:.2f}; being on everywhere gives "
        f"{single.everywhere[concept]:.2f}, the mean mask {single.prior[concept]:.2f}, chance {best.chance:.2f}."
    )
    if read is not None:
        own = f"the best of its units by itself {read.versus.best_iou[concept]:.2f}"
        beats = "" if read.versus.beats[concept] else ", which is not surely less"
        text += f" Several units of {read.layer} together reach {read.iou[concept]:.2f}, {own}{beats}."
    return text


def n_detectors(known: Dissected, concept: int) -> int:
    """How many units detect a concept, in all layers."""
    return int(sum(own[:, concept].sum() for own in known.detects.values()))


def _facts(known: Dissected, concept: int, best: BestUnit, read: Directions | None) -> tuple[tuple[str, str], ...]:
    single, pixels = known.trained.single, known.labels.pixels
    assert single is not None
    assert pixels is not None
    chose, measured = (int(pixels.n_images[half, concept]) for half in (CHOOSE, MEASURE))
    share = float(pixels.frequency[MEASURE, concept])
    found = [
        ("in images", f"{chose} of the half that chooses, {measured} of the half that measures"),
        ("share of pixels", f"{_percent(share)}, the IoU of what is on everywhere"),
    ]
    if not pixels.testable[concept]:
        return tuple(found)
    found += [
        (
            "best unit",
            f"{best.layer}:{best.unit}, IoU {best.iou:.2f} ± {best.error:.2f} (from the pixels that were looked at), average "
            f"precision {best.precision:.2f} ({_lift(best.precision, share)})",
        ),
        (
            "conventional rule",
            f"a unit that is on at .5 % of the pixels can have IoU {single.cap[concept]:.3f} at most"
            + ("; the rule asks for more" if single.cap[concept] < CONVENTIONAL else ""),
        ),
    ]
    if read is not None:
        n = int(read.to_most[concept])
        enough = f"; {n} reach 90 % of what all {len(read.mean):,} reach" if n else ""
        found.append(
            ("several units", f"{int(read.n_units[concept])} of {read.layer}, IoU {read.iou[concept]:.2f}{enough}")
        )
    return tuple(found)


def _percent(share: float) -> str:
    """Two digits of it, but whole points where there are more."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _lift(precision: float, frequency: float) -> str:
    return f"{precision / frequency:.1f} times its frequency" if frequency > 0 else "its frequency is 0"


def _checks(known: Dissected, concept: int, best: BestUnit, read: Directions | None) -> tuple[Checked, ...]:
    single = known.trained.single
    assert single is not None
    own = single.layers[best.layer]
    z, chance = float(own.z[best.unit, concept]), float(own.corrected[best.unit, concept])
    everywhere, prior = float(single.everywhere[concept]), float(single.prior[concept])
    stands_out = bool(single.beyond_wrong()[best.layer][best.unit, concept])
    too_few = (
        "" if stands_out else " Of all pairs of units and concepts too few stand out so far for a discovery (rate 5 %)."
    )
    found = [
        _check(
            "Beyond wrong labels",
            stands_out and chance > LEAST,
            f"It lies {z:.1f} times the scatter of wrong labels (masks of other images, rolled round) above chance; beyond it "
            f"the overlap is {chance:.2f}, at least {LEAST:g} is asked.{too_few}",
        ),
        _check(
            "Where it is strongest",
            bool(own.at_its_strongest[best.unit, concept]),
            f"At the unit's top .5 % the concept is there {own.top.lift[best.unit, concept]:.1f} times as often as anywhere.",
        ),
        _check("Beyond being on everywhere", best.iou > everywhere, f"IoU {best.iou:.3f} against {everywhere:.3f}."),
        _check(
            "Beyond the mean mask", best.iou > prior, f"IoU {best.iou:.3f} against {prior:.3f}, which saw no image."
        ),
    ]
    if known.fresh:
        others = [best_unit(known, concept, one.single).iou for one in known.fresh if one.single is not None]
        draws = f"the best of {len(others)} draws" if len(others) > 1 else "one draw"
        words = f"The best unit of fresh weights has IoU {max(others):.3f} in {draws}."
        found.append(_check("Beyond fresh weights", best.iou > max(others), words))
    if read is not None:
        made = float(read.made.gain[concept])
        gain, low, high = (float(part[concept]) for part in (read.versus.gain, read.versus.low, read.versus.high))
        words = f"{gain:+.3f} (95 % interval {low:+.3f} to {high:+.3f})"
        words += f"; where their sum is made a unit, several gain {made:+.3f} over it." if np.isfinite(made) else "."
        found.append(_check("Several units beyond one", bool(read.versus.beats[concept]), words.replace("-", "−")))
    return tuple(found)


def _check(title: str, passes: bool, words: str) -> Checked:
    return Checked(title, Outcome.PASSES if passes else Outcome.FAILS, words)


def _evidence(known: Dissected, concept: int, best: BestUnit, read: Directions | None) -> tuple[dict[str, Any], ...]:
    found = [_by_layer(known, concept)]
    if read is not None:
        found.append(_by_number(read, concept))
    table = _detectors(known, concept)
    return tuple([*found, table] if table["rows"] else found)


def _by_layer(known: Dissected, concept: int) -> dict[str, Any]:
    """The overlap in every layer: of its best unit, of several, of fresh weights, of what is trivial."""
    single = known.trained.single
    assert single is not None
    names = list(single.layers)

    def best(one: SingleUnits) -> list[float]:
        units = [_chosen(known, one, layer, concept) for layer in one.layers]
        return [float(own.iou[unit, concept]) for unit, own in zip(units, one.layers.values(), strict=True)]

    read = known.trained.read
    several = [
        float(read[name].iou[concept]) if name in read and read[name].n_units[concept] else None for name in names
    ]
    series: list[tuple[str, list[Any], bool]] = [("best unit", best(single), False)]
    if any(value is not None for value in several):
        series.append(("several units", several, False))
    fresh = [best(one.single) for one in known.fresh if one.single is not None]
    if fresh:
        series.append(("best unit, fresh weights", np.mean(fresh, axis=0).tolist(), True))
    series.append(("the mean mask", [float(single.prior[concept])] * len(names), True))
    series.append(("on everywhere", [float(single.everywhere[concept])] * len(names), True))
    return {
        "panel": "curves",
        "title": "Overlap in every layer, on the half of the images that measures",
        "x_label": "layer",
        "y_label": "IoU",
        "unit": "index",
        "x": names,
        "series": [{"name": n, "values": v, "low": None, "high": None, "control": c} for n, v, c in series],
    }


def _by_number(read: Directions, concept: int) -> dict[str, Any]:
    """The overlap against the number of units."""
    kept = np.flatnonzero(np.append(np.diff(read.sizes) > 0, True))  # all units may be as many as the size before
    sizes, n = [int(size) for size in read.sizes[kept]], len(kept)
    series: list[tuple[str, list[float], bool]] = [
        ("read-out", read.curve[kept, concept].tolist(), False),
        ("best single unit", [float(read.versus.best_iou[concept])] * n, True),
    ]
    if read.wrong:
        series.append(("read-out under wrong labels", [float(read.wrong[0].iou[concept])] * n, True))
    return {
        "panel": "curves",
        "title": f"Overlap against the number of units of {read.layer}",
        "x_label": "units",
        "y_label": "IoU",
        "unit": "index",
        "x": sizes,
        "log": True,
        "series": [{"name": name, "values": v, "low": None, "high": None, "control": c} for name, v, c in series],
    }


def _detectors(known: Dissected, concept: int) -> dict[str, Any]:
    """The units that detect it, best first by the images that chose."""
    single = known.trained.single
    assert single is not None
    every = [
        (float(single.layers[layer].chosen[unit, concept]), layer, int(unit))
        for layer, own in known.detects.items()
        for unit in np.flatnonzero(own[:, concept])
    ]
    every.sort(key=lambda row: (-row[0], row[1], row[2]))
    rows = []
    for _, layer, unit in every[:N_DETECTORS]:
        own, at = single.layers[layer], (unit, concept)
        also = [
            str(single.concepts[i])
            for i in np.argsort(-own.corrected[unit])
            if known.detects[layer][unit, i] and i != concept
        ]
        numbers = (own.iou[at], own.chance[at], own.average_precision[at], own.top.iou[at])
        scaled = f"{own.top.lift[at]:.1f} x", f"{own.z[at]:.1f}"
        rows.append([f"{layer}:{unit}", *(f"{value:.2f}" for value in numbers), *scaled, ", ".join(also[:2]) or "–"])
    of = f", {len(rows)} of {len(every):,}" if len(rows) < len(every) else ""
    title = f"Units that detect it{of}, best first by the images that chose"
    return {
        "panel": "table",
        "title": title,
        "columns": [
            *("unit", "IoU", "by chance", "average precision", "IoU at the top .5 %", "at its strongest", "z"),
            "also detects",
        ],
        "align": ["left", *("right" for _ in range(6)), "left"],
        "rows": rows,
    }


def _numbers(known: Dissected, concept: int, best: BestUnit, read: Directions | None) -> dict[str, Any]:
    found: dict[str, Any] = {"best_unit": vars(best), "n_detectors": n_detectors(known, concept)}
    if read is not None:
        found["several_units"] = {
            "layer": read.layer,
            "iou": float(read.iou[concept]),
            "n_units": int(read.n_units[concept]),
            "units_for_90": int(read.to_most[concept]),
            "sizes": [int(size) for size in read.sizes],
            "curve": [float(value) for value in read.curve[:, concept]],
            "units": [int(unit) for unit in read.path[concept][: int(read.n_units[concept])]],
        }
    return found
