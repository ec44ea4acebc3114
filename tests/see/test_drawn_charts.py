"""Do the charts of a sheet draw the numbers, all of them, wherever they stand?  Read off the pixels."""

import json
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convscope.drawing import axes, bars, curves, numbers, table
from convscope.drawing.charts import chart, is_wide
from convscope.drawing.pieces import piece, resized
from convscope.page.evidence import checked
from convscope.see import Outcome, Sheet
from convscope.see.page import block, page
from convscope.see.sheet import Checked

Record = dict[str, Any]
WIDE_PX = 457


def drawn(evidence: Record, wide: int = WIDE_PX) -> np.ndarray:
    (one,) = checked([evidence], "here")
    return np.asarray(chart(one, wide)).astype(int)


def of_color(pixels: np.ndarray, color: str, far: int = 30) -> np.ndarray:
    """Which pixels are nearly of a colour."""
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return np.abs(pixels - wanted).max(2) <= far


def some_bars(*rows: Record, **settings: Any) -> Record:
    return {"panel": "bars", "title": "t", "unit": "", "bars": list(rows), **settings}


def a_curve(x: list[Any], *series: Record, **settings: Any) -> Record:
    return {
        "panel": "curves",
        "title": "t",
        "x_label": "x",
        "y_label": "y",
        "unit": "",
        "x": x,
        "series": list(series),
        **settings,
    }


def lengths(pixels: np.ndarray) -> list[int]:
    """How long each filled bar is."""
    inside = of_color(pixels, bars.FILL, 6).sum(1)
    rows = np.flatnonzero(inside)
    starts = [rows[0], *(b for a, b in pairwise(rows) if b > a + 1)] if len(rows) else []
    return [int(inside[start + 3]) for start in starts]


def test_bars_are_as_long_as_their_numbers() -> None:
    found = lengths(drawn(some_bars(*({"name": f"b{i}", "value": i / 10} for i in (1, 2, 4, 8)), unit="fraction")))
    # Each is without its outline, two pixels.
    np.testing.assert_allclose(found, np.array([1, 2, 4, 8]) * (found[3] + 2) / 8 - 2, atol=1.5)
    assert found[3] > 150
    logs = lengths(drawn(some_bars(*({"name": f"b{i}", "value": 10.0**i} for i in (3, 4, 6)), log=True)))
    assert logs[0] <= 1 or len(logs) == 2  # the first stands where the axis begins
    np.testing.assert_allclose(logs[-1], 3 * (logs[-2] + 2) - 2, atol=3)


def test_bars_below_zero_go_the_other_way_and_intervals_have_their_ends() -> None:
    pixels = drawn(some_bars({"name": "down", "value": -0.5, "low": -0.7, "high": -0.3}, {"name": "up", "value": 1.0}))
    fill = of_color(pixels, bars.FILL, 6)
    rows = np.flatnonzero(fill.any(1))
    down, up = (np.flatnonzero(fill[at]) for at in (rows[2], rows[-3]))
    assert down.max() <= up.min() + 2
    assert (up.max() - up.min()) / (down.max() - down.min()) == pytest.approx(2, rel=0.1)
    middle = pixels[(rows[0] + 7)]
    outline = of_color(pixels, bars.VALUE)[rows[0] + 1]  # of the bar, all the way up
    line = np.flatnonzero(of_color(middle[None], bars.VALUE)[0] & ~outline)
    zero, unit = up.min() - 1, up.max() - up.min() + 2
    np.testing.assert_allclose([(line.min() - zero) / unit, (line.max() - zero) / unit], [-0.7, -0.3], atol=0.03)


def test_a_control_and_what_has_no_value_are_told_apart_without_colour() -> None:
    held, free = (drawn(some_bars({"name": "a", "value": 0.5, "control": is_it})) for is_it in (True, False))
    assert of_color(free, bars.FILL, 6).any()
    assert not of_color(held, bars.FILL, 6).any()
    top = next(row for row in of_color(held, bars.CONTROL) if row.sum() > 60)
    assert 0.4 < top[np.flatnonzero(top)[0] : np.flatnonzero(top)[-1]].mean() < 0.8  # dashes
    nothing = drawn(some_bars({"name": "a", "value": None}, {"name": "b", "value": 1}))
    assert len(lengths(nothing)) == 1


def heights(pixels: np.ndarray, color: str, columns: list[int]) -> list[float]:
    """At which row a line lies in some columns, from the whole of its pixels."""
    marked = of_color(pixels, color, 60)
    return [float(np.flatnonzero(marked[:, at]).mean()) for at in columns]


def dots(pixels: np.ndarray, color: str) -> list[tuple[float, float]]:
    """The middles (x, y) of a line's dots: where it is much thicker than its two pixels."""
    marked = of_color(pixels, color, 60)
    marked[:60, :40] = False  # nor its sample in the legend
    thick = np.flatnonzero(marked.sum(0) >= 4)
    groups = np.split(thick, np.flatnonzero(np.diff(thick) > 1) + 1)
    return [(float(group.mean()), float(np.flatnonzero(marked[:, int(np.median(group))]).mean())) for group in groups]


def test_points_stand_at_their_values() -> None:
    values = [0.2, 0.4, 0.8, 0.6]
    for x, log, expected in (
        (["a", "b", "c", "d"], False, [0, 1 / 3, 2 / 3, 1]),
        ([0, 10, 50, 100], False, [0, 0.1, 0.5, 1]),
        ([1, 2, 8, 64], True, [0, 1 / 6, 0.5, 1]),
    ):
        found = dots(drawn(a_curve(x, {"name": "s", "values": values}, log=log)), curves.COLORS[0])
        along = [(at - found[0][0]) / (found[-1][0] - found[0][0]) for at, _ in found]
        np.testing.assert_allclose(along, expected, atol=0.01)
        ys = [y for _, y in found]
        up = [(ys[0] - y) / (ys[0] - ys[2]) for y in ys]
        np.testing.assert_allclose(up, [(value - 0.2) / 0.6 for value in values], atol=0.03)


def test_lines_and_bands_stop_where_a_value_is_missing() -> None:
    values = [0.5, 0.5, None, 0.5, 0.5, 0.5]
    low, high = ([None if value is None else value + by for value in values] for by in (-0.2, 0.3))
    pixels = drawn(a_curve(list("abcdef"), {"name": "s", "values": values, "low": low, "high": high}))
    band = of_color(pixels, "#d6e7f2", 6)
    wide = np.flatnonzero(band.sum(0) > 20)
    gap = np.flatnonzero(np.diff(wide) > 1)
    assert len(gap) == 1
    assert (wide[gap[0] + 1] - wide[gap[0]]) / (wide[-1] - wide[0]) == pytest.approx(0.4, abs=0.02)
    inside = wide[gap[0] + 20]
    rows = np.flatnonzero(band[:, inside])
    (line,) = heights(pixels, curves.COLORS[0], [int(inside)])
    assert (rows.max() - line) / (line - rows.min()) == pytest.approx(0.2 / 0.3, rel=0.05)


def test_a_line_alone_in_its_gap_is_a_dot() -> None:
    x = [f"layer{i}" for i in range(60)]
    pixels = drawn(a_curve(x, {"name": "s", "values": [0.5 if i == 30 else None for i in range(60)]}))
    assert len(dots(pixels, curves.COLORS[0])) == 1


def test_series_differ_by_their_dashes() -> None:
    """Every line has as many strokes as its dashes say; all differ."""
    looks = curves._looks([{"control": i % 2 == 1} for i in range(8)])
    assert len({dashes for _, dashes in looks}) == 8
    many = [{"name": f"s{i}", "values": [i + 1.0, i + 1.0], "control": i == 1} for i in range(2)]
    pixels = drawn(a_curve([f"a layer with so long a name {i}" for i in "ab"], *many))
    through, cut = (of_color(pixels, color, 60)[60:].sum(1).max() for color in curves.COLORS[:2])
    assert through > 300
    assert 0.4 < cut / through < 0.75


@pytest.mark.parametrize("n", [1, 2, 7, 66])
def test_any_number_of_layers_and_any_name_fits(n: int) -> None:
    x = [f"features.{i}.expand3x3<script>\u05d2\u05dc\x07{'x' * i}" for i in range(n)]
    pixels = drawn(
        a_curve(x, {"name": "\u202e" + "long " * 60, "values": [None, *[float(i) for i in range(n - 1)]][:n]})
    )
    edge = np.concatenate([pixels[:, -1], pixels[-1]])
    assert (edge == 255).all()  # nothing runs out at the right and below


def test_a_table_holds_its_cells_and_says_what_it_leaves_out() -> None:
    rows = [[f"row {i}", i / 7, None, i % 2 == 0] for i in range(50)]
    evidence = {"panel": "table", "title": "t", "columns": ["a", "b", "c", "d"], "rows": rows}
    texts = table._texts(rows[:3], rows, 4)
    assert texts == [["row 0", "0.00", "–", "yes"], ["row 1", "0.14", "–", "no"], ["row 2", "0.29", "–", "yes"]]
    high = drawn(evidence).shape[0]
    assert high == drawn({**evidence, "rows": rows[:21]}).shape[0]
    assert drawn({**evidence, "rows": rows[:20]}).shape[0] < high < 600
    assert drawn({**evidence, "rows": []}).shape[0] < 80


@pytest.mark.parametrize("n", [1, 2, 6, 7, 30])
def test_columns_fit_whatever_stands_in_them(n: int) -> None:
    row = [("word " * 40) if i % 3 == 0 else "x" * 90 if i % 3 == 1 else 1234.5 for i in range(n)]
    for room in (457, 944):
        wide = table._widths([[str(cell) for cell in row]], room)
        assert sum(wide) + table.GAP_PX * (n - 1) <= room + 0.01
        assert min(wide) > 0
    short = table._widths([["a", "b" * 200]], 400)
    assert short[0] < 80  # the wide one gives way
    evidence = {"panel": "table", "title": "t", "columns": [f"column {i}" for i in range(n)], "rows": [row]}
    assert is_wide(evidence) == (n > table.WIDE)
    pixels = drawn(evidence, 944 if n > table.WIDE else WIDE_PX)
    rules = np.abs(pixels - [0xD5, 0xD5, 0xD0]).max(2) < 3
    assert (pixels[:, -1][~rules[:, -1]] == 255).all()


def test_what_another_package_draws_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chart({"panel": "dial", "title": "How far"}, WIDE_PX).height > 30


def test_axes_are_round_and_hold_all() -> None:
    for values, unit, ends, n in (
        ([0.2, 0.61], "fraction", (0, 1), 3),
        ([0.02, 0.034], "fraction", (0, 0.04), 4),
        ([-0.5, 1], "correlation", (-0.5, 1), 4),
        ([3, 412], "ratio", (0, 500), 5),
        ([], "", (0, 1), 4),
        ([0, 0], "", (0, 1), 4),
    ):
        found = axes.axis(values, unit, n=n)
        assert (found.low, found.high) == pytest.approx(ends)
        assert found.ticks[-1] == pytest.approx(found.high)
        assert n - 1 <= len(found.ticks) <= 2 * n + 1
    log = axes.axis([1.2e6, 5e8], "", log=True, n=3)
    assert (log.low, log.high, log.at(0)) == pytest.approx((1e6, 1e9, 0))
    assert log.at(3.1623e7) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (numbers.number(1234567), "1.23 M"), (numbers.number(0.00012), "1.2 × 10⁻⁴"), (numbers.number(-9999), "−9,999"),
        (numbers.number(12.345), "12.3"), (numbers.number(0.125), "0.125"), (numbers.aligned(9), "9.00"),
        (numbers.aligned(0.8), "0.800"),
        (numbers.aligned(9.999), "10.0"), (numbers.bare(None, "x"), "–"), (numbers.bare(-0.001, "index"), "0.00"),
        (numbers.bare(0.0003, "fraction"), "0.03"), (numbers.tick(-20, "ms", 20), "−20"),
        (numbers.tick(0.2, "fraction", 0.2), "20 %"),
        (" ".join(numbers.measured(0.611, 0.577, 0.644, "fraction")), "61.1 % 57.7–64.4"),
        (" ".join(numbers.measured(-0.2, -0.31, -0.1, "correlation")), "−0.20 −0.31 to −0.10"),
        (" ".join(numbers.measured(7, None, None, "")), "7 "),
    ],
)  # fmt: skip
def test_numbers_are_written_as_on_the_page(written: str, text: str) -> None:
    assert written == text


# On a sheet.


def a_sheet(**changes: Any) -> Sheet:
    evidence = (some_bars({"name": "wheel", "value": 0.3}), a_curve([1, 2], {"name": "s", "values": [1, 2]}, log=True))
    known: dict[str, Any] = {
        "layer": None, "unit": None, "address": "object: wheel", "title": "object: wheel", "sentence": "Found.",
        "facts": (("images with it", "12 of 80"),), "sections": (), "checks": (Checked("Beats chance", Outcome.PASSES, "Yes."),),
        "notes": (), "network": {"name": "n", "weights": "w", "fingerprint": "ab" * 32}, "images": None, "settings": {},
        "repeat": (), "evidence": evidence,
    }  # fmt: skip
    return Sheet(**{**known, **changes})


def test_evidence_is_in_every_form_of_a_sheet() -> None:
    sheet = a_sheet()
    told = json.loads(json.dumps(sheet.as_dict()))
    assert [one["panel"] for one in told["evidence"]] == ["bars", "curves"]
    assert told["layer"] is None
    assert block(sheet)["evidence"] == told["evidence"]
    assert "object: wheel" in re.findall(r"<title>(.*)</title>", page([sheet]))[0]
    with_charts, without = sheet.picture(), a_sheet(evidence=()).picture()
    assert with_charts.width == without.width == 1000
    assert with_charts.height > without.height + 200
    pixels = np.asarray(with_charts).astype(int)
    assert of_color(pixels[:, :500], bars.FILL, 6).any()
    assert of_color(pixels[:, 500:], curves.COLORS[0], 60).any()
    three = a_sheet(evidence=sheet.evidence * 2).picture().height
    assert three == pytest.approx(2 * with_charts.height - without.height, abs=8)
    wide = {"panel": "table", "title": "t", "columns": list("abcdefgh"), "rows": [list("abcdefgh")]}
    alone = a_sheet(evidence=(sheet.evidence[0], wide, sheet.evidence[0])).picture()
    assert not of_color(
        np.asarray(alone).astype(int)[:, 500:], bars.FILL, 6
    ).any()  # a wide table stands between the two


def test_evidence_that_cannot_be_drawn_is_refused_by_name() -> None:
    broken = a_sheet(evidence=(some_bars(),))
    for draw in (broken.picture, broken.html):
        with pytest.raises(ValueError, match=r"'object: wheel'.* needs at least one item"):
            draw()


def test_a_piece_is_as_high_as_what_is_drawn() -> None:
    assert piece(lambda pen, image: 12.4, 30).size == (30, 12)
    assert piece(lambda pen, image: 5000, 30).size == (30, 5000)
    few = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert set(np.unique(np.asarray(resized(Image.fromarray(few), (8, 8))))) == set(range(16))
    many = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    smooth = np.asarray(resized(Image.fromarray(many), (12, 12)))
    assert np.unique(smooth).size > 64  # values between those that were there
