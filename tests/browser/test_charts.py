"""Does a chart draw the numbers that its table gives?"""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from watching import Watched, open_all, with_module

from convscope.drawing import axes, numbers
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


VALUES = (0, 1e-9, 0.00012, 0.001, 0.00999, 0.0625, 0.125, 0.3, 0.995, 1, 1.005, 2.5, 9.995, 12.345, 99.95, 412, 999.4, 999.6,
          1234.5, 9999, 9999.5, 12345, 99999, 123456.7, 999499, 999500, 5e8, 2.4e12)  # fmt: skip
UNITS = ("", "fraction", "points", "ratio", "correlation", "index", "ms")
COLUMNS = ((0.051, 0.105, 0.36, 0.005), (12.3, 0.05), (12.345678, 0.0512345), (0.3412345, 0.0512345), (0.91, 0.88), (3, 40),
           (1e-7, 0.5), (1234.5, 2), (-0.4, 0.0), (0.7, 12), (), (0.0,), (21.4, 17.0), (99.96, 3.0))  # fmt: skip
INTERVALS = (
    (0.611, 0.577, 0.644),
    (0.5, 0.5, 0.5),
    (-0.2, -0.31, -0.1),
    (412, 350, 480),
    (7, None, None),
    (0.0003, 0, 0.0007),
)


def test_pictures_and_pages_write_numbers_and_axes_alike(shared: Watched) -> None:
    """The two are written twice, in two languages: here they must say the same of many numbers."""
    signed = [*VALUES, *(-value for value in VALUES if value)]
    written = shared.page.evaluate(
        """async ([values, units, intervals, columns]) => {
        const { aligned, bare, column, number, parts, sign, tick } = await import("cs/format");
        const { along, axis } = await import("cs/scale");
        const whole = (of) => ({ value: of[0], low: of[1], high: of[2] });
        const ends = (of) => [of.low, of.high, of.step, ...of.ticks];
        return {
            numbers: values.flatMap((x) => [number(x), aligned(x)]),
            units: units.flatMap((unit) =>
                [sign(unit), ...values.map((x) => bare(x, unit)), ...values.map((x) => tick(x, unit, 0.5))]),
            parts: units.flatMap((unit) => intervals.flatMap((one) => parts(whole(one), unit))),
            columns: columns.flatMap((one) => one.map(column(one))),
            axes: units.flatMap((unit) => intervals.map((one) => ends(axis(one, unit, { n: 3 })))),
            log: ends(axis(values, "", { log: true, n: 3 })),
            along: [along(["a", "b", "c"], false), along([0, 1, 4], false), along([1, 4, 64], true), along([3], false)],
        }; }""",
        [signed, UNITS, INTERVALS, COLUMNS],
    )
    ours = {
        "numbers": [text for x in signed for text in (numbers.number(x), numbers.aligned(x))],
        "units": [
            text
            for unit in UNITS
            for text in (
                numbers.sign(unit),
                *(numbers.bare(x, unit) for x in signed),
                *(numbers.tick(x, unit, 0.5) for x in signed),
            )
        ],
        "parts": [text for unit in UNITS for one in INTERVALS for text in numbers.measured(*one, unit)],
        "columns": [numbers.column(one)(x) for one in COLUMNS for x in one],
    }
    for kind, texts in ours.items():
        assert texts == [text.replace("\u00a0", " ") for text in written[kind]], kind
    scales = [axes.axis(one, unit, n=3) for unit in UNITS for one in INTERVALS] + [axes.axis(signed, "", log=True, n=3)]
    for scale, ends in zip(scales, [*written["axes"], written["log"]], strict=True):
        assert [scale.low, scale.high, scale.step, *scale.ticks] == pytest.approx(ends)
    places = (["a", "b", "c"], False), ([0, 1, 4], False), ([1, 4, 64], True), ([3], False)
    for (x, log), along in zip(places, written["along"], strict=True):
        assert axes.along(x, log=log) == pytest.approx(along)


def test_numbers_below_one_another_have_the_decimals_they_need() -> None:
    said = [[numbers.column(one)(x) for x in one] for one in COLUMNS]
    assert said[:6] == [
        ["0.051", "0.105", "0.360", "0.005"],  # no more than they are given with
        ["12.30", "0.05"],
        ["12.3", "0.0512"],  # too far apart
        ["0.341", "0.051"],
        ["0.91", "0.88"],
        ["3", "40"],
    ]
