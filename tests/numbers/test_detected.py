"""How many concepts have a detector, whatever the width of the layer: against counting every choice of units."""

from itertools import combinations

import numpy as np
import pytest

from convscope.instruments.concepts.detected import Detected, _among


@pytest.mark.parametrize(("n", "k"), [(7, 3), (5, 5), (6, 1)])
def test_the_chance_of_a_detector_among_k_units_is_that_of_all_choices(n: int, k: int) -> None:
    rng = np.random.default_rng(n)
    detects = rng.random((n, 4)) < [0.0, 0.2, 0.5, 1.0]
    naive = np.mean([detects[list(chosen)].any(axis=0) for chosen in combinations(range(n), k)], axis=0)
    assert _among(detects.sum(axis=0), n, k) == pytest.approx(naive, abs=1e-12)


def test_copies_of_a_unit_detect_no_more_concepts() -> None:
    one = np.array([[True, False, False], [False, False, False]])
    copies = np.repeat(one, 100, axis=0)
    found = Detected(("one", "copies"), (one, copies), (one * 1.0, copies * 1.0))
    assert found.n_concepts.tolist() == [1, 1]
    assert found.likely[0].tolist() == [1, 0, 0]
    assert found.likely[1] == pytest.approx([1, 0, 0], abs=1e-9)
    assert found.of_units.tolist() == [0.5, 0.5]
    assert found.means(0).tolist() == [0, -1]
    assert found.means(0, np.array([False, True, True])).tolist() == [-1, -1]
