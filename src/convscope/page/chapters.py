"""What is a chapter?  A table of many things (concepts, layers, classes), each with a page of its own: a card.

    {"key": "concepts", "title": "Concepts", "words": "IoU is ...", "columns": ["concept", "IoU"], "align": ["left", "right"],
     "rows": [{"page": "object: wheel", "cells": ["object: wheel", 0.21]}], "pages": [card, ...]}

A row leads to the page of that address, or to none (None); `words` say what the columns mean.
"""

import re
from collections.abc import Sequence
from typing import Any

from convscope.page.card_blocks import checked_card
from convscope.page.fit import need, need_each_once
from convscope.page.panels import table
from convscope.page.panels.panel import listed, text

_CHAPTER = ("key", "title", "words", "columns", "rows", "pages")
_BARE = re.compile(r"[a-z][a-z0-9_-]*")


def chapter_blocks(chapters: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The blocks of chapters by name, each checked: `chapter/i` is the table of one, `chapter/i/j` a page of it."""
    for chapter in chapters:
        need(chapter, _CHAPTER, f"the chapter '{chapter.get('key')}'")
    for key in ("key", "title"):
        need_each_once([chapter[key] for chapter in chapters], f"the chapter of the {key}")
    found: dict[str, Any] = {}
    for i, chapter in enumerate(chapters):
        where = f"the chapter '{chapter['key']}'"
        found[f"chapter/{i}"] = _index(chapter, where)
        for j, page in enumerate(chapter["pages"]):
            found[f"chapter/{i}/{j}"] = checked_card(page, f"{where}, page '{page.get('address')}'")
    return found


def contents(chapters: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What stands in the overview: which chapters there are, and the addresses of their pages."""
    return [
        {"key": one["key"], "title": one["title"], "pages": [page["address"] for page in one["pages"]]}
        for one in chapters
    ]


def _index(chapter: dict[str, Any], where: str) -> dict[str, Any]:
    if not _BARE.fullmatch(text(chapter, "key")):
        raise ValueError(f"{where} needs a key of small letters, digits, '-' and '_'")
    pages = [page.get("address") for page in listed(chapter, "pages")]
    need_each_once(pages, f"{where}: the page")
    rows = listed(chapter, "rows")
    for i, row in enumerate(rows):
        need(row, ("page", "cells"), f"{where}, row {i}")
        if row["page"] is not None and row["page"] not in pages:
            raise ValueError(f"{where}, row {i} leads to the page '{row['page']}', which is not there")
    try:
        shown = table.table({**chapter, "rows": [row["cells"] for row in rows]})
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    names = ("title", "words", "columns", "align", "rows")
    return {"key": chapter["key"], **{name: shown[name] for name in names}, "leads": [row["page"] for row in rows]}
