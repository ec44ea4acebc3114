"""Is a record fit to be shown?  All keys there, numbers finite, pictures inside the file."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_PICTURE = re.compile(r"data:image/(webp|png|jpeg);base64,[A-Za-z0-9+/]+=*")


def need(record: dict[str, Any], names: Iterable[str], where: str) -> None:
    """Raises ValueError naming the keys that a record lacks."""
    missing = [name for name in names if name not in record]
    if missing:
        raise ValueError(f"{where} lacks: {', '.join(missing)}")


def need_each_once(names: Sequence[Any], what: str) -> None:
    """Raises ValueError for a name that is there twice."""
    for name, n in Counter(names).items():
        if n > 1:
            raise ValueError(f"{what} '{name}' is there twice")


def need_picture(address: str, where: str) -> None:
    """Raises ValueError for an address that is no picture inside the file."""
    if not _PICTURE.fullmatch(address):
        raise ValueError(f"{where} is no data address of a WebP, PNG or JPEG picture")


def need_finite(found: Any, place: str) -> None:
    """Raises ValueError naming a number that is infinite or not a number."""
    for at in _not_finite(found, place):
        raise ValueError(f"{at} is not a finite number; where there is none, give None")


def _not_finite(found: Any, place: str) -> Iterator[str]:
    if isinstance(found, float) and not math.isfinite(found):
        yield place
    elif isinstance(found, dict):
        for key, at in found.items():
            yield from _not_finite(at, f"{place}.{key}")
    elif isinstance(found, list | tuple):
        for i, at in enumerate(found):
            yield from _not_finite(at, f"{place}[{i}]")
