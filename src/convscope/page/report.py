"""How does a study, or an answer, travel?  One HTML file with the page and the data inside, which asks for nothing outside itself.

The policy in its head forbids every fetch, image, font and socket but `data:`. Names reach the page as JSON only: the
blocks are plain ASCII, and no `<` in them can end the block.
"""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from convscope.page.contents import blocks
from convscope.page.modules import data_url, modules, style

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data:; "
    "connect-src data:; base-uri 'none'; form-action 'none'"
)
_TOO_OLD = "This page needs a browser from 2023 or later: this one has no import maps."
_NO_SCRIPT = "This page needs JavaScript to be shown; all of it is in this file, and nothing is loaded from elsewhere."


def render(data: dict[str, Any]) -> str:
    """The report of a study as one HTML document, all in ASCII.

    `data` is the dict of schema "convscope.report", version 1 (`contents.blocks`). Raises ValueError naming what is missing
    or not finite, UnknownNameError for a panel that nobody registered.
    """
    return saved(f"Why does {data.get('network', {}).get('name', 'this network')} work?", blocks(data), "cs/page")


def saved(title: str, data: Mapping[str, Any], entry: str) -> str:
    """A page with its data as one HTML document, all in ASCII: `data` by block, `entry` the module that shows them."""
    data_blocks = "\n".join(
        f'<script type="application/json" data-block="{name}">{inert(block)}</script>' for name, block in data.items()
    )
    imports = {name: data_url(source) for name, source in modules().items()}
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_ascii(escape(title))}</title>
<link rel="icon" href="data:,">
<style>
{_ascii_css(style())}</style>
<script type="importmap">{inert({"imports": imports})}</script>
</head>
<body>
<div id="page" class="cs"><noscript><p>{_NO_SCRIPT}</p></noscript></div>
<script>
if (!(HTMLScriptElement.supports && HTMLScriptElement.supports("importmap"))) {{
  document.getElementById("page").textContent = "{_TOO_OLD}";
}}
</script>
{data_blocks}
<script type="module">
import {{ mount }} from "{entry}";
mount(document.getElementById("page"), {{ kind: "file", document }});
</script>
</body>
</html>
"""


def inert(value: Any) -> str:
    """A value as JSON that cannot leave the `<script>` block it stands in."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _ascii(text: str) -> str:
    """Text for the head of the document: control characters and halves of characters become a question mark."""
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _ascii_css(sheet: str) -> str:
    """A style sheet with the characters outside ASCII written as CSS escapes."""
    return "".join(c if ord(c) < 128 else f"\\{ord(c):x} " for c in sheet)
