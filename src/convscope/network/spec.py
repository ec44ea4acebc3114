"""Which network is meant by a text such as `timm:mobilenetv2_100?pad_type=same`?"""

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convscope.errors import UsageError
from convscope.registry import items, lookup


@dataclass(frozen=True)
class Spec:
    """A source, a name within it, and options for its builder."""

    source: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Reads `SOURCE:NAME`, `FILE.pt2` or `FILE.py:FUNCTION`, each with `?option=value&...`.

        Raises UsageError for another form, UnknownNameError for an unknown source.
        """
        body, _, query = text.partition("?")
        options = dict(_option(part, text) for part in query.split("&") if part)
        if body.endswith((".pt2", ".ep")):
            return cls("exported", body, options, text)
        head, colon, name = body.rpartition(":")
        if colon and head.endswith(".py"):
            return cls("file", body, options, text)
        source, colon, name = body.partition(":")
        if not colon or not name:
            raise UsageError(
                f"The network '{text}' was asked for.",
                _what_it_is(body),
                f"Write SOURCE:NAME (sources: {', '.join(sorted(items('source')))}), FILE.pt2 or FILE.py:FUNCTION; "
                "weights go into --weights.",
            )
        lookup("source", source)
        return cls(source, name, options, text)


def _what_it_is(body: str) -> str:
    path = Path(body)
    if path.suffix in (".safetensors", ".pt", ".pth", ".bin", ".ckpt"):
        return "That is a file of weights; they do not say which architecture they belong to."
    if path.suffix == ".py":
        return "The file does not say which of its functions builds the network."
    return "That names no source." if ":" not in body else "No name follows the source."


def _option(part: str, text: str) -> tuple[str, Any]:
    key, equals, value = part.partition("=")
    if not equals or not key.isidentifier():
        raise UsageError(
            f"The network '{text}' was asked for.",
            f"The option '{part}' cannot be read.",
            "Options follow a question mark as name=value, several joined by '&'.",
        )
    words = {"true": True, "false": False, "none": None}
    if value.lower() in words:
        return key, words[value.lower()]
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value
