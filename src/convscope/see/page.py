"""What does the page get of sheets?  One block for each, its pictures in it."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from convscope.page.cards import cards_page
from convscope.see.sheet import Section, Sheet, Tile

EXACT_PX = 96  # pictures up to this size are kept exactly: compression would be seen
NUMBERS = (
    "map",
    "maps",
    "kernel",
)  # so are those whose colours stand for numbers: compression makes silent units look alive


def page(sheets: Sequence[Sheet]) -> str:
    """One self-contained HTML document of one or several sheets of a network."""
    return cards_page([block(sheet) for sheet in sheets], sheets[0].network)


def block(sheet: Sheet) -> dict[str, Any]:
    """A sheet with its pictures, fit for JSON."""
    found = {name: value for name, value in sheet.as_dict().items() if name not in ("numbers", "settings")}
    return {**found, "sections": [_section(one) for one in sheet.sections]}


def _section(section: Section) -> dict[str, Any]:
    return {**section.as_dict(), "tile_px": section.tile_px, "tiles": [_tile(tile) for tile in section.tiles]}


def _tile(tile: Tile) -> dict[str, Any]:
    pictures = [
        {"role": role, "src": _url(pixels, exact=role in NUMBERS), "size": list(pixels.shape[:2])}
        for role, pixels in tile.pictures
    ]
    return {**tile.as_dict(), "pictures": pictures}


def _url(pixels: np.ndarray, *, exact: bool) -> str:
    image, stream = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    exact = exact or max(image.size) <= EXACT_PX
    image.save(stream, "PNG", optimize=True) if exact else image.save(stream, "WEBP", quality=88, method=4)
    kind = "png" if exact else "webp"
    return f"data:image/{kind};base64," + base64.b64encode(stream.getvalue()).decode("ascii")
