"""How is a picture put together?  Pieces as high as what is drawn on them; pictures in pictures; the colours of outcomes."""

from collections.abc import Callable

from PIL import Image, ImageDraw

from convscope.drawing.lettering import BAD, CARE, GOOD, OPEN, canvas

Draw = Callable[[ImageDraw.ImageDraw, Image.Image], float]  # returns how far down it went
TONES = {"passes": GOOD, "care": CARE, "fails": BAD, "not run": OPEN}  # of outcomes, by their words
_ROOM_PX = 2400  # tried first


def piece(draw: Draw, wide: int) -> Image.Image:
    """What was drawn, as high as it came out."""
    room = _ROOM_PX
    while True:
        image, pen = canvas(wide, room)
        high = round(draw(pen, image))
        if high <= room:
            return image.crop((0, 0, wide, max(1, high)))
        room = high + 10


def resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture of another size, wide and high: few pixels stay square, many are made smooth."""
    few = 2 * picture.width <= size[0]
    return picture.resize(size, Image.Resampling.NEAREST if few else Image.Resampling.LANCZOS)
