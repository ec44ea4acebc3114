"""Is the advice what the measurements say, and is nothing advised where nothing can be?"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import convscope as cs
from convscope.answer.advice import COLUMNS, Advice, Compared, cells
from convscope.answer.compare import _best, compare
from convscope.documents import document
from convscope.errors import UnknownNameError
from convscope.instruments.attribution.contest import Contest
from convscope.instruments.attribution.method import places
from convscope.intervals import Interval
from convscope.registry import lookup

METHODS = ("gradient", "guided_backprop", "occlusion:window=16,stride=8", "grad_cam")


@pytest.fixture(scope="module")
def net() -> cs.Network:
    return cs.load("builtin:world")


@pytest.fixture(scope="module")
def told(net: cs.Network) -> Advice:
    torch.manual_seed(0)
    return compare(net, cs.images("builtin:world?n=8&seed=5"), METHODS)


def test_every_method_is_measured_at_every_place(net: cs.Network, told: Advice) -> None:
    tried = {(row.title, row.layer) for row in told.rows}
    assert {("Gradient", "input"), ("Occlusion", "input")} <= tried
    assert {layer for title, layer in tried if title == "Grad-CAM"} == set(places(net))
    assert all(row.n_images == 8 for row in told.rows)
    gains = [row.gain.value for row in told.rows]
    assert gains == sorted(gains, reverse=True)
    assert all(row.gain.low <= row.gain.value <= row.gain.high for row in told.rows)
    assert set(told.trivial) == {"centre", "edges"}
    assert all(row.cost > 0 for row in told.rows)


def test_what_does_not_depend_on_the_class_is_not_advised(told: Advice) -> None:
    guided = next(row for row in told.rows if row.title == "Guided backpropagation")
    assert guided.holds["class_dependence"] is not None
    assert guided.trusted == all(share is None or share >= 0.8 for share in guided.holds.values())
    assert told.best is None or told.best in {row.name for row in told.rows if row.trusted and row.surely}


def test_it_can_be_printed_drawn_and_kept(told: Advice) -> None:
    assert all(len(cells(row)) == len(COLUMNS) for row in told.rows)
    kept = json.loads(document("advice", told.as_dict()))
    assert kept["recommendation"] == told.recommendation
    assert len(kept["rows"]) == len(told.rows)
    for evidence in told.evidence:
        lookup("panel", evidence["panel"])(evidence)  # raises ValueError for what cannot be drawn


def test_the_cheapest_of_what_cannot_be_told_apart_is_advised() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(0.3, 0.02, 20)
    gains = {"dear": common + np.tile([0.03, -0.028], 10), "cheap": common, "poor": common - 0.2, "blind": common + 0.1}
    rows = [
        {
            "methods": {name: {"mean": float(values[i])} for name, values in gains.items()},
            "trivial": {"centre": {"mean": 0.05}, "edges": {"mean": 0.02}},
        }
        for i in range(20)
    ]
    contest = Contest.of(rows)
    one = Interval(0.3, 0.2, 0.4)
    row = Compared("dear", "Dear", "input", 20, one, one, "centre", True, one, {"class_dependence": 1.0}, 100.0)
    order = [
        replace(row, name="blind", cost=1.0, holds={"class_dependence": 0.1}),
        row,
        replace(row, name="cheap", cost=2.0),
        replace(row, name="poor", cost=1.0),
    ]
    best = _best(order, contest, rng)
    assert best is not None
    assert best.name == "cheap"
    assert _best([replace(row, surely=False)], contest, rng) is None


def test_nothing_is_advised_where_methods_only_guess() -> None:
    rng = np.random.default_rng(0)
    n_wrong = 0
    for _ in range(200):
        gains = rng.normal(0.1, 0.1, (24, 17))
        rows = [
            {
                "methods": {f"m{i}": {"mean": gain} for i, gain in enumerate(one)},
                "trivial": {"centre": {"mean": 0.1}, "edges": {"mean": 0.1}},
            }
            for one in gains.tolist()
        ]
        contest = Contest.of(rows)
        n_wrong += any(contest.surely_beyond(name, 17) for name in contest.names)
    assert n_wrong <= 10, "2.5 % is what is promised"


def test_few_images_give_no_advice_and_bad_questions_are_refused(net: cs.Network) -> None:
    few = compare(net, cs.images("builtin:world?n=3&seed=5"), ["gradient"])
    assert few.best is None
    assert "too few" in few.recommendation
    with pytest.raises(UnknownNameError, match="gradient"):
        compare(net, cs.images("builtin:world?n=3"), ["gradeint"])
    with pytest.raises(UnknownNameError):
        compare(net, cs.images("builtin:world?n=3"), ["gradient"], ["no such layer"])
