"""Which class is each image of?  From folders, file names, a list, a table; it is always said how."""

import csv
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.errors import ImagesError, InputError, UsageError
from convscope.images.classes import WNID
from convscope.images.picture import printable

SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
ID_COLUMNS = ("id", "file", "filename", "file_name", "image", "image_id", "name", "path")
LABEL_COLUMNS = ("label", "class", "target", "category", "wnid", "y", "label_name", "class_name", "class_index")


@dataclass(frozen=True, eq=False)
class Labels:
    """A class index per image, -1 where unknown."""

    indices: np.ndarray  # int64, one per image
    names: tuple[str, ...] | None  # what the indices count; None when they are bare class indices of some network
    source: str  # how they were obtained, in words


def no_labels(n_images: int, why: str = "none") -> Labels:
    return Labels(np.full(n_images, -1, np.int64), None, why)


def from_values(values: Sequence[Any], source: str) -> Labels:
    """Labels from one value per image: class indices, class names, or None where unknown.

    Names that are all whole numbers count as indices, so that "10" does not sort before "2". Raises ImagesError for a
    negative index other than -1.
    """
    plain = [value.item() if hasattr(value, "item") else value for value in values]
    texts = [None if value is None or value == "" or value == -1 else str(value) for value in plain]
    known = {text for text in texts if text is not None}
    if all(text.isdecimal() for text in known):
        return Labels(np.array([-1 if text is None else int(text) for text in texts], np.int64), None, source)
    if any(isinstance(value, (int, float)) for value in plain if value is not None and value != -1):
        odd = next(text for text in texts if text is not None and not text.isdecimal())
        raise ImagesError(
            f"Labels were read from {source}.", f"'{odd}' is no class index.", "Give indices from 0, or names only."
        )
    names = tuple(sorted(known))
    places = {name: index for index, name in enumerate(names)}
    return Labels(np.array([-1 if text is None else places[text] for text in texts], np.int64), names, source)


def _file_name(id: str) -> str:
    return id.rsplit("/", 1)[-1]


def from_paths(ids: tuple[str, ...]) -> Labels:
    """Labels from relative paths: sub-folders, else WordNet ids in all of the file names, else none.

    Folders that hold all images are passed through (`val/cat`, `val/dog`). Raises ImagesError for folders named train
    and val: those are parts, not classes.
    """
    folders = [tuple(name.split("/")[:-1]) for name in ids]
    common = len(os.path.commonprefix(folders)) if folders else 0  # noqa: RUF071 - of tuples, whole names
    if folders and min(map(len, folders)) > common:
        names = [parts[common] for parts in folders]
        if {name.lower() for name in names} <= SPLITS:
            raise ImagesError(
                "A folder of images was given.",
                f"It holds the parts {', '.join(sorted(set(names)))}, not classes.",
                "Give one of these folders, or labels=False.",
            )
        return from_values(names, "folder names")
    if folders and common and max(map(len, folders)) == common:
        own = [part for part in folders[0] if part.lower() not in SPLITS]
        if own:
            return from_values([own[0]] * len(ids), "folder names")
    wnids = [WNID.search(_file_name(name)) for name in ids]
    if ids and all(wnids):
        return from_values([found[0] for found in wnids if found], "WordNet ids in the file names")
    mixed = bool(folders) and max(map(len, folders)) > common
    return no_labels(len(ids), "none: some images lie in sub-folders, some beside them" if mixed else "none")


def from_pattern(pattern: str, ids: tuple[str, ...]) -> Labels:
    r"""Labels from file names, by a regular expression with a group `label`, as `(?P<label>\d+)_.*`.

    It is matched with the start of the file name, or of the whole id if it holds a slash. Raises UsageError for a
    wrong pattern, ImagesError when it fits no name; images whose names do not fit are unlabelled.
    """
    try:
        expression = re.compile(pattern)
        if "label" not in expression.groupindex:
            raise re.error("it has no group (?P<label>...)")
    except re.error as error:
        hint = r"Give a pattern such as '(?P<label>\d+)_.*', the path of a CSV or JSON file, or a list."
        raise UsageError(
            f"Labels were asked for by the pattern '{pattern}'.", f"It cannot be used: {error}.", hint
        ) from error
    found = [expression.match(name if "/" in pattern else _file_name(name)) for name in ids]
    if not any(found):
        example = f"'{ids[0]}'" if ids else "none"
        raise ImagesError(
            f"Labels were asked for by the pattern '{pattern}'.", f"No image name fits; the first is {example}."
        )
    return from_values(
        [match["label"] if match else None for match in found], f"file names, by the pattern '{pattern}'"
    )


def from_table(table: Mapping[str, Any], ids: tuple[str, ...], source: str = "a dictionary") -> Labels:
    """Labels from id (or file name, if no two images share it) -> label.  Raises ImagesError if no image is in it."""
    files = [_file_name(name) for name in ids]
    shared = len(set(files)) < len(files)
    values = [table.get(name, None if shared else table.get(file)) for name, file in zip(ids, files, strict=True)]
    if ids and all(value is None for value in values):
        example = ", ".join(f"'{printable(str(key))}'" for key in list(table)[:2])
        raise ImagesError(
            f"Labels were given by {source} of {len(table)} entries.",
            f"It names none of the {len(ids)} images; it starts with {example or 'nothing'}.",
            f"Its keys must be ids, as '{ids[0]}'.",
        )
    return from_values(values, source)


def read_table(path: Path) -> dict[str, str]:
    """id -> label from a JSON object, or from a CSV or TSV file with a header (id, label) or two columns.

    Raises InputError when the file cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")
        if path.suffix.lower() == ".json":
            return {str(key): value for key, value in json.loads(text).items()}
        rows = [row for row in csv.reader(io.StringIO(text), delimiter="\t" if path.suffix == ".tsv" else ",") if row]
        header = [cell.strip().lower() for cell in rows[0]]
        places = [
            next((header.index(name) for name in names if name in header), None)
            for names in (ID_COLUMNS, LABEL_COLUMNS)
        ]
        first, second = places
        if first is None or second is None:
            if len(header) != 2:
                raise ValueError(f"its columns are {', '.join(header)}")
            return {row[0]: row[1] for row in rows}
        return {row[first]: row[second] for row in rows[1:]}
    except (OSError, ValueError, LookupError, AttributeError, csv.Error) as error:
        hint = "Give a CSV file with the columns id and label."
        raise InputError(f"Labels were to be read from '{path.name}'.", f"That failed: {error}.", hint) from error


def given_labels(labels: Any, ids: tuple[str, ...]) -> Labels:
    """Labels as the caller gave them: False, a pattern, a file, a dictionary, or one value per image."""
    if labels is False:
        return no_labels(len(ids), "none, as asked")
    if isinstance(labels, Mapping):
        return from_table(labels, ids)
    if isinstance(labels, (str, os.PathLike)):
        path = Path(labels)
        if isinstance(labels, str) and path.suffix.lower() not in (".csv", ".tsv", ".json"):
            return from_pattern(labels, ids)
        return from_table(read_table(path), ids, f"the file {path.name}")
    values = list(labels)
    if len(values) != len(ids):
        raise ImagesError(
            f"{len(values)} labels were given.",
            f"There are {len(ids)} images.",
            "Give one per image, or a dictionary by id.",
        )
    return from_values(values, "a list")
