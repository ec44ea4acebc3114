"""Which pages does a study hold beside its findings?  Chapters (concepts, layers, classes), each an index and its pages.

A chapter is what page/chapters.py checks: a table whose rows name pages, and pages, which are sheets (see/sheet.py). It is written
when what it shows is measured; the report reads it back.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convscope.network import Network
from convscope.see.concept import best_read, best_unit, concept_sheet, n_detectors
from convscope.see.dissected import Dissected
from convscope.see.meanings import controls, layer_page
from convscope.see.page import block
from convscope.see.reads import class_name, class_page, detected_by
from convscope.see.sheet import Sheet
from convscope.study import folder as on_disk
from convscope.study.claim import TRAINED, Concepts
from convscope.study.samples import Row

MOST_PAGES = 200  # of a chapter; rows are there for all
MOST_NAMED = 5  # reasons for which labels could not be used
Chapter = dict[str, Any]
Progress = Callable[[str, int, int], None]


def chapters(
    network: Network, found: Concepts | None, classes: Sequence[Row], images: dict[str, Any], progress: Progress
) -> Iterator[tuple[Chapter, Iterator[Sheet]]]:
    """The chapters that can be made of what was measured: concepts and layers, classes. Pages are made as they are asked for.

    `classes` are rows of the claim about the read-out, one for each class of the network.
    """
    known = None
    if found is not None:
        fresh = tuple(found.networks[which] for which in found.fresh)
        known = Dissected(network, found.labels, found.networks[TRAINED], fresh)
        yield from _about_concepts(known, progress)
    if classes:
        yield _classes(network, classes, known), _class_pages(network, classes, known, images, progress)


def _about_concepts(known: Dissected, progress: Progress) -> Iterator[tuple[Chapter, Iterator[Sheet]]]:
    if known.trained.single is not None:
        yield _concepts(known), _concept_pages(known, progress)
    yield _layers(known), _layer_pages(known, progress)


def _concept_pages(known: Dissected, progress: Progress) -> Iterator[Sheet]:
    single = known.trained.single
    assert single is not None
    shown = _paged(len(single.concepts))
    for n, concept in enumerate(shown):
        progress("pages of concepts", n, len(shown))
        yield concept_sheet(known, int(concept))
    progress("pages of concepts", len(shown), len(shown))


def _layer_pages(known: Dissected, progress: Progress) -> Iterator[Sheet]:
    for n, layer in enumerate(known.trained.layers):
        progress("pages of layers", n, len(known.trained.layers))
        yield layer_page(known, layer)
    progress("pages of layers", len(known.trained.layers), len(known.trained.layers))


def _class_pages(
    network: Network, rows: Sequence[Row], known: Dissected | None, images: dict[str, Any], progress: Progress
) -> Iterator[Sheet]:
    layer = rows[0]["layer"]
    detects = detected_by(network, layer, known)
    for n, row in enumerate(rows):
        progress("pages of classes", n, len(rows))
        yield class_page(network, row, layer, detects, images)
    progress("pages of classes", len(rows), len(rows))


def _classes(network: Network, rows: Sequence[Row], known: Dissected | None) -> Chapter:
    layer = rows[0]["layer"]
    detects = detected_by(network, layer, known)
    found = []
    for row in rows:
        name, before, after = class_name(network, row["index"]), row["before"], row["removed"]["mean"]
        matched = [one["probability"] for one in row["as_active"]["mean"]]
        strongest = int(np.argmax(row["added"]))
        cells = [
            *(name, row["n_images"]),
            *(f"{100 * value:.0f} %" for value in (before["accuracy"], before["probability"], after["probability"])),
            f"{100 * np.mean(matched):.0f} %",
            round(row["n_units"]["signed"]),
            f"{layer}:{strongest}",
            ", ".join(detects.get(strongest, ())[:2]) or "–",
        ]
        found.append({"page": name, "cells": cells})
    return {
        "key": "classes",
        "title": "Classes",
        "words": (
            f"What the read-out makes of the units of {layer}, class by class: the probability of the class on its own images, as "
            "it is, without its strongest units (at their mean), and without as many others that are as active; how many units "
            "make 90 % of its logit; the unit that adds most to it, and what that unit detects."
        ),
        "columns": [
            *("class", "images", "accuracy", "probability", "without its units", "without others", "units for 90 %"),
            *("strongest unit", "detects"),
        ],
        "align": ["left", *("right" for _ in range(6)), "left", "left"],
        "rows": found,
    }


def _paged(n: int) -> np.ndarray:
    return np.arange(min(n, MOST_PAGES))


def _concepts(known: Dissected) -> Chapter:
    single, pixels = known.trained.single, known.labels.pixels
    assert single is not None
    assert pixels is not None
    paged = set(_paged(len(single.concepts)).tolist())
    rows = [
        {"page": str(what) if i in paged else None, "cells": [str(what), *_concept_cells(known, i)]}
        for i, what in enumerate(single.concepts)
    ]
    not_used = "".join(f" {line.rstrip('.')}." for line in known.labels.not_used[:MOST_NAMED])
    return {
        "key": "concepts",
        "title": "Concepts",
        "words": (
            "IoU is the overlap of a unit with the concept's masks, on the half of the images that chose nothing; 'everywhere' "
            "is that of a unit which is always on (the concept's share of pixels), 'mean mask' that of knowing only where it "
            "usually is. A detector beats both, and wrong labels. 'Cap' is the most that a unit can reach by the conventional "
            f"rule (on at its top .5 %, IoU above .04); 'times the share' is its average precision over the share.{not_used}"
        ),
        "columns": [
            *(
                "concept",
                "images",
                "everywhere",
                "mean mask",
                "cap",
                "detectors",
                "best unit",
                "IoU",
                "times its share",
            ),
            *("fresh weights", "several units", "units for 90 %"),
        ],
        "align": ["left", *("right" for _ in range(5)), "left", *("right" for _ in range(5))],
        "rows": rows,
    }


def _concept_cells(known: Dissected, concept: int) -> list[Any]:
    single, pixels = known.trained.single, known.labels.pixels
    assert single is not None
    assert pixels is not None
    n = int(pixels.n_images[:, concept].sum())
    share = float(single.everywhere[concept])
    trivial = [n, round(share, 3), round(float(single.prior[concept]), 3), round(float(single.cap[concept]), 3)]
    if not pixels.testable[concept]:
        return [*trivial, None, single.remarks.get(single.concepts[concept], "–"), *(None for _ in range(5))]
    best, read = best_unit(known, concept), best_read(known, concept)
    fresh = [best_unit(known, concept, one.single).iou for one in known.fresh if one.single is not None]
    several: list[Any] = [None, None]
    if read is not None:
        several = [round(float(read.iou[concept]), 3), int(read.to_most[concept]) or None]
    lift = round(best.precision / share, 1) if share > 0 else None
    found = [n_detectors(known, concept), f"{best.layer}:{best.unit}", round(best.iou, 3), lift]
    return [*trivial, *found, round(float(np.mean(fresh)), 3) if fresh else None, *several]


def _layers(known: Dissected) -> Chapter:
    beside = controls(known) if known.trained.single is not None else {}
    rows = [{"page": layer, "cells": [layer, *_layer_cells(known, layer, beside)]} for layer in known.trained.layers]
    return {
        "key": "layers",
        "title": "What the layers detect",
        "words": (
            "How many units of each layer detect a concept, and which share of the concepts has a detector among up to 64 of them: "
            "in this network, in the same with fresh weights, and among random directions of the layer. 'Several units' is the "
            "mean IoU of read-outs, in the layers that were read."
        ),
        "columns": [
            *("layer", "units", "that detect", "concepts", "share of concepts", "fresh weights", "random directions"),
            "IoU, several units",
        ],
        "align": ["left", *("right" for _ in range(7))],
        "rows": rows,
    }


def _layer_cells(known: Dissected, layer: str, beside: dict[str, Any]) -> list[Any]:
    n = known.network.layers[layer].n_units
    own = beside.get("trained")
    if own is None or layer not in own.layers:
        return [n, *(None for _ in range(6))]
    at = own.layers.index(layer)
    shares = [
        f"{100 * beside[name].likely[at].mean():.0f} %" if name in beside else None
        for name in ("trained", "fresh weights", "random directions")
    ]
    read = known.trained.read.get(layer)
    several = None if read is None or not np.isfinite(read.iou).any() else round(float(np.nanmean(read.iou)), 3)
    return [n, int(own.detects[at].any(axis=1).sum()), int(own.n_concepts[at]), *shares, several]


def class_rows(rows: dict[str, list[Row]]) -> list[Row]:
    """What was measured of the network's classes, where the claim about the read-out was."""
    return [row for row in rows.get("dense_readout", []) if row.get("which") == TRAINED and "added" in row]


def write_chapters(
    folder: Path, made: Iterable[tuple[Chapter, Iterator[Sheet]]], there: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Writes chapters with their pages; returns what the manifest says of all, those that were there before among them."""
    entries = {entry["key"]: entry for entry in there}
    for chapter, pages in made:
        key, files = chapter["key"], []
        for n, sheet in enumerate(pages):
            name = f"{key}-{n:04d}.json"
            on_disk.write_json(folder / on_disk.CHAPTERS / name, {**block(sheet), "links": _links(key, sheet)})
            files.append(name)
        on_disk.write_json(folder / on_disk.CHAPTERS / f"{key}.json", chapter)
        entries[key] = {"key": key, "file": f"{key}.json", "pages": files}
    return list(entries.values())


def _links(key: str, sheet: Sheet) -> list[dict[str, Any]]:
    """Where a page leads in the report: a concept to the layer of its best unit and that unit's card, a layer to its exemplars."""
    if key == "layers":
        return [_link("Exemplars of its units", "exemplars", layer=sheet.address)]
    best = sheet.numbers.get("best_unit")
    if key != "concepts" or best is None:
        return []
    layer, unit = best["layer"], f"{best['layer']}:{best['unit']}"
    return [
        _link(f"Card of {unit}", "cards", card=unit),
        _link(f"What {layer} detects", "chapter", chapter="layers", page=layer),
        _link(f"Exemplars of {layer}", "exemplars", layer=layer),
    ]


def _link(words: str, view: str, **to: str) -> dict[str, Any]:
    return {"words": words, "view": view, "to": to}


def read_chapters(folder: Path, manifest: dict[str, Any]) -> list[Chapter]:
    """The chapters of a study with their pages. Raises InputError where one is missing or damaged."""
    found = []
    for entry in manifest.get("chapters", []):
        names = [Path(name).name for name in (entry["file"], *entry["pages"])]
        chapter, *pages = (on_disk.read_json(folder / on_disk.CHAPTERS / name) for name in names)
        found.append({**chapter, "pages": pages})
    return found
