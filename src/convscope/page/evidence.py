"""Can this evidence be drawn?  Each piece is checked by the panel that draws it."""

from collections.abc import Sequence
from typing import Any

from convscope.page.panels.panel import Evidence
from convscope.registry import lookup


def checked(evidence: Sequence[Evidence], where: str) -> list[Evidence]:
    """Evidence as its panels take it, all keys there.

    Raises ValueError naming what a piece lacks, UnknownNameError for a panel that nobody registered.
    """
    return [_one(piece, where) for piece in evidence]


def _one(piece: Evidence, where: str) -> Evidence:
    name: Any = piece.get("panel")
    if not isinstance(name, str):
        raise ValueError(f"{where}: evidence needs 'panel', the name of what draws it")
    panel = lookup("panel", name)
    try:
        found: Evidence = panel(piece)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return {**found, "panel": name}
