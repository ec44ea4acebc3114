"""How does a number change from layer to layer, or with another number?  Lines with bands; controls dashed, and named so."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from PIL import Image, ImageDraw

from convscope.drawing.axes import along, axis
from convscope.drawing.lettering import RULE, SOFT, font, plain, width, wrapped, write
from convscope.drawing.numbers import number, sign, tick
from convscope.drawing.strokes import Point, dashed

PLOT_PX, TOP_PX, RIGHT_PX = 190, 8, 14
FINER = 4  # the plot is drawn so many times larger, and made smaller
SLOPE = 0.72  # how far a turned text reaches to the left and down, of its length
BAND = 0.16  # how much of a band's colour is seen
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")  # Okabe and Ito 2008
MEASURED = ((), (16, 3), (16, 3, 3, 3), (24, 3))
CONTROLS = ((5, 4), (2, 3), (8, 3, 2, 3), (1, 5))
Evidence = Mapping[str, Any]


def curves(evidence: Evidence, pen: ImageDraw.ImageDraw, image: Image.Image, y: float) -> float:
    """Draws them from y down over the whole width; returns where they end."""
    unit, series = evidence["unit"], evidence["series"]
    behind = sign(unit).strip()
    label = f"{evidence['y_label']}{f' ({behind})' if behind else ''} by {evidence['x_label']}"
    label += ", logarithmic axis" if evidence["log"] else ""
    y = write(pen, 0, y, wrapped(label, 12, image.width, 3), 12, SOFT) + 2
    looks = _looks(series)
    y = _legend(series, looks, pen, y, image.width) + TOP_PX
    values = [one[name] for one in series for name in ("values", "low", "high") if one[name] is not None]
    scale = axis([value for row in values for value in row], unit, n=5)
    ticks = [plain(tick(one, unit, scale.step)) for one in scale.ticks]
    names = [plain(_brief(one) if isinstance(one, str) else number(one)) for one in evidence["x"]]
    widest = max(width(name, 10) for name in names)
    turned = isinstance(evidence["x"][0], str) and len(names) * (widest + 10) > image.width - 60
    left = max(max(width(text, 10) for text in ticks) + 10, widest * SLOPE if turned else 0)
    plot = image.width - left - RIGHT_PX
    xs = [left + at * plot for at in along(evidence["x"], log=evidence["log"])]

    def py(value: float) -> float:
        return y + (1 - scale.at(value)) * PLOT_PX

    for one, text in zip(scale.ticks, ticks, strict=True):
        pen.line([(left, py(one)), (left + plot, py(one))], fill="#8a9099" if one == 0 else RULE)
        pen.text((left - 6 - width(text, 10), py(one) - 6), text, font=font(10), fill=SOFT)
    _lines(evidence, looks, image, (0, y - TOP_PX), [(x, py) for x in xs])
    y += PLOT_PX + 5
    _names(names, xs, 14 if turned else widest + 6, turned, pen, image, y)
    return y + (widest * SLOPE + 12 if turned else 16)


def _looks(series: Sequence[Evidence]) -> list[tuple[str, tuple[int, ...]]]:
    """Colour and dashes of each."""
    found: list[tuple[str, tuple[int, ...]]] = []
    taken = {True: 0, False: 0}
    for i, one in enumerate(series):
        dashes = CONTROLS if one["control"] else MEASURED
        found.append((COLORS[i % len(COLORS)], dashes[taken[one["control"]] % len(dashes)]))
        taken[one["control"]] += 1
    return found


def _legend(
    series: Sequence[Evidence],
    looks: Sequence[tuple[str, tuple[int, ...]]],
    pen: ImageDraw.ImageDraw,
    y: float,
    room: float,
) -> float:
    x = 0.0
    for one, (color, dashes) in zip(series, looks, strict=True):
        word = "  control" if one["control"] else ""
        (name,) = wrapped(one["name"], 12, room - 40 - width(word, 11), 1)
        needed = 40 + width(name, 12) + width(word, 11) + 18
        if x and x + needed > room:
            x, y = 0.0, y + 18
        dashed(pen, [(x, y + 8), (x + 32, y + 8)], dashes, color, 2)
        pen.text((x + 38, y), name, font=font(12), fill="#1b1f24")
        pen.text((x + 38 + width(name, 12), y + 1), word, font=font(11), fill=SOFT)
        x += needed
    return y + 20


def _lines(
    evidence: Evidence,
    looks: Sequence[tuple[str, tuple[int, ...]]],
    image: Image.Image,
    corner: Point,
    places: Sequence[Any],
) -> None:
    """Bands and lines, drawn finer than the picture; both stop where a value is missing."""
    top, size = round(corner[1]), (image.width, PLOT_PX + 2 * TOP_PX)
    fine = (size[0] * FINER, size[1] * FINER)
    part = image.crop((0, top, size[0], top + size[1])).resize(fine)

    def at(i: int, value: float) -> Point:
        x, py = places[i]
        return x * FINER, (py(value) - top) * FINER

    for one, (color, _) in zip(evidence["series"], looks, strict=True):
        for run in _runs([one["low"], one["high"]]) if one["low"] is not None else ():
            shape = Image.new("L", fine)
            edge = [at(i, one["high"][i]) for i in run] + [at(i, one["low"][i]) for i in reversed(run)]
            if len(run) > 1:
                ImageDraw.Draw(shape).polygon(edge, fill=round(255 * BAND))
            part.paste(Image.new("RGB", fine, color), (0, 0), shape)
    pen, few = ImageDraw.Draw(part), len(places) * 14 < size[0]
    for one, (color, dashes) in zip(evidence["series"], looks, strict=True):
        for run in _runs([one["values"]]):
            points = [at(i, one["values"][i]) for i in run]
            dashed(pen, points, [FINER * n for n in dashes], color, 2 * FINER)
            for x, y in points if few or len(points) == 1 else ():
                pen.ellipse([x - 2.5 * FINER, y - 2.5 * FINER, x + 2.5 * FINER, y + 2.5 * FINER], fill=color)
    image.paste(part.resize(size, Image.Resampling.LANCZOS), (0, top))


def _runs(rows: Sequence[Sequence[float | None]]) -> list[list[int]]:
    """Stretches of points at which every row has a value."""
    there = [all(row[i] is not None for row in rows) for i in range(len(rows[0]))]
    return [[i for i, _ in run] for is_there, run in groupby(enumerate(there), key=lambda one: one[1]) if is_there]


def _names(
    names: Sequence[str],
    xs: Sequence[float],
    room: float,
    turned: bool,
    pen: ImageDraw.ImageDraw,
    image: Image.Image,
    y: float,
) -> None:
    """What stands below the axis: as many names as fit, so that two are `room` apart."""
    last = -room
    for name, x in zip(names, xs, strict=True):
        if x - last < room:
            continue
        last = x
        if turned:
            _turned(name, image, x, y)
        else:
            at = max(0, min(x - width(name, 10) / 2, image.width - 1 - width(name, 10)))
            pen.text((at, y), name, font=font(10), fill=SOFT)


def _turned(text: str, image: Image.Image, x: float, y: float) -> None:
    """A text that rises to the right, and ends at a point."""
    long = round(width(text, 10)) + 2
    mask = Image.new("L", (long, 14))
    ImageDraw.Draw(mask).text((0, 0), text, font=font(10), fill=255)
    mask = mask.rotate(45, Image.Resampling.BICUBIC, expand=True)
    image.paste(Image.new("RGB", mask.size, SOFT), (round(x - mask.width + 10), round(y)), mask)


def _brief(name: str, most: int = 16) -> str:
    """A layer's name in little room: earlier parts cut to four letters, the middle left out."""
    *parts, end = name.split(".")
    brief = ".".join([*(part[:4] for part in parts), end])
    tail = int((most - 1) * 0.4)
    return brief if len(brief) <= most else f"{brief[: most - 1 - tail]}\u2026{brief[-tail:]}"
