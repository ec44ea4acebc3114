"""Does every block of code in README and docs run, and every command line in them parse?"""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from convscope.registry import items

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[tuple[str, str]]:
    """(page, text) of every block of one kind."""
    return [
        (page.name, found["body"])
        for page in PAGES
        for found in BLOCK.finditer(page.read_text())
        if found["kind"] == kind
    ]


def commands() -> list[str]:
    """Every line that calls convscope."""
    lines = [line.split("#")[0].strip() for _, body in blocks("sh") for line in body.splitlines()]
    return [line for line in lines if line.startswith("convscope ")]


def test_there_is_something_to_test() -> None:
    assert blocks("python")
    assert len(commands()) >= 2


@pytest.mark.parametrize(("page", "body"), blocks("python"))
def test_python_blocks_run(page: str, body: str) -> None:
    exec(compile(body, page, "exec"), {})


@pytest.mark.parametrize("line", commands())
def test_command_lines_parse(line: str) -> None:
    _, name, *args = shlex.split(line)
    command = importlib.import_module(f"convscope.cli.{name}").command
    command.make_context(name, args)


def test_every_claim_is_explained() -> None:
    text = (ROOT / "docs" / "understand.md").read_text()
    for name, claim in items("claim").items():
        assert f"## {claim.statement} (`{name}`)" in text


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
