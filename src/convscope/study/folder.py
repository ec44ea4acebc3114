"""What is in a study folder, and how is it written so that nothing half-written is ever found?

manifest.json     what was measured, on what, with which settings; what is there
findings.json     every claim with its value, control and verdict
layers.json       the table of layers
units.parquet     one row for each unit of the measured layers
curves.parquet    what depends on depth or on another amount: layer, unit, kind, x, y, lo, hi, n
sprites/          exemplars, one picture for each layer
cards/            cards of the units that were asked for, each with its pictures
chapters/         concepts, layers and classes: an index and a page for each
report.html       all of it in one page
sweeps/           how far an unfinished sweep has come
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from convscope.documents import finite
from convscope.errors import InputError, UsageError
from convscope.finding import Finding

SCHEMA = "convscope.study"
VERSION = 1
MANIFEST, FINDINGS, LAYERS = "manifest.json", "findings.json", "layers.json"
UNITS, CURVES, REPORT = "units.parquet", "curves.parquet", "report.html"
SPRITES, CARDS, CHAPTERS, SWEEPS = "sprites", "cards", "chapters", "sweeps"


PARTS = (  # of a manifest
    *("complete", "made", "versions", "network", "images", "settings", "sprites", "not_finite", "columns", "claims"),
)


class StudyLockedError(UsageError):
    """Another process is writing this study."""


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file under another name first: whoever looks finds the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)


def write_json(path: Path, content: Any) -> None:
    """A JSON file; numbers that are none (NaN, infinite) become null."""
    write_bytes(path, (json.dumps(finite(content), indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode())


def write_table(path: Path, table: pa.Table) -> None:
    """A Parquet file, compressed with zstd."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())


def joined(*tables: pa.Table) -> pa.Table:
    """Tables of the same columns, one after the other."""
    return pa.concat_tables(tables)


def read_json(path: Path) -> Any:
    """What a JSON file of a study holds. Raises InputError where it is missing or damaged."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def read_bytes(path: Path) -> bytes:
    """The content of a file of a study. Raises InputError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def read_table(path: Path) -> pa.Table:
    """A table of a study. Raises InputError where it is missing or damaged."""
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def read_findings(folder: Path) -> list[Finding]:
    """The findings of a study. Raises InputError where they are missing or damaged."""
    rows = read_json(folder / FINDINGS)
    try:
        return [Finding.from_dict(row) for row in rows]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise unreadable(folder / FINDINGS, error) from error


def read_layers(folder: Path) -> list[dict[str, Any]]:
    """The table of layers of a study. Raises InputError where it is missing or damaged."""
    rows = read_json(folder / LAYERS)
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and {"name", "kind", "shape"} <= row.keys() for row in rows
    ):
        raise unreadable(folder / LAYERS, ValueError("it is no table of layers"))
    return rows


def unreadable(path: Path, error: Exception) -> InputError:
    """The error for a file of a study that is missing or damaged."""
    return InputError(
        f"'{path.name}' of the study '{path.parent}' was to be read.",
        f"It cannot be: {getattr(error, 'strerror', None) or f'{type(error).__name__}: {error}'}.",
        "Give the folder of a study, or make it anew: convscope why NET IMAGES -o FOLDER.",
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a study. Raises InputError where there is none, or one this version does not know."""
    if not (folder / MANIFEST).is_file():
        raise InputError(
            f"The study '{folder}' was to be opened.",
            f"There is no {MANIFEST} in it." if folder.is_dir() else "There is no such folder.",
            "A study is made by: convscope why NET IMAGES -o FOLDER.",
        )
    found = read_json(folder / MANIFEST)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA or not isinstance(found.get("version"), int):
        raise InputError(
            f"The study '{folder}' was to be opened.", f"Its {MANIFEST} is not that of a study.", "Check the path."
        )
    if found["version"] > VERSION:
        raise InputError(
            f"The study '{folder}' was to be opened.",
            f"It was written in version {found['version']} of its format; this convscope knows up to {VERSION}.",
            "Install a newer convscope.",
        )
    lacking = [name for name in PARTS if name not in found]
    if lacking:
        raise unreadable(folder / MANIFEST, ValueError(f"it lacks {', '.join(lacking)}"))
    return found


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """The right to write a study, for one process at a time; a killed process loses it at once.

    Raises StudyLockedError while another process has it, UsageError where the folder holds something else, InputError where it
    cannot be written; what was finished by then is kept.
    """
    try:
        _check_place(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            yield
    except OSError as error:
        where = f" ('{error.filename}')" if error.filename else ""
        raise InputError(
            f"The study '{folder}' was being written.",
            f"{error.strerror or error}{where}.",
            "Make room, or give another folder with -o; the same command goes on from what is there.",
        ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise StudyLockedError(
            f"The study '{folder}' was to be written.",
            "Another process is writing it.",
            "Wait until that is done, or give another folder with -o.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _check_place(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"A study was to be written to '{folder}'.", "That is a file.", "Give a folder with -o.")
    if folder.is_dir() and not (folder / MANIFEST).exists():
        others = [path.name for path in folder.iterdir() if not path.name.startswith(".lock")]
        if set(others) - {MANIFEST + ".new"}:
            raise UsageError(
                f"A study was to be written to '{folder}'.",
                f"The folder holds other things ('{sorted(others)[0]}' ...).",
                "Give a new or empty folder with -o.",
            )


def clear(folder: Path, name: str) -> None:
    """Removes a file or folder of a study, if it is there."""
    path = folder / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
