"""Where in images is a concept, where is a unit on, where do several units say it is?  Tiles: lit is on, the line is the mask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from convscope.errors import ImagesError
from convscope.instruments.concepts.counting import place_of
from convscope.instruments.concepts.dissect import Labels
from convscope.network import Network
from convscope.see.sheet import WIDE_TILE_PX, Outcome, Section, Tile
from convscope.see.tiles import outlined
from convscope.sweep.engine import keys_of
from convscope.sweep.gauges.labelled import MEASURE
from convscope.sweep.gauges.pixels import values_at

N_SHOWN = 5  # images
DIM = 0.4  # how bright what is off is shown
TINT, TINTED = np.array((0, 200, 255), np.float32), 0.45  # what is on: seen on dark pictures, too
PX = 144  # longer side of a picture: pages hold many


@dataclass(frozen=True, eq=False)
class Answer:
    """What is held against the concept: a name, a layer, and which of its values `unit y x` are on."""

    name: str
    layer: str
    on: Callable[[torch.Tensor], torch.Tensor]  # values `unit pixel` at all pixels -> truth values `pixel`


def where_section(
    network: Network, labels: Labels, concept: int, name: str, answers: Sequence[Answer], n: int = N_SHOWN
) -> Section | None:
    """Images that have the concept, each as the answers see it; None where there is none."""
    tiles = []
    for key in _spread(_having(labels, concept), n):
        tile = _tile(network, labels, concept, int(key), answers)
        tiles += [tile] if tile is not None else []
    if not tiles:
        return None
    words = (
        f"Images of the half that chose nothing, spread over all that show '{name}', not picked. The line is the mask; tinted "
        "is where the answer is on."
    )
    return Section("where", f"Where is '{name}', and where do they answer?", words, tuple(tiles), WIDE_TILE_PX)


def _having(labels: Labels, concept: int) -> np.ndarray:
    """The images (keys) of the measuring half in which the concept is at some pixel that is looked at."""
    assert labels.pixels is not None
    own = labels.pixels.labelled
    bit = 128 >> concept % 8
    there = own.labels[:, :, concept // 8] & own.known[:, :, concept // 8] & bit
    return np.flatnonzero((there > 0).any(axis=1) & (own.half == MEASURE))


def _spread(keys: np.ndarray, n: int) -> np.ndarray:
    if not len(keys):
        return keys
    return keys[np.unique(np.linspace(0, len(keys) - 1, min(n, len(keys))).round().astype(int))]


def _tile(network: Network, labels: Labels, concept: int, key: int, answers: Sequence[Answer]) -> Tile | None:
    assert labels.pixels is not None
    place = int(np.flatnonzero(keys_of(labels.images) == key)[0])
    try:
        picture = labels.images.picture(place)
        masks = labels.masks(key)
    except ImagesError:
        return None
    inputs = network.preprocess(picture)
    inputs = inputs if inputs.dim() == 4 else inputs[None]
    pixels = network.preprocess.pixels(inputs)[0]
    shown = pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)
    mask = masks.values[concept]
    if mask.shape != shown.shape[:2]:
        return None
    seen = np.ones_like(mask) if masks.void is None else ~masks.void[concept]
    pieces = [("the concept", outlined(shown, mask, PX))]
    values = network.run(inputs, [answer.layer for answer in answers]) if answers else {}
    words = []
    for answer in answers:
        on = _on(network, labels, answer, values[answer.layer], mask.shape)
        pieces.append((answer.name, outlined(_lit(shown, on), mask, PX)))
        words.append(f"{answer.name}: IoU {overlap(on, mask, seen):.2f} in this image")
    return Tile(tuple(pieces), picture.id, Outcome.NONE, "; ".join(words) + "." if words else "")


def overlap(on: np.ndarray, mask: np.ndarray, seen: np.ndarray) -> float:
    """IoU over the pixels of which something is known, truth values `y x` each: void ones count neither for nor against."""
    return float((on & mask & seen).sum() / max(int(((on | mask) & seen).sum()), 1))


def _on(network: Network, labels: Labels, answer: Answer, maps: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """Where an answer is on, truth values `y x`: its maps brought to the size of the image as they are when counted."""
    assert labels.pixels is not None
    rows, columns = (np.arange(side)[None] for side in size)
    values = values_at(maps, rows, columns, place_of(network, labels.pixels, answer.layer))
    return answer.on(values[0]).reshape(size).cpu().numpy()


def _lit(shown: np.ndarray, on: np.ndarray) -> np.ndarray:
    found = shown.astype(np.float32)
    found[~on] *= DIM
    found[on] = (1 - TINTED) * found[on] + TINTED * TINT
    return found.astype(np.uint8)
