"""How is a line with dashes drawn?  Along its whole length, round every corner."""

from collections.abc import Iterator, Sequence
from itertools import cycle, pairwise
from math import hypot

from PIL import ImageDraw

Point = tuple[float, float]


def dashed(pen: ImageDraw.ImageDraw, points: Sequence[Point], dashes: Sequence[float], color: str, width: int) -> None:
    """A line through the points: `dashes` are the lengths drawn and left out by turns, in pixels; without any it has no gaps."""
    if len(points) < 2:
        return
    for stroke in _strokes(points, dashes) if dashes else [list(points)]:
        pen.line(stroke, fill=color, width=width, joint="curve")


def _strokes(points: Sequence[Point], dashes: Sequence[float]) -> Iterator[list[Point]]:
    turns = cycle((length, i % 2 == 0) for i, length in enumerate(dashes))
    left, drawn = next(turns)
    stroke = [points[0]]
    for (x0, y0), (x1, y1) in pairwise(points):
        length, gone = hypot(x1 - x0, y1 - y0), 0.0
        while length - gone > left:
            gone += left
            corner = (x0 + (x1 - x0) * gone / length, y0 + (y1 - y0) * gone / length)
            if drawn:
                yield [*stroke, corner]
            stroke = [corner]
            left, drawn = next(turns)
        left -= length - gone
        stroke.append((x1, y1))
    if drawn and len(stroke) > 1:
        yield stroke
