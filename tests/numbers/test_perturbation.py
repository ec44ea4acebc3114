"""Do RISE and Shapley values converge to what can be computed, within the error they state, and add up where they promise to?"""

from itertools import permutations
from math import ceil

import numpy as np
import pytest
import torch
from small_networks import network, randomized, relative_error
from torch import nn
from torch.nn import functional as F

from convscope.errors import NetworkError, UnknownNameError, UsageError
from convscope.images.world import World
from convscope.instruments.attribution import RISE, Shapley
from convscope.instruments.attribution.method import Method
from convscope.instruments.attribution.superpixels import at_size, superpixels
from convscope.network import load
from convscope.network.builtin import world_inputs

IMAGES = torch.randn(2, 3, 15, 22, generator=torch.Generator().manual_seed(5))
METHODS: tuple[Method, ...] = (RISE(n_masks=40), Shapley(n_regions=12, n_orders=4), Shapley(n_regions=4))


class Linear(nn.Module):
    """A weight for each pixel and channel."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * 15 * 22, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.flatten(1))


class Bent(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 6, 5, stride=2),
            nn.ReLU(),
            nn.Conv2d(6, 6, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d((1, 2)),
            nn.Flatten(),
        )
        self.append(nn.Linear(12, 4))


def linear() -> Linear:
    torch.manual_seed(3)
    return Linear().eval()


def bent() -> nn.Module:
    torch.manual_seed(3)
    return randomized(Bent(), (15, 22))


def given(module: Linear, target: int) -> torch.Tensor:
    """What each pixel adds to the logit, `batch y x`."""
    return (IMAGES * module.fc.weight.detach()[target].reshape(3, 15, 22)).sum(1)


# RISE


def expected_rise(pixels: torch.Tensor, method: RISE) -> torch.Tensor:
    """On a linear network, exactly: cov(score, mask) / visible, the mean over all shifts of the grid; `batch y x`."""
    n, size = method.cells, pixels.shape[1:]
    cell = [ceil(side / n) for side in size]
    large = [(n + 1) * each for each in cell]
    basis = F.interpolate(torch.eye(n * n).reshape(-1, 1, n, n), size=large, mode="bilinear")[:, 0].double()
    total = torch.zeros_like(pixels, dtype=torch.float64)
    for y in range(cell[0]):
        for x in range(cell[1]):
            seen = basis[:, y : y + size[0], x : x + size[1]]
            total += torch.einsum("cyx,bc->byx", seen, torch.einsum("cyx,byx->bc", seen, pixels.double()))
    return (1 - method.visible) * total / (cell[0] * cell[1])


@pytest.mark.parametrize(("cells", "visible"), [(4, 0.5), (7, 0.3)])
def test_rise_converges_to_its_closed_form_within_its_error(cells: int, visible: float) -> None:
    module = linear()
    method = RISE(n_masks=6000, cells=cells, visible=visible, seed=1)
    found = method(network(module, 15, 22), IMAGES, target=2)
    expected = expected_rise(given(module, 2), method)
    assert found.standard_error is not None
    off = (found.values[:, 0] - expected) / found.standard_error[:, 0]
    assert float(off.abs().max()) < 5
    assert 0.1 < float(off.square().mean()) < 3  # neighbours share their error: a few independent numbers
    assert float(found.standard_error.mean()) < 0.1 * float(expected.std())


def test_the_error_of_rise_is_the_spread_over_seeds() -> None:
    net = network(bent(), 15, 22)
    runs = [RISE(n_masks=100, seed=seed)(net, IMAGES, target=1) for seed in range(30)]
    spread = torch.stack([run.values for run in runs]).std(0).mean()
    stated = torch.stack([run.standard_error for run in runs if run.standard_error is not None]).mean()
    assert 0.8 < float(stated / spread) < 1.25


def test_rise_by_a_naive_loop() -> None:
    module = bent()
    method = RISE(n_masks=30, cells=3, baseline="mean", centred=False, batch_size=7)
    cells, shifts = method._drawn(IMAGES.shape[2:])
    total, mean = torch.zeros(2, 15, 22), IMAGES.mean((2, 3), keepdim=True)
    for grid, (y, x) in zip(cells, shifts, strict=True):
        large = F.interpolate(grid[None, None].float(), size=(20, 32), mode="bilinear")[0, 0]
        mask = large[y : y + 15, x : x + 22]
        with torch.no_grad():
            total += module(IMAGES * mask + mean * (1 - mask))[:, 3][:, None, None] * mask
    found = method(network(module, 15, 22), IMAGES, target=3).values[:, 0]
    assert relative_error(found, total / (30 * 0.5)) < 1e-4


def test_centred_rise_is_the_papers_without_what_all_pixels_share() -> None:
    module = bent()
    with torch.no_grad():
        module[6].bias += 20  # a score that is far from zero
    net, n = network(module, 15, 22), 200
    ours, papers = (RISE(n_masks=n, centred=centred)(net, IMAGES, target=1) for centred in (True, False))
    assert ours.standard_error is not None
    assert papers.standard_error is not None
    assert float(ours.standard_error.mean()) < 0.3 * float(papers.standard_error.mean())
    masks = RISE()._masks(*RISE(n_masks=n)._drawn(IMAGES.shape[2:]), IMAGES.shape[2:])
    with torch.no_grad():
        mean = torch.stack([module(IMAGES * mask)[:, 1] for mask in masks]).mean(0)
    shared = mean[:, None, None] * masks.mean(0) / 0.5
    assert relative_error(ours.map * (n - 1) / n + shared, papers.map) < 1e-5


def test_masks_are_those_of_the_paper() -> None:
    method, size = RISE(n_masks=3000, cells=5, visible=0.3), torch.Size((17, 40))
    cells, shifts = method._drawn(size)
    masks = method._masks(cells, shifts, size)
    assert masks.shape == (3000, 17, 40)
    assert 0 <= float(masks.min()) < float(masks.max()) < 1 + 1e-6
    assert float((masks.mean(0) - 0.3).abs().max()) < 0.04  # the same chance everywhere, at borders too
    assert set(shifts[:, 0].tolist()) == set(range(4))
    assert set(shifts[:, 1].tolist()) == set(range(8))


# Shapley


def test_shapley_values_of_a_linear_network_are_sums_of_pixels() -> None:
    module = linear()
    for method in (Shapley(n_regions=12, n_orders=2), Shapley(n_regions=5)):
        found = method(network(module, 15, 22), IMAGES, target=0)
        for i in range(2):
            regions = superpixels(IMAGES[i : i + 1], found.network.preprocess, method.n_regions)
            pixels = given(module, 0)[i]
            for region in range(int(regions.max()) + 1):
                inside = regions == region
                torch.testing.assert_close(found.values[i, 0][inside].sum(), pixels[inside].sum(), atol=1e-5, rtol=1e-4)
                assert float(found.values[i, 0][inside].std(correction=0)) < 1e-6


def test_shapley_values_by_all_orders() -> None:
    module, method = bent(), Shapley(n_regions=5, baseline="mean")
    found = method(network(module, 15, 22), IMAGES[:1], target=2)
    regions = superpixels(IMAGES[:1], found.network.preprocess, 5)
    n = int(regions.max()) + 1
    assert 3 <= n <= 6
    baseline = IMAGES[:1].mean((2, 3), keepdim=True)
    total, count = np.zeros(n), 0
    for order in permutations(range(n)):
        visible = torch.zeros(15, 22, dtype=torch.bool)
        steps = [visible.clone()]
        for player in order:
            visible |= regions == player
            steps.append(visible.clone())
        with torch.no_grad():
            worths = module(torch.where(torch.stack(steps)[:, None], IMAGES[:1], baseline))[:, 2].double().numpy()
        total[list(order)] += np.diff(worths)
        count += 1
    sums = np.bincount(regions.flatten(), weights=found.values[0, 0].flatten().double())
    np.testing.assert_allclose(sums, total / count, atol=1e-5)
    assert found.standard_error is not None
    assert float(found.standard_error.abs().max()) == 0


def test_sampled_shapley_values_are_within_their_error() -> None:
    net, few = network(bent(), 15, 22), IMAGES[:1]
    exact = Shapley(n_regions=9, n_orders=400)(net, few, target=2)
    regions = superpixels(few, net.preprocess, 9).flatten()
    one_of_each = [int((regions == region).nonzero()[0]) for region in range(int(regions.max()) + 1)]

    def picked(values: torch.Tensor | None) -> torch.Tensor:
        assert values is not None
        return values.flatten()[one_of_each]

    assert float(picked(exact.standard_error).abs().max()) == 0
    runs = [Shapley(n_regions=9, n_orders=16, seed=seed)(net, few, target=2) for seed in range(60)]
    off = torch.stack([picked(run.values - exact.values) / picked(run.standard_error) for run in runs])
    assert 0.6 < float(off.square().median()) / 0.506 < 1.6  # the median of a squared t of 7 degrees of freedom
    mean = torch.stack([picked(run.values) for run in runs]).mean(0)
    assert relative_error(mean, picked(exact.values)) < 0.05, "unbiased"


@pytest.mark.parametrize("method", METHODS[1:], ids=["sampled", "exact"])
@pytest.mark.parametrize("layer", [None, "1"])
def test_shapley_values_add_up(method: Shapley, layer: str | None) -> None:
    module = bent()
    net = network(module, 15, 22)
    for target in (1, (0, 3), "2:4"):
        found = method(net, IMAGES, target=target, layer=layer)
        assert found.error is not None
        assert float(found.error.max()) < 1e-4
    with torch.no_grad():
        empty = module(torch.zeros_like(IMAGES))
        whole = module(IMAGES)
    if layer is None:
        found = method(net, IMAGES, target=1)
        torch.testing.assert_close(found.promised, (whole - empty)[:, 1].double(), atol=1e-5, rtol=1e-4)


# Both


@pytest.mark.parametrize("method", METHODS, ids=["rise", "sampled", "exact"])
def test_a_batch_is_its_images_one_by_one_and_a_seed_repeats(method: Method) -> None:
    net = network(bent(), 15, 22)
    together, again = (method(net, IMAGES, target=[1, 3]).values for _ in range(2))
    assert torch.equal(together, again)
    for i, target in enumerate((1, 3)):
        single = method(net, IMAGES[i : i + 1], target=target).values
        assert relative_error(together[i : i + 1], single) < 1e-4


def test_another_seed_gives_another_answer() -> None:
    net = network(bent(), 15, 22)
    for one, other in ((RISE(n_masks=40), RISE(n_masks=40, seed=1)), (METHODS[1], Shapley(12, 4, seed=1))):
        assert not torch.allclose(one(net, IMAGES).values, other(net, IMAGES).values)


@pytest.mark.parametrize("method", METHODS, ids=["rise", "sampled", "exact"])
def test_small_places(method: Method) -> None:
    module = nn.Sequential(nn.Conv2d(3, 6, (15, 22)), nn.ReLU(), nn.Flatten(), nn.Linear(6, 4))
    net = network(randomized(module, (15, 22)), 15, 22)
    for layer in ("1", "2"):  # one position; a vector
        found = method(net, IMAGES, target=1, layer=layer)
        assert found.values.shape == (2, 1, 1, 1)
        assert bool(torch.isfinite(found.values).all())
    tiny = network(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)), 1, 1)
    assert method(tiny, torch.ones(1, 3, 1, 1), target=1).values.shape == (1, 1, 1, 1)


@pytest.mark.parametrize("method", METHODS, ids=["rise", "sampled", "exact"])
def test_a_dead_network_gives_an_empty_map(method: Method) -> None:
    module = bent()
    with torch.no_grad():
        module[0].bias[:] = -1e3
    found = method(network(module, 15, 22), IMAGES, target=1)
    assert float(found.values.abs().max()) < 1e-6


def test_what_cannot_be_answered() -> None:
    for wrong in ({"n_masks": 1}, {"visible": 0.0}, {"visible": 1.0}, {"cells": 0}):
        with pytest.raises(UsageError, match="RISE was asked for"):
            RISE(**wrong)  # type: ignore[arg-type]
    for wrong in ({"n_orders": 3}, {"n_orders": 0}, {"n_regions": 0}):
        with pytest.raises(UsageError, match="Shapley values were asked for"):
            Shapley(**wrong)
    net = network(bent(), 15, 22)
    broken = IMAGES.clone()
    broken[0, 0, 0, 0] = torch.inf
    for method in METHODS:
        with pytest.raises(NetworkError, match="not finite"):
            method(net, broken)
    with pytest.raises(UnknownNameError):
        RISE(baseline="sky")(net, IMAGES)


@pytest.mark.parametrize("method", METHODS, ids=["rise", "sampled", "exact"])
def test_progress_grows_to_its_end(method: Method) -> None:
    seen: list[tuple[int, int]] = []
    method(network(bent(), 15, 22), IMAGES, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize("n_channels", [1, 3, 5])
@pytest.mark.parametrize("look", ["noise", "flat", "slope"])
def test_superpixels_cover_the_image(n_channels: int, look: str) -> None:
    image = {"noise": torch.randn(1, n_channels, 33, 50), "flat": torch.zeros(1, n_channels, 33, 50)}.get(
        look, torch.linspace(-1, 1, 50).expand(1, n_channels, 33, 50)
    )
    preprocess = load("builtin:world").preprocess
    for n in (1, 6, 25):
        regions = superpixels(image, preprocess, n)
        found = torch.bincount(regions.flatten())
        assert regions.shape == (33, 50)
        assert bool((found > 0).all())
        assert n / 2 <= len(found) <= 2 * n
        assert torch.equal(regions, superpixels(image, preprocess, n))
    coarse = at_size(superpixels(image, preprocess, 25), torch.Size((4, 6)))
    assert bool((torch.bincount(coarse.flatten()) > 0).all())


# Planted truth.


class Reads(nn.Module):
    """Sees one patch of the image, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4 * 8 * 10, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.conv(x[:, :, 6:16, 20:32])).flatten(1))


def mass(scores: torch.Tensor, where: np.ndarray) -> np.ndarray:
    """The share of positive scores that lies where the truth is, in parts of what a flat map has there; for each image."""
    positive = scores.clamp(min=0).double().numpy()
    return (positive * where).sum((1, 2)) / np.maximum(positive.sum((1, 2)), 1e-30) / where.mean((1, 2))


@pytest.mark.parametrize("method", [RISE(n_masks=600), Shapley(n_regions=30, n_orders=8)], ids=["rise", "shapley"])
def test_the_patch_that_is_read_is_found(method: Method) -> None:
    torch.manual_seed(0)
    net = network(Reads(), 24, 40)
    where = np.zeros((1, 24, 40), bool)
    where[:, 6:16, 20:32] = True
    found = method(net, torch.rand(1, 3, 24, 40) + 0.5)
    scores = found.scores.abs()
    assert mass(scores, where).min() > 2
    if isinstance(method, Shapley):  # superpixels that do not touch the patch have exactly nothing
        regions = superpixels(found.inputs, net.preprocess, 30)
        apart = ~torch.isin(regions, regions[torch.from_numpy(where[0])])
        assert float(scores[0][apart].max()) < 1e-6


@pytest.mark.parametrize("method", [RISE(n_masks=300), Shapley(n_regions=30, n_orders=4)], ids=["rise", "shapley"])
def test_the_object_of_a_scene_is_found(method: Method) -> None:
    scenes = World(scale_frac=(0.45, 0.55), occluder_count=(0, 0)).scenes(16, seed=9)
    net, inputs = load("builtin:world"), world_inputs(scenes.images)
    right = np.flatnonzero(net(inputs).argmax(1).numpy() == scenes.labels)[:10]
    found = method(net, inputs[right])
    assert np.median(mass(found.scores, (scenes.maps["object"] > 0)[right])) > 2
