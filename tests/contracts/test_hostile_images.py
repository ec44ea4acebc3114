"""Is every kind of image file read right, and every kind of bad one refused by name, without harm?"""

import gzip
import io
import json
import os
import pickle
import re
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.errors import ImagesError
from convscope.images import Decode, Preprocess, images

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (9, 14, 3), np.uint8)
SMOOTH = np.asarray(
    Image.fromarray(RNG.integers(0, 256, (4, 5, 3), np.uint8)).resize((46, 33), Image.Resampling.BICUBIC)
)


def packed(image: Image.Image, kind: str, **settings) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()


# --- read right -------------------------------------------------------------------------------------------------------

TURNED = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "settings"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("JPEG", {"quality": 95})]
)
def test_exif_orientation(orientation, kind, settings):
    exif = Image.Exif()
    exif[0x0112] = orientation
    got = Decode()(packed(Image.fromarray(SMOOTH), kind, exif=exif, **settings))
    wanted = TURNED[orientation](SMOOTH)
    assert got.shape == wanted.shape
    assert np.abs(got.astype(int) - wanted).mean() <= (3 if kind == "JPEG" else 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow says so and goes on
def test_damaged_exif_counts_as_upright():
    for exif in (
        b"Exif\0\0rubbish",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abcd",
    ):
        got = Decode()(packed(Image.fromarray(SMOOTH), "JPEG", exif=exif))
        assert got.shape == SMOOTH.shape


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("PPM", {}),
        ("WEBP", {"lossless": True}),
        ("JPEG2000", {}),
        ("ICO", {"sizes": [(14, 9)]}),
    ],
)
def test_formats_without_loss(kind, settings):
    got = Decode()(packed(Image.fromarray(COLOUR), kind, **settings))
    assert np.array_equal(got, COLOUR)
    assert got.dtype == np.uint8
    assert got.flags.writeable


def test_the_content_decides_not_the_name(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(packed(Image.fromarray(COLOUR), "PNG"))
    (tmp_path / "no_ending").write_bytes(packed(Image.fromarray(COLOUR), "BMP"))
    (tmp_path / "notes.txt").write_text("words")
    found = images(tmp_path)
    assert found.ids == ("no_ending", "photo.jpg")
    assert all(np.array_equal(picture.pixels, COLOUR) for picture in found)
    assert found.skipped == (("notes.txt", "neither its name nor its content says image"),)


def test_one_bit_and_grey():
    bits = COLOUR[..., 0] > 127
    for kind in ("PNG", "TIFF"):
        got = Decode()(packed(Image.fromarray(bits), kind))
        assert np.array_equal(got[..., 0], bits * 255)
    assert np.array_equal(Decode()(packed(Image.fromarray(COLOUR[..., 0]), "PNG"))[..., 0], COLOUR[..., 0])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind):
    ramp = np.array([[0, 128, 129, 257, 385], [386, 32767, 32896, 65278, 65535]], np.uint16)
    wanted = [[0, 0, 1, 1, 1], [2, 127, 128, 254, 255]]  # value / 257, to the nearest
    assert Decode()(packed(Image.fromarray(ramp), kind))[..., 0].tolist() == wanted
    assert Decode()(packed(Image.fromarray(ramp.astype(np.int32)), "TIFF"))[..., 0].tolist() == wanted
    big_endian = Image.frombytes("I;16B", (5, 2), ramp.astype(">u2").tobytes())
    assert Decode()(big_endian)[..., 0].tolist() == wanted


def test_floating_point_images():
    values = np.array([[0, 0.25, 0.5], [0.75, 1, 1 / 255]], np.float32)
    assert Decode()(packed(Image.fromarray(values), "TIFF"))[..., 0].tolist() == [[0, 64, 128], [191, 255, 1]]
    assert Decode()(Image.fromarray(values * 200))[..., 0].tolist() == [[0, 50, 100], [150, 200, 1]]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([[0, 300.0]], np.float32), "run from 0 to 300"),
        (np.array([[-0.1, 0.5]], np.float32), "run from -0.1"),
        (np.array([[np.nan, 0.5]], np.float32), "nan"),
        (np.array([[-1, 5]], np.int32), "run from -1 to 5"),
        (np.array([[0, 70000]], np.int32), "0 to 65535"),
    ],
)
def test_ranges_that_cannot_be_read(values, words):
    with pytest.raises(ImagesError, match=words):
        Decode()(Image.fromarray(values))


@pytest.mark.parametrize("background", [(255, 255, 255), (10, 20, 30)])
def test_transparency_is_laid_on_the_background(background):
    decode = Decode(background=background)
    alpha = RNG.integers(0, 256, (9, 14), np.uint8)
    share = alpha[..., None] / 255
    rgba = Image.fromarray(np.dstack([COLOUR, alpha]))
    wanted = COLOUR * share + np.array(background) * (1 - share)
    assert np.abs(decode(packed(rgba, "PNG")) - wanted).max() <= 0.5 + 1e-9
    assert np.abs(decode(rgba.convert("RGBa")) - wanted).max() <= 255 / 2 / np.maximum(alpha, 1).min() + 2
    la = Image.fromarray(np.dstack([COLOUR[..., 0], alpha]))
    got, wanted = decode(packed(la, "PNG")), COLOUR[..., :1] * share + np.array(background) * (1 - share)
    assert got.shape[2] == (1 if background == (255, 255, 255) else 3)
    assert np.abs(got - wanted[..., : got.shape[2]]).max() <= 0.5 + 1e-9


def test_palettes():
    indices = (COLOUR[..., 0] % 4).astype(np.uint8)
    colours = np.array([(250, 0, 0), (0, 240, 10), (7, 0, 230), (9, 8, 7)], np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(colours.tobytes())
    assert np.array_equal(Decode()(packed(image, "PNG")), colours[indices])
    assert np.array_equal(Decode()(packed(image, "GIF")), colours[indices])
    shown = colours.astype(float)
    shown[1] = 255
    assert np.array_equal(Decode()(packed(image, "PNG", transparency=1)), shown[indices])
    assert np.array_equal(Decode()(packed(image, "GIF", transparency=1)), shown[indices])
    alphas = np.array([0, 51, 255, 204])
    shown = np.rint((colours * alphas[:, None] + 255.0 * (255 - alphas[:, None])) / 255)
    assert np.array_equal(Decode()(packed(image, "PNG", transparency=bytes(alphas.tolist()))), shown[indices])


def test_a_transparent_colour():
    pixels = COLOUR.copy()
    pixels[2, 3] = pixels[7, 1] = (1, 2, 3)
    got = Decode()(packed(Image.fromarray(pixels), "PNG", transparency=(1, 2, 3)))
    wanted = np.where((pixels == (1, 2, 3)).all(-1, keepdims=True), 255, pixels)
    assert np.array_equal(got, wanted)
    grey = COLOUR[..., 0]
    got = Decode()(packed(Image.fromarray(grey), "PNG", transparency=int(grey[4, 5])))
    assert np.array_equal(got[..., 0], np.where(grey == grey[4, 5], 255, grey))


def test_cmyk():
    inks = RNG.integers(0, 256, (4, 5, 4), np.uint8)
    inks = np.asarray(Image.fromarray(inks, "CMYK").resize((46, 33), Image.Resampling.BICUBIC))
    image = Image.frombytes("CMYK", (46, 33), inks.tobytes())
    wanted = (255.0 - inks[..., :3]) * (255.0 - inks[..., 3:]) / 255
    assert np.abs(Decode()(packed(image, "TIFF")) - wanted).max() <= 1
    jpeg = packed(image, "JPEG", quality=98, subsampling=0)
    assert b"Adobe" in jpeg  # whose inks are stored inverted
    assert np.abs(Decode()(jpeg) - wanted).mean() < 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame(kind):
    first, second = (Image.fromarray(np.full((9, 14, 3), level, np.uint8)) for level in (40, 200))
    settings = {"lossless": True} if kind == "WEBP" else {}
    assert (Decode()(packed(first, kind, save_all=True, append_images=[second], **settings)) == 40).all()


def test_draft_is_near_and_off_by_default():
    big = Image.fromarray(SMOOTH).resize((920, 660), Image.Resampling.BICUBIC)
    jpeg = packed(big, "JPEG", quality=95)
    assert Decode()(jpeg).shape == (660, 920, 3)
    small = Decode(draft_px=150)(jpeg)
    assert small.shape == (165, 230, 3)
    recipe = Preprocess(resize=100)
    assert (recipe(Image.fromarray(small)) - recipe(big)).abs().mean() < 0.01
    assert Decode(draft_px=150)(packed(big, "PNG")).shape == (660, 920, 3)


# --- refused ----------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(height: int, width: int, *, real: bool) -> bytes:
    """A PNG of 1-bit black: its header, and if `real` its rows, a thousandth of what they unpack to."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes((width // 8 + 1) * height), 9) if real else b""
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


JPEG = packed(Image.fromarray(SMOOTH), "JPEG")
PNG = packed(Image.fromarray(COLOUR), "PNG")
BAD = {
    "empty.jpg": (b"", "the file is empty"),
    "text.jpg": (b"once upon a time, and more", "no known image format"),
    "short.jpg": (JPEG[: len(JPEG) // 2], "(?i)truncated"),
    "header.jpg": (JPEG[:30], "cannot be read as an image"),
    "short.png": (PNG[:-40], "cannot be read as an image"),
    "flipped.png": (PNG[:60] + bytes(8) + PNG[68:], "cannot be read as an image"),
    "signature.png": (PNG[:8], "cannot be read as an image"),
    "page.png": (b"<html><script>alert(1)</script></html>", "no known image format"),
    "bomb.png": (bomb(30_000, 30_000, real=False), "30000 x 30000 pixels, more than the limit of 100,000,000"),
    "real_bomb.png": (bomb(12_000, 12_008, real=True), "it was not decoded"),
    "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no known image format"),
    "short.gif": (packed(Image.fromarray(COLOUR), "GIF")[:30], "cannot be read as an image"),
    "short.tif": (packed(Image.fromarray(COLOUR), "TIFF")[:60], "cannot be read as an image"),
    "short.webp": (packed(Image.fromarray(COLOUR), "WEBP", lossless=True)[:40], "cannot be read as an image"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_by_name(tmp_path, name):
    content, words = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImagesError, match=words) as caught:
        images([tmp_path / name])[0]
    assert f"'{name}'" in caught.value.asked
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.would_work


def test_a_stream_survives_them_all(tmp_path):
    for name, (content, _) in BAD.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "good.png").write_bytes(PNG)
    found = images(sorted(tmp_path.iterdir()))
    (batch,) = found.stream(Preprocess(), batch_size=99)
    assert batch.ids == ("good.png",)
    assert {skip.id for skip in batch.skipped} == set(BAD)
    for skip in batch.skipped:
        assert re.search(BAD[skip.id][1], skip.reason)


def test_the_size_limit_is_a_setting(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    assert Decode(max_pixels=9 * 14)(PNG).shape == (9, 14, 3)
    with pytest.raises(ImagesError, match="9 x 14 pixels, more than the limit of 125"):
        images(tmp_path, decode=Decode(max_pixels=9 * 14 - 1))[0]
    with pytest.raises(ImagesError, match="more than the limit"):
        Decode(max_pixels=5)(Image.fromarray(COLOUR))


def test_larger_than_pillows_own_limit_if_asked(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert Decode()(PNG).shape == (9, 14, 3)


# --- folders ----------------------------------------------------------------------------------------------------------

ODD = [
    "with space.png",
    "qu'ot\"e.png",
    "new\nline.png",
    "<script>alert(1)<script>.png",
    "ünï-漢.png",
    "%41&amp;.png",
    "-rf.png",
]


def test_odd_names(tmp_path):
    for name in ODD:
        (tmp_path / name).write_bytes(PNG)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xe9.png")).write_bytes(PNG)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/cl\xff")).mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/cl\xff/1.png")).write_bytes(PNG)
    found = images(tmp_path, labels=False)
    assert set(found.ids) == {*ODD, r"bad\xe9.png", r"cl\xff/1.png"}
    assert tuple(json.loads(json.dumps(found.ids, ensure_ascii=False).encode())) == found.ids
    assert all(np.array_equal(picture.pixels, COLOUR) for picture in found)
    assert found[r"bad\xe9.png"].origin.encode()
    (batch,) = found.stream(Preprocess())
    assert batch.ids == found.ids
    assert len(found.fingerprint()) == 64


def test_ids_stay_unique_when_spelled_out(tmp_path):
    (tmp_path / r"bad\xe9.png").write_bytes(PNG)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xe9.png")).write_bytes(PNG)
    assert set(images(tmp_path).ids) == {r"bad\xe9.png", r"bad\xe9.png~2"}


def test_bad_bytes_in_errors_can_be_printed(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/no\xe9")
    for source in (path, [path], [path + ".png"]):
        with pytest.raises(ImagesError) as caught:
            images(source)[0]
        assert str(caught.value).encode()


def test_links_are_followed_once(tmp_path):
    folder, outside = tmp_path / "photos", tmp_path / "outside"
    (folder / "b" / "deep").mkdir(parents=True)
    outside.mkdir()
    for path in (folder / "b" / "1.png", folder / "b" / "deep" / "2.png", outside / "3.png"):
        path.write_bytes(PNG)
    (folder / "b" / "deep" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "a").symlink_to("b", target_is_directory=True)  # sorted before what it points to
    (folder / "c").symlink_to(outside, target_is_directory=True)
    (folder / "d.png").symlink_to(outside / "3.png")
    (folder / "self.png").symlink_to("self.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    found = images(folder, labels=False)
    assert found.ids == ("b/1.png", "b/deep/2.png", "c/3.png", "d.png")
    skipped = dict(found.skipped)
    assert skipped["a"] == "the same folder as 'b'"
    assert skipped["b/deep/loop"] == "the same folder as '.'"
    assert {"self.png", "gone.png"} <= set(skipped)


def test_what_is_not_a_regular_file(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    os.mkfifo(tmp_path / "pipe.png")
    found = images(tmp_path)
    assert found.ids == ("a.png",)
    assert dict(found.skipped)["pipe.png"] == "it is not a regular file"
    with pytest.raises(ImagesError, match="not a regular file"):  # it would wait for ever
        images([tmp_path / "pipe.png"])[0]


def test_hidden_files_are_passed_over(tmp_path):
    for name in (".hidden.png", "a.png", "._a.png"):
        (tmp_path / name).write_bytes(PNG)
    assert images(tmp_path).ids == ("a.png",)
    assert images(tmp_path).skipped == ()


def test_folders_without_images(tmp_path):
    with pytest.raises(ImagesError, match=r"There is none\. It is empty"):
        images(tmp_path)
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(ImagesError, match=r"There is none\. 1 other files were found"):
        images(tmp_path)
    for absent in (tmp_path / "absent", str(tmp_path / "absent.npz"), "nul\0byte"):
        with pytest.raises(ImagesError, match=r"(was|were) to be read"):
            images(absent)
    with pytest.raises(ImagesError, match="list of image files was given"):
        images([])
    with pytest.raises(ImagesError, match="cannot be opened"):
        images([tmp_path / "absent.png"])[0]


# --- files of arrays --------------------------------------------------------------------------------------------------


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_pickles_are_not_loaded(tmp_path):
    trap = np.array([Trap(tmp_path / "sprung")], object)
    np.savez(tmp_path / "a.npz", images=trap)
    np.savez(tmp_path / "b.npz", images=COLOUR[None], labels=trap)
    np.save(tmp_path / "c.npy", trap)
    (tmp_path / "d.npy").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    for name in ("a.npz", "b.npz", "c.npy", "d.npy"):
        with pytest.raises(ImagesError, match="Pickled objects are refused"):
            images(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def npy_header(shape, kind="|u1") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy_header((10**6, 10**6, 3)) + b"123", "3,000,000,000,000 bytes, more than"),
        (npy_header((10**4, 10**4, 3)) + b"123", "which the file does not hold"),
        (npy_header((2, 3, 4)) + bytes(23), "which the file does not hold"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b" " * 65535, "failed"),
        (b"nonsense", "failed"),
    ],
)
def test_npz_headers_are_not_believed(tmp_path, content, words):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", content)
    with pytest.raises(ImagesError, match=words):
        images(tmp_path / "a.npz")


def test_other_bad_npz(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 not a zip")
    np.savez(tmp_path / "b.npz", weights=COLOUR)
    np.savez(tmp_path / "c.npz", images=COLOUR[None], labels=np.arange(2))
    for name, words in (("a", "failed"), ("b", "Its arrays are: weights"), ("c", "1 images and 2 labels")):
        with pytest.raises(ImagesError, match=words):
            images(tmp_path / f"{name}.npz")


def idx(shape: tuple[int, ...], content: bytes, kind: int = 8) -> bytes:
    return bytes((0, 0, kind, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "starts with nothing"),
        (b"\x89PNG", "not with the mark of an IDX"),
        (idx((2, 3, 4), bytes(96), kind=13), "IDX file of bytes"),
        (idx((2, 3, 4), bytes(23)), "2 x 3 x 4 bytes, which it does not hold"),
        (idx((2, 3, 4), bytes(25)), "which it does not hold"),
        (idx((2, 3, 4), b"")[:9], "header is cut short"),
        (idx((60000, 60000, 60000), b"12"), "more than"),
        (idx((60000, 300, 300), b"12"), "which it does not hold"),
    ],
)
def test_bad_idx(tmp_path, content, words):
    for name, write in (("a-images-idx3-ubyte", bytes), ("b-images-idx3-ubyte.gz", gzip.compress)):
        (tmp_path / name).write_bytes(write(content))
        with pytest.raises(ImagesError, match=words):
            images(tmp_path / name)


def test_promises_take_no_memory(tmp_path):
    (tmp_path / "a-images-idx3-ubyte").write_bytes(idx((60000, 300, 300), b"12"))
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("images.npy", npy_header((60000, 300, 300)) + b"12")
    tracemalloc.start()
    for name in ("a-images-idx3-ubyte", "b.npz"):
        with pytest.raises(ImagesError, match="not hold"):
            images(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_idx_with_the_wrong_labels(tmp_path):
    (tmp_path / "a-images-idx3-ubyte").write_bytes(idx((2, 3, 4), bytes(24)))
    (tmp_path / "a-labels-idx1-ubyte").write_bytes(idx((3,), bytes(3)))
    with pytest.raises(ImagesError, match="2 images, the labels beside it are 3"):
        images(tmp_path / "a-images-idx3-ubyte")
    (tmp_path / "a-labels-idx1-ubyte").write_bytes(idx((1, 2), bytes(2)))
    with pytest.raises(ImagesError, match="2 axes instead of one"):
        images(tmp_path / "a-images-idx3-ubyte")
    (tmp_path / "b-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx((2, 3, 4), bytes(24)))[:-9])
    with pytest.raises(ImagesError, match="failed"):
        images(tmp_path / "b-images-idx3-ubyte.gz")
