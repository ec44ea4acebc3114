"""Is the best method chosen where it is not measured, and are the intervals those of the images?"""

import numpy as np
import pytest

from convscope.instruments.attribution.contest import Contest, mean_interval


def rows(gains: np.ndarray, trivial: np.ndarray) -> list[dict]:
    """One row for each image, from `image method` and `image trivial-map`, the same under both fills."""
    return [
        {
            "methods": {f"m{i}": {"mean": g, "blur": g} for i, g in enumerate(one)},
            "trivial": {name: {"mean": t, "blur": t} for name, t in zip(("centre", "edges"), other, strict=True)},
        }
        for one, other in zip(gains.tolist(), trivial.tolist(), strict=True)
    ]


def test_the_method_is_chosen_on_one_half_and_measured_on_the_other() -> None:
    gains = np.array([[0.9, 0.1], [0.2, 0.4], [0.7, 0.3], [0.0, 0.6]])  # even images prefer m0, odd ones m1
    contest = Contest.of(rows(gains, np.zeros((4, 2))))
    assert contest.chosen() == (0, 1)
    assert contest.held_out()[:, 0].tolist() == [0.1, 0.2, 0.3, 0.0]
    assert contest.gain(np.random.default_rng(0)).value == pytest.approx(0.15)


def test_methods_that_only_guess_are_not_flattered_by_the_choice() -> None:
    rng = np.random.default_rng(0)
    found = [Contest.of(rows(rng.normal(0, 1, (12, 17)), np.zeros((12, 2)))).gain(rng).value for _ in range(200)]
    assert abs(np.mean(found)) < 4 * np.std(found) / len(found) ** 0.5
    best = np.mean([rng.normal(0, 1, (12, 17)).mean(0).max() for _ in range(200)])
    assert best > 0.4, "what choosing and measuring on the same images would give"


def test_what_counts_is_the_strongest_trivial_map() -> None:
    gains = np.full((10, 1), 0.5)
    trivial = np.stack([np.full(10, 0.1), np.full(10, 0.45)], axis=1)
    contest = Contest.of(rows(gains, trivial))
    assert contest.beyond(np.random.default_rng(0)).value == pytest.approx(0.05)
    assert contest.beyond(np.random.default_rng(0), fill=1).value == pytest.approx(0.05)


def test_a_fill_that_hides_nothing_is_left_out() -> None:
    given = rows(np.array([[0.5], [0.7]]), np.zeros((2, 2)))
    for one in given[0]["methods"], given[0]["trivial"]:
        for gains in one.values():
            del gains["blur"]
    contest = Contest.of(given)
    assert contest.fills == ("mean", "blur")
    assert contest.gain(np.random.default_rng(0)).value == pytest.approx(0.6)
    assert contest.beyond(np.random.default_rng(0), fill=1).value == pytest.approx(0.7)


def test_a_method_that_gave_no_map_is_left_out_there() -> None:
    given = rows(np.array([[0.5, 0.9], [0.5, 0.9]]), np.zeros((2, 2)))
    del given[0]["methods"]["m1"]
    given[1]["methods"]["m0"]["blur"] = None
    contest = Contest.of(given)
    assert np.isnan(contest.gains[0, contest.names.index("m1")]).all()
    assert np.isnan(contest.gains[1, contest.names.index("m0"), 1])
    assert mean_interval(contest.gains[:, contest.names.index("m1"), 0], np.random.default_rng(0)).value == 0.9


def test_the_interval_covers_the_true_mean() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        found = mean_interval(rng.normal(0.3, 1, 24), rng)
        hits += found.low <= 0.3 <= found.high
    assert 0.88 <= hits / 300 <= 0.98
    nothing = mean_interval(np.full(3, np.nan), rng)
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()
