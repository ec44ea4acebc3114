"""What are the network's classes called?  Names, WordNet ids, synonyms, and the index of each."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from convscope.errors import ImagesError, InputError, UnknownNameError, UsageError, nearest

WNID = re.compile(r"(?<![A-Za-z0-9])n\d{8}(?!\d)")


@dataclass(frozen=True)
class Classes:
    """What are the network's classes called?  In the order of its logits.

    Raises UsageError when there are not as many WordNet ids (or synonyms) as names, or an id appears twice.
    """

    names: tuple[str, ...]
    wnids: tuple[str, ...] | None = None  # WordNet ids, as n01440764
    synonyms: tuple[tuple[str, ...], ...] = ()  # further names of each class; () for none

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(map(str, self.names)))
        object.__setattr__(self, "synonyms", tuple(map(tuple, self.synonyms)))
        if self.wnids is not None:
            object.__setattr__(self, "wnids", tuple(self.wnids))
            if len(self.wnids) != len(self.names) or len(set(self.wnids)) != len(self.wnids):
                raise _unequal(len(set(self.wnids)), "different WordNet ids", len(self.names))
        if self.synonyms and len(self.synonyms) != len(self.names):
            raise _unequal(len(self.synonyms), "lists of synonyms", len(self.names))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> str:
        return self.names[index]

    def index_of(self, name: "str | int") -> int:
        """The class index of a name, synonym, WordNet id or index.

        Case, spaces, underscores and hyphens do not matter, nor does a WordNet id or a number written before a name
        (`n01440764-tench`, `001.tench`). Raises UnknownNameError with the nearest names, and ImagesError where the
        parts of a name contradict one another or a name stands for several classes.
        """
        if not isinstance(name, str):
            return self._by_number(int(name))
        found = self._candidates(name)
        if not found:
            raise UnknownNameError("class", name, self.names)
        if len(set(found.values())) > 1:
            said = ", ".join(f"{how} says class {index} ('{self.names[index]}')" for how, index in found.items())
            raise ImagesError(f"The class '{name}' was looked up.", f"It contradicts itself: {said}.", _RENAME)
        return next(iter(found.values()))

    def nearest(self, name: str) -> list[str]:
        """The class names most like this one, best first."""
        return nearest(_plain(name), self.names) or nearest(name, self.names)

    @classmethod
    def read(cls, path: "str | os.PathLike[str]") -> "Classes":
        """The classes in a file: JSON, or text with one name a line.

        JSON is a list of names, or an object from index to a name or to `{"name": ..., "wnid": ..., "lemmas": "a,
        b"}`. Raises InputError when the file cannot be read or has gaps in its indices.
        """
        path = Path(path)
        try:
            text = path.read_text("utf-8-sig")
            entries = _entries(json.loads(text)) if text.lstrip()[:1] in ("[", "{") else text.splitlines()
        except (OSError, ValueError) as error:
            raise _unreadable(path, str(error)) from error
        while entries and entries[-1] == "":
            entries.pop()
        if not entries:
            raise _unreadable(path, "It holds no names.")
        return cls.of(entries)

    @classmethod
    def of(cls, entries: "Classes | Iterable[Any]") -> "Classes":
        """Classes from a list of names, or of objects with `name` and, if known, `wnid` and `lemmas`."""
        if isinstance(entries, Classes):
            return entries
        records = [entry if isinstance(entry, dict) else {"name": entry} for entry in entries]
        lemmas = tuple(_split(str(record.get("lemmas", ""))) for record in records)
        wnids = tuple(str(record.get("wnid", "")) for record in records)
        return cls(
            tuple(str(record.get("name") or record.get("wnid")) for record in records),
            wnids if all(wnids) and wnids else None,
            lemmas if any(lemmas) else (),
        )

    def _by_number(self, index: int) -> int:
        if 0 <= index < len(self):
            return index
        raise UnknownNameError("class", str(index), (), f"There are {len(self)} classes, 0 to {len(self) - 1}.")

    def _candidates(self, name: str) -> dict[str, int]:
        """What each part of a name says: the name as it is, its WordNet id, what is left without that, its number."""
        found: dict[str, int] = {}
        wnid = WNID.search(name)
        if wnid and wnid[0] in self._wnid_table:
            found["its WordNet id"] = self._wnid_table[wnid[0]]
        rest = re.sub(r"^\d+(?=\D)", "", WNID.sub("", name).strip(" _-.")) if not name.isdecimal() else name
        for part in (name, rest):
            indices = self._exact_table.get(part) or self._name_table.get(_plain(part), ())
            if len(indices) == 1:
                found["its name"] = indices[0]
                break
            if indices and not found:
                raise self._ambiguous(name, indices)
        if name.isdecimal() and int(name) < len(self):
            found["its number"] = int(name)
        return found

    def _ambiguous(self, name: str, indices: tuple[int, ...]) -> ImagesError:
        said = " and ".join(f"{index} ('{self.names[index]}')" for index in indices)
        return ImagesError(f"The class '{name}' was looked up.", f"It stands for the classes {said}.", _RENAME)

    @cached_property
    def _wnid_table(self) -> dict[str, int]:
        return {wnid: index for index, wnid in enumerate(self.wnids or ())}

    @cached_property
    def _exact_table(self) -> dict[str, tuple[int, ...]]:
        """Name as written -> class indices; ImageNet has a Cardigan (a dog) and a cardigan."""
        table: dict[str, tuple[int, ...]] = {}
        for index, name in enumerate(self.names):
            table[name] = (*table.get(name, ()), index)
        return table

    @cached_property
    def _name_table(self) -> dict[str, tuple[int, ...]]:
        """Plain name -> class indices; a synonym counts only where no class has it as its name."""
        table: dict[str, tuple[int, ...]] = {}
        for index, name in enumerate(self.names):
            table[_plain(name)] = (*table.get(_plain(name), ()), index)
        further: dict[str, tuple[int, ...]] = {}
        for index, name in enumerate(self.names):
            for other in {_plain(part) for part in (*_split(name), *(self.synonyms[index] if self.synonyms else ()))}:
                further[other] = (*further.get(other, ()), index)
        return further | table


_RENAME = "Use the WordNet id or the index instead."


def _plain(name: str) -> str:
    """A name without what spellings differ in: case, and anything but letters and digits."""
    return "".join(letter for letter in name.casefold() if letter.isalnum()) or name.casefold()


def _split(names: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in names.split(",") if part.strip())


def _entries(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    indices = sorted(int(key) for key in content)
    if indices != list(range(len(indices))):
        raise ValueError(f"its indices are not 0 to {len(indices) - 1}")
    by_index = {int(key): value for key, value in content.items()}
    return [by_index[index] for index in indices]


def _unequal(found: int, what: str, wanted: int) -> UsageError:
    return UsageError(f"{wanted} classes were named.", f"There are {found} {what}.", "Give one per class.")


def _unreadable(path: Path, reason: str) -> InputError:
    return InputError(
        f"Class names were to be read from '{path.name}'.", reason, "Give a JSON list, or one name a line."
    )
