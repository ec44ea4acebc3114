"""Do optimised images show what was planted?  Found by measurement; statistics, terms and regularisers against closed forms."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import pi

import numpy as np
import pytest
import torch
from one_relu import WAYS as WRITTEN
from small_networks import Pooled, network
from torch import nn
from torch.nn import functional as F

import convscope as cs
from convscope.errors import ImagesError, UsageError
from convscope.instruments.appearance import (
    RAW,
    YOSINSKI,
    Blur,
    Canvas,
    ClipContribution,
    ClipNorm,
    Decay,
    Direction,
    Fourier,
    Optimise,
    Optimised,
    Phase,
    Pixel,
    Transforms,
    canvas,
    driven,
    high_power,
    measured,
    objective,
    prior,
)
from convscope.instruments.appearance.covering import cover, walk_for
from convscope.instruments.appearance.deconvnet_picture import project
from convscope.instruments.appearance.drive import Drive, likeness
from convscope.instruments.appearance.driven import n_top
from convscope.instruments.appearance.own_picture import own_picture
from convscope.instruments.appearance.regularise import fine
from convscope.walks.rectifiers import rectifier

SIDE = 9
EDGE_DEG = 30.0
QUICK = Optimise(n_steps=96, n_restarts=1)
SHORT = replace(QUICK, n_steps=12)
WAYS = {
    "fourier": QUICK,
    "phase": replace(QUICK, parameterization=Phase()),
    "pixel": replace(QUICK, parameterization=Pixel()),
} | {name: replace(method, n_steps=96) for name, method in YOSINSKI.items()}


def coordinates(side: int = SIDE) -> tuple[torch.Tensor, torch.Tensor]:
    line = torch.arange(side) - (side - 1) / 2
    return torch.meshgrid(line, line, indexing="ij")


def edge(degrees: float) -> torch.Tensor:
    """A filter for an edge whose brightness rises in the direction of x turned towards y by so much, `y x`."""
    y, x = coordinates()
    along = x * np.cos(degrees * pi / 180) + y * np.sin(degrees * pi / 180)
    return along * torch.exp(-(x**2 + y**2) / 8)


def ring() -> torch.Tensor:
    y, x = coordinates()
    found = torch.exp(-((torch.hypot(y, x) - 3) ** 2))
    return found - found.mean()


class Planted(nn.Module):
    """Units for an edge (0), for a colour (1: orange), for a ring (2), and a dead one (3); then a layer of their sums."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, SIDE, stride=2, padding=4)
        self.relu = nn.ReLU(inplace=True)
        self.mix = nn.Conv2d(4, 4, 3, padding=1)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[0] = edge(EDGE_DEG)
            self.conv.weight[1] = torch.tensor([1.0, 0.2, -1.2])[:, None, None] / SIDE**2
            self.conv.weight[2] = ring()
            self.conv.bias.copy_(torch.tensor([0.0, 0.0, 0.0, -1000.0]))
            self.mix.weight.abs_()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.mix(self.relu(self.conv(inputs))).mean((2, 3))


@pytest.fixture(scope="module")
def planted() -> cs.Network:
    torch.manual_seed(0)
    return network(Planted(), 41, 58)


def orientation_deg(image: torch.Tensor, weight: torch.Tensor) -> tuple[float, float]:
    """The direction in which brightness changes most, from the structure tensor, 0 to 180; and its coherence, 0 to 1."""
    grey = Blur(1.0, 1)(image.mean(0)[None, None], image, 0)[0, 0]
    y, x = torch.gradient(grey)
    yy, xx, xy = (weight * y * y).sum(), (weight * x * x).sum(), (weight * x * y).sum()
    angle = 0.5 * torch.atan2(2 * xy, xx - yy) * 180 / pi
    return float(angle) % 180, float(torch.hypot(xx - yy, 2 * xy) / (xx + yy))


def hue_deg(image: torch.Tensor, weight: torch.Tensor) -> float:
    red, green, blue = (float((weight * channel).sum() / weight.sum()) for channel in image)
    return float(np.degrees(np.arctan2(3**0.5 * (green - blue), 2 * red - green - blue))) % 360


def best_correlation(image: torch.Tensor, pattern: torch.Tensor) -> float:
    """The highest correlation of a pattern with a window of the image, brightness only."""
    windows = F.unfold(image.mean(0)[None, None], pattern.shape[0])[0]
    windows = windows - windows.mean(0)
    pattern = (pattern - pattern.mean()).flatten()
    return float(((pattern @ windows) / (windows.norm(dim=0) * pattern.norm()).clamp_min(1e-9)).max())


@pytest.mark.parametrize("way", WAYS)
def test_the_planted_edge_is_found(planted: cs.Network, way: str) -> None:
    (found,) = WAYS[way](planted, "relu:0")
    importance = found.importance[0]
    degrees, coherence = orientation_deg(found.images[0], importance)
    assert abs((degrees - EDGE_DEG + 90) % 180 - 90) < (12 if way == "phase" else 8)
    assert coherence > (0.15 if way == "phase" else 0.3)
    assert best_correlation(found.images[0], edge(EDGE_DEG)) > 0.7
    assert best_correlation(found.images[0], edge(EDGE_DEG)) > best_correlation(found.images[0], edge(EDGE_DEG + 180))


@pytest.mark.parametrize("way", WAYS)
def test_the_planted_colour_is_found(planted: cs.Network, way: str) -> None:
    """Nothing but phases can hardly make a patch of one colour on a small canvas, for the mean is fixed: a wider margin."""
    (found,) = WAYS[way](planted, "relu:1")
    apart = (hue_deg(found.images[0], found.importance[0]) - 21 + 180) % 360 - 180
    assert abs(apart) < 40


@pytest.mark.parametrize("way", WAYS)
def test_the_planted_ring_is_found(planted: cs.Network, way: str) -> None:
    (found,) = WAYS[way](planted, "relu:2")
    assert best_correlation(found.images[0], ring()) > 0.7


def test_raw_ascent_on_a_linear_unit_ends_at_the_sign_of_its_weights(planted: cs.Network) -> None:
    """The largest w . x over pixels between 0 and 1 is reached at x = (w > 0)."""
    method = replace(RAW, n_steps=200)
    (found,) = method(planted, "conv:0")
    best = edge(EDGE_DEG).clamp(min=0).sum() * 3
    assert float(found.values[0]) == pytest.approx(float(best), rel=0.02)
    (lowest,) = method(planted, objective(planted, "conv:0", negative=True))
    assert float(lowest.values[0]) == pytest.approx(-float(best), rel=0.02)


def test_negative_pictures_are_of_the_opposite(planted: cs.Network) -> None:
    up, down = QUICK(planted, [objective(planted, "conv:0", negative=down) for down in (False, True)])
    assert best_correlation(down.images[0], edge(EDGE_DEG + 180)) > 0.7
    assert float(down.values) < 0 < float(up.values)


def test_a_direction_drives_what_it_weighs(planted: cs.Network) -> None:
    """A direction with a single weight is the unit; an even mixture raises both of its units."""
    unit, same = QUICK(planted, ["conv:2", Direction("conv", [0.0, 0.0, 5.0, 0.0])])
    assert torch.allclose(
        unit.images, same.images, atol=1e-4
    )  # sums over a batch are rounded by where a picture stands
    (both,) = QUICK(planted, Direction("conv", [1.0, 0.0, 1.0, 0.0]))
    maps = both.canvas.maps(planted.preprocess.normalize(both.images), "conv")
    assert both.values[0] == pytest.approx(float((maps[0, [0, 2]] / 2**0.5).sum(0).max()), rel=1e-4)
    assert best_correlation(both.images[0], edge(EDGE_DEG) + ring()) > 0.6


def test_a_dead_unit_is_said_to_be_dead(planted: cs.Network) -> None:
    (found,) = QUICK(planted, "relu:3")
    assert found.silent
    assert "dead" in driven(found)[0].failed[0]
    assert np.isfinite(found.images.numpy()).all()


def test_a_unit_that_is_silent_at_first_is_awakened() -> None:
    """Behind a ReLU that noise does not pass there is no gradient: pictures wander until there is."""
    parts = Pooled(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.Conv2d(1, 2, 3, padding=1))
    with torch.no_grad():
        parts[0].weight.copy_(torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]))
        parts[0].bias.fill_(-0.5)
        parts[2].weight.abs_()
    net = network(parts, 17, 22, channels=1)
    (found,) = Optimise(n_steps=200)(net, "2:1")
    start = found.curve[0, 0]
    assert np.ptp(found.curve[:3]) == 0
    assert float(found.values) > start + 0.1


@pytest.mark.parametrize("n_channels", [1, 4])
@pytest.mark.parametrize("way", ["fourier", "phase", "pixel"])
def test_other_numbers_of_channels(n_channels: int, way: str) -> None:
    parts = Pooled(nn.Conv2d(n_channels, 3, 5, padding=2), nn.ReLU())
    with torch.no_grad():
        parts[0].weight.zero_()
        parts[0].weight[1, n_channels - 1, 1:4] = torch.tensor([-1.0, 0, 0, 0, 1])
    net = network(parts, 21, 30, channels=n_channels)
    (found,) = WAYS[way](net, "1:1")
    assert found.images.shape[1] == n_channels
    assert best_correlation(found.images[0, -1:], parts[0].weight[1, -1].detach()) > 0.6
    assert bool(found.notes) == (way != "pixel" and n_channels > 1)


class Dense(nn.Sequential):
    """Fixed to its size by a dense layer; vectors, and maps of 1 x 1."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(6, 5, 1),
            nn.Flatten(),
            nn.Linear(5, 4),
        )


def test_maps_of_one_neuron_and_classes_take_the_whole_image() -> None:
    torch.manual_seed(0)
    net = network(Dense(), 14, 19)
    for asked, layer in (("3:2", "3"), ("5:1", "5"), (1, "5")):
        (found,) = QUICK(net, asked)
        assert found.canvas.is_whole
        assert found.images.shape[2:] == (14, 19)
        with torch.no_grad():
            value = net.run(net.preprocess.normalize(found.images), [layer])[layer].flatten(1)
        assert float(found.values) == pytest.approx(float(value[0, 2 if layer == "3" else 1]), rel=1e-4)
    assert QUICK(net, "1:0")[0].canvas.size == (11, 11)  # although the network takes no image of that size


class Strided(nn.Sequential):
    """Padding, strides and pooling, so that neurons' fields begin where they will."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(8, 8, (3, 5), padding=(1, 2)),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


@pytest.mark.parametrize("layer", ["0", "2", "3", "4", "6"])
def test_neurons_on_the_canvas_are_those_of_the_whole_image(layer: str) -> None:
    """And what is said to be seen is seen, to its outermost pixels, and nothing else."""
    torch.manual_seed(1)
    net = network(Strided(), 83, 101)
    where = canvas(net, layer)
    assert not where.is_whole
    assert max(where.size) < 83
    field = net.layers[layer].receptive_field
    assert field is not None
    image = torch.randn(1, 3, 83, 101)
    strides = [int(s) for s in field.stride_px]
    top, left = strides[0] * 2, strides[1] * 3
    part = image[:, :, top : top + where.size[0], left : left + where.size[1]].contiguous()
    whole = net.run(image, [layer])[layer][
        :, :, where.y.first + 2 : where.y.last + 3, where.x.first + 3 : where.x.last + 4
    ]
    assert torch.allclose(where.asked(where.maps(part, layer)), whole.flatten(2), atol=1e-5)
    size = [
        n + (part.last - part.first) * s for n, part, s in zip(field.size_px, (where.y, where.x), strides, strict=True)
    ]
    for n, least, s in zip(where.size, size, strides, strict=True):
        assert least <= n < least + s
    _, gradient = where.gradient(torch.randn(1, 3, *where.size), lambda maps: _ones_at(maps, where))
    rows, columns = (
        side.nonzero().flatten() for side in (gradient.abs().sum((0, 1, 3)), gradient.abs().sum((0, 1, 2)))
    )
    assert (int(rows[0]), int(columns[0])) == (where.y.begin_px, where.x.begin_px)
    assert (int(rows[-1]) + 1, int(columns[-1]) + 1) == where.size


def _ones_at(maps: torch.Tensor, where: Canvas) -> torch.Tensor:
    found = torch.zeros_like(maps)
    found[:, :, where.y.asked(False), where.x.asked(False)] = 1
    return found


def test_the_canvas_gradient_is_autograd_s() -> None:
    torch.manual_seed(1)
    module = Strided().eval()
    net = cs.load(module, size=(83, 101))
    where = canvas(net, "6")
    x = torch.randn(2, 3, *where.size, requires_grad=True)
    weights = torch.randn(8)

    def signal(maps: torch.Tensor) -> torch.Tensor:
        return weights[None, :, None, None].expand_as(maps)

    maps, found = where.gradient(x.detach(), signal)
    expected = nn.Sequential(*list(module)[:7])(x)
    (gradient,) = torch.autograd.grad((expected * weights[:, None, None]).sum(), x)
    assert torch.allclose(maps, expected, atol=1e-5)
    assert torch.allclose(found, gradient, atol=1e-5)


def test_a_batch_is_what_one_by_one_gives(planted: cs.Network) -> None:
    asked = ["relu:0", "relu:2", "conv:1", "mix:1"]
    together = QUICK(planted, asked)
    for name, found in zip(asked, together, strict=True):
        (alone,) = QUICK(planted, name)
        assert found.objective.words == name
        assert torch.allclose(found.images, alone.images, atol=0.02)
        assert float(found.values) == pytest.approx(float(alone.values), rel=1e-2)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"n_steps": 11},
        {"transforms": None},
        {"transforms": Transforms(jitter_frac=0)},
        {"transforms": Transforms(scale=0)},
        {"transforms": Transforms(rotate_deg=0)},
        {"parameterization": Fourier(rate=0.07)},
        {"parameterization": Fourier(sd=0.1)},
        {"parameterization": Fourier(decay_power=1)},
        {"reach_px": 0},
        {"quiet": 0.0},
    ],
)
def test_the_same_seed_gives_the_same_and_every_setting_matters(planted: cs.Network, change: dict) -> None:
    (first,), (again,), (other,) = (method(planted, "mix:0") for method in (SHORT, SHORT, replace(SHORT, **change)))
    assert torch.equal(first.images, again.images)
    assert first.images.shape != other.images.shape or not torch.equal(first.images, other.images)


def test_the_best_of_several_starts_is_kept(planted: cs.Network) -> None:
    """By the weakest response, as bytes and moved by a pixel."""
    (one,), (best,) = SHORT(planted, "mix:2"), replace(SHORT, n_restarts=6)(planted, "mix:2")
    weakest = [min(check.rendered, check.weakest) for check in (*driven(one), *driven(best))]
    assert weakest[1] >= weakest[0]
    assert not torch.equal(best.images, one.images)  # the first try is among them


def test_a_diverse_set_is_more_diverse() -> None:
    world = cs.load("builtin:world")
    sets = [replace(QUICK, n_diverse=3, diversity=weight)(world, "relu3:4")[0] for weight in (0.0, 2.0)]
    alike = [_likeness(found) for found in sets]
    assert sets[1].images.shape[0] == 3
    assert alike[1] < 0.8 * alike[0]
    assert float(sets[1].values.mean()) > 0.3 * float(sets[0].values.mean())


def _likeness(found: Optimised) -> float:
    maps = found.canvas.maps(found.canvas.network.preprocess.normalize(found.images), found.canvas.layer)
    return float(likeness(maps, len(maps)))


def test_likeness_is_the_mean_cosine_of_gram_matrices() -> None:
    maps = torch.randn(6, 5, 4, 3)
    grams = torch.einsum("buyx,bvyx->buv", maps, maps).flatten(1)
    naive = [
        np.mean(
            [float(F.cosine_similarity(grams[s + i], grams[s + j], 0)) for i in range(3) for j in range(3) if i != j]
        )
        for s in (0, 3)
    ]
    assert likeness(maps, 3).tolist() == pytest.approx(naive, rel=1e-4)


@pytest.mark.parametrize("when", [0, 7])
def test_ctrl_c_returns_what_is_there(planted: cs.Network, when: int) -> None:
    def stop(step: int, objectives: object, images: torch.Tensor) -> None:
        if step == when + 1:
            raise KeyboardInterrupt

    (found,) = QUICK(planted, "relu:0", see=stop)
    assert found.interrupted
    assert found.n_steps == len(found.curve) == when + 1
    assert torch.equal(
        found.images, replace(QUICK, n_steps=96, keep=(when + 1,))(planted, "relu:0")[0].snapshots[when + 1]
    )


@pytest.fixture
def _heeds_ctrl_c() -> Iterator[None]:
    """Also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeds_ctrl_c")
def test_ctrl_c_leaves_out_what_was_not_begun(planted: cs.Network) -> None:
    def stop(step: int, objectives: object, images: torch.Tensor) -> None:
        if step == 3:
            signal.raise_signal(signal.SIGINT)

    found = QUICK(planted, ["relu:0", "relu:2", "mix:0"], see=stop)
    assert [one.objective.words for one in found] == ["relu:0", "relu:2"]
    assert all(one.interrupted for one in found)


def test_progress_is_told_over_all_layers(planted: cs.Network) -> None:
    told: list[tuple[int, int]] = []
    replace(QUICK, n_steps=3)(planted, ["conv:0", "mix:0"], progress=lambda *n: told.append(n))
    assert told == [(i, 6) for i in range(1, 7)]


def test_the_network_and_random_state_are_left_as_they_were(planted: cs.Network) -> None:
    before, state = planted.fingerprint, torch.get_rng_state()
    QUICK(planted, "mix:0")
    assert planted.fingerprint == before
    assert torch.equal(state, torch.get_rng_state())


def test_phases_alone_leave_the_amplitudes() -> None:
    generator = torch.Generator().manual_seed(0)
    natural = prior(3)
    paint = Phase().painter((3, 15, 22), natural, torch.device("cpu"))
    phase = Phase().start((3, 15, 22), lambda *shape: torch.randn(2, *shape, generator=generator))
    components = torch.einsum("kc,bcyx->bkyx", torch.linalg.inv(natural.colors), paint(phase).logit())
    found = torch.fft.rfft2(components, norm="ortho").abs()
    expected = natural.amplitude((15, 22)).expand_as(found)
    inner = (slice(None), slice(None), slice(1, None), slice(1, -1))  # where no coefficient is its own conjugate
    scale = (found[inner] / expected[inner]).mean((1, 2, 3), keepdim=True)
    assert torch.allclose(found[inner] / scale, expected[inner], rtol=1e-3, atol=1e-4)
    assert components.pow(2).mean((1, 2, 3)).tolist() == pytest.approx([1, 1], rel=1e-3)


def test_natural_statistics_are_those_of_the_images() -> None:
    rng = torch.Generator().manual_seed(0)
    mixture = torch.tensor([[0.1, 0.03, 0.0], [0.1, 0.0, 0.02], [0.1, -0.03, -0.02]])
    images = (0.5 + torch.einsum("ck,bkyx->bcyx", mixture, torch.randn(16, 3, 33, 40, generator=rng))).clamp(0, 1)
    found = measured(images)
    pixels = images.movedim(1, 0).flatten(1)
    covariance = torch.cov(pixels)
    product = found.colors @ found.colors.T
    assert torch.allclose(product / product[0, 0], covariance / covariance[0, 0], atol=1e-3)
    amplitude = found.amplitude((16, 21))
    flat = amplitude[:, 1:, 1:]
    assert float((flat.std((1, 2)) / flat.mean((1, 2))).max()) < 0.25  # white noise has no preferred frequency
    with pytest.raises(ImagesError):
        measured(images * 255)


def test_high_power_is_the_variance_of_a_grating_above_half_nyquist() -> None:
    x = torch.arange(32).expand(24, -1)
    low, high = (0.1 * torch.cos(2 * pi * f * x) for f in (4 / 32, 10 / 32))
    found, total = high_power((0.5 + torch.stack([low, high, low + high]))[:, None].expand(-1, 3, -1, -1))
    assert found.tolist() == pytest.approx([0, 0.005, 0.005], abs=1e-6)
    assert total.tolist() == pytest.approx([0.005, 0.005, 0.01], abs=1e-6)


def test_what_is_fine_is_the_derivative_of_half_its_power() -> None:
    images = torch.rand(2, 3, 15, 18, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(high_power(images)[0].sum() * 3 * 15 * 18 / 2, images)
    assert torch.allclose(fine(images.detach()), expected, atol=1e-9)
    odd = images[:, :, :13, :17].detach()  # primes: enlarged
    (expected,) = torch.autograd.grad(high_power(images[:, :, :13, :17])[0].sum() * 3 * 13 * 17 / 2, images)
    assert float(F.cosine_similarity(fine(odd).flatten(), expected[:, :, :13, :17].flatten(), 0)) > 0.9


def test_a_quiet_picture_has_less_fine_noise_and_drives_nearly_as_much(random: cs.Network) -> None:
    asked = [f"4:{unit}" for unit in range(8)]
    found, loud = (replace(QUICK, quiet=quiet)(random, asked) for quiet in (1.5, 0.0))
    for one, other in zip(found, loud, strict=True):
        assert float(high_power(one.images)[0]) < 0.5 * float(high_power(other.images)[0])
        assert float(one.values) > 0.6 * float(other.values)


def test_moves_of_one_pixel_go_along_one_axis() -> None:
    size = 15, 22
    generator = torch.Generator().manual_seed(0)
    theta = Transforms(0.01).drawn(500, size, lambda *shape: torch.rand(2, *shape, generator=generator))
    moves = (theta[..., 2] * torch.tensor([size[1], size[0]]) / 2).round().int().reshape(-1, 2)
    found, counts = moves.unique(dim=0, return_counts=True)
    assert {tuple(move) for move in found.tolist()} == {(0, 0), (0, 1), (1, 0), (0, -1), (-1, 0)}
    assert float(counts.min()) > 130


def test_transforms_move_by_whole_pixels_and_turn_about_the_middle() -> None:
    images = torch.rand(1, 3, 15, 22)
    uniform: Callable[..., torch.Tensor] = lambda *shape: torch.rand(1, *shape)  # noqa: E731
    for theta in Transforms(scale=0, rotate_deg=0).drawn(8, (15, 22), uniform)[0]:
        moved = Transforms()(images, theta[None])
        down, right = round(float(theta[1, 2]) * 15 / 2), round(float(theta[0, 2]) * 22 / 2)
        inner = moved[:, :, 3:-3, 3:-3]
        assert torch.allclose(inner, images.roll((-down, -right), (2, 3))[:, :, 3:-3, 3:-3], atol=1e-4)
    ramp = (torch.arange(22.0) / 22).expand(1, 1, 15, 22)
    turned = Transforms()(
        ramp,
        Transforms(jitter_frac=0, scale=0, rotate_deg=30).drawn(2, (15, 22), lambda *shape: torch.ones(1, *shape))[0][
            :1
        ],
    )
    gy, gx = torch.gradient(turned[0, 0, 5:10, 8:14])
    assert np.degrees(np.arctan2(abs(float(gy.mean())), float(gx.mean()))) == pytest.approx(30, abs=0.5)


def test_regularisers_are_their_formulas() -> None:
    torch.manual_seed(0)
    x, g = torch.randn(2, 3, 12, 17), torch.randn(2, 3, 12, 17)
    assert torch.allclose(Decay(0.2)(x, g, 0), 0.8 * x)
    kept = ClipNorm(25)(x, g, 0).abs().sum(1) > 0
    norms = x.norm(dim=1)
    for one, is_kept in zip(norms, kept, strict=True):
        assert torch.equal(is_kept, one >= one.flatten().quantile(0.25))
    contribution = (x * g).sum(1).abs()
    kept = ClipContribution(90)(x, g, 0).abs().sum(1) > 0
    assert torch.equal(kept[0], contribution[0] >= contribution[0].flatten().quantile(0.9))
    impulse = torch.zeros(1, 1, 21, 23)
    impulse[..., 10, 11] = 1
    assert torch.equal(Blur(1.0, 4)(impulse, impulse, 2), impulse)
    blurred = Blur(1.5, 4)(impulse, impulse, 3)
    y, x_ = torch.meshgrid(torch.arange(21.0) - 10, torch.arange(23.0) - 11, indexing="ij")
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-4)
    assert float((blurred * y**2).sum()) == pytest.approx(1.5**2, rel=0.05)
    assert float((blurred * x_**2).sum()) == pytest.approx(1.5**2, rel=0.05)
    with pytest.raises(UsageError, match="act on pixels"):
        Optimise(regularisers=(Decay(),))


@pytest.fixture(scope="module")
def random() -> cs.Network:
    torch.manual_seed(0)
    return network(Strided(), 83, 101)


@pytest.fixture(scope="module")
def raw(random: cs.Network) -> tuple[Optimised, ...]:
    return replace(RAW, n_steps=64)(random, ["4:1", "4:5"])


@pytest.mark.parametrize("way", [name for name in WAYS if name != "pixel"])
def test_regularised_pictures_have_less_high_frequency_power_than_raw_ascent(
    random: cs.Network, raw: tuple[Optimised, ...], way: str
) -> None:
    """On a network of random weights, which like any frequency."""
    found = replace(WAYS[way], n_steps=64)(random, ["4:1", "4:5"])
    for one, other in zip(found, raw, strict=True):
        assert driven(one, raw=other)[0].high_of_raw <= 0.5


def test_checks_say_what_failed(planted: cs.Network) -> None:
    (found,) = QUICK(planted, "relu:0")
    value = float(found.values)
    good = driven(found, natural=0.2 * value)[0]
    assert good.passed
    assert len(good.untried) == 2
    assert good.weakest <= good.shifted
    bad = driven(found, natural=2 * value)[0]
    assert len(bad.failed) == 2
    assert "a natural image to" in bad.failed[0]
    (raw,) = RAW(planted, "relu:2")
    with pytest.raises(UsageError, match="raw ascent"):
        driven(found, raw=raw)


def test_checks_are_told_in_words(planted: cs.Network) -> None:
    (found,), (raw,) = QUICK(planted, "relu:0"), replace(RAW, n_steps=32)(planted, "relu:0")
    value = float(found.values)
    good = driven(found, natural=value / 2.5, raw=raw)[0]
    assert good.words.startswith(
        f"Drives the unit to {value:#.3g}, 2.5 times its best natural image, also as bytes and"
    )
    assert f"{good.high_frac * 100:.0f} % of its power" in good.words
    assert f"raw ascent {good.raw_frac * 100:.0f} %" in good.words
    assert driven(found, natural=2 * value)[0].words.startswith(f"Drives the unit to {value:#.3g}; its best natural")
    weaker = replace(good, shifted=value, weakest=0.8 * value, natural=0.9 * value).words
    assert (
        f"but moved by a pixel in any direction to {0.8 * value:#.3g}; its best natural image to {0.9 * value:#.3g}"
        in weaker
    )
    assert [driven(found, natural=n)[0].outcome for n in (0.2 * value, 2 * value, None)] == [
        "passes",
        "fails",
        "not run",
    ]
    (dead,) = QUICK(planted, "relu:3")
    assert driven(dead)[0].outcome == "not run"
    assert driven(dead, natural=0.0)[0].outcome == "fails"
    assert driven(dead, natural=0.0)[0].words.startswith("Nothing that was tried turns the unit on; its best natural")
    (down,) = QUICK(planted, objective(planted, "conv:0", negative=True))
    check = driven(down, natural=float(down.values) / 2)[0]
    assert check.words.startswith(
        f"Drives the unit down to {float(down.values):#.3g}, 2 times its lowest natural image"
    )
    assert check.passed
    assert "more than its lowest" in driven(down, natural=1.0)[0].words
    (class_,) = QUICK(planted, 2)
    assert "The class is the network's" in driven(class_)[0].words


def test_what_is_shown_is_what_is_seen(random: cs.Network) -> None:
    (found,) = SHORT(random, "0:1")
    rows, columns = found.canvas.seen
    assert rows.start > 0 < columns.start
    assert found.shown.dtype == np.uint8
    assert np.array_equal(found.shown, found.pixels[0][rows, columns])


def test_shifts_are_measured_on_shifted_bytes(planted: cs.Network) -> None:
    (found,) = QUICK(planted, "relu:2")
    inputs = planted.preprocess.normalize(torch.from_numpy(found.pixels).permute(0, 3, 1, 2) / 255)
    expected = []
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        padded = F.pad(inputs, (1, 1, 1, 1), mode="replicate")
        moved = padded[:, :, 1 - dy : padded.shape[2] - 1 - dy, 1 - dx : padded.shape[3] - 1 - dx]
        expected.append(float(found.canvas.asked(found.canvas.maps(moved, "relu"))[0, 2].max()))
    check = driven(found)[0]
    assert check.shifted == pytest.approx(np.mean(expected), rel=1e-4)
    assert check.weakest == pytest.approx(np.min(expected), rel=1e-4)
    assert check.weakest < check.shifted
    between = driven(found, natural=(check.weakest + min(check.shifted, check.rendered)) / 2)[0]
    assert between.outcome == "fails", "one of the four directions is enough to lose it"
    assert "in any direction" in between.failed[0]
    assert between.is_beyond is False
    assert driven(found, natural=0.99 * check.held)[0].is_beyond
    assert check.is_beyond is None


def test_a_class_is_tried_on_another_network() -> None:
    torch.manual_seed(0)
    net, other = (network(Dense(), *size) for size in ((14, 19), (18, 15)))
    (found,) = replace(QUICK, n_restarts=4)(net, 2)
    check = driven(found, other=other)[0]
    assert check.rank == 0
    with torch.no_grad():
        logits = net(net.preprocess.normalize(found.images))
    assert int(logits.argmax()) == 2
    assert check.other_rank in range(4)
    assert check.other_top == 1  # of four classes, being among the first five would say nothing
    assert check.passed == (check.other_rank == 0)
    assert driven(QUICK(net, "0:1")[0], other=other)[0].other_rank is None


def test_a_saturated_unit_is_not_asked_for_more() -> None:
    parts = Pooled(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU6())
    with torch.no_grad():
        parts[0].weight.fill_(1)
    net = network(parts, 12, 15)
    (found,) = QUICK(net, "1:0")
    check = driven(found, natural=6.0)[0]
    assert check.reached_ceiling
    assert check.passed
    assert check.is_beyond


class AtZero(nn.Module):
    """A unit that is off in every picture, with no gradient anywhere; a max-pool above."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3)
        nn.init.zeros_(self.conv.weight)
        nn.init.constant_(self.conv.bias, -1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(self.conv(x).relu(), 2).mean((2, 3))


@pytest.mark.parametrize("asked", ["conv:0", "relu:0", "max_pool2d:0"])
def test_nought_in_the_picture_and_in_every_image_is_not_a_ceiling(asked: str) -> None:
    net = network(AtZero(), 14, 19)
    (found,), (raw,) = SHORT(net, asked), replace(RAW, n_steps=4)(net, asked)
    natural = 0.0 if asked != "conv:0" else -1.0
    check = driven(found, natural=natural, raw=raw)[0]
    assert check.silent
    assert not check.reached_ceiling
    assert check.is_beyond is False
    assert check.outcome == "fails"
    assert driven(found)[0].outcome == "not run"


def test_raw_ascent_that_found_nothing_is_no_control(planted: cs.Network) -> None:
    (found,), (raw,) = QUICK(planted, "relu:0"), replace(RAW, n_steps=4)(planted, "relu:0")
    void = replace(raw, values=torch.zeros_like(raw.values))
    assert void.silent
    check, known = driven(found, natural=0.1, raw=void)[0], driven(found, natural=0.1, raw=raw)[0]
    assert (check.raw_void, check.raw_frac, check.raw_power, check.frac_of_raw) == (True, None, None, None)
    assert "high frequencies: raw ascent found nothing" in check.untried
    assert check.words.endswith("(raw ascent found nothing).")
    assert not known.raw_void
    assert known.raw_frac is not None


# Rectifiers, however they are written

AS_RELU = {name: WRITTEN[name] for name in ("F.relu", "clamp", "threshold", "maximum", "maximum, the other way round")}
AS_RELU6: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu6": F.relu6,
    "clamp": lambda x: x.clamp(0, 6),
    "clamp by tensors": lambda x: x.clamp(torch.tensor(0.0), torch.tensor(6.0)),
    "hardtanh": lambda x: F.hardtanh(x, 0.0, 6.0),
}


class Rectified(nn.Module):
    """A unit that noise does not turn on, then a max-pool; the rectifier is written in some way."""

    def __init__(self, way: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.top, self.way = nn.Conv2d(3, 4, 5), nn.Conv2d(4, 3, 1), way
        with torch.no_grad():
            self.conv.weight[1] *= 8
            self.conv.bias[1] = -9

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.top(F.max_pool2d(self.way(self.conv(x)), 2)).mean((2, 3))


@pytest.mark.parametrize("ways", [AS_RELU, AS_RELU6], ids=["relu", "relu6"])
def test_a_rectifier_is_followed_and_covered_alike_however_it_is_written(
    ways: dict[str, Callable[[torch.Tensor], torch.Tensor]],
) -> None:
    image = torch.rand(1, 3, 23, 30, generator=torch.Generator().manual_seed(1))
    values, drops = {}, {}
    for name, way in ways.items():
        net = network(Rectified(way), 23, 30)
        layer = next(step.name for step in net.graph if step.name not in ("conv", "top") and step.is_layer)
        (found,) = replace(SHORT, n_steps=24)(net, f"{layer}:1")
        assert found.objective.driven == "conv"
        assert found.objective.ceiling == (6 if ways is AS_RELU6 else None)
        assert not found.silent
        values[name] = float(found.values)
        inputs = 40 * net.preprocess.normalize(image)
        (one,) = project(net, inputs, layer, [2])
        assert one.value > 5
        assert (walk_for(net, inputs, layer).graph.output == "conv") == (ways is AS_RELU6)
        covered = cover(net, inputs, one.place, one.seen, one.energy)
        if name != "threshold":  # what it sees is not known: the whole image is covered
            drops[name] = (covered.value, covered.top, covered.shifted, covered.centre, *covered.random_each)
    assert len(drops) >= 4
    for name in ways:
        assert values[name] == pytest.approx(next(iter(values.values())), rel=1e-4), name
        assert name not in drops or drops[name] == pytest.approx(next(iter(drops.values())), rel=1e-4), name


def test_what_is_no_rectifier_is_not_taken_for_one() -> None:
    for way in (lambda x: x.clamp(max=6), lambda x: F.threshold(x, 0.0, -1.0), lambda x: torch.maximum(x, 0.5 - x)):
        net = network(Rectified(way), 23, 30)
        assert not any(rectifier(step, net.graph) for step in net.graph)


class Joined(nn.Module):
    """Max-pools over a join of rectified maps, one above the other; units are off in noise."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.norm = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 3, 3, bias=False), nn.BatchNorm2d(3)
        self.pool, self.pool2 = nn.MaxPool2d((2, 3), padding=(1, 1)), nn.MaxPool2d(3, 2, ceil_mode=True)
        self.one.bias.data -= 3
        self.norm.bias.data -= 3

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.one(x).relu(), F.relu6(self.norm(self.two(x)))], 1)
        return self.pool2(self.pool(x)).mean((2, 3))


@pytest.mark.parametrize(("asked", "ceiling"), [("pool:1", None), ("pool:3", 6), ("pool2:1", None), ("pool2:4", 6)])
def test_units_of_a_pool_are_followed_below_the_rectifier_it_reads(asked: str, ceiling: float | None) -> None:
    """What is followed, rectified, is the unit itself; so it has a gradient where the unit has none."""
    net = network(Joined(), 46, 61)
    (found,) = SHORT(net, asked)
    where, unit = found.canvas, int(asked.rpartition(":")[2])
    own = unit if unit < 2 else unit - 2
    assert found.objective.ceiling == ceiling
    assert not where.is_whole
    images = torch.rand(2, 3, *where.size)
    followed, shown = (where.maps(net.preprocess.normalize(images), name) for name in (where.layer, where.shown))
    assert float(followed[:, own].max()) < 0
    assert torch.equal(followed[:, own].clamp(0, ceiling), shown[:, unit])
    louder = 30 * net.preprocess.normalize(images)
    followed, shown = (where.maps(louder, name) for name in (where.layer, where.shown))
    assert torch.equal(followed[:, own].clamp(0, ceiling), shown[:, unit])
    assert float(shown[:, unit].max()) > 0
    drive = Drive(where, [found.objective] * 2, 1, 0.0)
    assert float(drive.derivative(images).abs().max()) > 0
    assert found.curve[-1, 0] > found.curve[0, 0]
    (at,) = SHORT(net, f"{asked}@0,1")
    assert at.canvas.is_whole
    assert at.curve[-1, 0] > at.curve[0, 0]


# Classes with odd names


def named(net: cs.Network, *names: str) -> cs.Network:
    return replace(net, classes=cs.Classes.of(names))


def test_a_name_comes_before_an_index_and_a_doubled_name_is_nobody_else_s() -> None:
    torch.manual_seed(0)
    net = network(Dense(), 14, 19)
    for i, name in enumerate(("1", "10", "2", "0")):
        assert objective(named(net, "1", "10", "2", "0"), name).target == i
    assert objective(named(net, "1", "10", "2", "x"), "3").target == 3
    assert objective(named(net, "1", "10", "2", "0"), 1).target == 1
    with pytest.raises(ImagesError, match="stands for the classes"):
        objective(named(net, "7", "7", "2", "0"), "7")
    other = named(network(Dense(), 14, 19), "crane", "owl", "rail", "tern")
    (found,) = SHORT(named(net, "crane", "crane", "owl", "tern"), 1)
    check = driven(found, other=other)[0]
    assert check.rank is not None, "of its own network the index is known"
    assert check.other_rank is None
    (found,) = SHORT(named(net, "owl", "crane", "rail", "tern"), 1)
    assert driven(found, other=other)[0].other_rank in range(4)
    assert driven(found, other=named(other, "crane", "crane", "owl", "tern"))[0].other_rank is None


def test_how_many_guesses_another_network_has_is_said() -> None:
    """Of four classes only the first guess counts: any is among the first five."""
    assert [n_top(n) for n in (2, 5, 49, 50, 1000)] == [1, 1, 1, 5, 5]
    torch.manual_seed(0)
    net, other = (network(Dense(), *size) for size in ((14, 19), (18, 15)))
    (found,) = SHORT(net, 2)
    check = driven(found, other=other)[0]
    first, second = (replace(check, other_rank=rank).words for rank in (0, 1))
    assert f"{other.name}'s first (recognised: its first)." in first
    assert f"{other.name}'s second (not recognised: not its first)." in second
    many = replace(check, other_rank=3, other_top=5).words
    assert f"{other.name}'s fourth (recognised: among its first 5)." in many


def test_an_objective_is_short_to_read(planted: cs.Network) -> None:
    assert "tensor" not in repr(objective(planted, "relu:0"))


def test_a_unit_that_nothing_raises_further_is_not_asked_for_more() -> None:
    """It is 2 less what a ReLU lets through: at most 2, where that is silent, as it is in some photographs."""
    parts = Pooled(nn.Conv2d(3, 1, 3, padding=1), nn.ReLU(), nn.Conv2d(1, 1, 1))
    with torch.no_grad():
        parts[0].weight.fill_(1)
        parts[0].bias.fill_(-9.0)
        parts[2].weight.fill_(-1)
        parts[2].bias.fill_(2)
    (found,) = QUICK(network(parts, 12, 15), "2:0")
    check = driven(found, natural=2.0)[0]
    assert check.reached_ceiling
    assert check.passed
    assert "the most it can answer" in check.words
    assert not driven(found, natural=2.1)[0].passed
    assert not driven(found, natural=1.9)[0].reached_ceiling


@pytest.mark.parametrize("asked", ["conv", "conv:9", "convx:1", "relu:0@99,0", 7, Direction("conv", [1.0]), "input:0"])
def test_what_is_not_there_is_refused(planted: cs.Network, asked: object) -> None:
    with pytest.raises(UsageError):
        QUICK(planted, asked)  # type: ignore[arg-type]


def test_a_neuron_at_the_border_is_seen_with_its_padding(planted: cs.Network) -> None:
    (found,) = replace(QUICK, transforms=None)(planted, "relu:0@0,0")
    assert found.canvas.is_whole
    with torch.no_grad():
        maps = planted.run(planted.preprocess.normalize(found.images), ["relu"])["relu"]
    assert float(found.values) == pytest.approx(float(maps[0, 0, 0, 0]), rel=1e-5)
    assert float(found.importance[0, 6:, 6:].max()) == 0


def test_a_picture_of_its_own_is_told_from_one_that_drives_the_whole_layer() -> None:
    """Units that are copies up to scale answer to one picture alike; a unit for another thing does not."""
    module = Pooled(nn.Conv2d(3, 12, 5), nn.ReLU())
    torch.manual_seed(3)
    with torch.no_grad():
        module[0].weight.normal_()
        module[0].weight[1:6] = module[0].weight[0] * torch.linspace(2, 3, 5).view(-1, 1, 1, 1)
        module[0].bias.zero_()
    net = network(module, 23, 31)
    images = torch.rand(16, 3, 23, 31)
    maps_of = nn.Sequential(module[0], nn.ReLU())
    natural = maps_of(net.preprocess.normalize(images)).detach().amax((0, 2, 3)).numpy()
    alone, shared = Optimise(n_steps=40, n_restarts=1)(net, ["1:8", "1:3"])
    one, other = own_picture(alone, natural), own_picture(shared, natural)
    assert one is not None
    assert other is not None
    assert (one.rank, one.n_units) == (0, 12)
    assert one.is_own
    assert other.n_beyond >= 6  # it and its copies
    where = alone.canvas
    maps = maps_of(net.preprocess.normalize(alone.images.mul(255).round() / 255)).detach()
    expected = where.asked(maps)[0].amax(1).numpy() / natural
    assert one.ratio == pytest.approx(expected[8], rel=1e-4)
    assert one.rank == int((expected > expected[8]).sum())
    assert one.median == pytest.approx(float(np.median(expected)), rel=1e-4)
    natural[8] = 0
    assert own_picture(alone, natural) is None
