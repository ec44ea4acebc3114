"""Does the page of answers work in a real browser?  Alone, at every width, by keyboard, with names that mean harm."""

import base64
import io
import itertools
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from planted import planted_images, planted_network
from planted_answers import Corner, Refusing, Told, result
from playwright.sync_api import Page, expect
from watching import Watched, open_all, with_module

import convscope as cs
from convscope.answer.answers import Answers
from convscope.answer.colors import scale_of
from convscope.answer.page import blocks, page
from convscope.instruments.attribution.checks import Outcome

Show = Callable[..., Watched]
SCHEMES = ("light", "dark")
HOSTILE = (
    "<script>pwned = 1</script>",
    '"><img src=x onerror="pwned = 1">',
    "</script><script>pwned = 1</script><!--",
    "a'b\"c`${pwned = 1}`&lt;&amp;",
    "line\nbreak\x00\x1b[31m",
    "\u202egnp.exe\u2066",
    "x" * 300,
)


def told() -> Told:
    return Told(
        {
            "Corner": (
                result("class_dependence", Outcome.PASSES),
                result("faithfulness", Outcome.FAILS),
                result("localisation", Outcome.NOT_RUN, value=None),
            ),
            "Gradient": (result("faithfulness", Outcome.FAILS, decides=False), result("repeatability", Outcome.PASSES)),
        }
    )


@pytest.fixture(scope="module")
def answers() -> Iterator[Answers]:
    """Three images, four methods: one passes its checks, one is to be read with care, one failed, one was refused."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("convscope.answer.one.check_all", told())
        methods = [Corner(), "input_x_gradient", "gradient", Refusing()]
        yield cs.explain(planted_network(), planted_images(3), methods, target="red")


@pytest.fixture(scope="module")
def html(answers: Answers) -> str:
    return page(answers)


ONE = "#view=explain&image=00001&method=Corner"


def test_it_opens_from_a_file_without_a_request_or_a_fault(show: Show, html: str) -> None:
    watched = show(html)
    page = watched.page
    assert page.title() == "Why does Planted say that?"
    expect(page.locator(".explanation")).to_have_count(4)  # the image and three maps
    open_all(page)
    for view in ("images", "about", "explain"):
        page.evaluate("(view) => { location.hash = `view=${view}`; }", view)
        expect(page.locator(f"#part-{view}")).to_be_focused()
    assert watched.faults() == []
    assert [url for url in watched.requests if url.startswith("file:")] == [page.url.split("#")[0]]


def test_it_says_what_the_answers_say(show: Show, html: str, answers: Answers) -> None:
    page = show(html).page
    answer = answers[0]
    expect(page.locator(".summary")).to_have_text(answer.prediction.sentence)
    expect(page.get_by_text("Explained here: red")).to_be_visible()
    for one, part in zip(answer.explanations, page.locator(".explanation").all()[1:], strict=True):
        expect(part.locator("header h4")).to_have_text(one.title)
        expect(part.locator(".said > p").first).to_have_text(one.sentence)
        expect(part.locator(".checks li")).to_have_count(len(one.checks))
    badges = page.locator(".explanation .verdict")
    assert badges.all_text_contents() == ["not to be relied on", "passes its checks", "to be read with care"]
    expect(page.locator(".reason-on-map")).to_have_text("Not to be relied on: it says the same for every class.")
    expect(page.get_by_text("Refusing gave no map. It has no sound rule for conv2d")).to_be_visible()
    assert page.locator(".tally li").all_text_contents() == [
        "passes its checks3 pass their checks",
        "to be read with care3 to be read with care",
        "not to be relied on3 not to be relied on",
    ]


def test_the_maps_drawn_are_the_maps(show: Show, html: str, answers: Answers) -> None:
    """The picture in the page, decoded, has the colour of each score; the browser draws it over the image."""
    shown = blocks(answers)["answer/0"]
    for one, block in zip(answers[0].explanations, shown["explanations"], strict=True):
        picture = Image.open(io.BytesIO(base64.b64decode(block["overlay"].partition(",")[2]))).convert("RGBA")
        scale = scale_of(one)
        np.testing.assert_array_equal(np.asarray(picture), scale.palette[scale.levels(one.scores)])
    page = show(html).page
    loaded = (
        "() => [...document.querySelectorAll('.stack img')].every((one) => one.complete && one.naturalWidth === 34)"
    )
    assert page.evaluate(loaded)
    boxes = (
        page.locator(".stack")
        .first.locator("img")
        .evaluate_all(
            "(all) => all.map((one) => { const b = one.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })"
        )
    )
    assert boxes[0] == boxes[1]  # the map lies exactly on the image


def test_images_and_maps_are_chosen_and_back_returns(show: Show, html: str) -> None:
    page = show(html).page
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".answer-head h3")).to_have_text("00001")
    page.get_by_label("Show").select_option("gradient")
    expect(page.locator(".explanation")).to_have_count(1)
    expect(page.locator(".checks.full li")).to_have_count(2)
    expect(page.locator(".panel h4")).to_have_text(["Curves of Faithfulness", "Curves of Repeatability"])
    assert re.search(r"#view=explain&net=\w{8}&image=00001&method=gradient$", page.url)
    page.get_by_label("Image", exact=True).select_option("00002")
    expect(page.locator(".answer-head h3")).to_have_text("00002")
    expect(page.locator(".explanation > header h4")).to_have_text("Gradient")
    page.go_back()
    page.go_back()
    expect(page.locator(".explanation")).to_have_count(4)
    page.get_by_role("link", name="00002").click()
    expect(page.locator(".answer-head h3")).to_have_text("00002")
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.get_by_role("link", name="Its checks and numbers of Corner").click()
    expect(page.locator(".explanation > header h4")).to_have_text("Corner")
    page.get_by_role("link", name="All maps, side by side of Corner").click()
    expect(page.locator(".explanation")).to_have_count(4)


def test_the_map_is_faded_by_keyboard(show: Show, html: str) -> None:
    page = show(html).page
    slider = page.get_by_label("Map over image")
    strength = "getComputedStyle(document.querySelector('.stack .map')).opacity"
    before = float(page.evaluate(strength))
    slider.focus()
    page.keyboard.press("Home")
    assert float(page.evaluate(strength)) == 0 < before
    assert slider.get_attribute("aria-valuetext") == "0 percent of the map"
    page.keyboard.press("End")
    assert float(page.evaluate(strength)) == 1


def test_a_link_opens_where_it_points_and_a_wrong_one_says_what_there_is(show: Show, html: str) -> None:
    page = show(html, ONE).page
    expect(page.locator(".answer-head h3")).to_have_text("00001")
    expect(page.locator(".explanation > header h4")).to_have_text("Corner")
    for wrong, said, near in (
        ("#view=explain&image=0001", "The image “0001” is not in this file.", "00001"),
        ("#view=explain&image=00001&method=gradiant", "The method “gradiant” was not asked for here.", "gradient"),
        ("#view=claims", "This file has no view “claims”.", "images"),
        ("#view=explain&net=00000000", "is about the network 00000000", "explain"),
        ("#view=%zz", "cannot be read", "explain"),
    ):
        page.evaluate("(hash) => { location.hash = hash; }", wrong)
        expect(page.locator(".fault")).to_contain_text(said)
        expect(page.locator(".fault a").first).to_have_text(near if near != "images" else re.compile("."))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_scrolls_sideways(show: Show, html: str, scheme: str) -> None:
    for hash in ("", ONE):
        page = show(html, hash, color_scheme=scheme).page
        expect(page.locator(".explanation").first).to_be_visible()
        open_all(page)
        for width in (360, 390, 768, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("hash", ["", ONE])
def test_axe_finds_nothing(show: Show, html: str, scheme: str, hash: str) -> None:
    page = show(html, hash, color_scheme=scheme, bypass_csp=True).page
    expect(page.locator(".explanation").first).to_be_visible()
    open_all(page)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_axe_finds_a_planted_fault(show: Show, html: str, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    with_module(monkeypatch, "cs/overlaid", "alt=${says}", "")
    page_ = show(page(answers), bypass_csp=True).page
    expect(page_.locator(".stack").first).to_be_visible()
    assert "image-alt" in {one["id"] for one in Axe().run(page_).response["violations"]}


def test_headings_are_in_order_and_landmarks_are_there(show: Show, html: str) -> None:
    page = show(html, ONE).page
    expect(page.locator(".panel").first).to_be_visible()
    levels = page.locator("h1, h2, h3, h4").evaluate_all("(all) => all.map((one) => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    for landmark in ("banner", "main", "navigation", "contentinfo"):
        expect(page.get_by_role(landmark)).to_have_count(1)


def test_the_keyboard_reaches_the_answer(show: Show, html: str) -> None:
    page = show(html).page
    expect(page.locator(".explanation")).to_have_count(4)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the answer")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Image", exact=True)).to_be_focused()
    seen = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"choose-method", "strength", "A"} <= seen


def hostile(answers: Answers) -> str:
    """The page with a hostile name in every place that a name comes from."""
    names = itertools.cycle(HOSTILE)
    data = blocks(answers, {"recommendation": HOSTILE[0], "evidence": [], "n_images": 3})
    texts = {"id", "image", "says", "label", "name", "about", "title", "sentence", "reason", "place", "words", "bar", "paper",
             "unit", "layer", "weights", "label_name", "recommendation", "distrust"}  # fmt: skip

    def turn(found: object, key: str = "") -> object:
        if isinstance(found, dict):
            return {name: turn(at, name) for name, at in found.items()}
        if isinstance(found, list):
            return [
                next(names) if key in ("notes", "legend", "repeat") and isinstance(at, str) else turn(at)
                for at in found
            ]
        return next(names) if key in texts and isinstance(found, str) and found else found

    made = {name: turn(block) for name, block in data.items()}
    overview = made["overview"]
    overview["skipped"] = [{"id": name, "reason": name} for name in HOSTILE]  # type: ignore[index]
    overview["n_skipped"] = len(HOSTILE)  # type: ignore[index]
    overview["settings"] = dict.fromkeys(HOSTILE, HOSTILE[0])  # type: ignore[index]
    from convscope.page import saved

    return saved("hostile", made, "cs/answers")


def harm(watched: Watched) -> list[str]:
    found = ["a script ran"] if watched.page.evaluate("'pwned' in globalThis") else []
    odd = watched.page.locator("#page :is(script, iframe, object, link, img[onerror])").count()
    return found + (["an element was made"] if odd else []) + watched.faults()


def test_hostile_names_are_text(show: Show, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    document = hostile(answers)
    assert document.isascii()
    for block in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', document, re.DOTALL):
        assert "<" not in block
    watched = show(document, width=390)
    expect(watched.page.locator(".explanation").first).to_be_visible()
    open_all(watched.page)
    assert harm(watched) == []
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
    old = '<bdi class="name">${'
    with_module(monkeypatch, "cs/names", old, '<bdi class="name" dangerouslySetInnerHTML=${{ __html: of }}>${')
    broken = show(hostile(answers))
    expect(broken.page.locator("#page img[onerror]").first).to_be_attached()
    assert "an element was made" in harm(broken)  # the check can fail


def test_print_shows_maps_and_no_controls(show: Show, html: str) -> None:
    page: Page = show(html, color_scheme="dark").page
    expect(page.locator(".explanation")).to_have_count(4)
    page.emulate_media(media="print")
    for part in page.locator(".explanation h4, .stack").all():
        expect(part).to_be_visible()
    for control in ("nav", ".tools"):
        expect(page.locator(control).first).to_be_hidden()


def test_images_that_do_not_fit_are_counted(show: Show, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convscope.answer.page.MOST_BYTES", 1)
    page_ = show(page(answers)).page
    expect(page_.get_by_text("1 image, 4 methods each; 2 more are not in this file")).to_be_visible()


def test_advice_is_shown_without_answers(show: Show, answers: Answers) -> None:
    bars = {"panel": "bars", "title": "Gains", "unit": "probability", "log": False,
            "bars": [{"name": "Grad-CAM", "value": 0.3, "low": 0.2, "high": 0.4, "control": False}]}  # fmt: skip
    advice = {"recommendation": "Use Grad-CAM.", "evidence": [bars], "n_images": 8}
    none = Answers.of(planted_network(), answers_settings(), ())
    watched = show(page(none, advice))
    expect(watched.page.get_by_role("heading", name="Which method to use here")).to_be_visible()
    expect(watched.page.get_by_text("Use Grad-CAM.")).to_be_visible()
    expect(watched.page.locator(".panel .row")).to_have_count(1)
    assert watched.faults() == []


def answers_settings() -> object:
    from convscope.answer.one import Settings

    return Settings(())
