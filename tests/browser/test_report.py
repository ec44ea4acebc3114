"""Does a saved report work in a real browser?  Alone, at every width, by keyboard, in print."""

import base64
import io
import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from example_report import CELL_PX, COLUMNS
from PIL import Image
from playwright.sync_api import Page, expect
from watching import NET, Watched, open_all, with_module

from convscope.page import render
from convscope.page.modules import modules

Show = Callable[..., Watched]
SCHEMES = ("light", "dark")


# It needs nothing but itself.


def test_it_opens_from_a_file_without_a_request_or_a_fault(show: Show, html: str) -> None:
    watched = show(html)
    page = watched.page
    assert page.title() == "Why does torchvision:squeezenet1_1 work?"
    open_all(page)
    for hash in ("layers", "exemplars", "about", "why"):
        page.evaluate("(hash) => { location.hash = hash; }", f"#view={hash}&net={NET}")
        expect(page.locator(f"#part-{hash}")).to_be_focused()
    page.locator("canvas").first.wait_for()
    assert watched.faults() == []
    assert [url for url in watched.requests if url.startswith("file:")] == [page.url.split("#")[0]]


def test_a_request_and_a_fault_are_noticed(show: Show, html: str) -> None:
    leaking = html.replace("</body>", '<img src="https://example.org/x.png"><script>console.error("x")</script></body>')
    faults = show(leaking).faults()
    assert any("img-src" in fault for fault in faults)
    assert "x" in faults


def test_the_file_holds_no_address_but_the_names_of_formats(html: str) -> None:
    outside, imports = html.split('<script type="importmap">')
    assert "http://" not in outside + imports
    assert "https://" not in outside + imports
    for name, source in modules().items():
        addresses = set(re.findall(r"https?://[^\s\"'`]*", source))
        assert all(address.startswith("http://www.w3.org/") for address in addresses), name
        assert not addresses or name == "preact"


def test_without_scripts_or_import_maps_a_sentence_says_what_is_needed(show: Show, html: str) -> None:
    watched = show(html, drawn="noscript p", java_script_enabled=False)
    expect(watched.page.locator("noscript p")).to_contain_text("needs JavaScript")
    old = html.replace("<head>", "<head><script>HTMLScriptElement.supports = undefined;</script>").replace(
        '<script type="module">', '<script type="text/plain">'
    )
    expect(show(old, drawn="#page").page.get_by_text("no import maps")).to_be_visible()


# It can be read at every width, in light and dark, by everyone.


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_scrolls_sideways(show: Show, html: str, scheme: str) -> None:
    page = show(html, color_scheme=scheme).page
    open_all(page)
    page.locator("canvas").first.wait_for()
    for width in (360, 390, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert too_wide(page) == []
    page.locator("h2").first.evaluate("(one) => { one.style.width = '1400px'; }")
    assert "H2." in too_wide(page)  # the check can fail


def too_wide(page: Page) -> list[str]:
    """Elements that reach beyond the page, other than inside a region that scrolls by itself."""
    return page.evaluate(
        """() => [...document.querySelectorAll("#page *")].filter((one) => !one.closest(".region, .sr, svg")
            && (one.getBoundingClientRect().right > innerWidth + 1 || one.getBoundingClientRect().left < -1))
            .map((one) => `${one.tagName}.${one.className}`)"""
    )


def test_the_container_decides_the_layout_not_the_window(show: Show, small: str) -> None:
    page = show(small, width=1500).page
    parts = "[...document.querySelectorAll('#page :is(li, p, h1, h3, figure, .lines, .region)')]"
    columns = {}
    for width in (360, 640, 1400):
        page.evaluate("(width) => { document.getElementById('page').style.width = `${width}px`; }", width)
        reach = page.evaluate(f"Math.max(...{parts}.map((one) => one.getBoundingClientRect().right))")
        assert reach <= width + 1
        style = "getComputedStyle(document.querySelector('.sheet > li')).gridTemplateColumns"
        columns[width] = len(page.evaluate(style).split())
    assert columns == {360: 1, 640: 1, 1400: 3}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(show: Show, small: str, scheme: str) -> None:
    page = show(small, color_scheme=scheme, bypass_csp=True).page
    open_all(page)
    page.locator("canvas").first.wait_for()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_axe_finds_a_planted_fault(
    show: Show, html: str, monkeypatch: pytest.MonkeyPatch, report: dict[str, Any]
) -> None:
    with_module(monkeypatch, "cs/exemplars", '<label for="choose-layer">', "<label>")
    page = show(render({**report, "findings": [], "layers": []}), bypass_csp=True).page
    assert {one["id"] for one in Axe().run(page).response["violations"]} == {"select-name"}


def test_headings_are_in_order_and_landmarks_are_there(shared: Watched) -> None:
    page = shared.page
    levels = page.locator("h1, h2, h3, h4").evaluate_all("(all) => all.map((one) => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    for landmark in ("banner", "main", "navigation", "contentinfo"):
        expect(page.get_by_role(landmark)).to_have_count(1)


def test_the_keyboard_reaches_everything_and_focus_is_seen(show: Show, html: str, report: dict[str, Any]) -> None:
    page = show(html).page
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the findings")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    first = page.locator(".sheet a").first
    expect(first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=report["findings"][0]["statement"])).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("slider").first).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".readout .name").first).to_have_text("flatten#1")
    reached = set()
    for _ in range(150):
        where, is_seen = page.evaluate(
            "() => { const one = document.activeElement, style = getComputedStyle(one);"
            " return [one.id || one.tagName, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2]; }"
        )
        if where == "BODY":
            break
        assert is_seen, where
        reached.add(where)
        page.keyboard.press("Tab")
    assert {"find-layer", "choose-layer", "BUTTON", "SUMMARY", "DIV", "A"} <= reached
    assert where == "BODY"


# It says what was measured.


def test_the_sheet_has_every_claim_with_its_numbers_and_verdict(shared: Watched, report: dict[str, Any]) -> None:
    page = shared.page
    rows = page.locator(".sheet > li")
    expect(rows).to_have_count(len(report["findings"]))
    for row, finding in zip(rows.all_inner_texts(), report["findings"], strict=True):
        assert finding["statement"] in row
        assert finding["verdict"] in row
        assert all(control["name"] in row for control in finding["controls"])
    texts = rows.all_inner_texts()
    for expected, at in (("61.1\u00a0% (57.8–64.4)", 0), ("0.93 (0.91–0.95)", 1), ("412\u00a0×", 2), ("0.00", 15)):
        assert expected in texts[at]
    tally = [" ".join(text.split()) for text in page.locator(".tally li").all_inner_texts()]
    assert tally == ["6 supported", "6 not supported", "6 undecided"]
    marks = rows.first.locator(".strip svg").first
    assert marks.locator("svg.mark").count() == 3


def test_verdicts_are_equally_large_and_differ_without_color(shared: Watched) -> None:
    page = shared.page
    seen = page.locator(".tally li").evaluate_all(
        "(all) => all.map((one) => [getComputedStyle(one).fontSize, getComputedStyle(one).fontWeight, one.clientHeight,"
        " one.querySelector('path').getAttribute('d')])"
    )
    assert len({tuple(one[:3]) for one in seen}) == 1
    assert len({one[3] for one in seen}) == 3


def test_the_layer_table_can_be_searched(shared: Watched) -> None:
    page = shared.page
    page.get_by_label("Find layers").fill("expand3x3 relu")
    expect(page.get_by_text("8 of 66 layers")).to_be_visible()
    expect(page.locator(".region.tall tbody tr")).to_have_count(8)
    page.get_by_label("Find layers").fill("<b>")
    expect(page.get_by_text("No layer has “<b>” in its name or kind.")).to_be_visible()
    page.get_by_label("Find layers").fill("")


# Exemplars.


def sprite_pixels(report: dict[str, Any], at: int) -> np.ndarray:
    held = base64.b64decode(report["exemplars"][at]["sprite"].split(",")[1])
    return np.asarray(Image.open(io.BytesIO(held)).convert("RGB")).astype(int)


def shown_pixels(page: Page, canvas: int) -> np.ndarray:
    """The middle pixel of each patch of a unit."""
    expect(page.locator("canvas").nth(canvas)).to_be_visible()
    read = """([nth, cell, columns]) => {
        const pen = document.querySelectorAll("canvas")[nth].getContext("2d");
        return Array.from({length: columns}, (_, i) =>
            [...pen.getImageData(i * (cell + 4) + cell / 2, cell / 2, 1, 1).data].slice(0, 3)); }"""
    for _ in range(200):  # until the picture is decoded
        pixels = np.array(page.evaluate(read, [canvas, CELL_PX, COLUMNS]))
        if pixels.any():
            break
    return pixels


def test_a_unit_shows_its_own_row_of_the_sprite(show: Show, small: str, report: dict[str, Any]) -> None:
    page = show(small, f"#view=exemplars&net={NET}&layer={report['exemplars'][1]['layer']}").page
    expect(page.get_by_role("heading", name="features.3.squeeze_activation", exact=True)).to_be_visible()
    sprite = sprite_pixels(report, 1)
    for canvas, row in ((0, 0), (2, 2), (3, 4)):  # the unit of row 3 is silent and has no canvas
        middle = sprite[row * CELL_PX + CELL_PX // 2, CELL_PX // 2 :: CELL_PX]
        other = sprite[(row + 1) * CELL_PX + CELL_PX // 2, CELL_PX // 2 :: CELL_PX]
        assert np.abs(shown_pixels(page, canvas) - middle).max() <= 8
        assert np.abs(shown_pixels(page, canvas) - other).max() > 8  # the check can fail
    expect(page.get_by_text("silent on all 800 images")).to_have_count(1)
    expect(page.get_by_role("img", name=re.compile("^Unit 0: the 5 patches .* scene_0100.png 9.30"))).to_be_visible()


def test_layers_are_chosen_by_list_and_by_step_and_back_returns(show: Show, small: str) -> None:
    page = show(small).page
    title = page.locator("[data-place=exemplars] h3")
    page.get_by_label("Layer", exact=True).select_option("flatten#1")
    expect(title).to_have_text("flatten#1")
    assert page.url.endswith(f"#view=exemplars&net={NET}&layer=flatten%231")
    page.get_by_role("button", name="Previous", exact=True).click()
    expect(title).to_have_text("features.7.expand3x3_activation")
    page.go_back()
    expect(title).to_have_text("flatten#1")
    expect(page.get_by_role("button", name="Next", exact=True)).to_be_disabled()


# Print.


def test_print_shows_every_claim_opened_and_without_controls(show: Show, small: str, report: dict[str, Any]) -> None:
    page = show(small, f"#view=exemplars&net={NET}&layer=flatten%231", color_scheme="dark").page
    page.emulate_media(media="print")
    shown = page.locator(".claim h3").all()
    assert len(shown) == 5
    for part in [*shown, *page.locator(".claim .summary, .claim .lines .line").all()]:
        expect(part).to_be_visible()
    expect(page.get_by_text("n02123045_7.JPEG: not an image")).to_be_visible()
    expect(page.get_by_role("heading", name="flatten#1")).to_be_visible()
    expect(page.locator("[data-place=exemplars] h3")).to_have_count(1)
    for control in ("nav", ".tools", ".lines input", ".back"):
        expect(page.locator(control).first).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.getElementById('page')).backgroundColor") == "rgb(253, 253, 252)"


def test_a_study_without_findings_and_exemplars_says_so(show: Show, report: dict[str, Any]) -> None:
    watched = show(render({**report, "findings": [], "exemplars": []}))
    expect(watched.page.get_by_text("No claim was measured")).to_be_visible()
    expect(watched.page.get_by_text("No exemplars were kept")).to_be_visible()
    assert watched.faults() == []


def test_evidence_that_cannot_be_drawn_leaves_a_sentence(
    show: Show, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_module(monkeypatch, "cs/panels/table", "const { title", 'throw new Error("broken");\n  const { title')
    page = show(render(report)).page
    expect(page.get_by_text("“Classes and their units” could not be drawn: broken.")).to_be_visible()
    expect(page.locator(".claim")).to_have_count(18)


def test_numbers_are_written_alike_everywhere(shared: Watched) -> None:
    written = shared.page.evaluate(
        """async () => {
        const { aligned, measured, number, quantity, short, sizes, tick } = await import("cs/format");
        const of = (value, low, high) => ({ value, low, high });
        return [
            quantity(0.611, "fraction"), quantity(1, "fraction"), quantity(0.0003, "fraction"), quantity(6.6, "ratio"),
            quantity(-0.126, "correlation"), quantity(-0.001, "index"), quantity(3.14159, "ms"), quantity(null, "ms"),
            number(0), number(1234567), number(0.00012), number(9999), number(12.345), number(-2),
            short(999), short(23296), short(1235496), short(349e6), short(1.5e9), short(2.4e12), aligned(9), aligned(0.8),
            measured(of(0.611, 0.577, 0.644), "fraction"), measured(of(0.5, 0.5, 0.5), "fraction"),
            measured(of(-0.2, -0.31, -0.1), "correlation"), measured(of(1.35, 0.762, 1.938), "ratio"),
            measured(of(412, 350, 480), "ratio"), measured(of(7, null, null), ""),
            tick(0.2, "fraction", 0.2), tick(0.5, "index", 0.5), tick(-20, "ms", 20), sizes([64, 56, 56]), sizes([]),
        ];
    }"""
    )
    expected = (
        "61.1 %|100 %|0.03 %|6.6 ×|−0.13|0.00|3.14 ms|–|0|1.23 M|1.2 × 10⁻⁴|9,999|12.3|−2|999|23.3 k|1.24 M|349 M|1.5 G|2.4 T|"
        "9.00|0.800|61.1 % (57.7–64.4)|50.0 %|−0.20 (−0.31 to −0.10)|1.35 × (0.76–1.94)|412 × (350–480)|7|20 %|0.5|−20|"
        "64 × 56 × 56|–"
    )
    assert [text.replace("\u00a0", " ") for text in written] == expected.split("|")


def test_mount_can_be_undone(shared: Watched) -> None:
    left = shared.page.evaluate(
        """async () => {
        const { mount } = await import("cs/page");
        const second = document.body.appendChild(document.createElement("div"));
        const undo = mount(second, { kind: "file", document });
        const [before] = [second.childNodes.length, undo()];
        const after = second.childNodes.length;
        second.remove();
        return [before, after];
    }"""
    )
    assert left == [1, 0]
    said = shared.page.evaluate(
        """async () => {
        const { source } = await import("cs/source");
        const codes = [];
        try { source({ kind: "fax" }); } catch (error) { codes.push(error.code); }
        await source({ kind: "file", document }).exemplars("nothing").catch((error) => codes.push(error.code));
        return codes;
    }"""
    )
    assert said == ["unknown_host", "not_in_file"]
