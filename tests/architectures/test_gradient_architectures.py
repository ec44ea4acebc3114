"""Gradient, guided backpropagation, deconvnet and DeepLIFT on a network of each way of building: are they what they promise?"""

import copy

import pytest
import torch
from captum.attr import GuidedBackprop as CaptumGuided
from randomized_networks import randomized_network
from small_networks import relative_error

from convscope.instruments.attribution import Deconvnet, DeepLIFT, Gradient, GuidedBackprop
from convscope.network import Network

SMALL = (64, 80)  # y, x
# One of each way of building (the others of test_architectures.py are made of the same operations).
ARCHITECTURES = {
    "torchvision:resnet18": SMALL,  # one ReLU used twice
    "timm:resnest14d": SMALL,  # split attention
    "timm:resnetv2_18": SMALL,  # norms before convolutions
    "torchvision:densenet121": SMALL,
    "torchvision:googlenet": SMALL,  # functional ReLUs, overlapping max-pools
    "torchvision:mobilenet_v2": SMALL,  # ReLU6
    "timm:mobilenetv3_small_050": SMALL,  # hard swish, hard sigmoid, squeeze-excitation
    "torchvision:efficientnet_b0": SMALL,  # SiLU
    "timm:convnext_atto": SMALL,  # layer norm, GELU, layer scale
    "timm:convnextv2_atto": SMALL,  # global response norm
    "torchvision:squeezenet1_1": SMALL,
    "torchvision:shufflenet_v2_x0_5": SMALL,
    "timm:hrnet_w18_small": (64, 96),  # resampling
    "timm:nfnet_l0": SMALL,
    "timm:edgenext_xx_small": SMALL,  # attention across channels
    "timm:starnet_s050": SMALL,  # products of two branches
    "timm:vit_tiny_patch16_224?depth=3&img_size=(64,80)": SMALL,  # no convolution but the first
}
TARGETS = [3, 4]
CAPTUM_HOOKS_NOTHING = ("googlenet", "mobilenet_v2", "efficientnet_b0", "convnext_atto")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Input Tensor", "ignore:Setting backward hooks")
@pytest.mark.parametrize("spec", ARCHITECTURES)
def test_each_is_what_it_promises(spec: str) -> None:
    net = randomized_network(spec, ARCHITECTURES[spec])
    inputs = torch.randn(2, *net.input_shape, generator=torch.Generator().manual_seed(1))
    gradient = assert_the_gradient_is_autograds(net, inputs)
    assert_deeplift_completes(net, inputs)
    for method in (GuidedBackprop(), Deconvnet()):
        assert not method.refuses(net.graph)
        found = method(net, inputs, TARGETS)
        assert bool(torch.isfinite(found.values).all())
        assert relative_error(found.values, gradient) > 0.1
    if any(name in spec for name in CAPTUM_HOOKS_NOTHING):
        plain = CaptumGuided(net.module).attribute(inputs.clone(), target=torch.tensor(TARGETS)).detach()
        own = inputs.clone().requires_grad_()
        (expected,) = torch.autograd.grad(net.module(own)[[0, 1], TARGETS].sum(), own)
        assert relative_error(plain, expected) < 1e-3, "captum's guided backpropagation is the plain gradient"


def assert_the_gradient_is_autograds(net: Network, inputs: torch.Tensor) -> torch.Tensor:
    """To rounding in double precision. In single precision a folded batch norm rounds otherwise, and with random weights some value
    always lies beside a kink (of a ReLU, or two nearly equal ones in a max-pool): what falls on its other side changes a few
    per cent of the gradient at a few pixels, in the module's own single-precision gradient as well."""
    precise = copy.deepcopy(net.module).double()
    leaf = inputs.double().requires_grad_()
    (true,) = torch.autograd.grad(precise(leaf)[[0, 1], TARGETS].sum(), leaf)
    found = Gradient()(net.to(dtype=torch.float64), inputs, TARGETS).values
    assert relative_error(found.double(), true) < 1e-6
    single = Gradient()(net, inputs, TARGETS).values.double()
    assert float((single - true).norm() / true.norm()) < 0.05
    return found


def assert_deeplift_completes(net: Network, inputs: torch.Tensor) -> None:
    """Where the image and its baseline hardly differ in the score, rounding is all that is left: double precision decides."""
    assert not DeepLIFT.refuses(net.graph)
    if float(DeepLIFT()(net, inputs, TARGETS).error.max()) >= 1e-4:
        assert float(DeepLIFT()(net.to(dtype=torch.float64), inputs, TARGETS).error.max()) < 1e-5
