"""Do the gauges say what keeping everything would have said, however the images are split?"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from PIL import Image
from torch import nn

import convscope as cs
from convscope.sweep import checkpoint, engine
from convscope.sweep.engine import OUTPUT, Sweep, gauges_for, sweep
from convscope.sweep.gauges import Coactivation, Distribution, Exemplars, Gauge, Hits, Moments, Selectivity
from convscope.sweep.gauges.distribution import HIGHEST, LOWEST, RELATIVE_ERROR, bin_index, bin_values
from convscope.sweep.response import N_SAMPLED, Response, sampled_positions

N, UNITS, SIZE = 37, 5, (7, 11)


@pytest.fixture
def maps() -> torch.Tensor:
    """Answers of five units to 37 images, with ties, negative values, a dead unit and one that copies another."""
    maps = torch.randn(N, UNITS, *SIZE, generator=torch.Generator().manual_seed(0)).mul(4).round().div(4)
    maps[:, 1] = 0
    maps[:, 3] = 2 * maps[:, 2]
    return maps


@pytest.fixture
def labelings() -> np.ndarray:
    true = np.arange(N) % 4
    true[5] = -1
    return np.stack([true, np.random.default_rng(0).permutation(true)])


def gauges(labelings: np.ndarray) -> list[Gauge]:
    return [
        Exemplars(UNITS, k=4),
        Moments(UNITS),
        Distribution(UNITS),
        Selectivity(UNITS, labelings, n_groups=3),
        Coactivation(UNITS),
    ]


def fed(maps: torch.Tensor, labelings: np.ndarray, parts: list[np.ndarray]) -> list[Gauge]:
    """Gauges fed with these parts of the images, one after the other."""
    found = gauges(labelings)
    for part in parts:
        for gauge in found:
            gauge.update(Response("layer", maps[part], part.astype(np.int64)))
    return found


SPLITS = {
    "one by one": [np.array([i]) for i in range(N)],
    "backwards": [np.arange(N)[::-1].copy()],
    "odd batches": [np.arange(0, 5), np.arange(5, 6), np.arange(6, 23), np.arange(23, N)],
    "interleaved": [np.arange(0, N, 3), np.arange(2, N, 3), np.arange(1, N, 3)],
}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("merged", [False, True])
def test_any_split_gives_the_same(maps: torch.Tensor, labelings: np.ndarray, split: str, merged: bool) -> None:
    whole = fed(maps, labelings, [np.arange(N)])
    parts = SPLITS[split]
    if merged:
        workers = [fed(maps, labelings, [part]) for part in parts]
        found = gauges(labelings)
        for worker in workers:
            for gauge, other in zip(found, worker, strict=True):
                gauge.merge(other)
    else:
        found = fed(maps, labelings, parts)
    for gauge, other in zip(found, whole, strict=True):
        for name, array in gauge.state().items():
            expected = other.state()[name]
            if array.dtype.kind == "i" or gauge.name == "exemplars":
                np.testing.assert_array_equal(array, expected, err_msg=f"{gauge.name}.{name}")
            else:
                np.testing.assert_allclose(array, expected, rtol=1e-6, atol=1e-9, err_msg=f"{gauge.name}.{name}")


def test_an_empty_gauge_changes_nothing_and_a_saved_one_goes_on(maps: torch.Tensor, labelings: np.ndarray) -> None:
    parts = SPLITS["odd batches"]
    whole = fed(maps, labelings, parts)
    half = fed(maps, labelings, parts[:2])
    for gauge, fresh, other in zip(half, gauges(labelings), whole, strict=True):
        gauge.merge(fresh)
        again = gauges(labelings)[[type(g) for g in whole].index(type(gauge))]
        again.restore({name: array.copy() for name, array in gauge.state().items()})
        for part in parts[2:]:
            again.update(Response("layer", maps[part], part))
        for name, array in again.state().items():
            np.testing.assert_array_equal(array, other.state()[name], err_msg=f"{gauge.name}.{name}")


def test_exemplars_equal_sorting_everything(maps: torch.Tensor, labelings: np.ndarray) -> None:
    table = fed(maps, labelings, SPLITS["odd batches"])[0].result()
    flat = maps.flatten(2)
    for unit in range(UNITS):
        order = sorted(range(N), key=lambda i: (-float(flat[i, unit].max()), i))[:4]
        assert table.keys[unit].tolist() == order
        for rank, image in enumerate(order):
            value = flat[image, unit].max()
            place = int((flat[image, unit] == value).nonzero()[0])
            assert table.values[unit, rank] == float(value)
            assert (table.y[unit, rank], table.x[unit, rank]) == divmod(place, SIZE[1])


def test_fewer_images_than_places(maps: torch.Tensor, labelings: np.ndarray) -> None:
    table = fed(maps, labelings, [np.arange(2)])[0].result()
    assert (table.keys[:, 2:] == -1).all()
    assert (table.keys[:, :2] >= 0).all()


def test_moments_equal_keeping_everything(maps: torch.Tensor, labelings: np.ndarray) -> None:
    found = fed(maps, labelings, SPLITS["odd batches"])[1].result()
    values = maps.double().transpose(0, 1).flatten(1).numpy()
    np.testing.assert_allclose(found.mean, values.mean(1), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.std, values.std(1), rtol=1e-6)
    np.testing.assert_array_equal(found.max, values.max(1).astype(np.float32))
    np.testing.assert_allclose(found.on_frac, (maps.amax((2, 3)) > 0).double().mean(0).numpy())
    assert found.dead.tolist() == [False, True, False, False, False]


def test_a_constant_unit_is_dead_even_away_from_zero() -> None:
    maps = torch.full((6, 2, 4, 3), 0.73)
    maps[3, 1, 2, 1] = 0.75
    gauge = Moments(2)
    gauge.update(Response("layer", maps, np.arange(6)))
    assert gauge.result().dead.tolist() == [True, False]


def test_a_unit_that_moves_a_thousandth_of_the_others_is_dead() -> None:
    maps = torch.randn(50, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    maps *= torch.tensor([1.0, 2.0, 3.0, 2.5e-3, 1.5e-3])[:, None, None]
    maps[:, 3:] -= 0.02
    gauge = Moments(5)
    gauge.update(Response("layer", maps, np.arange(50)))
    assert not gauge.result().constant.any()
    assert gauge.result().dead.tolist() == [False, False, False, False, False]
    maps[:, 3:] *= 0.5  # 1.25e-3 and 0.75e-3 of the median, which is that of the first unit
    gauge = Moments(5)
    gauge.update(Response("layer", maps, np.arange(50)))
    assert gauge.result().dead.tolist() == [False, False, False, False, True]
    assert gauge.result().n_on.tolist() == (maps.amax((2, 3)) > 0).sum(0).tolist()


def test_quantiles_are_within_their_stated_error(labelings: np.ndarray) -> None:
    generator = torch.Generator().manual_seed(2)
    maps = torch.randn(900, 3, 2, 4, generator=generator) * torch.tensor([1e-3, 1.0, 300.0])[:, None, None]
    maps[:, 1].relu_()
    gauge = Distribution(3)
    gauge.update(Response("layer", maps, np.arange(900)))
    found = gauge.result()
    values = np.sort(maps.transpose(0, 1).flatten(1).numpy(), axis=1)
    assert found.counts.sum(axis=1).tolist() == [7200] * 3
    for q in (0.001, 0.05, 0.5, 0.9, 0.995, 1.0):
        exact = values[:, max(0, int(np.ceil(q * 7200)) - 1)]
        np.testing.assert_allclose(found.quantile(q), exact, rtol=1.0001 * RELATIVE_ERROR, atol=2.0**LOWEST)
    np.testing.assert_allclose(found.active_frac, (values > 2.0**LOWEST).mean(axis=1), atol=1e-3)


def test_bins_are_ordered_and_stand_for_what_falls_into_them() -> None:
    values = torch.tensor([-3e5, -1.0, -1e-4, -1e-6, 0.0, 1e-6, 1e-4, 1.0, 1.01, 1.5, 2.0, 3e5])
    bins = bin_index(values)
    assert (bins.diff() >= 0).all()
    stands = bin_values()[bins.numpy()]
    inside = (values.abs() >= 2.0**LOWEST) & (values.abs() < 2.0**HIGHEST)
    np.testing.assert_allclose(stands[inside], values[inside].double(), rtol=RELATIVE_ERROR)
    assert (stands[values.abs().numpy() < 2.0**LOWEST] == 0).all()
    assert abs(stands[[0, -1]] / 2.0**HIGHEST).tolist() == pytest.approx([1, 1], rel=RELATIVE_ERROR)  # larger ones


def test_selectivity_of_a_unit_for_one_class_is_one(labelings: np.ndarray) -> None:
    true = labelings[:1]
    maps = torch.rand(N, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    maps[:, 0] = torch.from_numpy(true[0] == 2).float()[:, None, None] * 3
    maps[:, 1] = 0.5
    gauge = Selectivity(3, true)
    gauge.update(Response("layer", maps, np.arange(N)))
    found = gauge.result()
    assert found.best[0, 0] == 2
    np.testing.assert_allclose(found.index[0, :2], [1.0, 0.0], atol=1e-7)
    means = np.array([maps[true[0] == c, 2].mean() for c in range(4)])
    rest = (means.sum() - means.max()) / 3
    assert found.index[0, 2] == pytest.approx((means.max() - rest) / (means.max() + rest), rel=1e-5)
    assert (found.n_classes, found.n_images) == (4, N - 1)


def naive_index(responses: np.ndarray, labels: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The index of each unit from the images' responses, each image taken so many times."""
    found = []
    for unit in responses.T:
        means = []
        for c in np.unique(labels[labels >= 0]):
            taken = np.repeat(unit[labels == c], times[labels == c])
            means += [taken.mean()] if len(taken) else []
        means = np.array(means) - min(0, min(means))
        most, rest = means.max(), (means.sum() - means.max()) / (len(means) - 1)
        found.append((most - rest) / (most + rest) if most + rest > 0 else 0)
    return np.array(found)


def test_selectivity_under_redrawn_groups_equals_redrawing_the_images(maps: torch.Tensor) -> None:
    rng = np.random.default_rng(3)
    true = rng.choice([-1, 2, 5, 900], N)  # few classes out of many
    labelings = np.stack([true, rng.permutation(true)])
    gauge = Selectivity(UNITS, labelings, n_groups=4)
    for part in SPLITS["odd batches"]:
        gauge.update(Response("layer", maps[part], part))
    assert gauge.sums.size <= 2 * 3 * 4 * UNITS
    responses = maps.double().mean((2, 3)).numpy()
    draws = np.array([[1, 1, 1, 1], [0, 2, 1, 1], [3, 0, 0, 1]])
    found = gauge.resampled(draws)
    assert found.shape == (3, 2, UNITS)
    for drawn, row in zip(draws, found, strict=True):
        for labels, index in zip(labelings, row, strict=True):
            expected = naive_index(responses, labels, drawn[np.arange(N) % 4])
            np.testing.assert_allclose(index, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gauge.result().index, found[0], rtol=1e-12)
    own = [(true == c).sum() for c in (2, 5, 900)]
    assert gauge.result().n_per_class_min == min(own)
    assert set(gauge.result().best.ravel()) <= {-1, 2, 5, 900}
    means = np.array([responses[true == c].mean(axis=0) for c in (2, 5, 900)])
    for unit in (0, 2, 3, 4):
        assert gauge.result().best[0, unit] == (2, 5, 900)[means[:, unit].argmax()]


def test_p_values_equal_the_analysis_of_variance(maps: torch.Tensor, labelings: np.ndarray) -> None:
    maps[:, 0] += torch.from_numpy(labelings[0] == 1).float()[:, None, None]
    gauge = Selectivity(UNITS, labelings, n_groups=3)
    for part in SPLITS["interleaved"]:
        gauge.update(Response("layer", maps[part], part))
    found = gauge.result().p_values
    responses = maps.double().mean((2, 3)).numpy()
    for labels, row in zip(labelings, found, strict=True):
        for unit in (0, 2, 3, 4):
            expected = scipy.stats.f_oneway(*(responses[labels == c, unit] for c in range(4))).pvalue
            assert row[unit] == pytest.approx(expected, rel=1e-4)
    assert found[0, 0] < 1e-6
    assert found[:, 1].tolist() == [1, 1]  # a unit that never moves


def test_p_values_where_there_is_little_to_test() -> None:
    maps = torch.zeros(4, 2, 1, 1)
    maps[:, :, 0, 0] = torch.tensor([[1.0, 0.73], [1.0, 0.73], [2.0, 0.73], [2.0, 0.73]])
    expected_by_labels = {(0, 0, 1, 1): [0, 1], (0, 1, 2, 3): [1, 1], (0, 0, 0, 0): [1, 1], (-1, -1, -1, -1): [1, 1]}
    for labels, expected in expected_by_labels.items():
        gauge = Selectivity(2, np.array([labels]))
        gauge.update(Response("layer", maps, np.arange(4)))
        assert gauge.result().p_values[0].tolist() == expected


def test_units_that_fired_once_together_are_no_copies() -> None:
    maps = torch.zeros(20, 3, 2, 3)
    maps[4, :2] = torch.tensor([1.0, 2.0])[:, None, None]
    maps[:, 2] = torch.randn(20, 2, 3, generator=torch.Generator().manual_seed(0))
    gauge = Coactivation(3)
    gauge.update(Response("layer", maps, np.arange(20)))
    found = gauge.result()
    assert found.n_active.tolist() == [6, 6, int((maps[:, 2] > 0).sum())]
    assert found.duplicates() == []
    assert found.duplicates(min_active=6) == [(0, 1)]


def test_nan_is_no_exemplar() -> None:
    maps = torch.tensor([torch.nan, 1.0, -3.0, torch.nan])[:, None, None, None].expand(4, 2, 1, 1)
    gauge = Exemplars(2, k=4)
    gauge.update(Response("layer", maps, np.arange(4)))
    assert gauge.result().keys.tolist() == [[1, 2, -1, -1]] * 2


def test_copies_are_found_and_nothing_else(maps: torch.Tensor, labelings: np.ndarray) -> None:
    gauge = fed(maps, labelings, SPLITS["interleaved"])[4]
    found = gauge.result()
    assert found.duplicates() == [(2, 3)]
    assert np.isnan(found.correlation[1]).all()
    positions = sampled_positions(np.arange(N), SIZE[0] * SIZE[1])
    sampled = np.concatenate([maps.flatten(2)[i][:, positions[i]].numpy() for i in range(N)], axis=1)
    moving = [0, 2, 4]
    np.testing.assert_allclose(found.correlation[np.ix_(moving, moving)], np.corrcoef(sampled[moving]), atol=1e-5)


def test_sampled_positions_are_spread_and_follow_from_the_image() -> None:
    for n in (9, 49, 12544):
        found = sampled_positions(np.arange(500), n)
        assert found.shape == (500, N_SAMPLED)
        assert (found >= 0).all()
        assert (found < n).all()
        assert (np.diff(found, axis=1) >= n // N_SAMPLED).all()
        np.testing.assert_array_equal(found[[7, 3]], sampled_positions(np.array([7, 3]), n))
    counts = np.bincount(sampled_positions(np.arange(4900), 49).ravel(), minlength=49)
    assert counts.min() > 0.8 * counts.mean()


def test_hits_are_counted_under_every_labelling() -> None:
    logits = torch.eye(7)[torch.tensor([0, 1, 2, 3])]
    logits[3, 6] = 2.0
    labelings = np.array([[0, 1, 5, 3], [1, 0, 2, -1]])
    gauge = Hits(7, labelings)
    gauge.update(Response(OUTPUT, logits, np.arange(4)))
    found = gauge.result()
    assert found.n.tolist() == [4, 3]
    assert found.top1.tolist() == [2, 1]
    assert found.top5.tolist()[0] >= 3


class Net(nn.Sequential):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(6)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(6, 4, 3)
        self.relu2 = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(4, 3)


@pytest.fixture
def swept() -> tuple[cs.Network, cs.Images, np.ndarray]:
    torch.manual_seed(0)
    net = cs.load(
        Net(), size=(33, 47), preprocess={"resize": None, "crop": (33, 47)} | {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    )
    pictures = np.random.default_rng(0).integers(0, 256, (23, 33, 47, 3), np.uint8)
    return net, cs.images(pictures, labels=[i % 3 for i in range(23)]), np.arange(23)[None] % 3


def all_gauges(net: cs.Network, labelings: np.ndarray):
    layers = ["conv1", "relu1", "conv2", "relu2", "fc"]
    found = gauges_for(
        net,
        layers,
        lambda n: [Exemplars(n, 3), Moments(n), Distribution(n), Selectivity(n, labelings), Coactivation(n)],
    )
    found[OUTPUT] = {"hits": Hits(3, labelings)}
    return found


def test_a_sweep_feeds_every_layer_with_what_it_answers(swept) -> None:
    net, images, labelings = swept
    found = sweep(net, images, all_gauges(net, labelings), batch_size=5)
    assert found.n_images == found.stop == 23
    inputs = net.preprocess([images[i] for i in range(23)])
    kept = net.run(inputs, ["conv1", "relu1", "conv2", "relu2", "fc"])
    for layer, maps in kept.items():
        moments = found.gauges[layer]["moments"].result()
        values = maps.detach().double().transpose(0, 1).flatten(1)
        np.testing.assert_allclose(moments.mean, values.mean(1), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(moments.std, values.std(1, correction=0), rtol=1e-4, atol=1e-7)
        peaks = maps.detach().flatten(2).amax(2).numpy() if maps.dim() == 4 else maps.detach().numpy()
        exemplars = found.gauges[layer]["exemplars"].result()
        np.testing.assert_allclose(exemplars.values, -np.sort(-peaks, axis=0)[:3].T, rtol=1e-5, atol=1e-6)
    hits = found.gauges[OUTPUT]["hits"].result()
    assert hits.top1[0] == int((net(inputs).argmax(1).numpy() == labelings[0]).sum())


def test_a_sweep_that_was_stopped_goes_on_to_the_same_bytes(swept, tmp_path) -> None:
    net, images, labelings = swept
    whole = sweep(net, images, all_gauges(net, labelings), batch_size=4)
    for at in range(1, 6):
        path = tmp_path / f"{at}.safetensors"
        calls = itertools.count(1)

        def stop(done: int, total: int, at: int = at, calls: itertools.count = calls) -> None:
            if next(calls) == at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            sweep(net, images, all_gauges(net, labelings), batch_size=4, checkpoint=path, signature="a", progress=stop)
        found = sweep(net, images, all_gauges(net, labelings), batch_size=4, checkpoint=path, signature="a")
        assert found.n_images == 23
        for layer, gauges_ in whole.gauges.items():
            for name, gauge in gauges_.items():
                for part, array in gauge.state().items():
                    np.testing.assert_array_equal(found.gauges[layer][name].state()[part], array)
        other = sweep(net, images, all_gauges(net, labelings), batch_size=4, checkpoint=path, signature="b")
        assert other.n_images == 23


def test_nan_and_infinity_are_named_and_left_out(swept) -> None:
    net, images, labelings = swept
    inputs = net.preprocess([images[i] for i in range(23)])
    limit = float(net.run(inputs, ["relu1"])["relu1"].flatten(1).amax(1).median())  # half of the images exceed it
    broken = net.swap("relu1", lambda x: torch.where(x > limit, torch.inf, x.relu()))
    found = sweep(broken, images, all_gauges(broken, labelings), batch_size=5)
    named = {layer for layer, _ in found.not_finite}
    assert "relu1" in named
    assert "conv1" not in named
    bad = {id_ for layer, id_ in found.not_finite if layer == "relu1"}
    assert 0 < len(bad) < 23
    moments = found.gauges["relu1"]["moments"].result()
    assert moments.n_images == 23 - len(bad)
    assert np.isfinite(moments.mean).all()


class Replacement:
    """Stands in for an operation; does what it does once it is armed (a swap tries it out before that)."""

    def __init__(self, plain: Callable, armed: Callable) -> None:
        self.plain, self.armed, self.is_armed = plain, armed, False

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return (self.armed if self.is_armed else self.plain)(x)


def replaced(net: cs.Network, layer: str, plain: Callable, armed: Callable) -> cs.Network:
    replacement = Replacement(plain, armed)
    swapped = net.swap(layer, replacement)
    replacement.is_armed = True
    return swapped


@pytest.fixture
def one_thread() -> Iterator[None]:
    """So that a batch is computed in one part."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_out_of_memory_halves_the_batch_once_and_changes_nothing(swept) -> None:
    net, images, labelings = swept
    whole = sweep(net, images, all_gauges(net, labelings), batch_size=8)
    sizes: list[int] = []

    def tight(x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        if len(x) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return x.relu()

    found = sweep(
        replaced(net, "relu2", torch.relu, tight), images, all_gauges(net, labelings), batch_size=8, workers=1
    )
    assert found.batch_size == 2
    assert sizes == [8, 4, 4, *[2] * 11, 1]
    assert found.n_images == 23
    for layer in ("conv1", "relu2", "fc"):
        a, b = (s.gauges[layer]["moments"].result() for s in (found, whole))
        assert a.n_images == b.n_images == 23
        np.testing.assert_allclose(a.mean, b.mean, rtol=1e-5, atol=1e-7)


def test_other_errors_are_not_taken_for_want_of_memory(swept) -> None:
    net, images, labelings = swept

    def broken(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("unsupported memory format")

    def full(x: torch.Tensor) -> torch.Tensor:
        raise MemoryError

    with pytest.raises(RuntimeError, match="memory format"):
        sweep(replaced(net, "relu2", torch.relu, broken), images, all_gauges(net, labelings), batch_size=8)
    with pytest.raises(MemoryError):  # not even one image fits
        sweep(replaced(net, "relu2", torch.relu, full), images, all_gauges(net, labelings), batch_size=8)


def test_logits_that_are_not_finite_are_named(swept) -> None:
    net, images, _ = swept
    kept = net.run(net.preprocess([images[i] for i in range(23)]), ["flatten"])["flatten"][:, 0]
    limit = float(kept.detach().median())

    def some_nan(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x[:, :1] > limit, torch.nan, x[:, :3])

    found = sweep(net.swap("fc", some_nan), images, {"conv1": {"moments": Moments(6)}}, batch_size=5)
    assert {layer for layer, _ in found.not_finite} == {OUTPUT}
    assert [id_ for _, id_ in found.not_finite] == [images.ids[i] for i in torch.nonzero(kept > limit).flatten()]
    assert found.gauges["conv1"]["moments"].result().n_images == 23


class KilledError(Exception):
    """Nothing is done about it, as about a kill."""


def same_bytes(found: Sweep, whole: Sweep) -> bool:
    pairs = [
        (array, found.gauges[layer][name].state()[part])
        for layer, gauges_ in whole.gauges.items()
        for name, gauge in gauges_.items()
        for part, array in gauge.state().items()
    ]
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


@pytest.mark.usefixtures("one_thread")
def test_an_interrupt_within_a_batch_saves_nothing_half_done(swept, tmp_path, monkeypatch) -> None:
    net, images, labelings = swept
    monkeypatch.setattr(engine, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(engine, "SAVING_SHARE", 1e9)  # after every batch
    plain = net.swap("relu2", torch.relu)
    whole = sweep(plain, images, all_gauges(net, labelings), batch_size=4)
    for error in (KeyboardInterrupt, KilledError):
        for at in (1, 2, 4):
            calls = itertools.count(1)

            def stop(x: torch.Tensor, calls=calls, at=at, error=error) -> torch.Tensor:
                if next(calls) == at:
                    raise error  # after the gauges of the layers below have taken in their share
                return x.relu()

            path = tmp_path / f"{error.__name__}{at}.safetensors"
            with pytest.raises(error):
                sweep(
                    replaced(net, "relu2", torch.relu, stop),
                    images,
                    all_gauges(net, labelings),
                    batch_size=4,
                    checkpoint=path,
                )
            assert path.exists() == (at > 1)
            found = sweep(plain, images, all_gauges(net, labelings), batch_size=4, checkpoint=path)
            assert same_bytes(found, whole)


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(swept, tmp_path, monkeypatch) -> None:
    net, images, labelings = swept
    path = tmp_path / "state.safetensors"
    monkeypatch.setattr(engine, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(engine, "SAVING_SHARE", 1e9)
    whole = sweep(net, images, all_gauges(net, labelings), batch_size=4)
    write, calls = checkpoint.save_file, itertools.count(1)

    def half(arrays: dict, where: Path, **settings) -> None:
        write(arrays, where, **settings)
        if next(calls) == 3:
            where.write_bytes(where.read_bytes()[:5000])
            raise KilledError

    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(KilledError):
        sweep(net, images, all_gauges(net, labelings), batch_size=4, checkpoint=path)
    seen: list[int] = []
    found = sweep(
        net,
        images,
        all_gauges(net, labelings),
        batch_size=4,
        checkpoint=path,
        progress=lambda done, total: seen.append(done),
    )
    assert seen[0] == 12  # goes on after the second save
    assert same_bytes(found, whole)


def test_images_of_several_sizes_go_on_from_whole_spans_only(tmp_path) -> None:
    torch.manual_seed(0)
    net = cs.load(
        Net(), size=(33, 47), preprocess={"resize": None, "crop": None, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    )
    rng = np.random.default_rng(0)
    for i in range(12):
        size = (40, 36) if i % 2 else (33, 47)
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(tmp_path / f"{i:02}.png")
    images = cs.images(tmp_path)
    labelings = np.arange(12)[None] % 3
    whole = sweep(net, images, all_gauges(net, labelings), batch_size=4)
    assert whole.n_images == 12
    for at in range(1, 7):
        path, calls = tmp_path / f"{at}.safetensors", itertools.count(1)

        def stop(done: int, total: int, at: int = at, calls: itertools.count = calls) -> None:
            if next(calls) == at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            sweep(net, images, all_gauges(net, labelings), batch_size=4, checkpoint=path, progress=stop)
        found = sweep(net, images, all_gauges(net, labelings), batch_size=4, checkpoint=path)
        assert found.n_images == 12
        assert same_bytes(found, whole)


def test_where_units_saturate_the_peak_that_more_neurons_reach_comes_first() -> None:
    generator = torch.Generator().manual_seed(4)
    maps = (torch.randn(N, 3, *SIZE, generator=generator) * 3 + 3).clamp(0, 6)
    maps[:, 2] = 0
    wanted = {}
    for unit in range(3):
        reach = [(float(m.max()), int((m == m.max()).sum()) if m.max() > 0 else 0) for m in maps[:, unit]]
        wanted[unit] = sorted(range(N), key=lambda i, reach=reach: (-reach[i][0], -reach[i][1], i))[:5]
    for parts in SPLITS.values():
        gauge, other = Exemplars(3, 5, saturates=True), Exemplars(3, 5, saturates=True)
        for i, part in enumerate(parts):
            (gauge if i % 2 else other).update(Response("layer", maps[part], part.astype(np.int64)))
        gauge.merge(other)
        assert gauge.result().keys[:2].tolist() == [wanted[0], wanted[1]]
    assert wanted[0] != sorted(wanted[0]), "ids alone would give another order"
    last = maps.contiguous(memory_format=torch.channels_last)
    whole = Exemplars(3, 5, saturates=True)
    response = Response("layer", last, np.arange(N))
    whole.update(response.without_maps(whole.looks_at(response), extents=True))
    assert whole.result().keys[:2].tolist() == [wanted[0], wanted[1]]


def test_a_unit_that_answers_strongly_and_seldom_is_not_dead() -> None:
    maps = torch.rand(400, 5, 16, 16, generator=torch.Generator().manual_seed(0))
    maps[:, 1] = 0
    maps[7, 1, 3, 4] = 0.02  # once, in one neuron: its deviation is below a thousandth of the others'
    maps[:, 2] = 0.5
    maps[:, 3] = 1e-5 * maps[:, 0]
    gauge = Moments(5)
    gauge.update(Response("layer", maps, np.arange(400)))
    found = gauge.result()
    assert found.std[1] < 1e-3 * np.median(found.std[found.std > 0])
    assert found.dead.tolist() == [False, False, True, True, False]


def test_what_comes_after_infinity_is_left_out_too(swept) -> None:
    net, images, labelings = swept
    inputs = net.preprocess([images[i] for i in range(23)])
    limit = float(net.run(inputs, ["relu1"])["relu1"].flatten(1).amax(1).median())
    broken = net.swap("relu1", lambda x: torch.where(x > limit, torch.inf, x.relu()))
    found = sweep(broken, images, all_gauges(broken, labelings), batch_size=5)
    counts = {layer: found.gauges[layer]["moments"].result().n_images for layer in ("conv1", "relu1", "relu2", "fc")}
    assert counts["conv1"] == 23
    assert counts["relu1"] == counts["relu2"] == counts["fc"] < 23
