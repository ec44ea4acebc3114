"""Are guided backpropagation and deconvnet what their papers say, at every kind of activation, however it is written?"""

from collections.abc import Callable

import pytest
import torch
from captum.attr import Deconvolution
from captum.attr import GuidedBackprop as CaptumGuided
from one_relu import WAYS, Apart, OneReLU
from small_networks import Pooled, network, randomized, relative_error
from torch import nn
from torch.nn import functional as F

from convscope.errors import MissingRuleError
from convscope.graph import ops
from convscope.instruments.attribution import Deconvnet, DeepLIFT, Gradient, GuidedBackprop
from convscope.network.torchvision_ops import import_torchvision
from convscope.walks.rectifiers import FLAT

pytestmark = [
    pytest.mark.filterwarnings("ignore:Input Tensor"),  # captum asks for gradients itself, and says so
    pytest.mark.filterwarnings("ignore:Setting backward hooks"),
]
IMAGES = torch.randn(3, 3, 21, 34, generator=torch.Generator().manual_seed(5))
BOTH = (GuidedBackprop(), Deconvnet())
TARGETS = [1, 4, 0]


# By hand


def test_the_deconvnet_of_zeiler_and_fergus_by_hand() -> None:
    """Convolve, rectify, pool with switches; then unpool by the switches, rectify, filter with the transposed filters; twice."""
    torch.manual_seed(0)
    module = nn.Sequential(
        *(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 4, 3), nn.ReLU(), nn.MaxPool2d(2)),
    )
    w1, w2 = module[0].weight, module[3].weight
    with torch.no_grad():
        first = module[1](module[0](IMAGES))
        pooled1, switches1 = F.max_pool2d(first, 2, return_indices=True)
        second = module[4](module[3](pooled1))
        pooled2, switches2 = F.max_pool2d(second, 2, return_indices=True)
        top = torch.zeros_like(pooled2)
        top[:, 2, 1, 3] = 1
        down = F.relu(F.max_unpool2d(top, switches2, 2, output_size=second.shape[-2:]))
        down = F.conv_transpose2d(down, w2)
        down = F.relu(F.max_unpool2d(down, switches1, 2, output_size=first.shape[-2:]))
        expected = F.conv_transpose2d(down, w1)
    found = Deconvnet()(network(Pooled(*module), 21, 34), IMAGES, target="5:2@1,3")
    assert relative_error(found.values, expected) < 1e-5


def test_guided_backpropagation_by_hand() -> None:
    """d = w . [x > 0] . max(0, signal), layer by layer, for two dense layers."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(60, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 3))
    images = torch.randn(4, 3, 4, 5)
    with torch.no_grad():
        h1 = module[1](images.flatten(1))
        h2 = module[3](h1.relu())
        signal = module[5].weight[2].expand(4, 7)
        signal = (signal.clamp(min=0) * (h2 > 0)) @ module[3].weight
        expected = (signal.clamp(min=0) * (h1 > 0)) @ module[1].weight
    found = GuidedBackprop()(network(module, 4, 5), images, target=2)
    assert relative_error(found.values, expected.reshape(images.shape)) < 1e-5


ACTIVATIONS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], bool]] = {
    # what it computes, and whether it is a rectifier
    "relu": (F.relu, True),
    "relu6": (F.relu6, True),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.1), True),
    "prelu": (lambda x: F.prelu(x, torch.tensor([0.2])), True),
    "elu": (F.elu, True),
    "celu": (lambda x: F.celu(x, 0.7), True),
    "selu": (F.selu, True),
    "gelu": (F.gelu, True),
    "silu": (F.silu, True),
    "mish": (F.mish, True),
    "hardswish": (F.hardswish, True),
    "softplus": (F.softplus, True),
    "clamp from 0": (lambda x: x.clamp(0, 2), True),
    "hardtanh from 0": (lambda x: F.hardtanh(x, 0, 2), True),
    "clamp from -1": (lambda x: x.clamp(-1, 1), False),
    "hardtanh": (F.hardtanh, False),
    "threshold at .5": (lambda x: F.threshold(x, 0.5, 0.1), False),
    "maximum with its mirror": (lambda x: torch.maximum(x, 0.5 - x), False),
    "sigmoid": (torch.sigmoid, False),
    "hardsigmoid": (F.hardsigmoid, False),
    "tanh": (torch.tanh, False),
    "softmax": (lambda x: x.softmax(1), False),
    "log_softmax": (lambda x: x.log_softmax(1), False),
    "abs": (torch.abs, False),
    "square": (torch.square, False),
}


class Activated(nn.Module):
    """A convolution, one activation, a sum of signs both ways above it."""

    def __init__(self, activation: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv, self.top, self.activation = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3, stride=2), activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.top(self.activation(self.conv(x))).mean((2, 3))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_activation_by_its_own_formula(name: str) -> None:
    activation, rectifies = ACTIVATIONS[name]
    module = Activated(activation)
    values = module.conv(IMAGES).detach().requires_grad_()
    active = activation(values)
    signal = torch.autograd.grad(module.top(active).mean((2, 3))[:, 2].sum(), active, retain_graph=True)[0]
    (plain,) = torch.autograd.grad(active, values, signal, retain_graph=True)
    (positive,) = torch.autograd.grad(active, values, signal.clamp(min=0))
    at_conv = {
        GuidedBackprop(): positive * (values > 0) if rectifies else plain,
        Deconvnet(): signal.clamp(min=0) if rectifies else plain,
    }
    net = network(module, 21, 34)
    for method, expected in at_conv.items():
        found = method(net, IMAGES, target=2, layer="conv")
        assert relative_error(found.values, expected.detach()) < 1e-5
        down = F.conv_transpose2d(expected.detach(), module.conv.weight.detach())
        assert relative_error(method(net, IMAGES, target=2).values, down) < 1e-5


@pytest.mark.parametrize("method", [Gradient(), *BOTH, DeepLIFT()], ids=repr)
def test_every_way_of_writing_one_relu_gives_one_answer(method: GuidedBackprop) -> None:
    nets = [network(randomized(OneReLU(relu), (21, 34)), 21, 34, fold=True) for relu in WAYS.values()]
    first, *others = [method(net, IMAGES, target=TARGETS).values for net in nets]
    for way, other in zip(list(WAYS)[1:], others, strict=True):
        assert relative_error(other, first) < 1e-5, way


# Captum, where it is right, and where it is not


def captum(kind: type, module: nn.Module, images: torch.Tensor = IMAGES) -> torch.Tensor:
    return kind(module).attribute(images.clone(), target=torch.tensor(TARGETS)).detach()


def test_captum_says_the_same_where_each_relu_is_a_module_of_its_own() -> None:
    module = randomized(Apart(), (21, 34))
    net = network(module, 21, 34, fold=True)
    assert relative_error(GuidedBackprop()(net, IMAGES, target=TARGETS).values, captum(CaptumGuided, module)) < 1e-4
    assert relative_error(Deconvnet()(net, IMAGES, target=TARGETS).values, captum(Deconvolution, module)) < 1e-4


def test_captum_says_the_same_on_squeezenet() -> None:
    torch.manual_seed(0)
    module = randomized(import_torchvision("torchvision.models").squeezenet1_1(weights=None), (65, 90)).double()
    images = torch.randn(3, 3, 65, 90, generator=torch.Generator().manual_seed(7))
    net = network(module, 65, 90, fold=True)
    for method, peer in ((GuidedBackprop(), CaptumGuided), (Deconvnet(), Deconvolution)):
        theirs = captum(peer, module, images.double())
        assert relative_error(method(net, images, target=TARGETS).values, theirs) < 1e-4


def test_captum_is_the_plain_gradient_where_a_relu_is_a_function_and_ours_is_not() -> None:
    functional, apart = randomized(OneReLU(F.relu), (21, 34)), randomized(Apart(), (21, 34))
    net = network(functional, 21, 34, fold=True)
    gradient = Gradient()(net, IMAGES, target=TARGETS).values
    assert relative_error(captum(CaptumGuided, functional), gradient) < 1e-5
    found = GuidedBackprop()(net, IMAGES, target=TARGETS).values
    assert relative_error(found, gradient) > 0.1
    assert relative_error(found, captum(CaptumGuided, apart)) < 1e-4


# Its table


@pytest.mark.parametrize("method", BOTH, ids=repr)
def test_every_operation_is_treated_or_refused(method: GuidedBackprop) -> None:
    known = frozenset().union(*ops.KINDS.values(), ops.PLUMBING)
    assert known - method.treatments.keys() == FLAT


@pytest.mark.parametrize("method", BOTH, ids=repr)
def test_what_has_no_rule_is_refused_by_name(method: GuidedBackprop) -> None:
    class Signs(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * torch.sign(x - 0.5)).mean((2, 3))

    net = network(Signs())
    with pytest.raises(MissingRuleError, match="sign in 'sign'"):
        method(net, IMAGES[:, :, :20, :28])
    assert method.refuses(net.graph) == ("sign in 'sign'",)
    assert method.refuses(network(randomized(OneReLU(F.relu))).graph) == ()


def test_what_the_paper_does_not_say_is_told() -> None:
    plain = GuidedBackprop()(network(OneReLU(F.relu), 21, 34), IMAGES)
    assert plain.notes == ()
    (note,) = GuidedBackprop()(network(OneReLU(F.silu), 21, 34), IMAGES).notes
    assert note == "Rectifiers that are not ReLU are treated like it (silu, first in 'silu')."
    gated = GuidedBackprop()(network(OneReLU(lambda x: x * x.sigmoid()), 21, 34), IMAGES)
    assert len(gated.notes) == 2


@pytest.mark.parametrize("method", BOTH, ids=repr)
def test_a_batch_says_what_its_images_say_one_by_one(method: GuidedBackprop) -> None:
    net = network(randomized(OneReLU(F.relu), (21, 34)), 21, 34, fold=True)
    together = method(net, IMAGES, target=TARGETS)
    for i, target in enumerate(TARGETS):
        assert relative_error(together.values[i], method(net, IMAGES[i : i + 1], target=target).values[0]) < 1e-5
    for target in ((3, 1), "conv2:5", "conv2:5@4,7"):
        found = method(net, IMAGES, target=target, layer="pool")
        assert found.values.shape == (3, 8, 11, 17)
        assert 0 < float(found.values.abs().max()) < float("inf")


@pytest.mark.parametrize("method", [GuidedBackprop(), Deconvnet()])
def test_a_rectifier_written_as_the_larger_of_two_values_is_told(method: GuidedBackprop) -> None:
    images = torch.randn(1, 3, 15, 20, generator=torch.Generator().manual_seed(3))

    def notes(way: Callable[[torch.Tensor], torch.Tensor]) -> tuple[str, ...]:
        return method(network(randomized(OneReLU(way), (15, 20)), 15, 20), images, target=1).notes

    assert any("larger of two" in note for note in notes(lambda x: torch.maximum(x, 0.1 * x)))
    for way in ("maximum", "max", "max with a number", "nn.ReLU"):
        assert not any("larger of two" in note for note in notes(WAYS[way]))
