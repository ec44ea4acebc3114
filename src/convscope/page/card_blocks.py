"""Is a card fit to be shown?  Cards as blocks, each checked, and what is said of them where all are listed.

A card is what is known of one unit, one layer, one concept or one class (of the last two, `layer` and `unit` are None): a
sentence, facts, checks, evidence that panels draw, and sections of tiles, each a few pictures with what their check says. `links`
are words that lead elsewhere in a report. All text in it is shown as text, whatever it holds.
"""

from collections.abc import Sequence
from typing import Any

from convscope.page.evidence import checked
from convscope.page.fit import need, need_each_once, need_picture
from convscope.page.panels.panel import listed, text

OUTCOMES = ("passes", "care", "fails", "not run")

_CARD = (
    *("address", "layer", "unit", "title", "sentence", "facts", "sections", "checks", "notes"),
    *("network", "images", "repeat"),
)
_SECTION = ("key", "title", "words", "tile_px", "tiles")
_TILE = ("pictures", "caption", "outcome", "words")
_PIECE = ("role", "src", "size")
_CHECK = ("title", "outcome", "words")
_LEADS_TO = ("why", "exemplars", "cards", "chapter")  # the views that a link may name


def card_blocks(cards: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The blocks of cards by name, each checked."""
    need_each_once([card.get("address") for card in cards], "the card of")
    return {f"card/{i}": checked_card(card, f"the card of '{card.get('address')}'") for i, card in enumerate(cards)}


def listings(cards: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is said of each card where all are listed."""
    names = ("address", "layer", "unit", "title")
    return [
        {**{name: card[name] for name in names}, "outcomes": [one["outcome"] for one in card["checks"]]}
        for card in cards
    ]


def checked_card(card: dict[str, Any], where: str) -> dict[str, Any]:
    """A card with all its keys. Raises ValueError naming what is missing or unknown, after `where`."""
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
    evidence, links = (listed(card, key) if card.get(key) else [] for key in ("evidence", "links"))
    return {**card, "evidence": checked(evidence, where), "links": [_link(link, where) for link in links]}


def _link(link: dict[str, Any], where: str) -> dict[str, Any]:
    need(link, ("words", "view", "to"), f"{where}: a link")
    words, to = text(link, "words"), link["to"]
    if link["view"] not in _LEADS_TO:
        raise ValueError(f"{where}: '{words}' leads to the view '{link['view']}'; known: {', '.join(_LEADS_TO)}")
    if not isinstance(to, dict) or not all(isinstance(at, str) for pair in to.items() for at in pair):
        raise ValueError(f"{where}: '{words}' needs 'to', the keys of an address with their texts")
    return {"words": words, "view": link["view"], "to": to}


def _need_outcome(outcome: str, known: Sequence[str], where: str) -> None:
    if outcome not in known:
        raise ValueError(f"{where} has the outcome '{outcome}'; known: {', '.join(filter(None, known))}")
