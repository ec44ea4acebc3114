"""Which pages does a study hold beside its findings?  Chapters (concepts, layers, classes), each an index and its pages.

A chapter is what page/chapters.py checks: a table whose rows name pages, and pages, which are sheets (see/sheet.py). It is written
when what it shows is measured; the report reads it back.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convscope.network import Network
from convscope.see.concept import best_read, best_unit, concept_sheet, n_detectors
from convscope.see.dissected import Dissected
from convscope.see.meanings import controls, layer_page
from convscope.see.page import block
from convscope.see.sheet import Sheet
from convscope.study import folder as on_disk
from convscope.study.claim import TRAINED, Concepts

MOST_PAGES = 200  # of a chapter; rows are there for all
Chapter = dict[str, Any]
Progress = Callable[[str, int, int], None]


def concept_chapters(
    network: Network, found: Concepts, progress: Progress
) -> Iterator[tuple[Chapter, Iterator[Sheet]]]:
    """The chapters about concepts: one of concepts, one of layers. Pages are made as they are asked for."""
    fresh = [found.networks[which] for which in found.fresh]
    known = Dissected(network, found.labels, found.networks[TRAINED], tuple(fresh))
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
    skipped = f" {len(pixels.skipped):,} masks or images could not be used." if pixels.skipped else ""
    return {
        "key": "concepts",
        "title": "Concepts",
        "words": (
            "IoU is the overlap of a unit with the concept's masks, on the half of the images that chose nothing; 'everywhere' "
            "is that of a unit which is always on (the concept's share of pixels), 'mean mask' that of knowing only where it "
            "usually is. A detector beats both, and wrong labels. 'Cap' is the most that a unit can reach by the conventional "
            f"rule (on at its top .5 %, IoU above .04); 'times its share' is average precision over the share of pixels.{skipped}"
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
            *("IoU, fresh", "IoU, several units", "units for 90 %"),
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


def write_chapters(
    folder: Path, made: Sequence[tuple[Chapter, Iterator[Sheet]]], there: list[dict[str, Any]]
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
