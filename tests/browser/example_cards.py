"""Cards like real ones: every kind of section, outcome and size of picture; made up, and the same each time."""

import base64
import functools
import io
from typing import Any

import numpy as np
from PIL import Image

import convscope as cs

Record = dict[str, Any]
SQUEEZE, EXPAND = "features.3.squeeze_activation", "features.7.expand3x3_activation"
OUTCOMES = ("passes", "care", "fails", "not run")
WORDS = {
    "passes": "Covering the tenth with most energy lowers the unit by 4.31; covering random pixels of the same area by 0.82.",
    "care": "Covering what is marked lowers the unit by 4.0, random pixels by 1.1; a disc in the middle of the field by 4.2.",
    "fails": "Covering the tenth with most energy lowers the unit by 0.9; covering random pixels of the same area by 0.7.",
    "not run": "The unit answers to random dots alone: what covering with them lowers says nothing.",
    "": "",
}


def cards() -> list[Record]:
    """Two units of one layer, one of another that was never active, and the sheet of a whole layer."""
    return [unit_card(SQUEEZE, 0, 1), unit_card(SQUEEZE, 13, 2), silent_card(EXPAND, 9), layer_card("features.1")]


def unit_card(layer: str, unit: int, seed: int) -> Record:
    sections = [
        section("weights", "What it reads", "Its strongest connections to the layer below.", _weights(seed), 64),
        section(
            "exemplars",
            "Exemplars",
            "The patches of 800 images it answers to most.",
            _patches(seed),
        ),
        section("where", "Where in the image", "The strongest patch in its image.", _where(seed), 224),
        section("optimised", "Optimised images", "Images that drive the unit: up, and down.", _optimised(seed)),
    ]
    checks = [
        check("Exemplars", "passes", "In 7 of 9 covering confirms that what is marked drives the unit."),
        check(
            "Deconvnet pictures against the middle", "care", "They beat a disc in the middle of the field in 4 of 9."
        ),
        check(
            "Optimised image",
            "fails" if seed == 2 else "passes",
            "It drives the unit to 14.2; the best of 800 images to 9.3.",
        ),
        check("On another network", "not run", "No other network was given."),
    ]
    return card(f"{layer}:{unit}", layer, unit, sections, checks)


def silent_card(layer: str, unit: int) -> Record:
    sections = [section("exemplars", "Exemplars", "It is above zero in none of 800 images: it has none.", [])]
    found = card(f"{layer}:{unit}", layer, unit, sections, [])
    return {**found, "sentence": "This unit is silent on all 800 images.", "images": None}


def layer_card(layer: str) -> Record:
    kernels = [tile([("kernel", _noise(11 + i, 3, 3))], f"unit {i}") for i in range(20)]
    sections = [
        section("filter", "Filters", "First-layer weights in colours, sorted into families.", kernels, 48),
        section(
            "maps",
            "Maps",
            "All units for one image, by number.",
            [tile([("maps", _noise(3, 90, 700))], "scene_0003.png")],
            0,
        ),
    ]
    return {**card(layer, layer, None, sections, []), "title": "features.1: 64 units"}


def card(address: str, layer: str, unit: int | None, sections: list[Record], checks: list[Record]) -> Record:
    facts = [
        ["sees", "31 x 31 pixels, every 4 pixels"],
        ["on", "12.4 % of neurons, in 310 of 800 images"],
        ["highest response", "9.31 (n01440764_18.JPEG)"],
        ["class it answers to most", "great white shark (selectivity 0.61)"],
    ]
    said = "It answers to edges near 22 degrees, dark above; 7 of 9 exemplars are confirmed by covering what is marked."
    return {
        "address": address, "layer": layer, "unit": unit, "title": f"{layer}, unit {unit}", "sentence": said, "facts": facts,
        "sections": sections, "checks": checks, "notes": ["Two images could not be read again: a b.png, c.png."],
        "network": {"name": "torchvision:squeezenet1_1", "fingerprint": "ab12cd34" * 8},
        "images": {"source": "imagenet1k_sample", "n": 800},
        "repeat": [f"convscope see torchvision:squeezenet1_1 {address}", f"cs.see(net, '{address}')"],
    }  # fmt: skip


def section(key: str, title: str, words: str, tiles: list[Record], tile_px: int = 112) -> Record:
    return {"key": key, "title": title, "words": words, "tile_px": tile_px, "tiles": tiles}


def check(title: str, outcome: str, words: str) -> Record:
    return {"title": title, "outcome": outcome, "words": words}


def tile(pictures: list[tuple[str, np.ndarray]], caption: str, outcome: str = "") -> Record:
    shown = [{"role": role, "src": source(pixels), "size": list(pixels.shape[:2])} for role, pixels in pictures]
    return {"pictures": shown, "caption": caption, "outcome": outcome, "words": WORDS[outcome]}


def source(pixels: np.ndarray) -> str:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()


def _weights(seed: int) -> list[Record]:
    return [
        tile([("kernel", _noise(seed + i, 3, 3)), ("its unit", _crop(seed + i))], f"{0.41 - i / 9:.2f}")
        for i in range(5)
    ]


def _patches(seed: int) -> list[Record]:
    made = []
    for i in range(9):
        height, width = (31, 31) if i else (31, 19)  # the first lies at the border
        pictures = [
            ("patch", _crop(seed * 9 + i, height, width)),
            ("deconvnet picture", _noise(seed + i, height, width)),
        ]
        made.append(tile(pictures, f"{9.31 - i * 0.4:.2f}", OUTCOMES[min(i // 2, 3)]))
    return made


def _where(seed: int) -> list[Record]:
    return [tile([("image", _crop(seed + i, 48, 64))], f"scene_{i:04d}.png") for i in range(2)]


def _optimised(seed: int) -> list[Record]:
    pairs = [("up", "14.2", "passes"), ("down", "−3.1", ""), ("raw ascent", "22.0", "fails")]
    return [
        tile([(role, _noise(seed + 40 + i, 51, 51, smooth=i < 2))], caption, of)
        for i, (role, caption, of) in enumerate(pairs)
    ]


@functools.cache
def _scenes() -> np.ndarray:
    return cs.World(size=(64, 64)).scenes(20, seed=9).images


def _crop(seed: int, height: int = 31, width: int = 31) -> np.ndarray:
    image = _scenes()[seed % 20]
    top, left = (64 - height) // 2, (64 - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def _noise(seed: int, height: int, width: int, *, smooth: bool = False) -> np.ndarray:
    found = np.random.default_rng(seed).normal(128, 60, (height, width, 3))
    for axis in (0, 1) if smooth else ():
        for _ in range(6):
            found = (np.roll(found, 1, axis) + 2 * found + np.roll(found, -1, axis)) / 4
    found = 128 + (found - 128) * (5 if smooth else 1)
    return found.clip(0, 255).astype(np.uint8)
