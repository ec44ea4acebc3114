"""A real browser without a network, and pages in it that are watched for faults."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from example_report import example, shortened
from playwright.sync_api import Browser, sync_playwright
from watching import Watched, opened

from convscope.page import render

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of the system ($CONVSCOPE_CHROMIUM, or on the path), with a fresh profile."""
    found = os.environ.get("CONVSCOPE_CHROMIUM") or shutil.which("chromium")
    if not found:
        pytest.skip("no chromium on the path (install it, or set CONVSCOPE_CHROMIUM)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def report() -> dict[str, Any]:
    """The example report, shared: not to be changed."""
    return example()


@pytest.fixture(scope="session")
def html(report: dict[str, Any]) -> str:
    return render(report)


@pytest.fixture(scope="session")
def small(report: dict[str, Any]) -> str:
    """A report with one section of every kind, verdict and panel, few layers; all others of the example are like them."""
    findings = [shortened(one) for i, one in enumerate(report["findings"]) if i in (0, 2, 3, 9, 14)]
    return render({**report, "findings": findings, "layers": report["layers"][:8]})


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="session")
def shared(browser: Browser, folder: Path, html: str) -> Iterator[Watched]:
    """The example, opened once for all tests that only look; they bring it to the place they need."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield opened(context, folder / "shared.html", html)
    context.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """Open a document in a window of its own, closed after the test."""
    contexts = []

    def shown(document: str, hash: str = "", *, width: int = 1280, drawn: str = "footer", **settings: Any) -> Watched:
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, **settings))
        return opened(contexts[-1], tmp_path / f"report{len(contexts)}.html", document, hash=hash, drawn=drawn)

    yield shown
    for context in contexts:
        context.close()
