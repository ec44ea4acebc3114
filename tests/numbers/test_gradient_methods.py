"""Are gradients, input x gradient, integrated gradients and SmoothGrad what their equations say?"""

import copy
import warnings

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient as CaptumInputXGradient
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from captum.attr import NoiseTunnel, Saliency
from one_relu import WAYS, OneReLU
from planted import planted_images, planted_network
from small_networks import Pooled, network, randomized, relative_error
from torch import nn
from torch.nn import functional as F

from convscope.errors import UnknownNameError, UsageError
from convscope.images.world import World
from convscope.instruments.attribution import Gradient, InputXGradient, IntegratedGradients, SmoothGrad
from convscope.network import load
from convscope.network.builtin import world_inputs
from convscope.walks.derivative import Derivative

pytestmark = pytest.mark.filterwarnings("ignore:Input Tensor")  # captum asks for gradients itself, and says so
IMAGES = torch.randn(3, 3, 21, 34, generator=torch.Generator().manual_seed(5))
METHODS = (Gradient(), InputXGradient(), IntegratedGradients(n_steps=6), SmoothGrad(n_samples=3))
METHODS += (SmoothGrad(n_samples=3, squared=True),)


def linear() -> nn.Module:
    torch.manual_seed(3)
    return Pooled(nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.AvgPool2d(2), nn.Conv2d(6, 4, 3, padding=1))


def weights_of(module: nn.Module, target: int) -> torch.Tensor:
    """What a linear network multiplies each pixel by, one pixel at a time."""
    with torch.no_grad():
        zero = torch.zeros_like(IMAGES[:1])
        base = module(zero)[0, target]
        ones = torch.eye(zero.numel()).reshape(-1, *zero.shape[1:])
        return (module(ones)[:, target] - base).reshape(zero.shape)


# Closed forms


def test_on_a_linear_network_each_has_a_closed_form() -> None:
    module = randomized(linear(), (21, 34))
    net, w = network(module, 21, 34, fold=True), weights_of(module, 2)
    for method, expected in (
        (Gradient(), w.expand_as(IMAGES)),
        (InputXGradient(), w * IMAGES),
        (IntegratedGradients(n_steps=1), w * IMAGES),
        (IntegratedGradients(n_steps=7, baseline="mean"), w * (IMAGES - IMAGES.mean((2, 3), keepdim=True))),
        (SmoothGrad(n_samples=3), w.expand_as(IMAGES)),
        (SmoothGrad(n_samples=3, squared=True), w.square().expand_as(IMAGES)),
    ):
        found = method(net, IMAGES, target=2)
        assert relative_error(found.values, expected) < 2e-5, method
        with torch.no_grad():
            torch.testing.assert_close(found.score, module(IMAGES)[:, 2], rtol=1e-4, atol=1e-4)


def test_integrated_gradients_of_a_square_by_hand() -> None:
    """f = x1 x2 on the line from 0: each gets half of the product, exactly, with the middle of one step."""

    class Product(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x[:, :1] * x[:, 1:2]).sum((2, 3))

    image = torch.randn(2, 2, 3, 4)
    found = IntegratedGradients(n_steps=1)(network(Product(), 3, 4, channels=2), image, target=0)
    half = image[:, 0] * image[:, 1] / 2
    torch.testing.assert_close(found.values, torch.stack([half, half], 1))
    assert float(found.error.max()) < 1e-6


# Autograd and captum


def autograd(module: nn.Module, images: torch.Tensor, targets: list[int]) -> torch.Tensor:
    leaf = images.clone().requires_grad_()
    module(leaf)[torch.arange(len(images)), targets].sum().backward()
    assert leaf.grad is not None
    return leaf.grad


@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_is_autograds_whichever_way_a_relu_is_written(way: str) -> None:
    module = randomized(OneReLU(WAYS[way]), (21, 34))
    plain = randomized(OneReLU(WAYS["nn.ReLU"]), (21, 34))
    expected = autograd(plain, IMAGES, [1, 4, 0])
    for fold in (True, False):
        net = network(module, 21, 34, fold=fold)
        assert relative_error(Gradient()(net, IMAGES, target=[1, 4, 0]).values, expected) < 1e-5


def test_captum_says_the_same() -> None:
    module = randomized(OneReLU(nn.ReLU()), (21, 34))
    net, targets = network(module, 21, 34, fold=True), [1, 4, 0]
    given = {"target": torch.tensor(targets)}
    pairs = [
        (Gradient(), Saliency(module).attribute(IMAGES, abs=False, **given)),
        (InputXGradient(), CaptumInputXGradient(module).attribute(IMAGES, **given)),
        (
            IntegratedGradients(n_steps=20),
            CaptumIntegratedGradients(module).attribute(IMAGES, n_steps=20, method="riemann_middle", **given),
        ),
        (
            IntegratedGradients(n_steps=20, baseline="black"),
            CaptumIntegratedGradients(module).attribute(
                IMAGES, baselines=net.preprocess.normalize(0 * IMAGES), n_steps=20, method="riemann_middle", **given
            ),
        ),
    ]
    for method, expected in pairs:
        assert relative_error(method(net, IMAGES, target=targets).values, expected.detach()) < 1e-4, method


def test_captum_draws_other_noise_and_comes_to_the_same_mean() -> None:
    module = randomized(OneReLU(nn.ReLU()), (21, 34))
    image, n = IMAGES[:1], 600
    torch.manual_seed(0)
    spread = 0.15 * float((image.max() - image.min()).detach())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = NoiseTunnel(Saliency(module)).attribute(
            image, nt_type="smoothgrad", nt_samples=n, nt_samples_batch_size=100, stdevs=spread, target=2, abs=False
        )
    ours = [SmoothGrad(n_samples=n, seed=seed)(network(module, 21, 34), image, target=2).values for seed in (0, 1)]
    own = relative_error(ours[0], ours[1])
    assert own < 0.2
    assert relative_error(ours[0], theirs) < 1.5 * own
    assert np.corrcoef(ours[0].flatten(), theirs.detach().flatten())[0, 1] > 0.99


def test_smoothgrad_is_the_mean_over_its_own_copies() -> None:
    module = randomized(OneReLU(nn.ReLU()), (21, 34))
    image, n = IMAGES[1:2], 5
    spread = 0.15 * (image.max() - image.min())
    method = SmoothGrad(n_samples=n, seed=3)
    copies = torch.cat([image + spread * method._noise(i, image) for i in range(n)])
    gradients = autograd(module, copies, [2] * n)
    net = network(module, 21, 34, fold=True)
    assert relative_error(method(net, image, target=2).values[0], gradients.mean(0)) < 1e-5
    squared = SmoothGrad(n_samples=n, seed=3, squared=True)(net, image, target=2)
    assert relative_error(squared.values[0], gradients.square().mean(0)) < 1e-5
    one = SmoothGrad(n_samples=n, seed=4)(net, image, target=2)
    assert relative_error(one.values[0], gradients.mean(0)) > 0.01


# What holds for all of them


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_batch_says_what_its_images_say_one_by_one(method: Gradient) -> None:
    net = network(randomized(OneReLU(nn.ReLU()), (21, 34)), 21, 34, fold=True)
    together = method(net, IMAGES, target=[1, 4, 0])
    for i, target in enumerate([1, 4, 0]):
        alone = method(net, IMAGES[i : i + 1], target=target)
        assert relative_error(together.values[i : i + 1], alone.values) < 1e-5
        torch.testing.assert_close(together.score[i : i + 1], alone.score)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("layer", ["input", "stem", "norm", "pool", "conv1"])
def test_any_layer_any_target(method: Gradient, layer: str) -> None:
    module = randomized(OneReLU(nn.ReLU()), (21, 34))
    net = network(module, 21, 34, fold=True)
    for target in (3, (3, 1), "conv2:5", "conv2:5@4,7"):
        found = method(net, IMAGES, target=target, layer=layer)
        assert found.values.shape == net.run(IMAGES, [layer])[layer].shape if layer != "input" else IMAGES.shape
        assert bool(torch.isfinite(found.values).all())
        assert float(found.values.abs().max()) > 0
    one, other, both = (method(net, IMAGES, target=target, layer=layer).values for target in (3, 1, (3, 1)))
    if not getattr(method, "squared", False):  # the others are linear in the score
        assert relative_error(both, one - other) < 1e-4


def test_the_gradient_of_a_neuron_stays_inside_its_field() -> None:
    net = network(randomized(OneReLU(nn.ReLU()), (21, 34)), 21, 34)
    found = Gradient()(net, IMAGES, target="stem:2@9,13")
    rows, columns = np.nonzero(found.map[0].numpy())
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 10, 12, 14)
    torch.testing.assert_close(found.values[0, :, 8:11, 12:15], net.module.stem.weight[2].detach())


def test_a_target_that_does_not_feel_its_place_has_no_gradient() -> None:
    class Rounded(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.round().mean((2, 3))

    found = Gradient()(network(Rounded()), IMAGES[:, :, :20, :28], target=1)
    assert float(found.values.abs().max()) == 0


def test_neither_the_module_nor_the_images_are_touched() -> None:
    module = randomized(OneReLU(nn.ReLU(inplace=True)), (21, 34))
    before, images = copy.deepcopy(module.state_dict()), IMAGES.clone()
    net = network(module, 21, 34, fold=True)
    for method in METHODS:
        method(net, images, target=1)
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert torch.equal(images, IMAGES)
    assert not images.requires_grad
    assert all(parameter.grad is None for parameter in module.parameters())


# Integrated gradients: its promise


def test_the_error_is_stated_and_falls_with_the_steps() -> None:
    net = network(randomized(OneReLU(nn.ReLU()), (21, 34)), 21, 34, fold=True)
    errors = []
    for n_steps in (5, 50, 500):
        found = IntegratedGradients(n_steps=n_steps)(net, IMAGES, target=1)
        with torch.no_grad():
            expected = net(IMAGES)[:, 1] - net(torch.zeros_like(IMAGES))[:, 1]
        torch.testing.assert_close(found.promised.float(), expected, rtol=1e-4, atol=1e-5)
        total = found.values.sum((1, 2, 3))
        whole = torch.maximum(expected.abs(), found.score.abs())
        torch.testing.assert_close(found.error, ((total - expected) / whole).abs(), rtol=0.05, atol=1e-5)
        errors.append(float(found.error.max()))
    assert errors[1] < errors[0] / 3
    assert errors[2] < 1e-3


def test_steps_are_taken_until_the_error_is_small_enough() -> None:
    net = network(randomized(OneReLU(nn.ReLU()), (21, 34)), 21, 34, fold=True)
    found = IntegratedGradients(n_steps=2, error=1e-3)(net, IMAGES, target=1)
    assert float(found.error.max()) <= 1e-3
    assert any("steps were needed" in note for note in found.notes)
    assert IntegratedGradients(n_steps=400, error=0.5)(net, IMAGES, target=1).notes == ()


def test_a_norm_without_biases_leaves_nothing_to_the_line() -> None:
    """The sum cannot find what happens in one point: after a norm the image counts only by its direction. The error says so."""

    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.fc = nn.Conv2d(3, 8, 4, 4, bias=False), nn.GroupNorm(1, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.norm(self.conv(x)).relu().mean((2, 3)))

    torch.manual_seed(0)
    net = network(Normed())
    images = 20 * IMAGES[:, :, :20, :28]
    found = IntegratedGradients(n_steps=100)(net, images, target=1)
    assert bool((found.values.sum((1, 2, 3)).abs() < 0.1 * found.promised.abs()).all())
    assert float(found.error.max()) > 0.9
    assert any("another baseline" in note for note in found.notes)
    assert float(IntegratedGradients(n_steps=100, baseline="blur")(net, images, target=1).error.max()) < 0.05


def test_an_error_that_is_not_reached_is_said_and_an_image_stops_by_itself() -> None:
    net = network(randomized(OneReLU(WAYS["nn.ReLU"]), (17, 24)), 17, 24)
    images = torch.randn(3, 3, 17, 24, generator=torch.Generator().manual_seed(2))
    never = IntegratedGradients(n_steps=1500, error=1e-15)(net, images[:1])
    assert any("was not reached in 4096 steps" in note for note in never.notes)
    assert not any("were needed" in note for note in never.notes)
    method = IntegratedGradients(n_steps=2, error=0.02)
    together = method(net, images, target=1)
    for i in range(3):
        alone = method(net, images[i : i + 1], target=1)
        assert relative_error(alone.values[0], together.values[i]) < 1e-5
        said = [note.removeprefix(f"Image {i + 1}: ") for note in together.notes if note.startswith(f"Image {i + 1}:")]
        assert said == list(alone.notes)
    assert together.error is not None
    assert float(together.error.max()) <= 0.02


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (IntegratedGradients, {"n_steps": 0}),
        (IntegratedGradients, {"error": 0.0}),
        (SmoothGrad, {"n_samples": 0}),
        (SmoothGrad, {"n_samples": 0, "squared": True}),
        (SmoothGrad, {"noise": -1.0}),
    ],
)
def test_settings_that_cannot_be_are_refused(method: type, settings: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="t least 1"):
        method(**settings)


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="blur"):
        IntegratedGradients(baseline="blurr")(network(Pooled(nn.Conv2d(3, 2, 3))), IMAGES[:, :, :20, :28])


# The quick way


def test_sums_are_sent_once_through_the_linear_beginning() -> None:
    net = network(randomized(OneReLU(nn.ReLU()), (21, 34)), 21, 34, fold=True)
    question = Gradient().question(net, IMAGES)
    way = question.above.above.derivative
    assert way.entry == "norm", "the convolution, with its norm folded in"
    calls = []
    down = Derivative.down
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Derivative, "down", lambda *given: calls.append(1) or down(*given))
        IntegratedGradients(n_steps=300)(net, IMAGES)
    assert len(calls) == 1


def test_values_that_a_backward_pass_needs_are_not_written_over() -> None:
    """Two readers of one value, one of which keeps it; autograd would refuse, or the gradient be wrong."""

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.a(x)
            x = nn.functional.silu(x) + x  # silu keeps what it read
            y = self.b(x)
            y = torch.cat([y, x], 1).relu() * y.sigmoid().repeat(1, 2, 1, 1)
            return (y + y.square()).mean((2, 3))

    torch.manual_seed(1)
    module = Shared()
    found = Gradient()(network(module, 21, 34, fold=True), IMAGES, target=[0, 3, 9])
    assert relative_error(found.values, autograd(module, IMAGES, [0, 3, 9])) < 1e-5


def test_a_value_that_is_no_number_is_not_made_one() -> None:
    """The joined convolution and ReLU would; they are left apart there."""
    module = randomized(OneReLU(nn.ReLU()), (21, 34))
    net = network(module, 21, 34, fold=True)
    broken = IMAGES[:1].clone()
    broken[0, 0, 5, 5] = float("nan")
    value, _ = Gradient().question(net, IMAGES[:1], target=1).above.gradient(broken, torch.ones_like)
    assert bool(value.isnan().all())


def test_pools_and_relus_change_places_without_changing_a_gradient() -> None:
    """max-pool of ReLU is ReLU of max-pool, and so are their gradients; at zeros, at ties, and where somebody reads the ReLU."""

    class Pools(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.max_pool2d(self.a(x).relu(), 3, 2, padding=1)
            y = self.b(F.max_pool2d(self.b(x).relu(), 2, ceil_mode=True)).relu()
            z = self.b(x).relu()  # read twice
            return torch.cat([y.mean((2, 3)), F.max_pool2d(z, 2).mean((2, 3)) + z.mean((2, 3))], 1)

    torch.manual_seed(1)
    module = Pools()
    images = torch.cat([IMAGES, IMAGES[:1].round(), -IMAGES[:1].abs() * 9])
    found = Gradient()(network(module, 21, 34, fold=True), images, target=[0, 3, 9, 7, 1])
    assert relative_error(found.values, autograd(module, images, [0, 3, 9, 7, 1])) < 1e-5


# Planted truth


def mass(scores: torch.Tensor, where: np.ndarray) -> np.ndarray:
    """The share of positive scores that lies where the truth is, in parts of what a flat map has there; for each image."""
    positive = scores.clamp(min=0).double().numpy()
    share = (positive * where).sum((1, 2)) / np.maximum(positive.sum((1, 2)), 1e-30)
    return share / where.mean((1, 2))


def test_the_patch_that_is_read_is_found() -> None:
    images, net = planted_images(12), planted_network()
    blue = [i for i in range(12) if i % 4 == 2]
    inputs = torch.cat([net.preprocess(images[i]) for i in blue])
    patch = (inputs[:, 2] > inputs[:, :2].sum(1) + 0.2).numpy()
    for method in (Gradient(), InputXGradient(), IntegratedGradients(), SmoothGrad(noise=0.01)):
        assert mass(method(net, inputs, target="relu1:6").scores, patch).min() > 4, method


def test_the_object_of_a_scene_is_found() -> None:
    scenes = World(scale_frac=(0.45, 0.55), occluder_count=(0, 0)).scenes(24, seed=9)
    net, inputs = load("builtin:world"), world_inputs(scenes.images)
    with torch.no_grad():
        right = np.flatnonzero(net(inputs).argmax(1).numpy() == scenes.labels)
    assert len(right) > 15
    found = IntegratedGradients(baseline="mean")(net, inputs[right])
    assert np.median(mass(found.scores, (scenes.maps["object"] > 0)[right])) > 2
