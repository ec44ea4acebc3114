"""Does an address lead to what it names, and say so when it names nothing?"""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from watching import NET, Watched

Show = Callable[..., Watched]


def test_a_link_in_full_leads_to_its_claim(show: Show, html: str, report: dict[str, Any]) -> None:
    finding = report["findings"][10]
    page = show(html, f"#view=why&net={NET}&claim={finding['claim']}&unknown=1").page
    heading = page.get_by_role("heading", name=finding["statement"])
    expect(heading).to_be_focused()
    expect(heading).to_be_in_viewport()
    expect(page.get_by_text("Wrong link")).to_have_count(0)
    for link in page.locator("main a, nav a").evaluate_all("(all) => all.map((one) => one.getAttribute('href'))"):
        assert re.fullmatch(
            r"#view=(why&net=\w{8}&claim=[^&]*|exemplars&net=\w{8}&layer=[^&]*|cards&net=\w{8}&card=[^&]+|(layers|about)&net=\w{8})",
            link,
        )


@pytest.mark.parametrize(
    ("hash", "says", "offers"),
    [
        (f"#view=why&net={NET}&claim=shift_tolerence", "No claim “shift_tolerence”", "shift_tolerance"),
        (
            f"#view=exemplars&net={NET}&layer=features.3.squeeze_activatio",
            "There is no layer",
            "features.3.squeeze_activation",
        ),
        (f"#view=exemplars&net={NET}&layer=features.0", "“features.0” are not in this file", "features.1"),
        (
            f"#view=cards&net={NET}&card=features.3.squeeze_activation%3A1",
            "No card of “features.3.squeeze_activation:1” was made",
            "features.3.squeeze_activation:13",
        ),
        ("#view=why&net=00000000&claim=", "about the network 00000000, but this file holds ab12cd34", "why"),
        (f"#view=explore&net={NET}", "no view “explore”", "why"),
        (f"#view=why&net={NET}&claim=%E0%A4%A", "cannot be read", "why"),
        (f"#view=why&net={NET}&claim=%3Cimg%20src%3Dx%3E", "No claim “<img src=x>”", "it_classifies"),
    ],
)
def test_a_wrong_link_is_told_with_what_is_known(shared: Watched, hash: str, says: str, offers: str) -> None:
    shared.page.evaluate("(hash) => { location.hash = hash; }", hash)
    alert = shared.page.get_by_role("alert")
    expect(alert).to_contain_text(says)
    expect(alert).to_be_in_viewport()
    expect(alert.get_by_role("link", name=offers, exact=True)).to_be_visible()
    expect(shared.page.locator(".sheet > li")).to_have_count(18)
    alert.get_by_role("link").first.click()
    expect(alert).to_have_count(0)
    assert shared.faults() == []


def test_a_wrong_link_opened_anew_is_told_too(show: Show, html: str) -> None:
    page = show(html, "#view=why&net=ab12cd34&claim=nothing_like_it").page
    expect(page.get_by_role("alert").locator("p").first).to_be_focused()
    expect(page.get_by_role("alert").get_by_role("link")).to_have_count(12)
    expect(page.get_by_role("alert")).to_contain_text("and 6 more.")
