"""What goes wrong on a page?  A page in a browser with an eye on requests, messages and violations."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from convscope.page.modules import modules

PATIENCE_MS = 15_000  # a busy machine is slow, not wrong
expect.set_options(timeout=PATIENCE_MS)

NET = "ab12cd34"  # the network of the example, as addresses name it
_WATCH = """
globalThis.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


@dataclass
class Watched:
    """A page, and what went wrong on it."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """Requests that leave the file, console errors, policy violations."""
        foreign = [url for url in self.requests if not url.startswith(("file:", "data:", "blob:"))]
        return foreign + self.messages + self.page.evaluate("violations")


def opened(context: BrowserContext, file: Path, document: str, *, hash: str = "", drawn: str = "footer") -> Watched:
    """Open a document from a file, at an address; wait until it is drawn."""
    file.write_text(document, encoding="ascii")
    watched = Watched(context.new_page())
    watched.page.set_default_timeout(PATIENCE_MS)
    watched.page.add_init_script(_WATCH)
    watched.page.on("request", lambda request: watched.requests.append(request.url))
    watched.page.on("pageerror", lambda error: watched.messages.append(f"error: {error}"))
    watched.page.on("console", lambda said: said.type in ("error", "warning") and watched.messages.append(said.text))
    watched.page.goto(file.as_uri() + hash)
    watched.page.locator(drawn).first.wait_for(state="attached")
    return watched


def open_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def with_module(monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str) -> None:
    """Break a module on purpose."""
    source = modules()[name]
    assert old in source
    monkeypatch.setattr("convscope.page.report.modules", lambda: {**modules(), name: source.replace(old, new)})
