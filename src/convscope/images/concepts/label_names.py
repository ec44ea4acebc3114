"""What is each label index of a data set called?  From a dictionary, a list, or a file beside the label maps."""

import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from convscope.errors import InputError
from convscope.images.picture import printable

Names = Mapping[int, str] | Sequence[str] | str | os.PathLike[str]
_INDEX = ("idx", "index", "id", "label", "number")
_NAME = ("name", "label_name", "class", "class_name", "category")


def label_names(given: Names) -> dict[int, str]:
    """The name of each index; of several names (`building;edifice`) the first, or all where two would then be called the same.

    A list counts from 0. A file is JSON (`{"0": "Sky"}` or a list), or a table with a header (Idx, Name), separated by commas or
    tabs. Raises InputError for a file that cannot be read, or an index that is none.
    """
    if isinstance(given, str | os.PathLike):
        return _read(Path(given))
    pairs = given.items() if isinstance(given, Mapping) else enumerate(given)
    return _checked(pairs, "the names that were given")


def _read(path: Path) -> dict[int, str]:
    name = printable(path.name)
    try:
        text = path.read_text("utf-8-sig")
        if text.lstrip()[:1] in ("{", "["):
            given = json.loads(text)
            return _checked(given.items() if isinstance(given, dict) else enumerate(given), name)
        return _checked(_rows(text), name)
    except (OSError, ValueError, LookupError) as error:
        raise InputError(
            f"The names of labels were to be read from '{name}'.",
            f"That failed: {error}.",
            'Give JSON as {"0": "sky"}, or a table with the columns Idx and Name.',
        ) from error


def _rows(text: str) -> list[tuple[str, str]]:
    lines = text.splitlines()
    rows = [row for row in csv.reader(io.StringIO(text), delimiter="\t" if "\t" in lines[0] else ",") if row]
    header = [cell.strip().lower() for cell in rows[0]]
    index, name = (next((header.index(word) for word in words if word in header), None) for words in (_INDEX, _NAME))
    if index is None or name is None:
        raise ValueError(f"its columns are {', '.join(header) or 'none'}")
    return [(row[index], row[name]) for row in rows[1:]]


def _checked(pairs: object, source: str) -> dict[int, str]:
    names: dict[int, str] = {}
    for index, name in pairs:  # type: ignore[attr-defined]
        if not str(index).strip().isdecimal():
            raise InputError(
                f"The names of labels were taken from {source}.",
                f"'{index}' is no label index.",
                "Indices are whole numbers from 0.",
            )
        names[int(index)] = str(name).strip()
    short = {index: re.split("[;,]", name)[0].strip() for index, name in names.items()}
    shared = {one for one, times in Counter(short.values()).items() if times > 1}
    if not names:
        raise InputError(f"The names of labels were taken from {source}.", "There are none.", "Name at least one.")
    return {index: name.replace(";", ", ") if short[index] in shared else short[index] for index, name in names.items()}
