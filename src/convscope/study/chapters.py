"""Which pages does a study hold beside its findings?  Chapters (concepts, layers, classes), each an index and its pages.

A chapter is what page/chapters.py checks: a table whose rows name pages, and pages, which are sheets (see/sheet.py). It is written
when what it shows is measured; the report reads it back.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convscope.network import Network
from convscope.see.dissected import Dissected
from convscope.see.meanings import controls, layer_page
from convscope.see.page import block
from convscope.see.reads import class_name, class_page, detected_by
from convscope.see.sheet import Sheet
from convscope.study import folder as on_disk
from convscope.study.claim import TRAINED, Concepts
from convscope.study.concept_chapter import Chapter, Progress, concept_chapter, concept_pages, filled
from convscope.study.samples import Row


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
    if known.detects or known.ranks:
        yield concept_chapter(known), concept_pages(known, progress)
    yield _layers(known), _layer_pages(known, progress)


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
            *(_whole(number) for number in (row["n_units"]["signed"], row["n_accurate"])),
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
            "make 90 % of its logit, and how many, the others at their mean, keep 90 % of its accuracy; the unit that adds most to "
            "it, and what that unit detects."
        ),
        "columns": [
            *("class", "images", "accuracy", "probability", "without its units", "without others", "units for 90 %"),
            *("for 90 % of the accuracy", "strongest unit", "detects"),
        ],
        "align": ["left", *("right" for _ in range(7)), "left", "left"],
        "rows": found,
    }


def _whole(number: float | None) -> int | None:
    """A number of units; None where there is none (a logit below zero has no share, null in a file)."""
    return round(number) if number is not None and np.isfinite(number) else None


def _layers(known: Dissected) -> Chapter:
    beside = controls(known) if known.trained.single is not None else {}
    rows = [(layer, [layer, *_layer_cells(known, layer, beside)]) for layer in known.trained.layers]
    return {
        "key": "layers",
        "title": "What the layers detect",
        "words": (
            "How many units of each layer detect a concept, and which share of the concepts has a detector among up to 64 of them: "
            "in this network, in the same with fresh weights, and among random directions of the layer. 'Several units' is the "
            "mean IoU of read-outs, in the layers that were read."
            + (" 'That rank images' are units that do so by a concept of whole images." if known.of_images else "")
        ),
        **filled(
            (
                *(
                    "layer",
                    "units",
                    "that detect",
                    "concepts",
                    "share of concepts",
                    "fresh weights",
                    "random directions",
                ),
                *("IoU, several units", "that rank images"),
            ),
            ("left", *("right" for _ in range(8))),
            rows,
        ),
    }


def _layer_cells(known: Dissected, layer: str, beside: dict[str, Any]) -> list[Any]:
    n = known.network.layers[layer].n_units
    ranks = int(known.ranks[layer].any(axis=1).sum()) if layer in known.ranks else None
    own = beside.get("trained")
    if own is None or layer not in own.layers:
        return [n, *(None for _ in range(6)), ranks]
    at = own.layers.index(layer)
    shares = [
        f"{100 * beside[name].likely[at].mean():.0f} %" if name in beside else None
        for name in ("trained", "fresh weights", "random directions")
    ]
    read = known.trained.read.get(layer)
    several = None if read is None or not np.isfinite(read.iou).any() else round(float(np.nanmean(read.iou)), 3)
    return [n, int(own.detects[at].any(axis=1).sum()), int(own.n_concepts[at]), *shares, several, ranks]


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
