"""How does a card travel?  One HTML file that holds cards and nothing else, with a chooser where there are several."""

from collections.abc import Mapping, Sequence
from typing import Any

from convscope.page.card_blocks import card_blocks, listings
from convscope.page.fit import need, need_finite
from convscope.page.report import saved

SCHEMA, VERSION = "convscope.cards", 1


def cards_page(cards: Sequence[dict[str, Any]], network: Mapping[str, Any]) -> str:
    """A page of cards as one HTML document, all in ASCII; `network` gives its name and fingerprint.

    Raises ValueError naming what a card lacks, what is not finite, or which card is there twice.
    """
    need(dict(network), ("name", "fingerprint"), "the network")
    shown = card_blocks(cards)
    overview = {"schema": SCHEMA, "version": VERSION, "network": dict(network), "cards": listings(cards)}
    blocks = {"overview": overview, **shown}
    need_finite(blocks, "page")
    return saved(_title(cards, network["name"]), blocks, "cs/card-page")


def _title(cards: Sequence[dict[str, Any]], network: str) -> str:
    """What the page answers, as its head says it: units look for something, concepts and classes do not."""
    units = all(card["layer"] is not None for card in cards)
    if len(cards) == 1:
        address = cards[0]["address"]
        return f"What does {address} look for?" if units else f"What is {address} to {network}?"
    return f"What do the units of {network} look for?" if units else f"What was found in {network}?"
