"""What is on a sheet?  What is known of one unit (its card), of a layer's units, of a concept or a class: charts, pictures, checks.

A sheet is a record: evidence that panels draw (page/panels), and sections of tiles, each with its check. It is drawn as one
picture (picture.py) or shown on a page (page.py), which ask nothing more of the network.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convscope.documents import document, finite
from convscope.errors import UsageError

TILE_PX, WIDE_TILE_PX = 108, 144
SMALL_PX = 60  # tiles smaller than this stand beside their title


class Outcome(StrEnum):
    """What a check says of a picture."""

    PASSES = "passes"
    CARE = "care"
    FAILS = "fails"
    NOT_RUN = "not run"
    NONE = ""  # there is nothing to check


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture, or several that belong together (a patch and its deconvnet picture), and what the check of it says."""

    pictures: tuple[tuple[str, np.ndarray], ...] = field(repr=False)  # what it is, uint8 `y x 3`
    caption: str = ""
    outcome: Outcome = Outcome.NONE
    words: str = ""  # the check, in a sentence or two

    def as_dict(self) -> dict[str, Any]:
        """The tile without its pictures."""
        roles = [role for role, _ in self.pictures]
        return {"pictures": roles, "caption": self.caption, "outcome": str(self.outcome), "words": self.words}


@dataclass(frozen=True, eq=False)
class Section:
    """Tiles that answer one question."""

    key: str  # "filter", "weights", "exemplars", "where", "optimised", "maps"
    title: str
    words: str
    tiles: tuple[Tile, ...]
    tile_px: int = TILE_PX  # how large a picture is shown; 0: as it is

    @property
    def order(self) -> str:
        """What lies below what in each tile, in a sentence, where all have the same pictures and several."""
        roles = {tuple(role for role, _ in tile.pictures) for tile in self.tiles}
        if len(roles) != 1 or len(next(iter(roles))) < 2:
            return ""
        return f"From top to bottom: {', '.join(next(iter(roles)))}."

    def as_dict(self) -> dict[str, Any]:
        own = {"key": self.key, "title": self.title, "words": self.words}
        return {**own, "tiles": [tile.as_dict() for tile in self.tiles]}


@dataclass(frozen=True)
class Checked:
    """A check of the pictures of a sheet, all together."""

    title: str
    outcome: Outcome
    words: str

    def as_dict(self) -> dict[str, Any]:
        return {"title": self.title, "outcome": str(self.outcome), "words": self.words}


@dataclass(frozen=True, eq=False)
class Sheet:
    """The card of a unit, or the sheet of a layer, of a concept, of a class."""

    layer: str | None  # None for what is of no one layer
    unit: int | None
    address: str  # LAYER, LAYER:UNIT or LAYER:UNIT@y,x; of a concept or a class, its name
    title: str
    sentence: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    checks: tuple[Checked, ...]
    notes: tuple[str, ...]
    network: dict[str, Any]  # name, weights, fingerprint
    images: dict[str, Any] | None  # source and number; None without images
    settings: dict[str, Any]
    repeat: tuple[str, ...]  # how to ask the same again: a command, a line of Python
    numbers: dict[str, Any] = field(default_factory=dict)  # what was measured, for --json
    evidence: tuple[dict[str, Any], ...] = ()  # what charts and tables show; each names its "panel"
    stopped: bool = False  # Ctrl-C ended it before all pictures were there

    def __repr__(self) -> str:
        rows = [f"{one.outcome}: {one.title}. {one.words}" for one in self.checks]
        return "\n".join(
            [self.title, self.sentence, *(f"{name}: {text}" for name, text in self.facts), *rows, *self.notes]
        )

    def section(self, key: str) -> Section | None:
        """The section of that key, if there is one."""
        return next((one for one in self.sections if one.key == key), None)

    @property
    def failed(self) -> tuple[Checked, ...]:
        """The checks that failed."""
        return tuple(one for one in self.checks if one.outcome == Outcome.FAILS)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the pictures, fit for JSON."""
        names = ("layer", "unit", "address", "title", "sentence", "network", "images", "settings", "numbers", "stopped")
        found: dict[str, Any] = finite(
            {
                **{name: getattr(self, name) for name in names},
                "facts": [list(fact) for fact in self.facts],
                "evidence": list(self.evidence),
                "sections": [section.as_dict() for section in self.sections],
                "checks": [one.as_dict() for one in self.checks],
                "notes": list(self.notes),
                "repeat": list(self.repeat),
            }
        )
        return found

    def picture(self) -> Image.Image:
        """The whole sheet as one picture."""
        from convscope.see.picture import picture

        return picture(self)

    def html(self) -> str:
        """The sheet as one self-contained document."""
        from convscope.see.page import page

        return page([self])

    def save(self, path: str | Path) -> Path:
        """Write a file, as its name says: .png, .html or .json (without the pictures); its folder is made.

        Raises UsageError for others.
        """
        path = Path(path)
        if path.suffix in (".png", ".html", ".json"):
            path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            self.picture().save(path)
        elif path.suffix == ".html":
            path.write_text(self.html(), encoding="ascii")
        elif path.suffix == ".json":
            path.write_text(document("see", self.as_dict()) + "\n", encoding="utf-8")
        else:
            raise UsageError(
                f"A sheet was to be saved as '{path.name}'.",
                f"'{path.suffix}' is none of .png, .html, .json.",
                "Give one of these.",
            )
        return path

    def _repr_png_(self) -> bytes:
        import io

        stream = io.BytesIO()
        self.picture().save(stream, "PNG")
        return stream.getvalue()
