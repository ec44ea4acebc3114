"""Which ES modules is the page made of, and in what order do they depend on one another?  One table of names and files.

Modules import each other by these bare names only (static imports, no relative path, no cycle), so that the same files run
served, inside one saved file and in a notebook: each host only writes another import map. The registered panels stand in
the table too, followed by the module `cs/panels`, which hands them out by name.
"""

import base64
from pathlib import Path

from convscope.page.panels.panel import Panel
from convscope.registry import items

STATIC = Path(__file__).parent / "static"
PANELS = "cs/panels"

# In dependency order: a module may import only what stands above it.
_BELOW_PANELS = {
    "preact": "vendor/preact.mjs",
    "preact/hooks": "vendor/preact-hooks.mjs",
    "htm": "vendor/htm.mjs",
    "htm/preact": "vendor/htm-preact.mjs",
    "cs/format": "format.js",
    "cs/names": "names.js",
    "cs/scale": "scale.js",
    "cs/paths": "paths.js",
    "cs/table": "table.js",
    "cs/bars": "bars.js",
    "cs/legend": "legend.js",
    "cs/lines": "lines.js",
}
_ABOVE_PANELS = {
    "cs/address": "address.js",
    "cs/source": "source.js",
    "cs/verdict": "verdict.js",
    "cs/strip": "strip.js",
    "cs/evidence": "evidence.js",
    "cs/claim": "claim.js",
    "cs/sheet": "sheet.js",
    "cs/checks": "checks.js",
    "cs/card": "card.js",
    "cs/cards": "cards.js",
    "cs/find": "find.js",
    "cs/chapter": "chapter.js",
    "cs/layers": "layers.js",
    "cs/top": "top.js",
    "cs/sprite": "sprite.js",
    "cs/exemplars": "exemplars.js",
    "cs/about": "about.js",
    "cs/frame": "frame.js",
    "cs/start": "start.js",
    "cs/page": "page.js",
    "cs/answer-address": "answer-address.js",
    "cs/overlaid": "overlaid.js",
    "cs/explanation": "explanation.js",
    "cs/answer": "answer.js",
    "cs/answers": "answers.js",
    "cs/card-address": "card-address.js",
    "cs/card-page": "card-page.js",
}


def panels() -> dict[str, Panel]:
    """The registered panels, ours and those of installed packages, by name."""
    return dict(items("panel"))


def modules() -> dict[str, str]:
    """The source of every module by its bare name, in dependency order."""
    found = {name: _read(STATIC / file) for name, file in _BELOW_PANELS.items()}
    found |= {f"{PANELS}/{name}": _read(panel.module) for name, panel in panels().items()}
    found[PANELS] = _hand_out(list(panels()))
    return found | {name: _read(STATIC / file) for name, file in _ABOVE_PANELS.items()}


def data_url(source: str) -> str:
    """A module as the address that the saved file's import map gives for it."""
    return "data:text/javascript;base64," + base64.b64encode(source.encode()).decode("ascii")


def style() -> str:
    """The style sheet of the page."""
    return _read(STATIC / "page.css")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _hand_out(names: list[str]) -> str:
    """The module that gives each panel's drawing function by the panel's name."""
    lines = ["// Which panel draws which evidence?  Written from the registry."]
    lines += [f'import {{ Panel as panel{i} }} from "{PANELS}/{name}";' for i, name in enumerate(names)]
    entries = ", ".join(f'["{name}", panel{i}]' for i, name in enumerate(names))
    return "\n".join([*lines, f"export const panels = new Map([{entries}]);", ""])
