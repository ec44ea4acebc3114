"""A report like a real one: 66 layers, 18 findings, exemplars cut from the built-in world, cards; made up, always the same."""

import base64
import functools
import io
import math
from typing import Any

import numpy as np
from example_cards import cards
from PIL import Image

import convscope as cs

Record = dict[str, Any]
N_IMAGES = 800
CELL_PX, COLUMNS = 64, 5

# claim, statement, quantity, unit, value, s.e., controls (name, value, s.e.), least, verdict
_CLAIMS: tuple[tuple[Any, ...], ...] = (
    ("it_classifies", "The network classifies images like these", "share of images whose best class is right", "fraction",
     0.611, 0.017, (("fresh weights", 0.001, 0.001), ("labels shuffled", 0.002, 0.001)), 0.05, "supported"),
    ("layers_build_up", "Later layers carry more of the class", "rank correlation of depth and probe accuracy", "correlation",
     0.93, 0.012, (("fresh weights", -0.41, 0.06), ("layers shuffled", 0.02, 0.09)), 0.2, "supported"),
    ("sharing_saves", "Sharing weights over positions saves parameters", "parameters without sharing, as a multiple", "ratio",
     412.0, 0, (("dense layers only", 1.0, 0),), 2.0, "supported"),
    ("units_are_selective", "Units answer to few of the classes", "mean selectivity of the units", "index",
     0.58, 0.006, (("fresh weights", 0.31, 0.004), ("images shuffled", 0.12, 0.003)), 0.05, "supported"),
    ("shift_tolerance", "Pooling makes later layers tolerate shifts", "similarity after a shift of 8 px", "correlation",
     0.87, 0.01, (("fresh weights", 0.62, 0.02), ("first layer", 0.34, 0.02)), 0.1, "supported"),
    ("first_layer_gabors", "First-layer filters are tuned to edges", "share of filters that a Gabor function fits", "fraction",
     0.66, 0.058, (("fresh weights", 0.03, 0.02),), 0.2, "supported"),
    ("one_unit_one_concept", "One unit stands for one concept", "share of concepts that one unit finds best", "fraction",
     0.21, 0.03, (("five units together", 0.74, 0.03), ("random direction", 0.19, 0.03)), 0.1, "not supported"),
    ("shape_decides", "Shape decides, not texture", "share of cue-conflict images told by shape", "fraction",
     0.18, 0.014, (("chance", 0.5, 0.018),), 0.05, "not supported"),
    ("depth_is_needed", "Every layer is needed", "least drop of accuracy when one layer is skipped", "fraction",
     0.004, 0.003, (("noise of the measurement", 0.003, 0.002),), 0.01, "not supported"),
    ("rotation_tolerance", "Responses tolerate rotation", "similarity of responses after 30 degrees", "correlation",
     0.41, 0.02, (("fresh weights", 0.44, 0.02),), 0.1, "not supported"),
    ("dense_holds_it", "The last layer holds the knowledge", "accuracy of a new last layer on random features", "fraction",
     0.07, 0.009, (("the trained features", 0.6, 0.017),), 0.05, "not supported"),
    ("field_is_used", "The whole receptive field is used", "share of the field that holds 95 % of the influence", "fraction",
     0.12, 0.008, (("fresh weights", 0.11, 0.01),), 0.05, "not supported"),
    ("copies_rotated", "Filters come as rotated copies", "best match among rotated filters", "correlation",
     0.52, 0.05, (("pixels shuffled", 0.43, 0.04),), 0.05, "undecided"),
    ("rare_classes", "Rare classes have units of their own", "selective units a rare class", "ratio",
     1.35, 0.3, (("common classes", 1.1, 0.12),), 0.2, "undecided"),
    ("context_helps", "Context helps to tell the object", "gain in accuracy from the background", "percentage points",
     3.1, 1.9, (("background of another image", 0.4, 1.4),), 1.0, "undecided"),
    ("dead_units_free", "Units that are never active can be removed", "change of the logits", "index",
     0.0, 0.0, (("as many random units", 0.21, 0.05),), 0.01, "undecided"),
    ("color_matters", "Color matters to the class", "loss of accuracy on gray images", "fraction",
     0.061, 0.024, (("brightness changed", 0.021, 0.016),), 0.02, "undecided"),
    ("middle_layers_texture", "Middle layers answer to texture", "share of units whose best concept is a texture", "fraction",
     0.38, 0.05, (("fresh weights", 0.27, 0.06),), 0.05, "undecided"),
)  # fmt: skip


def interval(value: float, error: float, floor: float = -math.inf) -> Record:
    return {"value": value, "low": max(floor, value - 1.96 * error), "high": value + 1.96 * error}


def layer_names() -> list[str]:
    """The layers of a network of fire modules."""
    names = ["features.0", "features.1", "features.2"]
    for i in (3, 4, 6, 7, 9, 10, 11, 12):
        parts = ("squeeze", "expand1x1", "expand3x3")
        names += [f"features.{i}.{part}{end}" for part in parts for end in ("", "_activation")] + [f"features.{i}"]
        names += [f"features.{i + 1}"] if i in (4, 7) else []
    return [*names, "classifier.1", "classifier.2", "classifier.3", "flatten#1", "output"]


def layers() -> list[Record]:
    made, before = [], "input"
    for i, name in enumerate(layer_names()):
        is_weighted = not name.endswith("activation") and (
            name.count(".") == 2 or name in ("features.0", "classifier.1")
        )
        side = 111 if i < 2 else 55 if i < 18 else 27 if i < 34 else 13
        units = 64 if i < 18 else 256 if i < 34 else 512
        sees = 3 + 2 * i + (i // 9) ** 2 * 4
        field = {"global": i > 62, "size_px": [sees, sees], "stride_px": [2 + i // 17 * 2] * 2, "offset_px": [0.5, 0.5]}
        size = {"parameters": units * 89 if is_weighted else 0, "macs": units * side * side * 27 if is_weighted else 0}
        counted = {"n_dead": i % 7 if i % 3 else 0, "n_duplicates": i % 4, "selectivity": round(0.2 + i / 120, 3)}
        kind = "convolution" if is_weighted else "relu" if name.endswith(("activation", ".1")) else "concatenation"
        where = {"reads": [before], "where": "forward", "measured": i % 5 != 4}
        shape = [units, side, side] if i < 64 else [1000]
        made.append({"name": name, "op": "aten.op", "kind": kind, "shape": shape, "receptive_field": field}
                    | size | where | (counted if i % 5 != 4 else dict.fromkeys(counted)))  # fmt: skip
        before = name
    return made


def curves() -> Record:
    """Accuracy of a probe after each layer, with one layer that was not measured."""
    names, generator = layer_names(), np.random.default_rng(3)
    depth = np.linspace(0, 1, len(names))
    trained = 0.08 + 0.53 / (1 + np.exp(-7 * (depth - 0.55))) + generator.normal(0, 0.008, len(names))
    fresh = 0.07 + 0.05 * np.exp(-((depth - 0.3) ** 2) / 0.05) + generator.normal(0, 0.004, len(names))
    series = [_series("trained", trained, 0.017, False), _series("fresh weights", fresh, 0.009, True)]
    series.append(
        _series("labels shuffled", np.full(len(names), 0.012) + generator.normal(0, 0.003, len(names)), None, True)
    )
    for row in ("values", "low", "high"):
        for at in (20, 22):
            series[0][row][at] = None
    labels = {"x_label": "layer, in order of depth", "y_label": "accuracy of a linear probe", "unit": "fraction"}
    return {
        "panel": "curves",
        "title": "A probe reads the class off each layer",
        **labels,
        "x": names,
        "series": series,
    }


def _series(name: str, values: np.ndarray, error: float | None, control: bool) -> Record:
    bounds = {
        end: None if error is None else [float(v + by * error) for v in values]
        for end, by in (("low", -1.96), ("high", 1.96))
    }
    return {"name": name, "values": [float(v) for v in values], **bounds, "control": control}


def similarity() -> Record:
    """A second curve with fewer points, below zero in places."""
    names = [name for name in layer_names() if name.endswith(("activation", "pool"))][::3]
    values = np.cos(np.linspace(0, 2.1, len(names)))
    return {"panel": "curves", "title": "Similarity after a rotation of 30°", "x_label": "layer", "y_label": "correlation",
            "unit": "correlation", "x": names, "series": [_series("trained", values, 0.04, False),
            _series("fresh weights", values * 0.8 + 0.1, 0.05, True)]}  # fmt: skip


def bars(log: bool = False) -> Record:
    if log:
        found = {"as it is": 1.2356e6, "without sharing": 5.09e8, "without locality": 2.4e12}
        rows = [
            {"name": name, "value": value, "low": None, "high": None, "control": i > 0}
            for i, (name, value) in enumerate(found.items())
        ]
        return {"panel": "bars", "title": "Parameters under each rule", "unit": "", "log": True, "bars": rows}
    shares = {
        "edges": 0.21,
        "curves": 0.09,
        "colors": 0.17,
        "textures": 0.38,
        "parts of objects": 0.1,
        "whole objects": 0.05,
    }
    rows = [{"name": name, **interval(value, 0.02), "control": False} for name, value in shares.items()]
    rows.append({"name": "any, with fresh weights", **interval(0.03, 0.01), "control": True})
    return {"panel": "bars", "title": "What units answer to", "unit": "fraction", "bars": rows}


def table() -> Record:
    rows = [["tench", 0.91, 112], ["great white shark", 0.88, 40], ["water bottle", None, 0]]
    return {
        "panel": "table",
        "title": "Classes and their units",
        "columns": ["class", "selectivity", "units"],
        "rows": rows,
    }


_EVIDENCE = {
    "it_classifies": (curves, bars), "layers_build_up": (curves,), "sharing_saves": (functools.partial(bars, True),),
    "units_are_selective": (bars, table), "rotation_tolerance": (similarity,), "middle_layers_texture": (bars,),
}  # fmt: skip


def findings() -> list[Record]:
    return [_finding(*row) for row in _CLAIMS]


def _finding(claim: str, statement: str, quantity: str, unit: str, value: float, error: float, controls: Any, least: float,
             verdict: str) -> Record:  # fmt: skip
    floor = 0.0 if unit == "fraction" else -math.inf
    named = [{"name": name, "what": _WHAT.get(name, f"The same measurement with {name}, where the claim cannot hold."),
              "value": interval(at, e, floor)} for name, at, e in controls]  # fmt: skip
    strongest = max(controls, key=lambda control: control[1])
    beyond = interval(value - strongest[1], math.hypot(error, strongest[2]))
    reason = "The interval is wider than the difference that matters. About four times as many images would decide it."
    summary = {
        "it_classifies": "61.1 % of 800 images get the right class of 1,000 (57.8 to 64.4); with fresh weights 0.1 %."
    }
    said = f"The {quantity} is {value:.3g}; its strongest control, {strongest[0]}, is at {strongest[1]:.3g}."
    means = (
        "The measurement compares this network with the same network where the claim cannot hold, on the same images. "
        "It says nothing about other networks, nor about images unlike these."
    )
    return {"claim": claim, "statement": statement, "quantity": quantity, "unit": unit, "value": interval(value, error, floor),
            "controls": named, "beyond": beyond, "least": least, "verdict": verdict, "summary": summary.get(claim, said),
            "means": means, "resampled": "images" if error else "", "reason": reason if verdict == "undecided" else "",
            "evidence": [make() for make in _EVIDENCE.get(claim, ())]}  # fmt: skip


_WHAT = {
    "fresh weights": "The same network with newly drawn weights: same structure, nothing learnt.",
    "labels shuffled": "The labels dealt out anew among the images, so that there is nothing to be right about.",
}


def exemplars(layer: str, seed: int, n_units: int = 64) -> Record:
    """Every third unit with five patches of scenes; the fourth shown unit is never active."""
    numbers = range(0, n_units, 3)
    images = _scenes()
    rows = np.concatenate([_strip(images, seed + unit) for unit in numbers])
    units = []
    for row, unit in enumerate(numbers):
        dead = row == 3
        values = [] if dead else [round(9.3 - unit / 20 - 0.31 * i, 3) for i in range(COLUMNS)]
        ids = [f"scene_{(seed + unit * 7 + i) % 400:04d}.png" for i in range(len(values))]
        label = {
            "class": None if row % 4 == 1 else cs.World().classes[unit % 10],
            "selectivity": None if row % 4 == 1 else 0.31,
        }
        units.append({"unit": unit, "row": row, "dead": dead, "values": values, "ids": ids, **label})
    return {"layer": layer, "n_units": n_units, "shown": "every 3rd unit, by number", "sprite": sprite(rows), "cell_px": CELL_PX,
            "columns": COLUMNS, "rows": len(units), "field_px": [7, 7], "units": units}  # fmt: skip


@functools.cache
def _scenes() -> np.ndarray:
    return cs.World(size=(CELL_PX, CELL_PX)).scenes(60, seed=5).images


def _strip(images: np.ndarray, seed: int) -> np.ndarray:
    chosen = np.random.default_rng(seed).choice(len(images), COLUMNS, replace=False)
    return np.concatenate(list(images[chosen]), axis=1)


def sprite(pixels: np.ndarray) -> str:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(held.getvalue()).decode()


def example() -> Record:
    """The whole report."""
    shown = ("features.1", "features.3.squeeze_activation", "features.7.expand3x3_activation", "flatten#1")
    skipped = [
        {"id": name, "reason": "not an image: truncated after 4,096 bytes"}
        for name in ("n01440764_18.JPEG", "n02123045_7.JPEG", "a b.png")
    ]
    return {
        "schema": "convscope.report", "version": 1,
        "network": {"name": "torchvision:squeezenet1_1", "weights": "squeezenet.safetensors", "fingerprint": "ab12cd34" * 8,
                    "input_shape": [3, 224, 224], "n_classes": 1000, "n_layers": 66, "parameters": 1235496, "macs": 349000000,
                    "notes": ["Dropout is off, as in use."]},
        "images": {"source": "imagenet1k_sample", "n": N_IMAGES, "n_labelled": N_IMAGES, "n_classes": 800, "label_source":
                   "WordNet ids in the file names", "fingerprint": "0f" * 32, "n_skipped": 3, "skipped": skipped},
        "settings": {"seed": 0, "limit": None, "format": "float32 channels_last", "batch_size": 32},
        "made": "2026-11-25T10:00:00+00:00", "versions": {"convscope": "0.1.0", "torch": "2.13.0"},
        "not_finite": [{"layer": "features.12.expand3x3", "n_images": 2, "ids": ["n01440764_18.JPEG", "n02123045_7.JPEG"]}],
        "findings": findings(), "layers": layers(), "exemplars": [exemplars(name, i * 100) for i, name in enumerate(shown)],
        "cards": cards(),
    }  # fmt: skip


def shortened(finding: Record, n: int = 6) -> Record:
    """A finding whose curves have few points."""

    def cut(one: Record) -> Record:
        return {key: at[:n] if key in ("x", "values", "low", "high") and at else at for key, at in one.items()}

    evidence = [
        {**cut(one), "series": [cut(series) for series in one["series"]]} if one["panel"] == "curves" else one
        for one in finding["evidence"]
    ]
    return {**finding, "evidence": evidence}
