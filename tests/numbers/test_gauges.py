"""Do the gauges say what keeping everything would have said, however the images are split?"""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import convscope as cs
from convscope.sweep.engine import OUTPUT, gauges_for, sweep
from convscope.sweep.gauges import Coactivation, Distribution, Exemplars, Gauge, Hits, Moments, Selectivity
from convscope.sweep.gauges.distribution import RELATIVE_ERROR, bin_index, bin_values
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
        Selectivity(UNITS, labelings),
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
    maps[3, 1, 2, 1] = 0.731
    gauge = Moments(2)
    gauge.update(Response("layer", maps, np.arange(6)))
    assert gauge.result().dead.tolist() == [True, False]


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
        np.testing.assert_allclose(found.quantile(q), exact, rtol=1.0001 * RELATIVE_ERROR, atol=2**-20)
    np.testing.assert_allclose(found.active_frac, (values > 2**-20).mean(axis=1), atol=1e-3)


def test_bins_are_ordered_and_stand_for_what_falls_into_them() -> None:
    values = torch.tensor([-3e5, -1.0, -1e-4, -1e-9, 0.0, 1e-9, 1e-4, 1.0, 1.01, 1.5, 2.0, 3e5])
    bins = bin_index(values)
    assert (bins.diff() >= 0).all()
    stands = bin_values()[bins.numpy()]
    inside = values.abs() >= 2**-20
    np.testing.assert_allclose(stands[inside], values[inside].double(), rtol=RELATIVE_ERROR)
    assert (stands[~inside.numpy()] == 0).all()


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


def test_out_of_memory_halves_the_batch_and_changes_nothing(swept) -> None:
    net, images, labelings = swept
    whole = sweep(net, images, all_gauges(net, labelings), batch_size=8)

    def tight(x: torch.Tensor) -> torch.Tensor:
        if len(x) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return x.relu()

    found = sweep(net.swap("relu2", tight), images, all_gauges(net, labelings), batch_size=8)
    assert found.batch_size <= 2
    assert found.n_images == 23
    for layer in ("conv1", "relu2", "fc"):
        a, b = (s.gauges[layer]["moments"].result() for s in (found, whole))
        assert a.n_images == b.n_images == 23
        np.testing.assert_allclose(a.mean, b.mean, rtol=1e-5, atol=1e-7)
