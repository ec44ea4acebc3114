"""What do the methods do, in tables?  Writes the generated parts of docs/methods.md from the code; the words between them are ours.

    python tools/method_tables.py

A part stands between `<!-- facts: KEY -->` or `<!-- treatments: KEY -->` and `<!-- end -->`. tests/test_methods_doc.py fails if
the page is not what this would write.
"""

import re
from collections.abc import Callable
from pathlib import Path

from convscope.graph import ops
from convscope.graph.graph import INPUT
from convscope.instruments.attribution.method import LAST_MAPS, Method, settings
from convscope.registry import items
from convscope.walks.treatment import Treatment, Treatments

PAGE = Path(__file__).parents[1] / "docs" / "methods.md"
PART = re.compile(r"<!-- (?P<kind>\w+): (?P<key>\w+) -->\n.*?<!-- end -->", re.DOTALL)
PLACES = {INPUT: "the image", LAST_MAPS: "the last layer with maps"}
KNOWN = frozenset().union(*ops.KINDS.values(), ops.PLUMBING)


def main() -> None:
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def filled(text: str) -> str:
    """The page with its generated parts made anew."""

    def part(found: re.Match[str]) -> str:
        method = items("method")[found["key"]]()
        return f"<!-- {found['kind']}: {found['key']} -->\n{KINDS[found['kind']](method)}\n<!-- end -->"

    return PART.sub(part, text)


def facts(method: Method) -> str:
    """A method's paper, place, sign and settings, as the code has them."""
    sizes = (
        " (their sizes)"
        if method.channels == "absolute"
        else " (where positive)"
        if method.channels == "positive"
        else ""
    )
    values = ", ".join(f"`{name}={value!r}`" for name, value in settings(method).items())
    rows = {
        "paper": method.paper,
        "scores live at": PLACES[method.place],
        "a map is": f"the sum over units{sizes}; " + ("signed" if method.signed else "not signed"),
        "settings": values or "none",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {words} |" for name, words in rows.items())])


def treatments(method: Method) -> str:
    """What a method does at each operation; what it refuses."""
    table: Treatments = method.treatments  # type: ignore[attr-defined]
    groups: dict[tuple[str, str], list[str]] = {}
    for op in sorted(table):
        treatment: Treatment = table[op]
        groups.setdefault((treatment.words, treatment.substitution), []).append(op)
    rows = [f"| {_named(found)} | {words} | {told} |" for (words, told), found in sorted(groups.items(), key=_first_op)]
    refused = sorted(KNOWN - table.keys())
    line = f"Refused by name: {_named(refused)}, and whatever is not in the table." if refused else ""
    return "\n".join(
        ["| operation | what is done | told as a substitution |", "|---|---|---|", *rows, *(["", line] if line else [])]
    )


def _first_op(group: tuple[tuple[str, str], list[str]]) -> tuple[bool, str]:
    return "reshape" in group[1], group[1][0]  # what only moves values comes last


def _named(found: list[str]) -> str:
    """Operations by name; those that only move values about as one, where all are there."""
    if set(found) >= ops.PLUMBING:
        found = [op for op in found if op not in ops.PLUMBING]
        return ", ".join([*(f"`{op}`" for op in found), "and all that only moves values"])
    return ", ".join(f"`{op}`" for op in found)


KINDS: dict[str, Callable[[Method], str]] = {"facts": facts, "treatments": treatments}

if __name__ == "__main__":
    main()
