"""What do the units of a layer mean?  Its page: concepts they detect, beside fresh weights, random directions, wrong labels."""

from typing import Any

import numpy as np

from convscope.instruments.concepts.detected import Detected, detected
from convscope.instruments.concepts.image_level import ImageLevel
from convscope.see.about import network_of, sees, source_of
from convscope.see.dissected import Dissected
from convscope.see.sheet import Checked, Outcome, Sheet

MOST_UNITS = 60  # rows of a table


def layer_page(known: Dissected, layer: str) -> Sheet:
    """The page of a layer: its units against all concepts."""
    network, found = known.network, known.trained
    single, of_images = found.single, found.of_images.get(layer)
    has_maps = single is not None and layer in single.layers
    n = network.layers[layer].n_units
    facts = [("units", f"{n:,}"), ("sees", sees(network, layer))]
    evidence: list[dict[str, Any]] = []
    checks: tuple[Checked, ...] = ()
    parts = []
    if has_maps:
        beside = controls(known)
        own = beside["trained"]
        at = own.layers.index(layer)
        parts.append(_sentence(own, at))
        checks = _checks(beside, at)
        evidence += [_against(beside, at), _categories(known, layer), _units(known, own, at)]
    if layer in found.read:
        read = found.read[layer]
        told = read.versus.told
        parts.append(
            f"Several units together tell {int(told.sum())} of {int(np.isfinite(read.iou).sum())} concepts, "
            f"{int((told & read.versus.beats).sum())} of them better than the best single unit."
        )
        facts += [("concepts served by a unit", _served(read.serves))]
    if of_images is not None:
        ranks = known.ranks[layer]
        n_detect = int(ranks.any(axis=1).sum())
        parts.append(
            f"{n_detect:,} of its units rank images by a concept of whole images better than wrong labels allow."
        )
        evidence.append(_ranking(layer, of_images, ranks))
    return Sheet(
        layer=layer,
        unit=None,
        address=layer,
        title=layer,
        sentence=" ".join(parts) or "It has no maps, and no concepts of whole images were given.",
        facts=tuple(facts),
        sections=(),
        checks=checks,
        notes=(),
        network=network_of(network),
        images={"source": source_of(known.labels.images), "n": len(known.labels.images)},
        settings=known.settings,
        repeat=(),
        evidence=tuple(one for one in evidence if one.get("rows", True)),
        numbers={"n_units": n},
    )


def controls(known: Dissected) -> dict[str, Detected]:
    """What the units detect, and what they would where nothing is meant; of fresh weights the first draw."""
    single = known.trained.single
    assert single is not None
    found = {"trained": detected(single)}
    for name, own, kind in (
        ("random directions", single, "rotated"),
        ("wrong labels", single, "wrong"),
        ("fresh weights", known.fresh[0].single if known.fresh else None, "units"),
    ):
        if own is not None and own.scores(kind):  # type: ignore[arg-type]
            found[name] = detected(own, kind)  # type: ignore[arg-type]
    return found


def _sentence(own: Detected, at: int) -> str:
    n, n_on = int(own.n_units[at]), int(own.detects[at].any(axis=1).sum())
    means = own.means(at)
    different = len(np.unique(means[means >= 0]))
    return (
        f"{n_on:,} of {n:,} units detect a concept; taking each unit for what it detects best, {different} different ones. "
        f"{int(own.n_concepts[at])} concepts are detected by at least one unit."
    )


def _checks(beside: dict[str, Detected], at: int) -> tuple[Checked, ...]:
    """Whether the units detect more concepts than each control does, among as many."""
    own = float(beside["trained"].likely[at].mean())
    found = []
    for name, other in beside.items():
        if name != "trained":
            share = float(other.likely[at].mean())
            words = (
                f"{100 * own:.0f} % of the concepts have a detector among as many units; {name}: {100 * share:.0f} %."
            )
            found.append(Checked(f"Beyond {name}", Outcome.PASSES if own > share else Outcome.FAILS, words))
    return tuple(found)


def _against(beside: dict[str, Detected], at: int) -> dict[str, Any]:
    bars = [
        {"name": name, "value": float(one.likely[at].mean()), "low": None, "high": None, "control": name != "trained"}
        for name, one in beside.items()
    ]
    return {
        "panel": "bars",
        "title": "Share of concepts with a detector among as many units",
        "unit": "fraction",
        "bars": bars,
    }


def _categories(known: Dissected, layer: str) -> dict[str, Any]:
    single = known.trained.single
    assert single is not None
    fresh = known.fresh[0].single if known.fresh else None
    rows = []
    for category, (n, kinds) in single.by_category(layer).items():
        beside = [] if fresh is None else [f"{part:,}" for part in fresh.by_category(layer)[category]]
        rows.append([category, f"{n:,}", f"{kinds:,}", *beside])
    more = [] if fresh is None else ["units, fresh weights", "concepts, fresh weights"]
    return {
        "panel": "table",
        "title": "What its units detect best, by category",
        "columns": ["category", "units", "different concepts", *more],
        "align": ["left", *("right" for _ in range(2 + len(more)))],
        "rows": rows,
    }


def _units(known: Dissected, own: Detected, at: int) -> dict[str, Any]:
    """The units that detect something, by their number."""
    single = known.trained.single
    assert single is not None
    layer, means = own.layers[at], own.means(at)
    scores = single.layers[layer]
    chosen = np.flatnonzero(means >= 0)
    shown = chosen[np.argsort(-scores.corrected[chosen, means[chosen]], kind="stable")][:MOST_UNITS]
    rows = []
    for unit in shown:
        best = means[unit]
        rest = [i for i in np.argsort(-scores.corrected[unit]) if own.detects[at][unit, i] and i != best]
        numbers = (scores.iou[unit, best], scores.chance[unit, best], scores.average_precision[unit, best])
        also = ", ".join(str(single.concepts[i]) for i in rest[:3]) or "–"
        rows.append(
            [int(unit), str(single.concepts[best]), *(f"{value:.2f}" for value in numbers), len(rest) + 1, also]
        )
    title = "Units and what they detect" + (
        f", the {len(shown)} clearest of {len(chosen):,}" if len(shown) < len(chosen) else ", the clearest first"
    )
    return {
        "panel": "table",
        "title": title,
        "columns": ["unit", "detects best", "IoU", "by chance", "average precision", "concepts", "also"],
        "align": ["left", "left", "right", "right", "right", "right", "left"],
        "rows": rows,
    }


def _served(serves: np.ndarray) -> str:
    used = serves[serves > 0]
    if not len(used):
        return "none serves a concept"
    return f"{np.median(used):.0f} in the median of {len(used):,} units that serve any, {used.max()} at most"


def _ranking(layer: str, found: ImageLevel, ranks: np.ndarray) -> dict[str, Any]:
    """For each concept of whole images the unit that ranks best, chosen on one half of the images and measured on the other."""
    rows = []
    chosen = np.where(ranks, found.chosen, -1.0)
    for concept in np.argsort(-chosen.max(axis=0, initial=-1.0))[:MOST_UNITS]:
        n = int(ranks[:, concept].sum())
        if not n:
            continue
        unit = int(chosen[:, concept].argmax())
        numbers = found.measured[unit, concept], found.share[concept]
        rows.append([str(found.concepts[concept]), n, f"{layer}:{unit}", *(f"{value:.2f}" for value in numbers)])
    return {
        "panel": "table",
        "title": "Concepts of whole images that its units rank by; the best unit as chosen on one half of the images, on the other",
        "columns": ["concept", "units", "best unit", "average precision", "share of images"],
        "align": ["left", "right", "left", "right", "right"],
        "rows": rows,
    }
