"""How are filters, exemplars and connections shown?  Sheets of tiles, each with its number and its check."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from convscope.drawing.lettering import BAD, GOOD, INK, OPEN, SOFT, canvas, font, plain, sign, width, wrapped, write
from convscope.drawing.palettes import DIVERGING, colors
from convscope.images import Preprocess
from convscope.instruments.appearance.colour import signed_rgb
from convscope.instruments.appearance.covering import Covered
from convscope.instruments.appearance.exemplars import Exemplar, UnitExemplars
from convscope.instruments.appearance.families import Measured, families
from convscope.instruments.appearance.filters import Connection, Filters
from convscope.instruments.appearance.sources import Source

CELL_PX, GAP_PX, EDGE_PX, NAME_PX = 112, 8, 16, 150
FILTER_PX = 44
TOP_FRAC = 0.995
LINE = np.array((255, 214, 10), np.uint8)  # yellow, between two lines of black
BACKGROUND = (128, 128, 128)


def filter_sheet(filters: Filters, measured: Sequence[Measured], preprocess: Preprocess) -> Image.Image:
    """First-layer filters, a row for each family; each filter with its own scale, symmetric about zero (mid-grey).

    Filters of another number of channels than 1 and 3 are drawn channel by channel, in grey, side by side.
    """
    rows = families(measured)
    n_channels = filters.values.shape[1]
    panels = 1 if n_channels in (1, 3) else n_channels
    wide = (FILTER_PX + 1) * panels + 5
    most = max(1, min(max(map(len, rows.values())), 1000 // wide))
    high = sum(-(-len(units) // most) * (FILTER_PX + 16) + 6 for units in rows.values())
    image, pen = canvas(2 * EDGE_PX + NAME_PX + most * wide, 2 * EDGE_PX + 44 + high)
    y = write(pen, EDGE_PX, EDGE_PX - 4, [f"{filters.layer}: {len(filters.values)} filters over the image"], 17)
    y = write(pen, EDGE_PX, y, ["grey is zero; each filter ends at its own largest weight"], 12, SOFT) + 6
    for name, units in rows.items():
        below = write(pen, EDGE_PX, y + 4, wrapped(name, 13, NAME_PX - 8, 2), 13)
        write(pen, EDGE_PX, below, [f"{len(units)} filter{'s' if units[1:] else ''}"], 11, SOFT)
        for i, unit in enumerate(units):
            x, top = EDGE_PX + NAME_PX + i % most * wide, y + i // most * (FILTER_PX + 16)
            for k, panel in enumerate(_panels(filters.values[unit], preprocess)):
                image.paste(_fitted(panel, FILTER_PX), (x + k * (FILTER_PX + 1), round(top)))
            pen.text((x, top + FILTER_PX + 1), str(unit), font=font(10), fill=SOFT)
        y += -(-len(units) // most) * (FILTER_PX + 16) + 6
    return image.crop((0, 0, image.width, min(image.height, round(y) + EDGE_PX)))


def exemplar_sheet(
    units: Sequence[UnitExemplars], preprocess: Preprocess, *, most: int = 9, projections: bool = True
) -> Image.Image:
    """A row of patches for each unit, what drives it outlined; below each its deconvnet picture, and whether that is confirmed."""
    most = max([1, *(min(most, len(one.patches)) for one in units)])
    row = CELL_PX * (1 + projections) + 4 * projections + 22
    image, pen = canvas(2 * EDGE_PX + NAME_PX + most * (CELL_PX + GAP_PX), 2 * EDGE_PX + len(units) * (row + GAP_PX))
    for i, one in enumerate(units):
        y = EDGE_PX + i * (row + GAP_PX)
        _unit_name(pen, one, y, row)
        for k, patch in enumerate(one.patches[:most]):
            x = EDGE_PX + NAME_PX + k * (CELL_PX + GAP_PX)
            image.paste(outlined(patch, CELL_PX), (x, y))
            if projections:
                image.paste(_fitted(projected(patch, preprocess), CELL_PX), (x, y + CELL_PX + 4))
            _below(pen, patch, x, y + row - 20)
    return image


def connection_sheet(
    name: str, found: Sequence[Connection], pictures: Mapping[Source, np.ndarray | Image.Image]
) -> Image.Image:
    """A unit's strongest connections: the kernel (red excites, blue inhibits) above the picture of the unit it comes from.

    Below stand its share of the squared weights, and the sum of its weights.
    `pictures` are those of units below, uint8 `y x 3` or Pillow's; units without one have their name alone.
    """
    image, pen = canvas(2 * EDGE_PX + max(3, len(found)) * (CELL_PX + GAP_PX), 2 * EDGE_PX + 30 + 2 * CELL_PX + 4 + 36)
    y = write(pen, EDGE_PX, EDGE_PX - 4, wrapped(f"{name} reads", 17, image.width - 2 * EDGE_PX, 1), 17) + 6
    top = max((float(np.abs(one.kernel).max()) for one in found), default=1.0) or 1.0
    for k, one in enumerate(found):
        x = EDGE_PX + k * (CELL_PX + GAP_PX)
        image.paste(_fitted(_diverging(one.kernel, top), CELL_PX), (x, round(y)))
        if one.source in pictures:
            picture = pictures[one.source]
            shown = np.asarray(picture.convert("RGB")) if isinstance(picture, Image.Image) else picture
            image.paste(_fitted(shown, CELL_PX), (x, round(y) + CELL_PX + 4))
        below = wrapped(f"{one.source[0]}:{one.source[1]}", 11, CELL_PX, 1)
        after = write(pen, x, y + 2 * CELL_PX + 8, below, 11)
        write(pen, x, after, [plain(f"{one.share:.0%}, sum {one.total:+.2g}")], 11, SOFT)
    return image


def projected(patch: Exemplar, preprocess: Preprocess) -> np.ndarray:
    """A patch's deconvnet picture, uint8 `y x 3`: grey is zero; few extremes do not darken the rest."""
    crop = patch.projection.crop
    sizes = np.abs(crop[crop != 0])
    return signed_rgb(crop, preprocess, float(np.quantile(sizes, TOP_FRAC)) if sizes.size else None)


def outlined(patch: Exemplar, px: int) -> Image.Image:
    """A patch in a square of `px`, with a line round the part that drives the unit."""
    shown = _fitted(patch.pixels, px)
    if not patch.part.any():
        return shown
    part = np.asarray(_fitted(np.where(patch.part[..., None], np.uint8(255), np.uint8(0)).repeat(3, 2), px, (0, 0, 0)))
    inside = part[..., 0] > 127
    drawn = np.array(shown)
    drawn[_edge(inside, 2) & ~_edge(inside, 1)] = 0
    drawn[_edge(inside, 1)] = LINE
    return Image.fromarray(drawn)


def _edge(inside: np.ndarray, n: int) -> np.ndarray:
    """The pixels right outside a part, and n - 1 further; those at the border of the picture count inside it."""
    grown = inside
    for _ in range(n):
        padded = np.pad(grown, 1)
        grown = padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return grown & ~inside


def _unit_name(pen: ImageDraw.ImageDraw, one: UnitExemplars, y: float, room: float) -> None:
    name = wrapped(f"{one.layer}:{one.unit}", 13, NAME_PX - 12, 3)
    below = write(pen, EDGE_PX, y, name, 13, INK)
    n, of = one.confirmed
    text = f"{n} of {of} confirmed" if of else one.words if not one.patches else ""
    write(pen, EDGE_PX, below + 2, wrapped(text, 11, NAME_PX - 12, max(1, int(room - below + y) // 15)), 11, SOFT)


def _below(pen: ImageDraw.ImageDraw, patch: Exemplar, x: float, y: float) -> None:
    pen.text((x, y), f"{patch.value:.3g}", font=font(12), fill=SOFT)
    if patch.covered is None:
        return
    kind, color, word = _verdict(patch.covered)
    pen.text((x + CELL_PX - width(word, 11), y + 1), word, font=font(11), fill=color)
    sign(pen, x + CELL_PX - width(word, 11) - 14, y + 3, kind, color, 9)


def _verdict(covered: Covered) -> tuple[str, str, str]:
    if not covered.ran:
        return "not run", OPEN, "not run"
    return ("passes", GOOD, "confirmed") if covered.confirmed else ("fails", BAD, "not conf.")


def _panels(values: np.ndarray, preprocess: Preprocess) -> list[np.ndarray]:
    """A filter in colours, or channel by channel."""
    if values.shape[0] in (1, 3):
        return [signed_rgb(values, preprocess)]
    top = float(np.abs(values).max())
    grey = Preprocess(channels="L", mean=(0.5,), std=(0.5,))
    return [signed_rgb(one[None], grey, top) for one in values]


def _diverging(values: np.ndarray, top: float) -> np.ndarray:
    table = np.rint(colors(DIVERGING, 255)).astype(np.uint8)
    return table[np.rint(127 + 127 * np.clip(values / top, -1, 1)).astype(int)]


def _fitted(pixels: np.ndarray, px: int, around: tuple[int, int, int] = BACKGROUND) -> Image.Image:
    """A picture in a square of `px`, its proportions kept, in the middle of grey; few pixels stay square, many are made smooth."""
    high, wide = pixels.shape[:2]
    scale = px / max(high, wide)
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    resized = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, how)
    square = Image.new("RGB", (px, px), around)
    square.paste(resized, ((px - size[0]) // 2, (px - size[1]) // 2))
    return square
