"""Which images are in this .npz, .npy or IDX (MNIST) file?  Headers are checked before anything is read or unpacked."""

import gzip
import math
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from convscope.errors import ImagesError
from convscope.images.arrays import Arrays, from_array
from convscope.images.labels import Labels, from_values
from convscope.images.picture import printable

MAX_BYTES = 8 * 2**30  # of one array after unpacking; larger ones belong into a .npy file, which is mapped, not loaded
MAX_DEFLATE = 1032  # no deflate stream unpacks to more than this many times its size
IMAGE_NAMES = ("images", "image", "x", "data", "pixels", "x_test", "x_train", "arr_0")
LABEL_NAMES = ("labels", "label", "y", "targets", "target", "y_test", "y_train", "classes_idx")
CLASS_NAMES = ("label_names", "class_names", "classes", "names")
NAMED = re.compile(r"(\.np[zy]|[.-]idx\d?(-ubyte)?(\.gz)?)$", re.IGNORECASE)
IDX_UINT8 = 8


def is_archive(path: Path) -> bool:
    """Whether the name says array file: .npz, .npy, or IDX as MNIST spells it."""
    return NAMED.search(path.name) is not None


def read_archive(path: Path) -> Arrays:
    """The images in an array file, with labels if they are there: in the same .npz, or in the IDX file beside.

    Pickled objects are never loaded. Raises ImagesError for a damaged file, or one that would unpack to more than
    MAX_BYTES.
    """
    name = printable(path.name)
    try:
        if path.suffix == ".npz":
            return _read_npz(path, name)
        if path.suffix == ".npy":
            return from_array(np.load(path, mmap_mode="r", allow_pickle=False), name)
        labels = _idx_labels(path)
        images = read_idx(path)
    except ImagesError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, MemoryError) as error:
        hint = "Give a file as numpy.savez writes it, or in MNIST's IDX format. Pickled objects are refused."
        raise ImagesError(f"Images were to be read from '{name}'.", f"That failed: {error}.", hint) from error
    if labels is not None and len(labels.indices) != len(images):
        found = f"It holds {len(images)} images, the labels beside it are {len(labels.indices)}."
        raise ImagesError(
            f"Images were to be read from '{name}'.", found, "Give labels=False, or the right labels file."
        )
    return from_array(images, name, labels)


def _read_npz(path: Path, name: str) -> Arrays:
    with zipfile.ZipFile(path) as archive:
        keys = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        wanted = [
            next((key for key in names if key in keys), None) for names in (IMAGE_NAMES, LABEL_NAMES, CLASS_NAMES)
        ]
        images, labels, classes = wanted
        if images is None:
            listed = ", ".join(printable(key) for key in list(keys)[:8])
            hint = f"Name the array one of: {', '.join(IMAGE_NAMES)}."
            raise ImagesError(f"Images were to be read from '{name}'.", f"Its arrays are: {listed or 'none'}.", hint)
        for key in filter(None, wanted):
            _check_member(archive, keys[key])
    with np.load(path, allow_pickle=False) as arrays:
        known = None if labels is None else _npz_labels(arrays[labels], arrays[classes] if classes else None, labels)
        values = arrays[images]
    if known is not None and len(known.indices) != len(values):
        found = f"It holds {len(values)} images and {len(known.indices)} labels."
        raise ImagesError(f"Images were to be read from '{name}'.", found, "Both arrays must be equally long.")
    return from_array(values, f"{name}, array '{images}'", known)


def _npz_labels(labels: np.ndarray, names: np.ndarray | None, key: str) -> Labels:
    known = from_values(list(labels.reshape(len(labels), -1)[:, 0]), f"the array '{key}'")
    if names is None or known.names is not None or names.ndim != 1 or known.indices.max(initial=-1) >= len(names):
        return known
    return Labels(known.indices, tuple(map(str, names)), known.source)


def _check_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    """Raises ValueError if an array's header promises more than the file holds, or than may be loaded."""
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(stream)
        n_bytes = math.prod(shape) * kind.itemsize
        if kind.hasobject:
            raise ValueError(f"the array '{info.filename}' holds pickled objects")
        _check_bytes(n_bytes, info.filename)
        if stream.tell() + n_bytes != info.file_size or info.file_size > MAX_DEFLATE * info.compress_size + 1024:
            raise ValueError(f"the array '{info.filename}' says it has {n_bytes:,} bytes, which the file does not hold")


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file of unsigned bytes, gzipped or not.  Raises ValueError for anything else."""
    packed = path.suffix == ".gz"
    with gzip.open(path, "rb") if packed else path.open("rb") as stream:
        magic = stream.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != IDX_UINT8 or not 1 <= magic[3] <= 4:
            raise ValueError(f"it starts with {magic.hex(' ') or 'nothing'}, not with the mark of an IDX file of bytes")
        header = stream.read(4 * magic[3])
        if len(header) < 4 * magic[3]:
            raise ValueError("its header is cut short")
        shape = struct.unpack(f">{magic[3]}I", header)
        n_bytes = math.prod(shape)
        _check_bytes(n_bytes, "it")
        available = path.stat().st_size * (MAX_DEFLATE if packed else 1)
        content = stream.read(n_bytes + 1) if n_bytes <= available else b""
    if len(content) != n_bytes:
        raise ValueError(f"its header says {' x '.join(map(str, shape))} bytes, which it does not hold")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _idx_labels(path: Path) -> Labels | None:
    """The labels in the file beside: train-images-idx3-ubyte.gz has train-labels-idx1-ubyte.gz, packed or not."""
    stem = path.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    for name in (stem, f"{stem}.gz"):
        beside: Any = path.with_name(name)
        if name not in (path.name, path.name.removesuffix(".gz")) and beside.is_file():
            labels = read_idx(beside)
            if labels.ndim != 1:
                raise ValueError(f"the labels file '{name}' has {labels.ndim} axes instead of one")
            return from_values(labels.tolist(), f"the file {name}")
    return None


def _check_bytes(n_bytes: int, name: str) -> None:
    if n_bytes > MAX_BYTES:
        raise ValueError(f"{name} would take {n_bytes:,} bytes, more than {MAX_BYTES:,}; a .npy file has no such limit")
