"""Does a network know a concept that whole images have?  Its page: units that rank images by it, and what of that is trivial.

There are no masks, so nothing is said of where. The best unit is chosen on one half of the images and measured on the other.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.instruments.concepts.dissect import Dissection
from convscope.see.about import network_of, repeat_concept, source_of
from convscope.see.dissected import Dissected
from convscope.see.sheet import Checked, Outcome, Sheet
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE

N_UNITS = 10  # rows of the table


@dataclass(frozen=True)
class BestRanking:
    """The single unit that ranks images best by a concept, by the images that chose it."""

    layer: str
    unit: int
    precision: float  # average precision on the images that measure
    share: float  # of these that have the concept: the average precision of a unit that says nothing
    ranks: bool  # better than wrong labels allow; False for fresh weights


def image_concept_sheet(known: Dissected, concept: int) -> Sheet:
    """The page of a concept of whole images, by its number among these."""
    whole = known.labels.whole
    assert whole is not None
    what, testable = whole.concepts[concept], bool(whole.testable[concept])
    best = best_ranking(known, concept)
    return Sheet(
        layer=None,
        unit=None,
        address=str(what),
        title=f"{what.name} ({what.category})",
        sentence=_sentence(known, concept, best) if testable else f"It cannot be measured. {whole.remarks[what]}",
        facts=_facts(known, concept, best, testable=testable),
        sections=(),
        checks=_checks(known, concept, best) if testable else (),
        notes=known.labels.not_used,
        network=network_of(known.network),
        images={"source": source_of(known.labels.images), "n": len(known.labels.images)},
        settings=known.settings,
        repeat=repeat_concept(known, str(what)),
        evidence=_evidence(known, concept) if testable else (),
        numbers={"best_unit": vars(best), "n_units": n_ranking(known, concept)},
    )


def best_ranking(known: Dissected, concept: int, of: Dissection | None = None) -> BestRanking:
    """The best single unit of all layers; of the network, or of a draw of fresh weights."""
    layers = (known.trained if of is None else of).of_images
    layer = max(layers, key=lambda name: float(layers[name].chosen[:, concept].max()))
    own = layers[layer]
    unit = int(own.chosen[:, concept].argmax())
    ranks = of is None and bool(known.ranks[layer][unit, concept])
    return BestRanking(layer, unit, float(own.measured[unit, concept]), float(own.share[concept]), ranks)


def n_ranking(known: Dissected, concept: int) -> int:
    """How many units rank images by a concept, in all layers."""
    return int(sum(own[:, concept].sum() for own in known.ranks.values()))


def fresh_rankings(known: Dissected, concept: int) -> list[float]:
    """The average precision of the best unit of each draw of fresh weights."""
    return [best_ranking(known, concept, one).precision for one in known.fresh if one.of_images]


def _sentence(known: Dissected, concept: int, best: BestRanking) -> str:
    n, n_layers = n_ranking(known, concept), sum(bool(own[:, concept].any()) for own in known.ranks.values())
    text = (
        f"{n:,} unit{'s' if n != 1 else ''} in {n_layers} of {len(known.ranks)} layers rank{'s' if n == 1 else ''} images by it "
        "better than wrong labels allow. "
        if n
        else "No unit ranks images by it better than wrong labels allow. "
    )
    fresh = fresh_rankings(known, concept)
    beside = f", the best unit of fresh weights {max(fresh):.2f}" if fresh else ""
    return (
        f"{text}The best unit, {best.layer}:{best.unit}, chosen on one half of the images, has average precision "
        f"{best.precision:.2f} on the other; a unit that says nothing has {best.share:.2f}{beside}."
    )


def _facts(known: Dissected, concept: int, best: BestRanking, *, testable: bool) -> tuple[tuple[str, str], ...]:
    whole = known.labels.whole
    assert whole is not None
    chose, measured = (int(whole.n_images[half, concept]) for half in (CHOOSE, MEASURE))
    of = int(whole.n_known[:, concept].sum())
    found = [
        ("in images", f"{chose} of the half that chooses, {measured} of the half that measures"),
        ("share of images", f"{100 * (chose + measured) / max(of, 1):.2g} % of {of:,} that say whether they have it"),
    ]
    if testable:
        lift = f" ({best.precision / best.share:.1f} times the share)" if best.share > 0 else ""
        found.append(("best unit", f"{best.layer}:{best.unit}, average precision {best.precision:.2f}{lift}"))
    return tuple(found)


def _checks(known: Dissected, concept: int, best: BestRanking) -> tuple[Checked, ...]:
    z = float(known.trained.of_images[best.layer].z[best.unit, concept])
    found = [
        _check(
            "Beyond wrong labels",
            best.ranks,
            f"It lies {z:.1f} times the scatter of wrong labels (those of other images) above the share of images; all units and "
            "concepts of all layers are tested together, on all images.",
        ),
        _check(
            "Beyond the share of images",
            best.precision > best.share,
            f"Average precision {best.precision:.3f} against {best.share:.3f}, on the half that did not choose it.",
        ),
    ]
    fresh = fresh_rankings(known, concept)
    if fresh:
        draws = f"the best of {len(fresh)} draws" if len(fresh) > 1 else "one draw"
        words = f"The best unit of fresh weights, chosen alike, has {max(fresh):.3f} in {draws}."
        found.append(_check("Beyond fresh weights", best.precision > max(fresh), words))
    return tuple(found)


def _check(title: str, passes: bool, words: str) -> Checked:
    return Checked(title, Outcome.PASSES if passes else Outcome.FAILS, words)


def _evidence(known: Dissected, concept: int) -> tuple[dict[str, Any], ...]:
    table = _units(known, concept)
    return (_by_layer(known, concept), table) if table["rows"] else (_by_layer(known, concept),)


def _by_layer(known: Dissected, concept: int) -> dict[str, Any]:
    """The average precision of the best unit of every layer, beside that of fresh weights and the share of images."""
    names = list(known.trained.of_images)

    def best(one: Dissection) -> list[float]:
        layers = (one.of_images[name] for name in names)
        return [float(own.measured[own.chosen[:, concept].argmax(), concept]) for own in layers]

    series = [("best unit", best(known.trained), False)]
    fresh = [best(one) for one in known.fresh if one.of_images]
    if fresh:
        series.append(("best unit, fresh weights", np.mean(fresh, axis=0).tolist(), True))
    shares = [float(known.trained.of_images[name].share[concept]) for name in names]
    series.append(("the share of images", shares, True))
    return {
        "panel": "curves",
        "title": "Average precision in every layer, on the half of the images that measures",
        "x_label": "layer",
        "y_label": "average precision",
        "unit": "index",
        "x": names,
        "series": [{"name": n, "values": v, "low": None, "high": None, "control": c} for n, v, c in series],
    }


def _units(known: Dissected, concept: int) -> dict[str, Any]:
    """The units that rank images by it, best first by the images that chose."""
    layers = known.trained.of_images
    every = [
        (float(layers[layer].chosen[unit, concept]), layer, int(unit))
        for layer, ranks in known.ranks.items()
        for unit in np.flatnonzero(ranks[:, concept])
    ]
    every.sort(key=lambda row: (-row[0], row[1], row[2]))
    rows = []
    for chosen, layer, unit in every[:N_UNITS]:
        own, mine = layers[layer], known.ranks[layer][unit]
        also = [str(own.concepts[i]) for i in np.argsort(-own.lift[unit]) if mine[i] and i != concept]
        precision = float(own.measured[unit, concept])
        lift = f"{precision / own.share[concept]:.1f} x" if own.share[concept] > 0 else "–"
        numbers = f"{precision:.2f}", f"{chosen:.2f}", lift, f"{own.z[unit, concept]:.1f}"
        rows.append([f"{layer}:{unit}", *numbers, ", ".join(also[:2]) or "–"])
    title = "Units that rank images by it" + (f", {len(rows)} of {len(every):,}" if len(rows) < len(every) else "")
    return {
        "panel": "table",
        "title": f"{title}, best first on the half that chooses",
        "columns": ["unit", "average precision", "on the half that chooses", "over the share", "z", "also ranks by"],
        "align": ["left", *("right" for _ in range(4)), "left"],
        "rows": rows,
    }
