"""How is text put into a picture?  In a font of the system, or Pillow's own; in lines that fit; signs drawn as strokes."""

import unicodedata
from functools import cache

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
INK, SOFT, RULE, PAPER = "#1b1f24", "#565e68", "#d5d5d0", "#ffffff"
GOOD, CARE, BAD, OPEN = "#00664d", "#66530a", "#a23b00", "#565e68"
_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "Arial.ttf",
    "arial.ttf",
    "Helvetica.ttc",
)
_STROKES = {
    "passes": (((0.1, 0.55), (0.4, 0.85), (0.95, 0.15)),),
    "care": (((0.5, 0.0), (0.5, 0.62)), ((0.5, 0.85), (0.5, 1.0))),
    "fails": (((0.15, 0.15), (0.85, 0.85)), ((0.85, 0.15), (0.15, 0.85))),
}
_DASH = (((0.15, 0.5), (0.85, 0.5)),)
_NOWHERE = "\U0010fffd"  # no font has a letter for it: what is drawn instead is the font's box


@cache
def font(px: int) -> Font:
    """The font at a size."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, px)
        except OSError:
            continue
    return ImageFont.load_default(px)


def plain(text: str) -> str:
    """Text as this font can show it: without what cannot be seen, accents dropped and letters replaced where it lacks them."""
    seen = "".join(c if c.isprintable() else "?" for c in text)
    return "".join(_letter(c) for c in seen)


@cache
def _letter(letter: str) -> str:
    if letter.isascii() or _has(letter):
        return letter
    simple = {"−": "-", "–": "-", "×": "x", "’": "'", "…": "..."}.get(letter)
    bare = simple or "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
    return bare if bare.isascii() and bare else "?"


def _has(letter: str) -> bool:
    probe = font(24)
    return bytes(probe.getmask(letter)) != bytes(probe.getmask(_NOWHERE))


def width(text: str, px: int) -> float:
    """How many pixels wide a line is."""
    return font(px).getlength(text)


def wrapped(text: str, px: int, room: float, most: int = 99) -> list[str]:
    """Text in lines no wider than `room`; with more than `most` lines the last one ends in dots."""
    lines: list[str] = [""]
    for word in plain(text).split():
        for piece in _pieces(word, px, room):
            longer = f"{lines[-1]} {piece}".strip()
            if width(longer, px) <= room:
                lines[-1] = longer
            else:
                lines.append(piece)
    if len(lines) > most:
        last = lines[most - 1]
        while last and width(last + "...", px) > room:
            last = last[:-1]
        lines = [*lines[: most - 1], last.rstrip() + "..."]
    return lines


def _pieces(word: str, px: int, room: float) -> list[str]:
    """A word that is wider than a line, cut."""
    if width(word, px) <= room:
        return [word]
    pieces = [""]
    for letter in word:
        if pieces[-1] and width(pieces[-1] + letter, px) > room:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def write(pen: ImageDraw.ImageDraw, x: float, y: float, lines: list[str], px: int, color: str = INK) -> float:
    """Lines below one another from the top left; returns where the next would stand."""
    for line in lines:
        pen.text((x, y), line, font=font(px), fill=color)
        y += round(px * 1.35)
    return y


def sign(pen: ImageDraw.ImageDraw, x: float, y: float, kind: str, color: str, px: int = 12) -> None:
    """A tick ("passes"), an exclamation mark ("care"), a cross ("fails") or a dash (anything else), in a square of `px`."""
    for stroke in _STROKES.get(kind, _DASH):
        pen.line([(x + px * at, y + px * down) for at, down in stroke], fill=color, width=2, joint="curve")


def canvas(wide: int, high: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty picture and what draws on it."""
    image = Image.new("RGB", (wide, high), PAPER)
    return image, ImageDraw.Draw(image)
