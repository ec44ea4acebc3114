"""Do names that mean harm stay text?"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect
from watching import Watched, open_all, with_module

from convscope.page import render

Show = Callable[..., Watched]


HOSTILE = (
    "<script>pwned = 1</script>",
    '"><img src=x onerror="pwned = 1">',
    "</script><script>pwned = 1</script><!--",
    "a'b\"c`${pwned = 1}`&lt;&amp;",
    "line\nbreak\x00\x07\x1b[31m",
    "\u202egnp.exe\u2066",
    "half \udcff",
    "x" * 300,
)


ODD = "script, iframe, object, link, img[onerror], img:not(.tile > img)"  # elements that the page never makes


def shown(name: str) -> str:
    """A name as the page writes it: what cannot be seen is made visible."""
    text = re.sub(r"[\x00-\x1f]", lambda c: chr(0x2400 + ord(c[0])), name)
    return re.sub("[\u202e\u2066\udcff]", lambda c: f"⟨U+{ord(c[0]):04X}⟩", text)


def hostile(report: dict[str, Any]) -> dict[str, Any]:
    """The example with a hostile name in every place that a name comes from."""
    names: Iterator[str] = (HOSTILE[i % len(HOSTILE)] for i in range(10_000))
    made = json.loads(json.dumps(report))
    places = {"name", "id", "reason", "source", "label_source", "layer", "class", "statement", "quantity", "summary",
              "means", "what", "title", "x_label", "y_label", "kind", "claim", "weights", "shown",
              "address", "sentence", "words", "caption", "role"}  # fmt: skip
    lists = {"ids", "x", "reads", "notes", "repeat"}

    def turn(found: Any, key: str = "") -> Any:
        if isinstance(found, dict):
            return {name: turn(at, name) for name, at in found.items()}
        if isinstance(found, list):
            return [next(names) if key in lists and isinstance(at, str) else turn(at) for at in found]
        return next(names) if key in places and isinstance(found, str) else found

    made = turn(made)
    made["findings"] = [{**one, "claim": f"{i} {one['claim']}"} for i, one in enumerate(made["findings"])]
    made["exemplars"] = [{**one, "layer": f"{one['layer']} {i}"} for i, one in enumerate(made["exemplars"])]
    made["cards"] = [
        {**one, "address": f"{one['layer']}:{one['address']} {i}", "facts": [[name, name] for name in HOSTILE]}
        for i, one in enumerate(made["cards"])
    ]
    made["settings"] = dict.fromkeys(HOSTILE, HOSTILE[0])
    return made


def harm(watched: Watched, document: str) -> list[str]:
    """What hostile names did to a document and its page."""
    found = []
    for name, block in re.findall(
        r'<script type="application/json" data-block="([^"]*)">(.*?)</script>', document, re.DOTALL
    ):
        try:
            json.loads(block)
        except ValueError:
            found.append(f"{name} ends early")
        if "<" in block:
            found.append(f"{name} holds a raw <")
    if not document.isascii():
        found.append("not ASCII")
    if watched.page.evaluate("'pwned' in globalThis"):
        found.append("a script ran")
    if watched.page.locator(f"#page :is({ODD})").count():
        found.append("an element was made")
    text = watched.page.evaluate("document.getElementById('page').textContent")
    return found + [f"{name!r} is not shown" for name in HOSTILE if shown(name) not in text] + watched.faults()


def test_hostile_names_are_text(show: Show, report: dict[str, Any]) -> None:
    document = render(hostile(report))
    watched = show(document, width=390)
    watched.page.locator("canvas").first.wait_for()
    assert harm(watched, document) == []
    open_all(watched.page)
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
    watched.page.locator(".sheet a").nth(4).click()
    expect(watched.page.locator(".claim h3").nth(4)).to_be_focused()
    assert harm(watched, document) == []


def test_a_name_that_is_not_escaped_is_found(
    show: Show, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = render(hostile(report)).replace("\\u003c", "<")
    assert "overview holds a raw <" in harm(show(document, drawn="#page"), document)
    old = '<bdi class="name">${'
    with_module(monkeypatch, "cs/names", old, '<bdi class="name" dangerouslySetInnerHTML=${{ __html: of }}>${')
    document = render(hostile(report))
    watched = show(document)
    expect(watched.page.locator("#page img").first).to_be_attached()
    assert "an element was made" in harm(watched, document)
