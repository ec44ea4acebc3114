"""Does docs/methods.md say what the code does?"""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from convscope.graph import ops
from convscope.instruments.attribution import DeepLIFT
from convscope.registry import items

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
KNOWN = frozenset().union(*ops.KINDS.values(), ops.PLUMBING)


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("method_tables", ROOT / "tools" / "method_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ours() -> list[str]:
    """The methods of the package itself; those of others have pages of their own."""
    return [key for key, method in items("method").items() if method.__module__.startswith("convscope.")]


def section(key: str) -> str:
    title = items("method")[key].title
    found = re.search(rf"^## {re.escape(title)} \(`{key}`\)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"docs/methods.md has no section '## {title} (`{key}`)'"
    return found[1]


def test_the_generated_parts_are_up_to_date() -> None:
    assert tool().filled(TEXT) == TEXT, "run: python tools/method_tables.py"


@pytest.mark.parametrize("key", ours())
def test_every_method_is_explained(key: str) -> None:
    text = section(key)
    assert f"<!-- facts: {key} -->" in text
    for what in ("**Answers**", "**Formula**", "**Promises**", "**Costs**", "**Misleads**"):
        assert what in text
    assert (f"<!-- treatments: {key} -->" in text) == hasattr(items("method")[key], "treatments")


@pytest.mark.parametrize("key", [key for key in ours() if hasattr(items("method")[key], "treatments")])
def test_every_operation_is_in_the_table_or_refused(key: str) -> None:
    found = set(re.findall(r"`(\w+)`", section(key).split(f"<!-- treatments: {key} -->")[1]))
    if "and all that only moves values" in section(key):
        found |= ops.PLUMBING
    assert found >= KNOWN


def test_a_table_that_is_out_of_date_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeepLIFT, "treatments", {**DeepLIFT.treatments, "where": DeepLIFT.treatments["add"]})
    assert tool().filled(TEXT) != TEXT
