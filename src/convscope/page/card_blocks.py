"""Is the card of a unit fit to be shown?  Cards as blocks, each checked, and what is said of them where all are listed.

A card is what `convscope.see` made of one unit, or of one layer: a sentence, facts, checks, and sections of tiles, each a few
pictures with what their check says. All text in it is shown as text, whatever it holds.
"""

from collections.abc import Sequence
from typing import Any

from convscope.page.fit import need, need_picture
from convscope.page.panels.panel import listed

OUTCOMES = ("passes", "care", "fails", "not run")

_CARD = (
    *("address", "layer", "unit", "title", "sentence", "facts", "sections", "checks", "notes"),
    *("network", "images", "repeat"),
)
_SECTION = ("key", "title", "words", "tile_px", "tiles")
_TILE = ("pictures", "caption", "outcome", "words")
_PIECE = ("role", "src", "size")
_CHECK = ("title", "outcome", "words")


def card_blocks(cards: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The blocks of cards by name, each checked."""
    addresses = [card.get("address") for card in cards]
    for address in addresses:
        if addresses.count(address) > 1:
            raise ValueError(f"the card of '{address}' is there twice")
    return {f"card/{i}": _card(card) for i, card in enumerate(cards)}


def listings(cards: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is said of each card where all are listed."""
    names = ("address", "layer", "unit", "title")
    return [
        {**{name: card[name] for name in names}, "outcomes": [one["outcome"] for one in card["checks"]]}
        for card in cards
    ]


def _card(card: dict[str, Any]) -> dict[str, Any]:
    where = f"the card of '{card.get('address')}'"
    need(card, _CARD, where)
    for section in listed(card, "sections"):
        in_section = f"{where}, section '{section.get('key')}'"
        need(section, _SECTION, in_section)
        for i, tile in enumerate(listed(section, "tiles")):
            in_tile = f"{in_section}, tile {i}"
            need(tile, _TILE, in_tile)
            _need_outcome(tile["outcome"], ("", *OUTCOMES), in_tile)
            for picture in listed(tile, "pictures"):
                need(picture, _PIECE, in_tile)
                need_picture(picture["src"], f"{in_tile}: '{picture['role']}'")
    for check in listed(card, "checks"):
        in_check = f"{where}, check '{check.get('title')}'"
        need(check, _CHECK, in_check)
        _need_outcome(check["outcome"], OUTCOMES, in_check)
    return card


def _need_outcome(outcome: str, known: Sequence[str], where: str) -> None:
    if outcome not in known:
        raise ValueError(f"{where} has the outcome '{outcome}'; known: {', '.join(filter(None, known))}")
