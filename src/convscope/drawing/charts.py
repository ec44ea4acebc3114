"""How is evidence drawn into a picture?  Bars, curves and tables, as the page's panels show them."""

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image, ImageDraw

from convscope.drawing.bars import bars
from convscope.drawing.curves import curves
from convscope.drawing.lettering import SOFT, wrapped, write
from convscope.drawing.pieces import piece
from convscope.drawing.table import WIDE, table

Evidence = Mapping[str, Any]
_DRAWN: dict[str, Callable[[Evidence, ImageDraw.ImageDraw, Image.Image, float], float]] = {
    "bars": bars,
    "curves": curves,
    "table": table,
}


def chart(evidence: Evidence, wide: int) -> Image.Image:
    """A piece of evidence, as its panel gives it, on a picture so wide; of a panel that is drawn on pages alone, a sentence."""

    def draw(pen: ImageDraw.ImageDraw, image: Image.Image) -> float:
        y = write(pen, 0, 0, wrapped(evidence["title"], 15, wide, 2), 15)
        if evidence["panel"] not in _DRAWN:
            return write(pen, 0, y, wrapped("This is drawn on the page only.", 12, wide), 12, SOFT)
        if evidence["words"]:
            y = write(pen, 0, y, wrapped(evidence["words"], 12, wide), 12, SOFT)
        return _DRAWN[evidence["panel"]](evidence, pen, image, y + 2)

    return piece(draw, wide)


def is_wide(evidence: Evidence) -> bool:
    """Whether it needs the whole width."""
    return evidence["panel"] == "table" and len(evidence["columns"]) > WIDE
