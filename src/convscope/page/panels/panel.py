"""What is a panel?  A check of the evidence it accepts, in Python, and the ES module that draws it.

    @register("panel", "curves")
    @drawn_by(Path(__file__).with_suffix(".js"))
    def curves(evidence): ...

The function returns the evidence as the module expects it (all keys there, numbers finite) and raises ValueError naming what
is missing. The module exports one function, `Panel({evidence})`, which draws that and computes nothing.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Evidence = dict[str, Any]
_BARE = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Panel:
    """One kind of picture."""

    module: Path  # the ES module that draws it
    check: Callable[[Evidence], Evidence]

    def __call__(self, evidence: Evidence) -> Evidence:
        return self.check(evidence)


def drawn_by(module: Path) -> Callable[[Callable[[Evidence], Evidence]], Panel]:
    """Make a panel of the function that checks its evidence."""
    if not _BARE.fullmatch(module.stem):
        raise ValueError(f"a panel's module needs a name of small letters, digits and '_': '{module.name}'")
    return lambda check: Panel(module, check)


def text(record: Evidence, key: str, default: str | None = None) -> str:
    """The text under a key."""
    found = record.get(key, default)
    if not isinstance(found, str):
        raise ValueError(f"{_where(record)} needs the text '{key}'" + _instead(found))
    return found


def listed(record: Evidence, key: str, n: int | None = None) -> list[Any]:
    """The list under a key, of `n` items where that is given."""
    found = record.get(key)
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise ValueError(f"{_where(record)} needs the list '{key}'" + _instead(found))
    if n is not None and len(found) != n:
        raise ValueError(f"{_where(record)} has {len(found)} items in '{key}', not {n}")
    return list(found)


def number(found: Any, what: str) -> float:
    """A finite number."""
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise ValueError(f"{what} is not a finite number" + _instead(found))
    return float(found)


def numbers(record: Evidence, key: str, n: int) -> list[float | None]:
    """A list of `n` finite numbers, None where there is none."""
    found = listed(record, key, n)
    return [None if item is None else number(item, f"{_where(record)}, '{key}'[{i}]") for i, item in enumerate(found)]


def _where(record: Evidence) -> str:
    return f"'{record.get('title', record.get('name', 'a panel'))}'"


def _instead(found: Any) -> str:
    return "" if found is None else f", not {str(found)[:40]!r}"
