"""Does a sweep of an architecture say what keeping every activation would have said?  Oblong images, odd batches, both formats."""

import numpy as np
import pytest
import torch
from small_networks import randomized

import convscope as cs
from convscope.network.chosen_layers import chosen_layers
from convscope.network.torchvision_ops import import_torchvision
from convscope.sweep.engine import gauges_for, sweep
from convscope.sweep.gauges import Distribution, Exemplars, Moments
from convscope.sweep.gauges.distribution import RELATIVE_ERROR

SIZE, N, K = (65, 97), 23, 4
NETWORKS = ("squeezenet1_1", "resnet18", "mobilenet_v2")


@pytest.fixture(scope="module", params=NETWORKS)
def answered(request: pytest.FixtureRequest):
    """A network, images, and everything its layers answer to them, kept."""
    module = randomized(import_torchvision("torchvision.models").get_model(request.param, weights=None), SIZE)
    recipe = {"resize": None, "crop": SIZE, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    net = cs.load(module, size=SIZE, preprocess=recipe)
    coarse = np.random.default_rng(0).integers(0, 256, (N, 9, 13, 3), np.uint8)
    images = cs.images(coarse.repeat(8, axis=1).repeat(8, axis=2)[:, : SIZE[0], : SIZE[1]])
    layers = chosen_layers(net)
    with torch.inference_mode():
        kept = net.run(net.preprocess([images[i] for i in range(N)]), layers)
    return net, images, kept


@pytest.mark.parametrize(("batch_size", "channels_last"), [(5, False), (7, True), (23, False)])
def test_exemplars_moments_and_quantiles_equal_keeping_everything(
    answered, batch_size: int, channels_last: bool
) -> None:
    net, images, kept = answered
    placed = net.to(channels_last=channels_last)

    def gauges(n: int) -> list:
        return [Exemplars(n, K), Moments(n), Distribution(n)]

    found = sweep(placed, images, gauges_for(placed, kept, gauges), batch_size=batch_size, workers=1)
    assert found.n_images == N
    for layer, maps in kept.items():
        values = maps.double().transpose(0, 1).flatten(1).numpy()  # unit, everything
        moments = found.gauges[layer]["moments"].result()
        scale = np.abs(values).max()
        np.testing.assert_allclose(moments.mean, values.mean(1), rtol=1e-4, atol=1e-5 * scale, err_msg=layer)
        np.testing.assert_allclose(moments.std, values.std(1), rtol=1e-3, atol=1e-4 * scale, err_msg=layer)
        table = found.gauges[layer]["exemplars"].result()
        flat = maps.flatten(2) if maps.dim() == 4 else maps[..., None]
        peaks = flat.amax(2).numpy()
        np.testing.assert_allclose(table.values, -np.sort(-peaks, axis=0)[:K].T, rtol=1e-4, atol=1e-5 * scale)
        for rank in range(K):  # where each says the peak is, it is, up to rounding
            units = np.arange(flat.shape[1])
            at = table.y[:, rank] * (maps.shape[3] if maps.dim() == 4 else 1) + table.x[:, rank]
            there = flat.numpy()[table.keys[:, rank], units, at]
            np.testing.assert_allclose(there, table.values[:, rank], rtol=1e-4, atol=1e-5 * scale, err_msg=layer)
        distribution = found.gauges[layer]["distribution"].result()
        assert (distribution.counts.sum(axis=1) == N * min(8, flat.shape[2])).all()
        low, high = distribution.quantile(0.0), distribution.quantile(1.0)
        slack = 1 + RELATIVE_ERROR
        assert (high <= np.maximum(values.max(1) * slack, 2**-15) + 1e-5 * scale).all()
        assert (low >= np.minimum(values.min(1) * slack, 0) - 1e-5 * scale).all()
