"""Are unit cards shown, reached and refused as they should be?  In the report, and on a page of their own."""

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from example_cards import EXPAND, SQUEEZE, cards
from PIL import Image
from planted import planted_images, planted_network
from playwright.sync_api import Page, expect
from test_hostile_names import ODD, harm, hostile
from watching import NET, Watched, open_all, with_module

from convscope.page import cards_page, render
from convscope.see import see

Show = Callable[..., Watched]
SCHEMES = ("light", "dark")
NETWORK = {"name": "torchvision:squeezenet1_1", "fingerprint": "ab12cd34" * 8}


@pytest.fixture(scope="module")
def several() -> str:
    return cards_page(cards(), NETWORK)


def pictures_of(card: dict[str, Any]) -> list[dict[str, Any]]:
    """The pictures of a card in order, with the size that their section shows them at."""
    tiles = [(tile, section["tile_px"]) for section in card["sections"] for tile in section["tiles"]]
    return [{**picture, "px": px} for tile, px in tiles for picture in tile["pictures"]]


def loaded(page: Page) -> None:
    page.evaluate("Promise.all([...document.querySelectorAll('.card img')].map((one) => one.decode()))")


# What is shown.


def test_a_card_says_all_that_is_known_of_its_unit(show: Show, several: str) -> None:
    watched = show(several, f"#view=card&net={NET}&card={SQUEEZE}%3A13")
    page, card = watched.page, cards()[1]
    expect(page.locator(".card h3")).to_have_text(card["title"])
    expect(page.locator(".card .summary")).to_have_text(card["sentence"])
    for (name, text), fact in zip(card["facts"], page.locator(".card-facts > div").all(), strict=True):
        assert [fact.locator("dt").inner_text(), fact.locator("dd").inner_text()] == [name, text]
    for one, shown in zip(card["checks"], page.locator(".card-checks li").all(), strict=True):
        word = "with care" if one["outcome"] == "care" else one["outcome"]
        assert shown.locator("p").all_text_contents() == [f"{one['title']} {word}", one["words"]]
        expect(shown.locator(".outcome svg")).to_have_count(1)
    signs = page.locator(".card-checks .outcome path").evaluate_all("(all) => all.map((one) => one.getAttribute('d'))")
    assert len(set(signs)) == 4  # they differ without colour and without words
    expect(page.locator(".card-part > h4")).to_have_text(
        ["Checks of these pictures", *(one["title"] for one in card["sections"]), "Notes"]
    )
    for section, shown in zip(card["sections"], page.locator(".card-part:has(.tiles)").all(), strict=True):
        for tile, figure in zip(section["tiles"], shown.locator(".tile").all(), strict=True):
            assert figure.locator("img").count() == len(tile["pictures"])
            expect(figure.locator("figcaption")).to_contain_text(tile["caption"])
            expect(figure.locator(".outcome")).to_have_count(1 if tile["outcome"] else 0)
    open_all(page)
    for text in (*card["notes"], *card["repeat"], "imagenet1k_sample, 800 images"):
        expect(page.get_by_text(text)).to_be_visible()
    assert watched.faults() == []
    assert page.title() == "What do the units of torchvision:squeezenet1_1 look for?"


def test_the_pictures_shown_are_the_pictures(show: Show, several: str) -> None:
    page, card = show(several).page, cards()[0]
    loaded(page)
    read = """(all) => all.map((one) => {
        const pen = document.createElement("canvas").getContext("2d");
        pen.drawImage(one, 0, 0);
        const at = [one.naturalWidth >> 1, one.naturalHeight >> 1];
        return [one.naturalHeight, one.naturalWidth, ...pen.getImageData(...at, 1, 1).data.slice(0, 3)]; })"""
    for picture, found in zip(pictures_of(card), page.locator(".card img").evaluate_all(read), strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2]))))
        height, width = pixels.shape[:2]
        assert found == [height, width, *pixels[height >> 1, width >> 1].tolist()]


def test_pictures_keep_their_shape_and_small_ones_their_pixels(show: Show, several: str) -> None:
    page = show(several).page
    loaded(page)
    for picture, img in zip(pictures_of(cards()[0]), page.locator(".card img").all(), strict=True):
        box = img.bounding_box()
        assert box
        height, width = picture["size"]
        assert box["width"] / box["height"] == pytest.approx(width / height, rel=0.02)
        assert 0.75 * picture["px"] <= max(box["width"], box["height"]) <= picture["px"] + 1
        kept = img.evaluate("(one) => getComputedStyle(one).imageRendering") == "pixelated"
        assert kept == (2 * max(height, width) <= picture["px"])


def test_the_words_of_a_check_are_there_for_everyone(show: Show, several: str) -> None:
    page, card = show(several).page, cards()[0]
    tiles = card["sections"][1]["tiles"]
    words = page.locator(".card-part", has=page.get_by_role("heading", name="Exemplars")).locator(".tile-words li")
    expect(words.first).to_be_hidden()
    first = page.get_by_role("img", name=f"patch, {tiles[0]['caption']}")
    described = first.evaluate("(one) => document.getElementById(one.getAttribute('aria-describedby')).textContent")
    assert described.endswith(tiles[0]["words"])
    page.get_by_text("What the checks found, 9 pictures").click()
    for tile, shown in zip(tiles, words.all(), strict=True):
        expect(shown).to_have_text(f"{tile['caption']} {tile['words']}")
        expect(shown).to_be_visible()
    expect(page.get_by_text("From top to bottom: patch, deconvnet picture.")).to_be_visible()


def test_a_silent_unit_and_a_layer_have_cards_too(show: Show, several: str) -> None:
    watched = show(several, f"#view=card&net={NET}&card={EXPAND}%3A9")
    page = watched.page
    expect(page.locator(".card .summary")).to_have_text("This unit is silent on all 800 images.")
    expect(page.locator(".card :is(img, .card-checks)")).to_have_count(0)
    page.get_by_label("Card of layer").select_option("features.1")
    expect(page.locator(".card h3")).to_have_text("features.1: 64 units")
    expect(page.get_by_label("unit", exact=True)).to_have_value("features.1")
    expect(page.locator(".card img")).to_have_count(21)
    assert watched.faults() == []


def test_the_card_of_a_real_unit_is_shown(show: Show) -> None:
    sheet = see(planted_network(), "relu2:5", planted_images(12), n=3, n_steps=2)
    watched = show(sheet.html(), width=360)
    page = watched.page
    expect(page.locator(".card h3")).to_have_text(sheet.title)
    expect(page.locator(".card-checks li")).to_have_count(len(sheet.checks))
    assert page.locator(".card-part > p.axis-label").count() == len(sheet.sections) == 4
    expect(page.locator(".tile")).to_have_count(sum(len(section.tiles) for section in sheet.sections))
    loaded(page)
    open_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert watched.faults() == []


# How it is reached.


def test_cards_are_reached_from_exemplars_and_layers_and_lead_back(show: Show, html: str) -> None:
    watched = show(html, f"#view=exemplars&net={NET}&layer={SQUEEZE}")
    page = watched.page
    title = page.locator(".card h3")
    exemplars = page.locator("[data-place=exemplars]")
    exemplars.get_by_role("link", name="card of unit 0").click()
    expect(title).to_have_text(f"{SQUEEZE}, unit 0")
    expect(page.locator("#part-cards")).to_be_focused()
    expect(page.locator("#part-cards")).to_be_in_viewport()
    page.get_by_role("link", name="Exemplars of all units of this layer").click()
    expect(page.locator("#part-exemplars")).to_be_focused()
    expect(exemplars.locator("h3")).to_have_text(SQUEEZE)
    exemplars.get_by_role("link", name="13", exact=True).click()  # its patches are not among those shown
    expect(title).to_have_text(f"{SQUEEZE}, unit 13")
    page.locator("[data-place=layers]").get_by_role("link", name="card of 9").click()
    expect(title).to_have_text(f"{EXPAND}, unit 9")
    page.go_back()
    expect(title).to_have_text(f"{SQUEEZE}, unit 13")
    page.get_by_role("navigation").get_by_role("link", name="Unit cards").click()
    expect(title).to_have_text(f"{SQUEEZE}, unit 0")
    assert watched.faults() == []


def test_cards_are_chosen_by_layer_unit_step_and_table(show: Show, several: str) -> None:
    page = show(several).page
    title = page.locator(".card h3")
    expect(page.get_by_role("button", name="Previous card")).to_be_disabled()
    page.get_by_role("button", name="Next card").click()
    expect(title).to_have_text(f"{SQUEEZE}, unit 13")
    expect(page.get_by_role("button", name="Next card")).to_be_focused()
    page.get_by_label("unit", exact=True).select_option("0")
    expect(title).to_have_text(f"{SQUEEZE}, unit 0")
    assert page.url.endswith(f"#view=card&net={NET}&card=features.3.squeeze_activation%3A0")
    page.get_by_text("All 4 cards").click()
    row = page.locator("tbody tr", has_text="13")
    assert row.locator(".trust .sr").all_text_contents() == ["passes", "with care", "fails", "not run"]
    row.get_by_role("link").click()
    expect(title).to_have_text(f"{SQUEEZE}, unit 13")
    page.go_back()
    expect(title).to_have_text(f"{SQUEEZE}, unit 0")


def test_one_card_needs_no_chooser(show: Show) -> None:
    page = show(cards_page(cards()[1:2], NETWORK)).page
    assert page.title() == f"What does {SQUEEZE}:13 look for?"
    expect(page.locator(".card h3")).to_be_visible()
    expect(page.locator(".chooser")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"What does {SQUEEZE}:13 look for?")


def test_a_wrong_link_says_which_cards_there_are(show: Show, several: str, report: dict[str, Any]) -> None:
    page = show(several).page
    for wrong, said, near in (
        (f"#view=card&card={EXPAND}%3A8", f"No card of “{EXPAND}:8” is in this file.", f"{EXPAND}:9"),
        ("#view=layers", "This file has no view “layers”.", f"{SQUEEZE}:0"),
        ("#view=card&net=00000000", "is about the network 00000000", f"{SQUEEZE}:0"),
        ("#view=%zz", "cannot be read", f"{SQUEEZE}:0"),
    ):
        page.evaluate("(hash) => { location.hash = hash; }", wrong)
        expect(page.locator(".fault")).to_contain_text(said)
        expect(page.locator(".fault a").first).to_have_text(near)
    without = {key: at for key, at in report.items() if key != "cards"}
    page = show(render(without), f"#view=cards&net={NET}&card=").page
    expect(page.locator(".fault")).to_contain_text("This file has no view “cards”.")
    expect(page.get_by_role("heading", name="Unit cards")).to_have_count(0)
    expect(page.get_by_role("columnheader", name="unit cards")).to_have_count(0)


# It can be read everywhere, by everyone.


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_scrolls_sideways(show: Show, several: str, scheme: str) -> None:
    page = show(several, color_scheme=scheme).page
    for address in ("", f"#view=card&net={NET}&card=features.1"):
        page.evaluate("(hash) => { location.hash = hash; }", address)
        expect(page.locator(".card h3")).to_contain_text("64 units" if address else "unit 0")
        loaded(page)
        open_all(page)
        for width in (360, 768, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(show: Show, several: str, scheme: str) -> None:
    page = show(several, f"#view=card&net={NET}&card={SQUEEZE}%3A13", color_scheme=scheme, bypass_csp=True).page
    expect(page.locator(".card h3")).to_be_visible()
    open_all(page)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_axe_finds_a_planted_fault(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    with_module(monkeypatch, "cs/card", "alt=${alternative(one, tile)}", "")
    page = show(cards_page(cards()[:1], NETWORK), bypass_csp=True).page
    expect(page.locator(".card img").first).to_be_attached()
    assert "image-alt" in {one["id"] for one in Axe().run(page).response["violations"]}


def test_hostile_names_are_text(show: Show, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made = hostile(report)["cards"]
    network = {"name": made[0]["network"]["name"], "fingerprint": NETWORK["fingerprint"]}
    document = cards_page(made, network)
    watched = show(document, width=390)
    expect(watched.page.locator(".card h3")).to_be_visible()
    for at in range(len(made)):  # all names are seen on some card; what cannot be harmless is found on each
        if at:
            watched.page.get_by_role("button", name="Next card").click()
        expect(watched.page.locator(".chooser > span")).to_have_text(f"{at + 1} of {len(made)}")
        open_all(watched.page)
        assert not {"a script ran", "not ASCII", "overview holds a raw <"} & set(harm(watched, document))
        assert watched.page.locator(f"#page :is({ODD})").count() == 0
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert watched.faults() == []
    with_module(
        monkeypatch,
        "cs/names",
        '<bdi class="name">${',
        '<bdi class="name" dangerouslySetInnerHTML=${{ __html: of }}>${',
    )
    broken = show(cards_page(made, network))
    expect(broken.page.locator("#page img[onerror]").first).to_be_attached()  # the check can fail


def test_print_shows_the_card_with_the_words_of_its_checks(show: Show, several: str) -> None:
    page = show(several, color_scheme="dark").page
    loaded(page)
    page.emulate_media(media="print")
    for part in page.locator(".card :is(h3, h4, .summary, .card-checks li, .tile, .tile-words li)").all():
        expect(part).to_be_visible()
    expect(page.locator(".tools")).to_be_hidden()


def test_signs_and_words_stay_in_forced_colors(show: Show, several: str) -> None:
    page = show(several, forced_colors="active").page
    loaded(page)
    for outcome in page.locator(".card .outcome").all():
        expect(outcome.locator("svg")).to_be_visible()
        assert outcome.inner_text() in ("passes", "with care", "fails", "not run")


# What cannot be shown is refused.


def test_a_card_that_cannot_be_shown_is_refused_by_name() -> None:
    card = cards()[0]
    section = card["sections"][1]
    tile = section["tiles"][0]

    def with_tile(**changed: Any) -> dict[str, Any]:
        return {**card, "sections": [{**section, "tiles": [{**tile, **changed}]}]}

    picture = tile["pictures"][0]
    for broken, message in (
        ({key: at for key, at in card.items() if key != "sentence"}, f"the card of '{SQUEEZE}:0' lacks: sentence"),
        ({**card, "sections": [{"key": "maps"}]}, "section 'maps' lacks: title, words, tile_px, tiles"),
        (with_tile(outcome="perhaps"), "tile 0 has the outcome 'perhaps'; known: passes, care, fails, not run"),
        (with_tile(pictures=[{"role": "patch"}]), "tile 0 lacks: src, size"),
        (with_tile(pictures=[{**picture, "src": "https://x/y.png"}]), "'patch' is no data address"),
        (with_tile(pictures=[{**picture, "src": "data:image/svg+xml;base64,AAAA"}]), "'patch' is no data address"),
        ({**card, "checks": [{"title": "c", "outcome": "", "words": ""}]}, "check 'c' has the outcome ''"),
        ({**card, "facts": [["sees", float("nan")]]}, "facts[0][1] is not a finite number"),
    ):
        with pytest.raises(ValueError) as told:
            cards_page([broken], NETWORK)
        assert message in str(told.value)
    with pytest.raises(ValueError, match="is there twice"):
        cards_page([card, card], NETWORK)
    with pytest.raises(ValueError, match="the network lacks: fingerprint"):
        cards_page([card], {"name": "x"})
