"""Are the reductions of maps right in every precision and memory format, and does computing few images at once change nothing?"""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

import convscope as cs
from convscope.network.formats import MOST_DIFFERENCE, OTHER_LAYOUT, OTHER_PRECISION, Trial, choose_format, worth_taking
from convscope.sweep import engine, reduce
from convscope.sweep.engine import gauges_for, sweep
from convscope.sweep.gauges import Coactivation, Distribution, Exemplars, Moments, Selectivity
from convscope.sweep.reduce import images_at_once, reduced
from convscope.sweep.response import Response, joined

LAYOUTS = ("channels first", "channels last", "neither")


def arranged(maps: torch.Tensor, layout: str) -> torch.Tensor:
    if layout == "channels last":
        return maps.contiguous(memory_format=torch.channels_last)
    return (
        maps.contiguous() if layout == "channels first" else maps.permute(1, 3, 0, 2).contiguous().permute(2, 0, 3, 1)
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 5, 97, 61), (5, 7, 4, 9), (2, 3, 1, 1), (4, 6)])
def test_reductions_equal_those_in_float64(
    shape: tuple[int, ...], dtype: torch.dtype, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reduce, "BLOCK", 600)  # two of the small maps together
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(0)).add(0.3).relu_().to(dtype)
    maps[1] = -maps[1] - 0.5  # nowhere above zero
    if len(shape) == 4:
        maps = arranged(maps, layout)
    found, exact = reduced(maps), maps.double().reshape(*shape[:2], -1)
    assert found.peaks.dtype == found.sums.dtype == found.squares.dtype == torch.float32
    torch.testing.assert_close(found.peaks.double(), exact.amax(2), rtol=0, atol=0)
    torch.testing.assert_close(found.sums.double(), exact.sum(2), rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(found.squares.double(), exact.square().sum(2), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_first_of_equal_peaks_is_found_in_reading_order(layout: str) -> None:
    maps = arranged(torch.randint(0, 3, (6, 4, 5, 7), generator=torch.Generator().manual_seed(0)).float(), layout)
    maps[2, 1] = 0
    maps[3, 1, 4, 2] = maps[3, 1, 1, 2] = 9  # twice in one column
    maps[4, 1, 3, 1] = maps[4, 1, 1, 5] = 9  # the upper one is in a later column
    images, units = (each.ravel() for each in np.mgrid[:6, :4])
    found = Response("layer", maps, np.arange(6)).first_peak(images, units)
    for image, unit, y, x in zip(images, units, *found, strict=True):
        values = maps[image, unit].flatten().tolist()
        assert divmod(values.index(max(values)), 7) == (y, x)


def test_joined_answers_equal_one_answer() -> None:
    maps = torch.randn(9, 4, 6, 5, generator=torch.Generator().manual_seed(0))
    keys = np.random.default_rng(0).permutation(9)
    whole = Response("layer", maps, keys)
    looked_at = np.random.default_rng(1).random((9, 4)) < 0.5
    spans = slice(0, 4), slice(4, 5), slice(5, 9)
    found = joined([Response("layer", maps[at], keys[at]).without_maps(looked_at[at]) for at in spans])
    for exact, kept in zip(whole.first_peak(*looked_at.nonzero()), found.first_peak(*looked_at.nonzero()), strict=True):
        np.testing.assert_array_equal(kept, exact)
    assert (found.n_units, found.size, len(found)) == (4, (6, 5), 9)
    np.testing.assert_array_equal(found.keys, keys)
    np.testing.assert_array_equal(found.peaks, whole.peaks)
    np.testing.assert_allclose(found.means, whole.means, rtol=1e-6)
    np.testing.assert_allclose(found.mean_squares, whole.mean_squares, rtol=1e-6)
    torch.testing.assert_close(found.sample, whole.sample, rtol=0, atol=0)


def test_what_is_kept_is_not_the_maps_own_memory() -> None:
    maps = torch.ones(3, 4)
    kept = Response("fc", maps, np.arange(3)).without_maps(np.ones((3, 4), bool))
    maps.zero_()
    assert (kept.peaks == 1).all()
    assert (kept.sample == 1).all()


@pytest.fixture
def net() -> cs.Network:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU6(inplace=True), nn.Conv2d(6, 4, 3), nn.SiLU()
    )
    module.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten()).append(nn.Linear(4, 3))
    module[1].running_var.uniform_(0.1, 2)
    return cs.load(
        module, size=(33, 47), preprocess={"resize": None, "crop": (33, 47), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    )


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("at_once", [1, 3])
def test_few_images_at_once_on_several_threads_change_nothing(
    net: cs.Network, monkeypatch: pytest.MonkeyPatch, n_threads: int, at_once: int
) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (23, 33, 47, 3), np.uint8)
    images, labelings = cs.images(pictures, labels=False), np.arange(23)[None] % 3

    def swept() -> dict[str, dict[str, np.ndarray]]:
        gauges = gauges_for(
            net,
            ["0", "2", "4"],
            lambda n: [Exemplars(n, 3), Moments(n), Distribution(n), Selectivity(n, labelings), Coactivation(n)],
        )
        found = sweep(net, images, gauges, batch_size=8)
        assert found.n_images == 23
        return {f"{layer} {name}": g.state() for layer, each in found.gauges.items() for name, g in each.items()}

    whole = swept()
    monkeypatch.setattr(engine, "images_at_once", lambda network, batch_size, n_threads: at_once)
    torch.set_num_threads(n_threads)
    first, again = swept(), swept()
    assert torch.get_num_threads() == n_threads
    for where, state in first.items():
        for part, array in state.items():
            np.testing.assert_array_equal(array, again[where][part], err_msg=f"{where} {part}")
            np.testing.assert_allclose(array, whole[where][part], rtol=1e-5, atol=1e-6, err_msg=f"{where} {part}")
            if array.dtype.kind == "i" and "distribution" not in where:
                np.testing.assert_array_equal(array, whole[where][part])


@pytest.mark.usefixtures("one_thread")
def test_what_goes_wrong_on_a_thread_is_raised_and_the_threads_are_given_back(net: cs.Network) -> None:
    images = cs.images(np.zeros((16, 33, 47, 3), np.uint8), labels=False)
    armed: list[bool] = []

    def broken(x: torch.Tensor) -> torch.Tensor:
        if armed:
            raise ZeroDivisionError
        return x.clamp(0, 6)

    swapped = net.swap("2", broken)
    armed.append(True)
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError):
        sweep(swapped, images, gauges_for(net, ["0"], lambda n: [Moments(n)]), batch_size=8)
    assert torch.get_num_threads() == 2


def test_as_many_at_once_as_leave_the_largest_maps_in_cache(net: cs.Network) -> None:
    assert images_at_once(net, 32) == 32
    assert images_at_once(net, 1) == 1
    assert images_at_once(net, 32, n_threads=3) == 11  # so that every thread has work
    wide = cs.load(nn.Sequential(nn.Conv2d(3, 64, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()), size=(130, 130))
    largest = 64 * 130 * 130 * 4
    assert images_at_once(wide, 32) * largest <= reduce.LARGEST_MAPS or images_at_once(wide, 32) == 4
    assert images_at_once(wide, 32) == 4


def trial(dtype: torch.dtype, last: bool, speed: float, difference: float = 0.0) -> Trial:
    return Trial(dtype, last, speed, difference)


ABOVE, BELOW = 1.01, 0.99  # of what is asked for


@pytest.mark.parametrize(
    ("last", "low", "difference", "expected"),
    [  # speed of float32 channels_last against the usual format, of bfloat16 against the best of them
        (BELOW * OTHER_LAYOUT, BELOW * OTHER_PRECISION, 0.0, (torch.float32, False)),
        (ABOVE * OTHER_LAYOUT, BELOW * OTHER_PRECISION, 0.0, (torch.float32, True)),
        (ABOVE * OTHER_LAYOUT, ABOVE * OTHER_PRECISION, 0.0, (torch.bfloat16, False)),
        (BELOW * OTHER_LAYOUT, ABOVE * OTHER_PRECISION, ABOVE * MOST_DIFFERENCE, (torch.float32, False)),
        (BELOW * OTHER_LAYOUT, ABOVE * OTHER_PRECISION, BELOW * MOST_DIFFERENCE, (torch.bfloat16, False)),
        (0.8, ABOVE * OTHER_PRECISION, 0.0, (torch.bfloat16, False)),
    ],
)
def test_another_format_is_taken_only_where_it_is_worth_it(
    last: float, low: float, difference: float, expected: tuple[torch.dtype, bool]
) -> None:
    trials = [
        trial(torch.bfloat16, False, low * max(1, last), difference),
        trial(torch.float32, True, last, 1e-6),
        trial(torch.float32, False, 1),
    ]
    taken = worth_taking(trials)
    assert (taken.dtype, taken.channels_last) == expected


def test_the_chosen_network_is_in_a_format_that_was_tried(net: cs.Network) -> None:
    chosen, trials = choose_format(net, torch.randn(2, 3, 33, 47))
    taken = worth_taking(trials)
    assert (chosen.dtype, chosen.channels_last) == (taken.dtype, taken.channels_last)
    assert len(trials) == 4
