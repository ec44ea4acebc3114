"""How is a study shown?  The page: ES modules in `static/`, one panel a kind of evidence, and the document that holds them."""

from convscope.page.cards import cards_page
from convscope.page.report import render, saved

__all__ = ["cards_page", "render", "saved"]
