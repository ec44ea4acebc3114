"""Do the page's modules keep the rules that let them run in every host?  Bare static imports in the order of one table."""

import hashlib
import re
from pathlib import Path

import pytest

from convscope import registry
from convscope.errors import UnknownNameError
from convscope.page.card_blocks import card_blocks
from convscope.page.contents import blocks
from convscope.page.modules import STATIC, modules, panels
from convscope.page.panels.panel import Panel, drawn_by
from convscope.page.report import inert

# What the registries of their projects hold under these versions.
VENDORED = {
    "preact.mjs": "bdcbd9abdf2c77c5c45326eab42191e949222d479d0d5f69467387a77040cb55",
    "preact-hooks.mjs": "e862ab2973aa6455eaa0f77c5d832d2157d6be59a17c8ba546550a575b58c6b4",
    "htm.mjs": "ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4",
    "htm-preact.mjs": "b3f51db71c12eabba61819feb74ace7cadc2744af41866c3fcad2ab960415746",
}
_FROM = re.compile(r"""(?:^|[;}\n])\s*(?:import|export)\b[^;"'`]*?\bfrom\s*["']([^"']+)["']""")
_BARE_EFFECT = re.compile(r"""^\s*import\s*["']([^"']+)["']""", re.MULTILINE)


def faults(sources: dict[str, str]) -> list[str]:
    """Every breach of the rules, as "module: what"."""
    found = []
    above: set[str] = set()
    for name, source in sources.items():
        code = re.sub(r"^\s*(//|\*|/\*).*$", "", source, flags=re.MULTILINE)
        for imported in [*_FROM.findall(code), *_BARE_EFFECT.findall(code)]:
            if imported.startswith((".", "/")) or ":" in imported:
                found.append(f"{name}: '{imported}' is no bare name")
            elif imported not in above:
                found.append(f"{name}: '{imported}' does not stand above it")
        if re.search(r"\bimport\s*\(", code):
            found.append(f"{name}: import()")
        if "import.meta" in code:
            found.append(f"{name}: import.meta")
        if "innerHTML" in code and name.startswith("cs/"):
            found.append(f"{name}: innerHTML")
        if name.startswith("cs/") and re.search(r"https?://", source):
            found.append(f"{name}: an address")
        above.add(name)
    return found


def test_the_modules_keep_the_rules() -> None:
    assert faults(modules()) == []


@pytest.mark.parametrize(
    "planted",
    [
        'import { x } from "./format.js";',
        'import { x } from "cs/page";',
        'import {\n  x,\n} from "cs/later";',
        'import "cs/later";',
        'export { x } from "cs/later";',
        'const x = await import("cs/format");',
        "const here = import.meta.url;",
        "element.innerHTML = name;",
        'const namespace = "http://www.w3.org/2000/svg";',
    ],
)
def test_a_breach_is_found(planted: str) -> None:
    assert len(faults({"cs/format": "", "cs/planted": f"const a = 1;\n{planted}\n", "cs/later": ""})) == 1


def test_every_module_file_stands_in_the_table_and_says_what_it_answers() -> None:
    files = {path.read_text(encoding="utf-8") for path in STATIC.rglob("*.*js")}
    assert files <= set(modules().values())
    for name, source in modules().items():
        if name.startswith("cs/"):
            assert re.match(r"// .*\?", source), name
            assert source.count("\n") < 200, name


@pytest.mark.parametrize("name", VENDORED)
def test_vendored_files_are_the_official_ones_with_their_licenses(name: str) -> None:
    assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == VENDORED[name]
    assert (STATIC / "vendor" / f"{name.split('-')[0].removesuffix('.mjs')}.LICENSE").stat().st_size > 1000


def test_a_panel_from_outside_needs_one_file_one_module_and_its_registration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = panels()
    module = tmp_path / "dial.js"
    module.write_text(
        '// How far?\nimport { html } from "htm/preact";\nexport const Panel = () => html`<p>dial</p>`;\n'
    )
    monkeypatch.setitem(registry._items, "panel", dict(before))
    registry.register("panel", "dial")(drawn_by(module)(lambda evidence: evidence))
    found = modules()
    assert 'from "cs/panels/dial"' in found["cs/panels"]
    assert '["dial", panel' in found["cs/panels"]
    assert faults(found) == []


def test_a_panel_is_named_so_that_a_module_can_be() -> None:
    with pytest.raises(ValueError, match="small letters"):
        drawn_by(Path('a"b.js'))


CURVES = {
    "panel": "curves", "title": "t", "x_label": "layer", "y_label": "y", "unit": "", "x": ["a", "b"],
    "series": [{"name": "s", "values": [1, None]}],
}  # fmt: skip
BARS = {"panel": "bars", "title": "t", "unit": "", "bars": [{"name": "s", "value": 1}]}
TABLE = {"panel": "table", "title": "t", "columns": ["a", "b"], "rows": [["x", 1.5]]}


NUMERIC = {**CURVES, "x": [1, 2.5]}
CHAPTER = {
    "key": "concepts", "title": "Concepts", "words": "w", "columns": ["concept", "IoU"],
    "rows": [{"page": None, "cells": ["sky", None]}, {"page": "wheel", "cells": ["wheel", 0.2]}],
}  # fmt: skip
LINK = {"words": "there", "view": "cards", "to": {"card": "a:1"}}
CARD = {
    "address": "wheel", "layer": None, "unit": None, "title": "t", "sentence": "s", "facts": [], "sections": [], "checks": [],
    "notes": [], "network": {}, "images": None, "repeat": [],
}  # fmt: skip


def panel(name: str) -> Panel:
    return panels()[name]


def test_panels_fill_in_what_may_be_left_out() -> None:
    series = panel("curves")(CURVES)["series"]
    assert series == [{"name": "s", "values": [1.0, None], "low": None, "high": None, "control": False}]
    assert panel("bars")(BARS)["bars"] == [{"name": "s", "value": 1.0, "low": None, "high": None, "control": False}]
    assert panel("table")(TABLE)["align"] == ["left", "right"]
    assert [panel(one["panel"])(one)["words"] for one in (CURVES, BARS, TABLE)] == ["", "", ""]
    assert panel("table")({**TABLE, "words": "w"})["words"] == "w"


def test_curves_stand_over_names_or_over_numbers() -> None:
    assert (panel("curves")(CURVES)["x"], panel("curves")(CURVES)["log"]) == (["a", "b"], False)
    assert panel("curves")(NUMERIC)["x"] == [1.0, 2.5]
    assert panel("curves")({**NUMERIC, "log": True})["log"] is True
    assert panel("curves")({**CURVES, "x": [1, "b"]})["x"] == ["1", "b"]


@pytest.mark.parametrize(
    ("evidence", "message"),
    [
        ({**CURVES, "title": None}, "needs the text 'title'"),
        ({**CURVES, "x": None}, "needs the list 'x'"),
        ({**CURVES, "series": []}, "at least one item"),
        ({**CURVES, "series": [{"name": "s", "values": [1]}]}, "has 1 items in 'values', not 2"),
        ({**CURVES, "series": [{"name": "s", "values": [1, float("nan")]}]}, "not a finite number"),
        ({**CURVES, "series": [{"name": "s", "values": [1, 2], "low": [0, 1]}]}, "both 'low' and 'high'"),
        ({**CURVES, "log": True}, "names in 'x', which have no place on a logarithmic axis"),
        ({**NUMERIC, "x": [2, 2]}, "do not grow"),
        ({**NUMERIC, "x": [0, 2], "log": True}, "0 in 'x', which has no place on a logarithmic axis"),
        ({**NUMERIC, "x": [1, float("inf")]}, "'x'[1] is not a finite number"),
        ({**BARS, "bars": []}, "at least one item"),
        ({**BARS, "bars": [{"name": "s", "value": float("inf")}]}, "'s', 'value' is not a finite number"),
        ({**BARS, "log": True, "bars": [{"name": "s", "value": 0}]}, "no place on a logarithmic axis"),
        ({**TABLE, "rows": [["x"]]}, "has 1 cells, not 2"),
        ({**TABLE, "rows": [["x", float("nan")]]}, "not a finite number"),
        ({**TABLE, "align": ["left", "center"]}, "other than left and right"),
    ],
)
def test_panels_refuse_what_they_cannot_draw(evidence: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        panel(evidence["panel"])(evidence)


def report() -> dict:
    interval = {"value": 0.5, "low": 0.4, "high": 0.6}
    finding = {
        "claim": "c", "statement": "s", "quantity": "q", "unit": "fraction", "value": interval, "beyond": interval,
        "least": 0.1, "verdict": "supported", "summary": "", "means": "", "resampled": "", "reason": "",
        "controls": [{"name": "fresh", "what": "w", "value": interval}], "evidence": [CURVES],
    }  # fmt: skip
    network = dict.fromkeys(("name", "fingerprint", "input_shape", "n_classes", "n_layers", "parameters", "macs"), 1)
    images = dict.fromkeys(("source", "n", "fingerprint", "n_skipped", "skipped"), 1)
    exemplars = {
        "layer": "a",
        "n_units": 1,
        "sprite": "data:image/png;base64,AAAA",
        "cell_px": 1,
        "columns": 1,
        "rows": 1,
    }
    return {
        "schema": "convscope.report", "version": 1, "network": network, "images": images, "settings": {}, "made": "",
        "versions": {}, "findings": [finding], "layers": [], "exemplars": [{**exemplars, "units": []}],
    }  # fmt: skip


def test_a_report_is_cut_into_the_blocks_a_page_asks_for() -> None:
    found = blocks(report())
    assert list(found) == ["overview", "findings", "layers", "exemplars/0"]
    assert found["overview"]["exemplar_layers"] == ["a"]
    assert found["findings"][0]["evidence"][0]["panel"] == "curves"


def test_a_report_that_cannot_be_shown_is_refused_by_name() -> None:
    for change, message in (
        ({"schema": "other"}, "no report of schema"),
        ({"version": 2}, "no report of schema"),
        ({"network": {"name": "x"}}, "the report's network lacks: fingerprint"),
        ({"findings": [{"claim": "c"}]}, "the finding 'c' lacks: statement"),
        ({"findings": [{**report()["findings"][0], "verdict": "yes"}]}, "known: supported"),
        ({"findings": [{**report()["findings"][0], "value": 1}]}, "value needs 'value', 'low' and 'high'"),
        ({"findings": [{**report()["findings"][0], "evidence": [{}]}]}, "evidence needs 'panel'"),
        ({"findings": [{**report()["findings"][0], "evidence": [{**CURVES, "x": []}]}]}, "the finding 'c': 't'"),
        (
            {"findings": [{**report()["findings"][0], "least": float("nan")}]},
            "report.findings[0].least is not a finite",
        ),
        ({"layers": [{"name": "a"}]}, "layer 0 lacks: kind"),
        ({"exemplars": [{**report()["exemplars"][0], "sprite": "https://x"}]}, "no data address"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            blocks({**report(), **change})
    with pytest.raises(ValueError, match="lacks: findings"):
        blocks({key: at for key, at in report().items() if key != "findings"})
    with pytest.raises(UnknownNameError, match="Nearest: 'curves'"):
        blocks({**report(), "findings": [{**report()["findings"][0], "evidence": [{**CURVES, "panel": "curvs"}]}]})


def test_chapters_are_blocks_of_their_own() -> None:
    card = {**CARD, "evidence": [NUMERIC], "links": [LINK]}
    found = blocks({**report(), "chapters": [{**CHAPTER, "pages": [card]}]})
    assert list(found)[-2:] == ["chapter/0", "chapter/0/0"]
    assert found["overview"]["chapters"] == [{"key": "concepts", "title": "Concepts", "pages": ["wheel"]}]
    table = {"rows": [["sky", None], ["wheel", 0.2]], "leads": [None, "wheel"], "align": ["left", "right"]}
    assert {name: found["chapter/0"][name] for name in table} == table
    assert "pages" not in found["chapter/0"]
    assert found["chapter/0/0"]["evidence"][0]["series"][0]["control"] is False
    assert found["chapter/0/0"]["links"] == [LINK]
    assert blocks(report())["overview"]["chapters"] == []


def test_a_card_without_evidence_and_links_has_none() -> None:
    found = card_blocks([CARD])["card/0"]
    assert (found["evidence"], found["links"]) == ([], [])
    assert card_blocks([found])["card/0"] == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": None}, "needs the text 'words'"),
        ({"key": 'a"b'}, "small letters"),
        ({"columns": ["concept"]}, "the chapter 'concepts': row 0 of 'Concepts' has 2 cells, not 1"),
        ({"rows": [{"cells": []}]}, "row 0 lacks: page"),
        ({"rows": [{"page": "tree", "cells": ["tree", 1]}]}, "row 0 leads to the page 'tree', which is not there"),
        ({"rows": [{"page": None, "cells": ["a", float("nan")]}]}, "not a finite number"),
        ({"pages": [CARD, CARD]}, "the chapter 'concepts': the page 'wheel' is there twice"),
        ({"pages": [{"address": "wheel"}]}, "the chapter 'concepts', page 'wheel' lacks: layer"),
        ({"pages": [{**CARD, "evidence": [{**BARS, "bars": []}]}]}, "page 'wheel': 't' needs at least one item"),
        ({"pages": [{**CARD, "evidence": [{}]}]}, "evidence needs 'panel'"),
        ({"pages": [{**CARD, "links": [{**LINK, "view": "moon"}]}]}, "'there' leads to the view 'moon'; known: why"),
        ({"pages": [{**CARD, "links": [{**LINK, "to": {"card": 1}}]}]}, "'there' needs 'to'"),
        ({"pages": [{**CARD, "links": [{"words": "x"}]}]}, "a link lacks: view, to"),
    ],
)
def test_a_chapter_that_cannot_be_shown_is_refused_by_name(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        blocks({**report(), "chapters": [{**CHAPTER, "pages": [CARD], **change}]})


def test_chapters_are_told_apart() -> None:
    chapter = {**CHAPTER, "pages": [CARD]}
    for other, message in (({}, "key 'concepts' is there twice"), ({"key": "b"}, "title 'Concepts' is there twice")):
        with pytest.raises(ValueError, match=message):
            blocks({**report(), "chapters": [chapter, {**chapter, **other}]})


def test_json_cannot_leave_its_block() -> None:
    text = inert({"name": "</script><!-- \u2028 \udcff é"})
    assert "<" not in text
    assert text.isascii()
