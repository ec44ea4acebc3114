"""Which parts of which images drive a unit most?  One picture a layer: a row for each unit, its strongest patches side by side.

A patch is what the neuron at the peak can see, its receptive field, cut at the border of the image, as the network gets it.
"""

import io
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from PIL import Image

from convscope.errors import ImagesError
from convscope.images.stream import n_cores
from convscope.network import Layers, Network
from convscope.study.claim import TRAINED, Measured
from convscope.sweep.engine import keys_of

CELL_PX, COLUMNS, MOST_ROWS = 64, 5, 24
BACKGROUND = (128, 128, 128)
QUALITY = 85


@dataclass(frozen=True)
class Place:
    """One patch: where it comes from, and where it goes."""

    layer: int
    row: int
    column: int
    y: int  # of the peak, on the map
    x: int


def shown_units(n_units: int, most: int = MOST_ROWS) -> np.ndarray:
    """Which units of a layer are shown: spread evenly over their numbers, so that nobody has picked the beautiful ones."""
    return np.unique(np.linspace(0, n_units - 1, min(n_units, most)).round().astype(np.int64))


def sprites(measured: Measured, progress: Callable[[int, int], None]) -> list[bytes]:
    """A WebP picture for each measured layer, in order."""
    sheets, wanted = [], defaultdict(list)
    for number, layer in enumerate(measured.layers):
        table = measured.result(TRAINED, layer, "exemplars")
        units = shown_units(len(table.keys))
        sheets.append(np.full((len(units) * CELL_PX, COLUMNS * CELL_PX, 3), BACKGROUND, np.uint8))
        for row, unit in enumerate(units):
            for column, key in enumerate(table.keys[unit][:COLUMNS]):
                if key >= 0:
                    place = Place(number, row, column, int(table.y[unit, column]), int(table.x[unit, column]))
                    wanted[int(key)].append(place)
    index_of = np.argsort(keys_of(measured.images))
    seen_from = _Fields(measured.network)
    with ThreadPoolExecutor(n_cores()) as pool:
        done = pool.map(
            lambda key: (wanted[key], _patches(measured, seen_from, int(index_of[key]), wanted[key])), sorted(wanted)
        )
        for n, (places, patches) in enumerate(done, 1):
            for place, patch in zip(places, patches, strict=True):
                top, left = place.row * CELL_PX, place.column * CELL_PX
                sheets[place.layer][top : top + CELL_PX, left : left + CELL_PX] = patch
            progress(n, len(wanted))
    return [_webp(sheet) for sheet in sheets]


@dataclass(frozen=True, eq=False)
class _Fields:
    """The table of layers for each size of image, made once."""

    network: Network
    tables: dict[tuple[int, int], Layers] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def __call__(self, size: tuple[int, int]) -> Layers:
        with self.lock:
            if size not in self.tables:
                self.tables[size] = self.network.at(*size).layers
            return self.tables[size]


def _patches(measured: Measured, seen_from: _Fields, index: int, places: list[Place]) -> list[np.ndarray]:
    """The patches of one image, each in a cell; grey where the image cannot be read any more."""
    try:
        inputs = measured.network.preprocess(measured.images[index])
    except ImagesError:
        return [np.full((CELL_PX, CELL_PX, 3), BACKGROUND, np.uint8)] * len(places)
    shown = measured.network.preprocess.pixels(inputs)[0]
    shown = shown[..., :3] if shown.shape[2] >= 3 else np.repeat(shown[..., :1], 3, axis=2)
    layers = seen_from((shown.shape[0], shown.shape[1]))
    found = []
    for place in places:
        seen = layers[measured.layers[place.layer]].receptive_field
        rows, columns = (slice(None), slice(None)) if seen is None else seen.region(place.y, place.x)
        found.append(_in_cell(shown[rows, columns]))
    return found


def _in_cell(patch: np.ndarray) -> np.ndarray:
    """A patch enlarged or reduced to a cell, its proportions kept, in the middle."""
    height, width = patch.shape[:2]
    scale = CELL_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    resized = np.asarray(Image.fromarray(np.ascontiguousarray(patch)).resize(size, how))
    cell = np.full((CELL_PX, CELL_PX, 3), BACKGROUND, np.uint8)
    top, left = (CELL_PX - size[1]) // 2, (CELL_PX - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = resized
    return cell


def _webp(sheet: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, "WEBP", quality=QUALITY, method=4)
    return stream.getvalue()
