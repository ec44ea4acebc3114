"""How is a study shown?  The page: ES modules in `static/`, one panel a kind of evidence, and the document that holds them."""

from convscope.page.report import render, saved

__all__ = ["render", "saved"]
