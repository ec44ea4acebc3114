"""Does a chart draw the numbers that its table gives?"""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from watching import Watched, open_all, with_module

from convscope.page import render

Show = Callable[..., Watched]


def percent_or_plain(text: str) -> float | None:
    """A number as the page writes it."""
    text = text.replace("−", "-").replace("\u00a0", "").replace(",", "")
    return None if text == "–" else float(text.removesuffix("%"))


def drawn(chart: Locator, n_layers: int) -> list[list[float | None]]:
    """The values of each line of a chart, read off its path by the marks of its axes."""
    ticks = chart.locator(".y-tick").evaluate_all(
        "(all) => all.map((one) => [one.querySelector('text').textContent, Number(one.querySelector('text').getAttribute('y'))])"
    )
    (first, y_first), (last, y_last) = ((percent_or_plain(text), y) for text, y in (ticks[0], ticks[-1]))
    box = chart.locator(".y-tick line").first.evaluate("(one) => [one.x1.baseVal.value, one.x2.baseVal.value]")
    step = (box[1] - box[0]) / (n_layers - 1)
    found = []
    for path in chart.locator("path.line").evaluate_all("(all) => all.map((one) => one.getAttribute('d'))"):
        row: list[float | None] = [None] * n_layers
        for x, y in re.findall(r"[ML]([-\d.]+),([-\d.]+)", path):
            row[round((float(x) - box[0]) / step)] = first + (float(y) - y_first) / (y_last - y_first) * (last - first)
        found.append(row)
    return found


def disagreement(page: Page) -> float:
    """By how much the drawn paths of all charts differ from their tables, as a fraction of the chart's range."""
    open_all(page)
    worst = 0.0
    figures = page.locator("figure.panel:has(.lines)")
    assert figures.count() == 3
    for figure in figures.all():
        heads = figure.locator("thead th").all_inner_texts()
        rows = figure.locator("tbody tr").evaluate_all(
            "(all) => all.map((row) => [...row.cells].map((cell) => cell.innerText))"
        )
        ticks = [percent_or_plain(text) or 0.0 for text in figure.locator(".y-tick text").all_text_contents()]
        columns = [i for i, head in enumerate(heads) if i and head not in ("from", "to")]
        for column, values in zip(columns, drawn(figure.locator("svg.plot"), len(rows)), strict=True):
            table = [percent_or_plain(row[column]) for row in rows]
            assert [one is None for one in table] == [one is None for one in values]
            known = [(a, b) for a, b in zip(table, values, strict=True) if a is not None and b is not None]
            worst = max(worst, *(abs(a - b) / (max(ticks) - min(ticks)) for a, b in known))
    return worst


def test_the_table_of_a_chart_holds_what_is_drawn(shared: Watched) -> None:
    assert disagreement(shared.page) < 0.01


def test_a_chart_that_draws_something_else_is_found(
    show: Show, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_module(monkeypatch, "cs/paths", "round(y(values[i]))", "round(y(values[i] * 0.9))")
    assert disagreement(show(render(report)).page) > 0.05


def test_a_chart_is_read_off_with_the_pointer(shared: Watched) -> None:
    figure = shared.page.locator("figure.panel:has(.lines)").first
    box = figure.locator("svg.plot").bounding_box()
    assert box
    figure.locator("svg.plot").hover(position={"x": box["width"] - 15, "y": 60})
    expect(figure.locator(".readout .name")).to_have_text("output")
    figure.locator("svg.plot").hover(position={"x": 20, "y": 60})
    expect(figure.locator(".readout .name")).to_have_text("features.0")
    expect(figure.get_by_role("slider")).to_have_attribute(
        "aria-valuetext", re.compile(r"^features\.0: trained .* fresh weights")
    )
    figure.get_by_role("slider").press("End")
    expect(figure.locator(".readout .name")).to_have_text("output")
