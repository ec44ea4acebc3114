"""Chapters like real ones: 60 concepts, 20 layers, 100 classes, each with its page; made up, and the same each time."""

import functools
from typing import Any

import numpy as np
from example_cards import EXPAND, SQUEEZE, card, check, section, tile
from example_cards import _crop as crop

Record = dict[str, Any]
CATEGORIES = ("colour", "texture", "material", "part", "object", "scene")
WHEEL = "object: wheel"
NUMBERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # of units that a read-out may use
LAYERS = [SQUEEZE, EXPAND, *(f"blocks.{i}.expand{k}x{k}_activation" for i in range(4, 13) for k in (1, 3))]


def chapters() -> list[Record]:
    """All three."""
    return [concepts(), of_layers(), classes()]


def concept_names() -> list[str]:
    """Sixty names, a long one and one from right to left among them."""
    named = {
        8: "material: anodised aluminium or any other metal that was coloured by electrolysis, seen through glass at night",
        21: "object: \u05d2\u05dc\u05d2\u05dc",
    }
    return [WHEEL, *(named.get(i, f"{CATEGORIES[i % 6]}: thing {i}") for i in range(1, 60))]


def concepts() -> Record:
    names = concept_names()
    rows = []
    for i, name in enumerate(names):
        single = round(0.34 / (1 + i / 9), 3)
        poor = i % 13 == 12  # a concept of too few images has no page
        cells = [name, 800 - 13 * i, None if poor else single, None if poor else round(single * (1.2 + i % 5 / 10), 3),
                 None if poor else 1 + i % 17, None if poor else f"{LAYERS[i % 20]}:{i * 3}"]  # fmt: skip
        rows.append({"page": None if poor else name, "cells": cells})
    return {
        "key": "concepts", "title": "Concepts",
        "words": "How well units find each concept, on images that chose nothing. “Alone” is the overlap (IoU, 0 to 1) of the best "
                 "single unit, “together” that of up to 64 units of its layer, “units needed” how many reach 90 % of that. A dash: "
                 "too few images to say.",
        "columns": ["concept", "images", "alone", "together", "units needed", "best single unit"],
        "rows": rows, "pages": [concept_page(row["page"], i) for i, row in enumerate(rows) if row["page"]],
    }  # fmt: skip


def concept_page(name: str, i: int) -> Record:
    best = 0.34 / (1 + i / 9)
    units = [
        {"name": f"{LAYERS[k]}:{17 * k + 3}", "value": best * 0.8**k, "low": best * 0.8**k - 0.03,
         "high": best * 0.8**k + 0.03}
        for k in range(5)
    ]  # fmt: skip
    units.append({"name": "on everywhere", "value": 0.06, "control": True})
    units.append({"name": "fresh weights, best unit", "value": 0.08, "low": 0.05, "high": 0.11, "control": True})
    curve = [best * (1.7 - 0.7 / n**0.7) for n in NUMBERS]
    evidence = [
        {"panel": "bars", "title": "Which units", "unit": "IoU", "bars": units,
         "words": "Overlap of the five best units with the concept, beside what finds it without looking."},
        {"panel": "curves", "title": "One unit or many", "x_label": "number of units", "y_label": "overlap", "unit": "IoU",
         "log": True, "x": list(NUMBERS), "series": [
             {"name": "read-out of so many units", "values": curve, "low": [c - 0.03 for c in curve],
              "high": [c + 0.03 for c in curve]},
             {"name": "best single unit", "values": [best] * len(curve), "control": True},
             {"name": "wrong labels", "values": [0.05 + 0.01 * k**0.5 for k in range(len(curve))], "control": True}]},
        {"panel": "curves", "title": "In which layer", "x_label": "layer, in order of depth", "y_label": "overlap of the best unit",
         "unit": "IoU", "x": LAYERS, "series": [
             {"name": "best unit", "values": [best * np.sin(k / 7) if k != 4 else None for k in range(20)]}]},
        {"panel": "table", "title": "Classes that read it", "columns": ["class", "share of the logit, %", "top unit"],
         "words": "How much of a class's logit goes through units that find the concept.",
         "rows": [["limousine", 21.4, f"{EXPAND}:9"], ["mountain bike, all-terrain bike, off-roader", 17.0, f"{SQUEEZE}:13"],
                  ["unicycle", None, None]]},
    ]  # fmt: skip
    checks = [
        check("Beats being on everywhere", "passes", "Its best unit's IoU is 0.34 (0.31 to 0.37); on everywhere 0.06."),
        check("Beats the mean mask", "care", "The mean mask of the training images has 0.29: it has its place."),
        check("Held with wrong labels", "fails", "3 of 20 dealings of the masks did as well."),
    ]  # fmt: skip
    tiles = [
        tile([("image", crop(i + k)), ("where the unit is on", crop(i + k + 3))], f"IoU 0.{41 - k}") for k in range(4)
    ]
    found = card(
        name,
        "",
        None,
        [section("where", "Where", "Images with the concept, and where its best unit is on.", tiles)],
        checks,
    )
    links = [
        {"words": f"Card of {SQUEEZE}:13", "view": "cards", "to": {"card": f"{SQUEEZE}:13"}},
        {"words": f"Its layer {SQUEEZE}", "view": "chapter", "to": {"chapter": "layers", "page": SQUEEZE}},
        {"words": "Exemplars of that layer", "view": "exemplars", "to": {"layer": SQUEEZE}},
        {"words": "The claim: one unit, one concept", "view": "why", "to": {"claim": "one_unit_one_concept"}},
        {"words": "A card that is not here", "view": "cards", "to": {"card": f"{SQUEEZE}:999"}},
        {"words": "A chapter that is not here", "view": "chapter", "to": {"chapter": "scenes", "page": "x"}},
    ]  # fmt: skip
    return {
        **found, "layer": None, "title": name, "evidence": evidence, "links": links,
        "sentence": f"Its best single unit finds it with an IoU of {best:.2f}; 12 units together with {best * 1.5:.2f}.",
        "facts": [["category", name.partition(":")[0]], ["images with it", f"{800 - 13 * i} of 800"], ["of the pixels", "4.1 %"]],
    }  # fmt: skip


def of_layers() -> Record:
    rows, pages = [], []
    for i, name in enumerate(LAYERS):
        counts = [14 - i // 2, 9, 4, i // 3, i // 2, i // 6]
        rows.append({"page": name, "cells": [name, 256, *counts, round(0.14 + 0.01 * i, 3)]})
        bars = [{"name": kind, "value": at / 256, "low": max(0, at - 3) / 256, "high": (at + 3) / 256}
                for kind, at in zip(CATEGORIES, counts, strict=True)]  # fmt: skip
        of = {"sentence": f"{sum(counts)} of its 256 units detect a concept.", "title": f"{name}: its concepts"}
        evidence = [{"panel": "bars", "title": "Units that detect a concept", "unit": "fraction", "bars": bars}]
        pages.append({**card(name, name, None, [], []), **of, "evidence": evidence, "facts": [], "notes": []})
    return {
        "key": "layers", "title": "Layers",
        "words": "How many units of each layer detect a concept, by category; the last column is the mean IoU of these.",
        "columns": ["layer", "units", *CATEGORIES, "mean IoU"], "rows": rows, "pages": pages,
    }  # fmt: skip


def classes() -> Record:
    names = [f"class {i}, or by another name thing number {i * i}" for i in range(100)]
    rows = [
        {"page": name, "cells": [name, round(0.97 - i / 130, 3), i % 9 + 1, i % 4 == 0]} for i, name in enumerate(names)
    ]
    return {
        "key": "classes", "title": "Classes",
        "words": "How each class is read off. “Right” is the share of its images that get it, “units” how many keep "
                 "90 % of its logit, “checked” whether removing them hits this class and no other.",
        "columns": ["class", "right", "units", "checked"], "align": ["left", "right", "right", "left"],
        "rows": rows, "pages": [class_page(name, i) for i, name in enumerate(names)],
    }  # fmt: skip


def class_page(name: str, i: int) -> Record:
    evidence = [
        {"panel": "curves", "title": "Accuracy against units kept", "x_label": "units kept", "y_label": "accuracy of this class",
         "unit": "fraction", "x": [0, 1, 2, 5, 10, 20, 50, 100, 200, 512], "series": [
             {"name": "its own", "values": [0.0, 0.2, 0.5, 0.7, 0.8, 0.9, 0.93, 0.95, 0.95, 0.96]},
             {"name": "as many others", "control": True,
              "values": [0.0, 0.0, 0.0, 0.01, 0.02, 0.05, 0.1, 0.4, 0.8, 0.96]}]},
        {"panel": "table", "title": "Units it reads",
         "columns": ["unit", "weight", "mean", "contribution", "share, %", "concept", "alone"],
         "words": "Contribution is weight times mean activation, in logits.",
         "rows": [[f"{EXPAND}:{k}", 0.3 - k / 50, 1.2, 0.36 - k / 40, 12.0 - k, WHEEL if k % 2 else None, 0.21]
                  for k in range(12)]},
    ]  # fmt: skip
    back = [{"words": WHEEL, "view": "chapter", "to": {"chapter": "concepts", "page": WHEEL}}]
    of = {"title": name, "sentence": f"Two units carry {60 - i % 30} % of its logit.", "facts": [], "notes": []}
    return {**card(name, "", None, [], []), "layer": None, **of, "evidence": evidence, "links": back}


@functools.cache
def short() -> tuple[Record, ...]:
    """The same chapters with three rows and pages each."""
    return tuple({**one, "rows": one["rows"][:3], "pages": one["pages"][:3]} for one in chapters())
