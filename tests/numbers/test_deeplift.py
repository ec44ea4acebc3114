"""Does DeepLIFT pass on the whole of every change, by the rescale rule, through every kind of operation?"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import DeepLift
from one_relu import WAYS, Apart, OneReLU
from planted import planted_images, planted_network
from small_networks import network, randomized, relative_error
from test_gradient_methods import linear, mass, weights_of
from torch import nn
from torch.nn import functional as F

from convscope.errors import MissingRuleError, UnknownNameError
from convscope.graph import ops
from convscope.images import Preprocess
from convscope.images.world import World
from convscope.instruments.attribution import DeepLIFT
from convscope.instruments.attribution.baseline import baseline_inputs
from convscope.network import load
from convscope.network.builtin import world_inputs

pytestmark = [
    pytest.mark.filterwarnings("ignore:Input Tensor"),  # captum asks for gradients itself, and says so
    pytest.mark.filterwarnings("ignore:Setting forward, backward hooks"),
]
IMAGES = torch.randn(3, 3, 21, 34, generator=torch.Generator().manual_seed(5))
TARGETS = [1, 4, 0]


# By hand


@pytest.mark.parametrize("baseline", ["zero", "mean", "blur"])
def test_on_a_linear_network_it_is_weight_times_difference(baseline: str) -> None:
    module = randomized(linear(), (21, 34))
    found = DeepLIFT(baseline=baseline)(network(module, 21, 34, fold=True), IMAGES, target=2)
    start = baseline_inputs(IMAGES, Preprocess(), baseline)
    assert relative_error(found.values, weights_of(module, 2) * (IMAGES - start)) < 2e-5
    assert float(found.error.max()) < 1e-4


def test_the_rescale_rule_by_hand() -> None:
    """y = 2 relu(x1 + x2 - 1) at (3, 1) against (0, 0): the ReLU goes from 0 (of -1) to 3, by 3/4 of its input's change."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1))
    with torch.no_grad():
        for i, weight, bias in ((1, [[1.0, 1.0]], -1.0), (3, [[2.0]], 5.0)):
            module[i].weight[:], module[i].bias[:] = torch.tensor(weight), bias
    found = DeepLIFT()(network(module, 1, 2, channels=1), torch.tensor([3.0, 1.0]).reshape(1, 1, 1, 2), target=0)
    torch.testing.assert_close(found.values.flatten(), torch.tensor([4.5, 1.5]))
    assert float(found.promised) == pytest.approx(6)
    torch.testing.assert_close(found.score, torch.tensor([11.0]))


def test_products_and_quotients_by_hand() -> None:
    """a b + c / d: half the sum of both ends for each factor."""

    class Terms(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a, b, c, d = x.unbind(1)
            return (a * b + c / (d + 4)).flatten(1).sum(1, keepdim=True)

    image = torch.tensor([2.0, -3.0, 1.5, 2.0]).reshape(1, 4, 1, 1)
    found = DeepLIFT()(network(Terms(), 1, 1, channels=4), image, target=0).values.flatten()
    expected = [2 * -1.5, -3 * 1.0, 1.5 * (1 / 6 + 1 / 4) / 2, 0.75 * (1 / 6 - 1 / 4)]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_the_largest_value_is_given_what_changes_even_where_windows_overlap() -> None:
    image = torch.tensor([[0.0, 5.0, 1.0, -2.0, -3.0, 4.0]]).reshape(1, 1, 1, 6)
    module = nn.Sequential(nn.MaxPool2d((1, 3), (1, 1)), nn.Flatten(), nn.Linear(4, 1))
    with torch.no_grad():
        module[2].weight[:], module[2].bias[:] = torch.tensor([[1.0, 2.0, 4.0, 8.0]]), 0
    found = DeepLIFT()(network(module, 1, 6, channels=1), image, target=0)
    torch.testing.assert_close(found.values.flatten(), torch.tensor([0.0, 5 + 10, 4, 0, 0, 32]))
    assert float(found.error) < 1e-6


def test_overlapping_windows_as_a_naive_loop() -> None:
    """Both images have their own largest values; what each window changes by is given to one input, and added up."""
    module = nn.Sequential(nn.MaxPool2d(3, 2, padding=1), nn.Flatten(), nn.Linear(2 * 4 * 5, 3))
    net = network(randomized(module, (7, 9), n_channels=2), 7, 9, channels=2)
    image = torch.randn(1, 2, 7, 9)
    found = DeepLIFT(baseline="blur")(net, image, target=1)
    start = baseline_inputs(image, Preprocess(), "blur")
    weight, expected = module[2].weight[1].detach().reshape(2, 4, 5), torch.zeros_like(image)
    for unit, y, x in np.ndindex(2, 4, 5):
        window = slice(max(2 * y - 1, 0), 2 * y + 2), slice(max(2 * x - 1, 0), 2 * x + 2)
        inside, before = image[0, unit][window], start[0, unit][window]
        change = inside.max() - before.max()
        largest = inside if change > 0 else before
        row, column = np.unravel_index(int(largest.argmax()), largest.shape)
        expected[0, unit][window][row, column] += weight[unit, y, x] * change
    assert relative_error(found.values, expected) < 1e-5


# Each operation completes, exactly


class Between(nn.Module):
    """An operation between a convolution and a read-out with signs both ways."""

    def __init__(self, operation: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv, self.operation = nn.Conv2d(3, 8, 3, stride=2), operation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.operation(self.conv(x) * 2)
        x = x.flatten(1)
        weights = torch.sin(torch.arange(3.0 * x.shape[1])).reshape(3, -1)
        return F.linear(x, weights)


def heads(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return tuple(
        part.flatten(2).transpose(1, 2).unflatten(2, (2, 2)).transpose(1, 2) for part in (x[:, :4], x[:, 4:], x[:, 2:6])
    )


COMPLETE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    **{name: getattr(F, name) for name in ("relu6", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish")},
    **{
        name: getattr(F, name)
        for name in ("softplus", "softsign", "hardsigmoid", "logsigmoid", "hardtanh", "leaky_relu")
    },
    **{name: getattr(torch, name) for name in ("sigmoid", "tanh", "exp", "square", "abs", "neg", "sin", "cos", "erf")},
    "prelu": lambda x: F.prelu(x, torch.linspace(-0.5, 0.9, 8)),
    "sqrt": lambda x: (x.square() + 0.1).sqrt(),
    "rsqrt": lambda x: (x.square() + 0.1).rsqrt(),
    "log": lambda x: (x.abs() + 0.1).log(),
    "reciprocal": lambda x: (x.abs() + 0.3).reciprocal(),
    "pow": lambda x: (x.abs() + 0.1).pow(1.7),
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(1),
    "softmax far apart": lambda x: (100 * x).softmax(1),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[3:], torch.linspace(-1, 1, x.shape[3])),
    "rms_norm": lambda x: F.rms_norm(x, x.shape[3:], torch.linspace(-1, 1, x.shape[3])),
    "group_norm": lambda x: F.group_norm(x, 2, torch.linspace(-1, 1, 8), torch.ones(8)),
    "instance_norm": lambda x: F.instance_norm(x, weight=torch.linspace(-1, 1, 8)),
    "mul": lambda x: x[:, :4] * x[:, 4:],
    "a gate": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    "itself squared": lambda x: x * x,
    "addcmul": lambda x: torch.addcmul(x[:, :2], x[:, 2:4], x[:, 4:6], value=0.5),
    "lerp": lambda x: torch.lerp(x[:, :2], x[:, 2:4], x[:, 4:6]),
    "div": lambda x: x[:, :4] / (x[:, 4:].abs() + 0.5),
    "div of a number": lambda x: 3 / (x.abs() + 0.5),
    "div by a broadcast": lambda x: x / (x.square().mean(1, keepdim=True) + 0.5),
    "matmul": lambda x: x[:, :4].transpose(2, 3) @ x[:, 4:],
    "einsum": lambda x: torch.einsum("bchw,bkhw->bck", x[:, :4], x[:, 4:]),
    "maximum": lambda x: torch.maximum(x[:, :4], x[:, 4:]),
    "minimum": lambda x: torch.minimum(x[:, :4], x[:, 4:].mean(1, keepdim=True)),
    "maxout": lambda x: torch.maximum(torch.max(x[:, :4], x[:, 4:]), torch.full((), 0.3)),
    "amax": lambda x: x.amax((2, 3)),
    "amin": lambda x: x.amin(1),
    "max of a dimension": lambda x: x.max(1).values,
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, (2, 3)),
    "overlapping max pool": lambda x: F.max_pool2d(x, 3, 1, padding=1),
    "dilated max pool": lambda x: F.max_pool2d(x, 2, 1, dilation=2, ceil_mode=True),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, padding=1),
    "upsample": lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear"),
    "var": lambda x: x.var((2, 3)),
    "std": lambda x: x.std(1),
    "length": lambda x: torch.linalg.vector_norm(x, dim=(2, 3)),
    "attention": lambda x: F.scaled_dot_product_attention(*heads(x)),
    "attention, masked": lambda x: F.scaled_dot_product_attention(
        *heads(x), attn_mask=torch.arange(160).reshape(160, 1) % 7 >= torch.arange(160) % 5
    ),
    "attention on itself": lambda x: F.scaled_dot_product_attention(*[x.flatten(2)] * 3),
    "baddbmm": lambda x: torch.baddbmm(x[:, 0, :4, :4], x[:, 1, :4], x[:, 2, :4].transpose(1, 2)),
    "split": lambda x: torch.cat([part.relu() for part in x.chunk(3, 1)], 1),
}


@pytest.mark.parametrize("name", COMPLETE)
def test_an_operation_passes_on_the_whole_of_its_change(name: str) -> None:
    net = network(Between(COMPLETE[name]), 21, 34)
    for dtype, most in ((torch.float64, 2e-6), (torch.float32, 1e-4)):
        for baseline in ("zero", "blur"):
            found = DeepLIFT(baseline=baseline)(net.to(dtype=dtype), IMAGES, target=1)
            summed = found.values.double().sum((1, 2, 3))
            scale = torch.maximum(found.promised.abs(), 1e-2 * found.values.double().abs().sum((1, 2, 3)))
            assert float(((summed - found.promised).abs() / scale).max()) < most
            assert bool(torch.isfinite(found.values).all())


def test_a_mean_gradient_completes_as_far_as_its_sum_is_exact() -> None:
    net = network(Between(lambda x: torch.linalg.vector_norm(x, 3, dim=1)), 21, 34)
    found = DeepLIFT()(net, IMAGES, target=1)
    assert float(found.error.max()) < 1e-3


def test_where_nothing_changes_it_is_the_gradient() -> None:
    """An image that is its own baseline: multipliers are derivatives, the values are zero."""
    net = network(randomized(OneReLU(F.silu), (21, 34)), 21, 34)
    found = DeepLIFT(baseline="mean")(net, torch.full((1, 3, 21, 34), 0.7), target=1)
    assert float(found.values.abs().max()) < 1e-5
    assert bool(torch.isfinite(found.values).all())


# Captum, where it is right, and where it is not


def captum(module: nn.Module, images: torch.Tensor = IMAGES) -> torch.Tensor:
    return DeepLift(module).attribute(images.clone(), target=torch.tensor(TARGETS)).detach()


class Plain(nn.Sequential):
    """Pools that do not overlap, every activation a module of its own."""

    def __init__(self, activation: Callable[[], nn.Module]) -> None:
        torch.manual_seed(0)
        super().__init__(
            *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), activation(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 8, 3), activation(), nn.MaxPool2d(2), nn.Conv2d(8, 6, 2), activation()),
            *(nn.Flatten(), nn.Linear(6 * 2 * 6, 12), activation(), nn.Linear(12, 5)),
        )


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus])
def test_captum_says_the_same(activation: Callable[[], nn.Module]) -> None:
    module = randomized(Plain(activation), (21, 34)).double()  # some of these change by little more than rounding
    found = DeepLIFT()(network(module, 21, 34, fold=True), IMAGES, target=TARGETS)
    assert relative_error(found.values, captum(module, IMAGES.double())) < 1e-4
    assert float(found.error.max()) < 1e-4


def test_captum_loses_part_of_the_change_where_a_relu_is_a_function_and_ours_does_not() -> None:
    module = randomized(OneReLU(F.relu), (21, 34))
    found = DeepLIFT()(network(module, 21, 34, fold=True), IMAGES, target=TARGETS)
    missing = (captum(module).double().sum((1, 2, 3)) - found.promised).abs() / found.promised.abs()
    assert float(missing.max()) > 0.05
    assert float(found.error.max()) < 1e-5


def test_captum_loses_part_of_the_change_at_max_pools_and_ours_does_not() -> None:
    """Its hook on them comes to nothing; a constant baseline hides that, as every value of it is the largest."""
    module = randomized(Plain(nn.ReLU), (21, 34))
    start = baseline_inputs(IMAGES, Preprocess(), "blur")
    theirs = DeepLift(module).attribute(IMAGES.clone(), start, target=torch.tensor(TARGETS)).detach()
    found = DeepLIFT(baseline="blur")(network(module, 21, 34, fold=True), IMAGES, target=TARGETS)
    missing = (theirs.double().sum((1, 2, 3)) - found.promised).abs() / found.promised.abs()
    assert float(missing.max()) > 0.05
    assert float(found.error.max()) < 1e-4


def test_captum_cannot_use_a_relu_twice_and_ours_can() -> None:
    module = randomized(OneReLU(nn.ReLU()), (21, 34))
    with pytest.raises(RuntimeError):
        captum(module)
    found = DeepLIFT()(network(module, 21, 34, fold=True), IMAGES, target=TARGETS)
    apart = DeepLIFT()(network(randomized(Apart(), (21, 34)), 21, 34, fold=True), IMAGES, target=TARGETS)
    assert float(found.error.max()) < 1e-5
    assert relative_error(found.values, apart.values) < 1e-6


# Its table, places, targets


def test_every_operation_is_treated_or_refused() -> None:
    known = frozenset().union(*ops.KINDS.values(), ops.PLUMBING)
    assert known - DeepLIFT.treatments.keys() == {"sign", "floor", "round", "where"}


def test_what_has_no_rule_is_refused_by_name() -> None:
    class Chosen(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(x > 0.5, x, 2 * x).mean((2, 3))

    net = network(Chosen(), 21, 34)
    with pytest.raises(MissingRuleError, match="where in 'where'"):
        DeepLIFT()(net, IMAGES)
    assert "where in 'where'" in DeepLIFT.refuses(net.graph)
    with pytest.raises(UnknownNameError, match="blur"):
        DeepLIFT(baseline="blurr")(network(OneReLU(F.relu), 21, 34), IMAGES)


def test_what_the_paper_does_not_say_is_told() -> None:
    assert DeepLIFT()(network(OneReLU(F.relu), 21, 34), IMAGES).notes == ()
    (note,) = DeepLIFT()(network(OneReLU(lambda x: x * x.sigmoid()), 21, 34), IMAGES).notes
    assert "mul, first in 'mul'" in note


@pytest.mark.parametrize("layer", ["input", "norm", "pool", "conv1"])
def test_any_layer_any_target_one_by_one(layer: str) -> None:
    net = network(randomized(OneReLU(WAYS["F.relu"]), (21, 34)), 21, 34, fold=True)
    for target in (TARGETS, (3, 1), "conv2:5", "conv2:5@4,7"):
        found = DeepLIFT()(net, IMAGES, target=target, layer=layer)
        assert float(found.error.max()) < 1e-4
        assert found.values.abs().max() > 0
        for i in range(3):
            one = target[i] if isinstance(target, list) else target
            alone = DeepLIFT()(net, IMAGES[i : i + 1], target=one, layer=layer)
            assert relative_error(found.values[i], alone.values[0]) < 1e-4


# Planted truth


def test_the_patch_that_is_read_is_found() -> None:
    images, net = planted_images(12), planted_network()
    blue = [i for i in range(12) if i % 4 == 2]
    inputs = torch.cat([net.preprocess(images[i]) for i in blue])
    patch = (inputs[:, 2] > inputs[:, :2].sum(1) + 0.2).numpy()
    assert mass(DeepLIFT()(net, inputs, target="relu1:6").scores, patch).min() > 4


def test_the_object_of_a_scene_is_found() -> None:
    scenes = World(scale_frac=(0.45, 0.55), occluder_count=(0, 0)).scenes(24, seed=9)
    net, inputs = load("builtin:world"), world_inputs(scenes.images)
    with torch.no_grad():
        right = np.flatnonzero(net(inputs).argmax(1).numpy() == scenes.labels)
    found = DeepLIFT(baseline="mean")(net, inputs[right])
    assert float(found.error.max()) < 1e-4
    assert np.median(mass(found.scores, (scenes.maps["object"] > 0)[right])) > 2
