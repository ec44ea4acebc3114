"""Which pixels does an image file hold?  Upright, 8 bits, one or three channels, whatever the file's format.

The content decides the format, never the file's name. Formats that run another program or have no signature (EPS,
WMF, TGA ...) are not read. Colour profiles are ignored, as they are when networks are trained. Of an animation or a
multi-page file the first frame is taken.
"""

import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from convscope.errors import ImagesError
from convscope.images.modes import as_8_bits
from convscope.images.picture import printable, to_array

# Tried in this order; each has a signature at the start of the file.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000", "ICO")

# EXIF orientation -> the transposition that sets the picture upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class Decode:
    """Which pixels does this file hold?  Called with a path, the bytes of a file or a Pillow image.

    Returns uint8 0-255, `y x channel`, 3 channels (RGB) or 1 (luminance). Raises ImagesError when the content is no
    image, is damaged, or is larger than `max_pixels`; the size is read from the header, before anything is decoded.
    """

    background: tuple[int, int, int] = (255, 255, 255)  # RGB 0-255 seen through transparent parts
    max_pixels: int = 100_000_000  # height x width of the largest image that is decoded
    draft_px: int | None = (
        None  # JPEGs may be decoded at 1/2, 1/4, 1/8 size, both sides staying at least this; not exact
    )

    def __call__(self, source: "str | os.PathLike[str] | bytes | Image.Image", name: str = "") -> np.ndarray:
        return to_array(self.image(source, name))

    def image(self, source: "str | os.PathLike[str] | bytes | Image.Image", name: str = "") -> Image.Image:
        """The same as a Pillow image of mode L or RGB, which saves a copy where it is only resized."""
        if isinstance(source, Image.Image):
            return self._decoded(source, name or "a Pillow image")
        if not isinstance(source, bytes):
            source, name = Path(source), name or printable(str(source))
        name = name or "the given bytes"
        try:
            stream = io.BytesIO(source) if isinstance(source, bytes) else _regular_file(source)
        except OSError as error:
            raise _refusal(name, f"The file cannot be opened: {error.strerror or error}.") from error
        with stream:
            return self._decoded(self._opened(stream, name), name)

    def _opened(self, stream: IO[bytes], name: str) -> Image.Image:
        try:
            return open_image(stream)
        except Exception as error:  # Pillow's readers raise a dozen kinds of exception on damaged headers
            raise _refusal(name, _reason(error)) from error

    def _decoded(self, image: Image.Image, name: str) -> Image.Image:
        width, height = image.size
        if width * height > self.max_pixels:
            raise _refusal(
                name,
                f"It has {height} x {width} pixels, more than the limit of {self.max_pixels:,}; it was not decoded.",
                "Scale it down, or raise the limit with Decode(max_pixels=...).",
            )
        try:
            if self.draft_px is not None:
                image.draft(None, (self.draft_px, self.draft_px))  # only JPEG heeds it
            image.load()
            return as_8_bits(_upright(image), self.background)
        except Exception as error:
            raise _refusal(name, _reason(error)) from error


def open_image(stream: IO[bytes]) -> Image.Image:
    """The image in a stream, header read, nothing decoded.

    Not `Image.open`: that warns or fails at Pillow's own size limit, which is global, before ours can be asked.
    Raises whatever Pillow's readers raise; ValueError when no format fits.
    """
    Image.init()
    prefix, complaint = stream.read(16), "its content is of no known image format"
    if not prefix:
        raise ValueError("the file is empty")
    for name in FORMATS:
        factory, accepts = Image.OPEN.get(name, (None, None))
        if factory is None or (accepts is not None and accepts(prefix) is not True):
            continue
        stream.seek(0)
        try:
            return factory(stream, "")
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
            complaint = f"it starts like {name} but its header is damaged ({error})"
    raise ValueError(complaint)


def looks_like_image(prefix: bytes) -> bool:
    """Whether these first bytes of a file (16 or more) are the signature of a format that is read."""
    Image.init()
    entries = (Image.OPEN.get(name, (None, None))[1] for name in FORMATS)
    return bool(prefix) and any(accepts(prefix[:16]) is True for accepts in entries if accepts is not None)


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says; a damaged EXIF block counts as upright."""
    try:
        with_exif = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:
        return image
    turn = UPRIGHT.get(with_exif) if isinstance(with_exif, int) else None
    return image if turn is None else image.transpose(turn)


def _regular_file(path: Path) -> "io.BufferedReader":
    if path.exists() and not path.is_file():  # a pipe would wait for ever
        raise OSError(0, "it is not a regular file")
    return path.open("rb")


def _reason(error: Exception) -> str:
    text = " ".join(printable(str(error)).split()) or type(error).__name__
    return f"It cannot be read as an image: {text.rstrip('.')}."


def _refusal(name: str, found: str, would_work: str = "") -> ImagesError:
    hint = "Leave it out, or go through the collection with stream(), which skips and names such files."
    return ImagesError(f"The image '{name}' was to be read.", found, would_work or hint)
