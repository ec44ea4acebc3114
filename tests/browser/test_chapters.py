"""Are concepts, layers and classes shown in the report: all in a table, each on its page, reached and refused as they should be?"""

import io
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from example_cards import EXPAND, SQUEEZE
from example_chapters import LAYERS, NUMBERS, WHEEL, chapters, class_page, concept_page, short
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from test_hostile_names import ODD, hostile, shown
from watching import NET, Watched, open_all, with_module

from convscope.page import cards_page, render

Show = Callable[..., Watched]
SCHEMES = ("light", "dark")
NETWORK = {"name": "torchvision:squeezenet1_1", "fingerprint": "ab12cd34" * 8}


@pytest.fixture(scope="module")
def data(report: dict[str, Any]) -> dict[str, Any]:
    """The example with all chapters, but few findings and layers."""
    return {**report, "findings": report["findings"][6:7], "layers": report["layers"][:6], "chapters": chapters()}


@pytest.fixture(scope="module")
def full(data: dict[str, Any]) -> str:
    return render(data)


@pytest.fixture(scope="module")
def brief(data: dict[str, Any]) -> str:
    """Three rows and pages a chapter."""
    return render({**data, "chapters": list(short())})


def address(chapter: str, page: str = "") -> str:
    return f"#view=chapter&net={NET}&chapter={chapter}&page={quote(page, safe='')}"


def part(page: Page, chapter: str) -> Locator:
    return page.locator(f"[data-place='chapter/{chapter}']")


def names(page: Page, chapter: str) -> list[str]:
    return part(page, chapter).locator(".index tbody th").all_inner_texts()


# What is shown.


def test_every_chapter_has_its_words_and_its_table(show: Show, full: str) -> None:
    watched = show(full)
    page = watched.page
    for chapter in chapters():
        own = part(page, chapter["key"])
        expect(own.get_by_role("heading", level=2)).to_have_text(chapter["title"])
        expect(own.locator("p").first).to_have_text(chapter["words"])
        heads = own.locator(".index thead th .sorter").all_inner_texts()
        assert [head.removesuffix("↕") for head in heads] == chapter["columns"]
        assert names(page, chapter["key"]) == [shown(row["cells"][0]) for row in chapter["rows"]]
        expect(own.locator(".index tbody a")).to_have_count(len(chapter["pages"]))
        expect(own.get_by_text("Choose a name in the table")).to_be_visible()
    row = part(page, "concepts").locator(".index tbody tr")
    assert row.nth(0).locator("td").all_inner_texts() == ["800", "0.340", "0.408", "1", f"{SQUEEZE}:0"]
    assert row.nth(12).locator("td").all_inner_texts() == ["644", "–", "–", "–", "–"]
    second = part(page, "classes").locator(".index tbody tr").nth(1)
    assert second.locator("td").all_inner_texts() == ["0.962", "2", "no"]
    links = page.get_by_role("navigation").get_by_role("link").all_inner_texts()
    parts = "Findings, Concepts, Layers, Classes, Layer by layer, Exemplars, Unit cards, About"
    assert links == parts.split(", ")
    assert watched.faults() == []


def test_a_report_without_chapters_has_none(show: Show, small: str) -> None:
    watched = show(small, "#view=chapter")
    expect(watched.page.locator(".fault")).to_contain_text("This file has no view “chapter”.")
    expect(watched.page.locator(".index, .page")).to_have_count(0)
    expect(watched.page.get_by_role("heading", name="Layers", exact=True)).to_be_visible()
    assert watched.faults() == []


def test_a_page_shows_its_charts_tables_and_pictures(show: Show, brief: str) -> None:
    page = show(brief, address("concepts", WHEEL)).page
    card, made = part(page, "concepts").locator(".card"), concept_page(WHEEL, 0)
    expect(card.locator("h3")).to_have_text(WHEEL)
    expect(card.locator("header .summary")).to_have_text(made["sentence"])
    expect(card.locator(".panel > h4")).to_have_text([one["title"] for one in made["evidence"]])
    expect(card.locator(".card-part > h4")).to_have_text(["Checks", "Where", "Notes"])
    expect(card.locator(".tile img")).to_have_count(8)
    bars = card.locator(".panel").first
    for row, bar in zip(bars.locator(".rows > li").all(), made["evidence"][0]["bars"], strict=False):
        expect(row).to_contain_text(bar["name"])
        assert (row.locator("small", has_text="control").count() == 1) == bar.get("control", False)
    for one in made["evidence"]:
        if "words" in one:
            expect(card.get_by_text(one["words"])).to_be_visible()


def test_numbers_stand_at_their_logarithms_below_a_curve(
    show: Show, brief: str, monkeypatch: pytest.MonkeyPatch, data: dict[str, Any]
) -> None:
    page = show(brief, address("concepts", WHEEL)).page
    figure = page.locator("figure.panel", has_text="One unit or many")
    expect(figure.locator(".axis-label")).to_contain_text("overlap (IoU) by number of units, logarithmic axis")
    assert off_logarithms(figure) < 0.005
    assert figure.locator(".x-ticks text").all_text_contents() == [str(n) for n in NUMBERS]
    open_all(page)
    assert figure.locator("tbody th").all_inner_texts() == [str(n) for n in NUMBERS]
    slider = figure.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "number of units 1: read-out of so many units 0.340\u00a0IoU (0.310–0.370); "
                                     "best single unit 0.34\u00a0IoU; wrong labels 0.05\u00a0IoU")  # fmt: skip
    box = figure.locator("svg.plot").bounding_box()
    assert box
    figure.locator("svg.plot").hover(position={"x": 45 + (box["width"] - 59) * math.log(12) / math.log(64), "y": 60})
    expect(figure.locator(".readout .name")).to_have_text("12")
    with_module(monkeypatch, "cs/scale", "x.map(Math.log)", "x")
    broken = show(render({**data, "chapters": list(short())}), address("concepts", WHEEL)).page
    assert off_logarithms(broken.locator("figure.panel", has_text="One unit or many")) > 0.1


def off_logarithms(figure: Locator) -> float:
    """How far the points of the first line lie from where they should, as a part of the axis."""
    expect(figure).to_be_visible()
    xs = figure.locator("g:has(> [data-series='0']) circle.point").evaluate_all(
        "(all) => all.map((one) => one.cx.baseVal.value)"
    )
    along = [(x - xs[0]) / (xs[-1] - xs[0]) for x in xs]
    return max(abs(at - math.log(n) / math.log(64)) for at, n in zip(along, NUMBERS, strict=True))


# How it is found.


def test_a_table_is_searched_and_sorted(show: Show, full: str) -> None:
    page = show(full).page
    own = part(page, "concepts")
    box = page.get_by_label("Find in: Concepts")
    box.fill("thing COLOUR")
    expect(own.get_by_role("status").first).to_have_text("9 of 60 rows")
    assert all(name.startswith("colour: thing") for name in names(page, "concepts"))
    box.fill("<b>")
    expect(own.get_by_text("No row has “<b>”. Clear the box to see all 60.")).to_be_visible()
    box.fill("")
    expect(own.locator(".index tbody tr")).to_have_count(60)
    head = own.locator("thead th").nth(3)
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    together = own.locator(".index tbody tr").evaluate_all("(all) => all.map((row) => row.cells[3].innerText)")
    known = [float(text) for text in together if text != "–"]
    assert known == sorted(known, reverse=True)
    assert together[-4:] == ["–"] * 4  # where there is nothing comes last
    head.get_by_role("button").press("Enter")
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert (
        own.locator(".index tbody tr").evaluate_all("(all) => all.map((row) => row.cells[3].innerText)")[-4:]
        == ["–"] * 4
    )
    own.locator("thead button").first.click()
    expect(head).not_to_have_attribute("aria-sort", "ascending")
    sorted_names = names(page, "concepts")
    assert sorted_names.index("object: thing 4") < sorted_names.index("object: thing 10")  # by their numbers
    assert part(page, "classes").locator("[aria-sort]").count() == 0


def test_pages_are_chosen_by_table_step_and_list_and_back_returns(show: Show, full: str) -> None:
    watched = show(full)
    page = watched.page
    own = part(page, "concepts")
    title = own.locator(".card h3")
    page.get_by_label("Find in: Concepts").fill("thing 3")
    own.get_by_role("link", name="part: thing 3", exact=True).click()
    expect(title).to_have_text("part: thing 3")
    expect(title).to_be_in_viewport()
    expect(own.locator(".page")).to_be_focused()
    assert page.url.endswith(address("concepts", "part: thing 3"))
    expect(own.locator("tr[aria-current=true] th")).to_have_text("part: thing 3")
    own.get_by_role("button", name="Next page").click()
    expect(title).to_have_text("object: thing 4")
    expect(own.get_by_role("button", name="Next page")).to_be_focused()
    expect(own.locator(".chooser > span")).to_have_text("5 of 56")
    own.get_by_label("Page", exact=True).select_option(WHEEL)
    expect(title).to_have_text(WHEEL)
    expect(own.get_by_role("button", name="Previous page")).to_be_disabled()
    page.go_back()
    expect(title).to_have_text("object: thing 4")
    assert watched.faults() == []


def test_links_lead_where_they_say_and_others_are_left_out(show: Show, brief: str) -> None:
    watched = show(brief, address("concepts", WHEEL))
    page = watched.page
    links = part(page, "concepts").locator(".card-links a")
    said = [one["words"] for one in concept_page(WHEEL, 0)["links"]]
    expect(links).to_have_text(said[:4])  # the card and the chapter of the others are not in this file
    links.nth(0).click()
    expect(page.locator("[data-place=cards] .card h3")).to_have_text(f"{SQUEEZE}, unit 13")
    expect(page.locator("#part-cards")).to_be_focused()
    page.go_back()
    links.nth(1).click()
    expect(part(page, "layers").locator(".card h3")).to_have_text(f"{LAYERS[0]}: its concepts")
    expect(part(page, "layers").locator(".page")).to_be_focused()
    expect(part(page, "concepts").locator(".card")).to_have_count(0)
    page.go_back()
    links.nth(2).click()
    expect(page.locator("#part-exemplars")).to_be_focused()
    page.go_back()
    links.nth(3).click()
    expect(page.get_by_role("heading", name="One unit stands for one concept")).to_be_focused()
    page.get_by_role("navigation").get_by_role("link", name="Classes").click()
    expect(part(page, "classes").locator("h2")).to_be_focused()
    for href in page.locator("main a, nav a").evaluate_all("(all) => all.map((one) => one.getAttribute('href'))"):
        assert f"&net={NET}" in href
        assert "chapter" not in href or ("&chapter=" in href and "&page=" in href)
    assert watched.faults() == []


def test_cards_lead_to_pages_too(show: Show, data: dict[str, Any]) -> None:
    links = [{"words": "finds the wheel", "view": "chapter", "to": {"chapter": "concepts", "page": WHEEL}}]
    cards = [{**card, "links": links} for card in data["cards"]]
    page = show(render({**data, "cards": cards, "chapters": list(short())}), f"#view=cards&net={NET}&card=").page
    page.locator("[data-place=cards]").get_by_role("link", name="finds the wheel").click()
    expect(part(page, "concepts").locator(".card h3")).to_have_text(WHEEL)
    expect(part(page, "concepts").locator(".card")).to_be_in_viewport()


@pytest.mark.parametrize(
    ("hash", "says", "offers"),
    [
        (address("concept"), "This file has no chapter “concept”.", "concepts"),
        (address("concepts", "object: wheels"), "There is no page “object: wheels” under “Concepts”.", WHEEL),
        (address("concepts", "<img src=x>"), "no page “<img src=x>”", WHEEL),
        (f"#view=chapters&net={NET}", "This file has no view “chapters”.", "chapter"),
    ],
)
def test_a_wrong_link_names_the_nearest(show: Show, brief: str, hash: str, says: str, offers: str) -> None:
    page = show(brief, hash).page
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(says)
    alert.get_by_role("link", name=offers, exact=True).click()
    expect(alert).to_have_count(0)


def test_pages_are_read_when_they_are_shown(show: Show, brief: str) -> None:
    page = show(brief, address("classes")).page
    block = "document.querySelector('[data-block=\"chapter/2/1\"]')"
    assert page.evaluate(f"{block}.textContent.length") > 100
    broken = brief.replace('data-block="chapter/2/1">{', 'data-block="chapter/2/1">{{')
    watched = show(broken, address("classes", class_page("x", 0)["title"]))
    expect(watched.page.locator(".fault")).to_be_visible()  # a wrong link, and nothing else is wrong
    part(watched.page, "classes").get_by_role("link").nth(1).click()
    expect(part(watched.page, "classes").locator(".page .notice")).to_contain_text("JSON")
    part(watched.page, "classes").get_by_role("link").nth(2).click()
    expect(part(watched.page, "classes").locator(".card h3")).to_have_text("class 2, or by another name thing number 4")
    expect(part(watched.page, "classes").locator(".page .notice")).to_have_count(0)


# A page of cards alone.


def test_what_is_of_no_layer_has_a_card_on_a_page_of_cards(show: Show) -> None:
    watched = show(cards_page([concept_page(WHEEL, 0), class_page("class 7", 7)], NETWORK))
    page = watched.page
    assert page.title() == "What was found in torchvision:squeezenet1_1?"
    expect(page.locator(".card h3")).to_have_text(WHEEL)
    expect(page.locator(".card-links")).to_have_count(0)  # they lead into a report
    page.get_by_label("Card of", exact=True).select_option("class 7")
    expect(page.locator(".card h3")).to_have_text("class 7")
    page.get_by_text("All 2 cards").click()
    page.get_by_role("link", name=WHEEL).click()
    expect(page.locator(".card h3")).to_have_text(WHEEL)
    assert watched.faults() == []
    alone = show(cards_page([concept_page(WHEEL, 0)], NETWORK)).page
    expect(alone.get_by_role("heading", level=1)).to_have_text(f"What is {WHEEL} to torchvision:squeezenet1_1?")
    assert alone.title() == f"What is {WHEEL} to torchvision:squeezenet1_1?"


# It can be read everywhere, by everyone.


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_scrolls_sideways(show: Show, full: str, scheme: str) -> None:
    long = next(name for name in (page["address"] for page in chapters()[0]["pages"]) if len(name) > 80)
    page = show(full, address("concepts", long), color_scheme=scheme).page
    expect(part(page, "concepts").locator(".card h3")).to_be_visible()
    open_all(page)
    for width in (360, 390, 768, 1100, 1400):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for plot in part(page, "concepts").locator(".card .row-plot").all():
            box = plot.bounding_box()
            assert box
            assert box["width"] > 100  # bars can be told apart


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(show: Show, brief: str, scheme: str) -> None:
    page = show(brief, address("concepts", WHEEL), color_scheme=scheme, bypass_csp=True).page
    expect(part(page, "concepts").locator(".card h3")).to_be_visible()
    part(page, "concepts").locator("thead button").first.click()
    open_all(page)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_the_keyboard_leads_from_the_table_to_the_page(show: Show, brief: str) -> None:
    page = show(brief, address("concepts")).page
    page.get_by_label("Find in: Concepts").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("region", name="All of: Concepts")).to_be_focused()
    for _ in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    expect(part(page, "concepts").locator("[aria-sort=ascending] button")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    own = part(page, "concepts").locator(".page")
    expect(own).to_be_focused()
    page.keyboard.press("Tab")
    expect(own.get_by_label("Page", exact=True)).to_be_focused()


def test_the_chosen_row_and_the_order_are_not_told_by_colour(show: Show, brief: str) -> None:
    page = show(brief, address("concepts", WHEEL), forced_colors="active").page
    row = part(page, "concepts").locator("tr[aria-current=true] th")
    assert int(row.evaluate("(one) => getComputedStyle(one).fontWeight")) > 600
    part(page, "concepts").locator("thead button").first.click()
    expect(part(page, "concepts").locator("thead .arrow").first).to_have_text("▲")


def test_print_shows_the_tables_and_the_chosen_page(show: Show, brief: str) -> None:
    page = show(brief, address("concepts", WHEEL), color_scheme="dark").page
    expect(part(page, "concepts").locator(".card h3")).to_be_visible()
    page.emulate_media(media="print")
    for one in part(page, "concepts").locator(".index td, .card h3, .card .panel h4, .card .row-number").all():
        expect(one).to_be_visible()
    expect(part(page, "classes").get_by_text("Choose a name")).to_be_hidden()
    for control in (".tools", ".sorter .arrow"):
        expect(part(page, "concepts").locator(control).first).to_be_hidden()


def test_hostile_names_are_text(show: Show, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made = hostile({**data, "chapters": list(short())})
    for i, chapter in enumerate(made["chapters"]):
        chapter.update(key=f"c{i}", title=f"{chapter['title']} {i}")
        for j, (row, page) in enumerate(zip(chapter["rows"], chapter["pages"], strict=True)):
            page["address"] = row["page"] = f"{page['address']} {j}"
            row["cells"][0] = page["address"]
        chapter["columns"] = [f"{chapter['title']} {k}" for k in range(len(chapter["columns"]))]
    document = render(made)
    assert "<" not in document.split('data-block="chapter/0">')[1].split("</script>")[0]
    watched = show(document, width=390)
    page = watched.page
    for i in range(3):
        for j in range(3):
            part(page, f"c{i}").locator(".index a").nth(j).click()
            expect(part(page, f"c{i}").locator(".chooser > span")).to_have_text(f"{j + 1} of 3")
            expect(part(page, f"c{i}").locator(".card h3")).to_be_visible()
            open_all(page)
            assert page.locator(f"#page :is({ODD})").count() == 0
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not page.evaluate("'pwned' in globalThis")
    assert watched.faults() == []
    with_module(
        monkeypatch,
        "cs/names",
        '<bdi class="name">${',
        '<bdi class="name" dangerouslySetInnerHTML=${{ __html: of }}>${',
    )
    broken = show(render(made))
    expect(broken.page.locator("#page img[onerror]").first).to_be_attached()  # the check can fail


def test_names_from_right_to_left_keep_to_themselves(show: Show, full: str) -> None:
    page = show(full).page
    name = part(page, "concepts").locator(".index th", has_text="\u05d2\u05dc").locator("bdi")
    expect(name).to_have_text("object: \u05d2\u05dc\u05d2\u05dc")
    expect(part(page, "concepts").locator("option", has_text="\u05d2\u05dc")).to_have_count(1)


def test_the_table_of_layers_shows_that_it_goes_on(show: Show, html: str) -> None:
    """What a table hides at its right is reached inside its box, which has a shadow as long as there is more."""
    page = show(html, f"#view=layers&net={NET}", width=1100).page
    region = page.get_by_role("region", name="Layers of the network")
    hidden = region.evaluate("(one) => one.scrollWidth - one.clientWidth")
    assert 0 < hidden < 120
    assert region.evaluate("(one) => getComputedStyle(one).overflowX") == "auto"

    def darkness() -> int:
        box = region.bounding_box()
        assert box
        return edge_darkness(page, box["x"] + box["width"] - 3, box["y"] + 150)

    before = darkness()
    region.evaluate("(one) => { one.scrollLeft = 9999; }")
    expect(region.get_by_text("features.0", exact=True).last).to_be_in_viewport()
    assert before > darkness() + 20
    page.set_viewport_size({"width": 1400, "height": 800})
    assert region.evaluate("(one) => one.scrollWidth - one.clientWidth") == 0


def edge_darkness(page: Page, x: float, y: float) -> int:
    """How dark the page is on average in a strip of 2 by 200 pixels, 0 to 255."""
    taken = page.screenshot(clip={"x": x, "y": y, "width": 2, "height": 200})
    return round(255 - float(np.asarray(Image.open(io.BytesIO(taken)).convert("L")).mean()))


def test_the_unit_page_still_has_its_layer(show: Show, brief: str) -> None:
    page = show(brief, f"#view=cards&net={NET}&card={EXPAND}%3A9").page
    expect(page.locator("[data-place=cards] .card h3")).to_have_text(f"{EXPAND}, unit 9")
    expect(page.get_by_label("Card of layer")).to_have_value(EXPAND)
