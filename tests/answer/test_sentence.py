"""Does the sentence say where the map lies, and what the checks allow?"""

import numpy as np
import pytest
from planted_answers import result

from convscope.answer.prediction import percent
from convscope.answer.sentence import half, place, reason, says, trust
from convscope.instruments.attribution.checks import Outcome

SIZE = (21, 34)


def blob(y: slice, x: slice) -> np.ndarray:
    scores = np.zeros(SIZE, np.float32)
    scores[y, x] = 1
    return scores


@pytest.mark.parametrize(
    ("y", "x", "words"),
    [
        (slice(0, 4), slice(0, 6), "mostly at the top left"),
        (slice(16, 21), slice(14, 20), "mostly at the bottom"),
        (slice(8, 13), slice(14, 20), "mostly in the middle"),
        (slice(8, 13), slice(28, 34), "mostly at the right"),
    ],
)
def test_a_place_is_named(y: slice, x: slice, words: str) -> None:
    assert place(half(blob(y, x))) == words


def test_half_is_the_smallest_part_that_holds_half() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=SIZE)
    chosen = half(scores)
    positive = np.clip(scores, 0, None)
    assert positive[chosen].sum() >= positive.sum() / 2
    smallest_chosen = positive[chosen].min()
    assert positive[chosen].sum() - smallest_chosen < positive.sum() / 2
    assert positive[~chosen].max() <= smallest_chosen
    assert not half(-np.ones(SIZE)).any()


def test_what_a_map_says() -> None:
    corner = blob(slice(0, 7), slice(0, 10))
    assert (
        says(corner, "cat", sizes_only=False)
        == "Half of what speaks for cat lies in 5 % of the image, mostly at the top left"
    )
    assert says(corner, "cat", sizes_only=True).startswith("Half of what cat is sensitive to")
    assert says(np.ones(SIZE), "cat", sizes_only=False).endswith("is spread over 50 % of the image")
    assert says(-corner, "cat", sizes_only=False) == "Nothing in the image speaks for cat"
    single = np.zeros((100, 100))
    single[3, 3] = 1
    assert "under 1 %" in says(single, "cat", sizes_only=False)


def test_what_the_checks_allow() -> None:
    passes, fails, not_run = (result("faithfulness", outcome) for outcome in Outcome)
    assert trust([passes, passes], "") == "it passes all 2 checks"
    assert trust([passes, not_run], "") == "it passes the 1 of 2 checks that could be run"
    assert trust([passes, fails], "").endswith("it passes what decides, but not faithfulness")
    assert trust([fails], "is no better than chance; does not add up") == (
        "not to be relied on: it is no better than chance; it does not add up"
    )
    assert trust([not_run], "").startswith("nothing was checked")
    assert reason("The map is empty.") == "the map is empty"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.62, "62 %"),
        (0.99, "99 %"),
        (0.9998, "99.98 %"),
        (1.0, "100 %"),
        (0.004, "0.4 %"),
        (0.0, "0 %"),
        (1 - 1e-9, "100 %"),
    ],
)
def test_shares_are_neither_all_nor_nothing_unless_they_are(share: float, text: str) -> None:
    assert percent(share) == text
