"""Does the graph compute what the module computes, for every kind of convolutional network people use?"""

import copy
from math import prod

import pytest
import torch
from randomized_networks import randomized_network
from small_networks import relative_error

from convscope.network import Network, load

SMALL = (96, 128)  # y, x; not square: rows and columns cannot be mixed up
OWN = None  # these take images of one size only

ARCHITECTURES = {
    "timm:resnet18": SMALL,
    "timm:resnet26t": SMALL,
    "timm:seresnet18": SMALL,
    "timm:skresnet18": SMALL,
    "timm:ecaresnet26t": SMALL,
    "timm:resnest14d": SMALL,
    "timm:res2net50_14w_8s": SMALL,
    "timm:resnetv2_18": SMALL,
    "timm:vgg11": SMALL,
    "timm:vgg11_bn": SMALL,
    "timm:densenet121": SMALL,
    "timm:mobilenetv1_100": SMALL,
    "timm:mobilenetv2_050": SMALL,
    "timm:mobilenetv3_small_050": SMALL,
    "timm:mobilenetv4_conv_small_050": SMALL,
    "timm:efficientnet_b0": SMALL,
    "timm:tf_efficientnetv2_b0": SMALL,
    "timm:convnext_atto": SMALL,
    "timm:convnextv2_atto": SMALL,
    "timm:inception_v3": (107, 139),
    "timm:inception_v4": (107, 139),
    "timm:xception41": SMALL,
    "timm:legacy_xception": SMALL,
    "timm:regnetx_002": SMALL,
    "timm:regnety_002": SMALL,
    "timm:dpn48b": SMALL,
    "timm:hrnet_w18_small": SMALL,
    "timm:dla46_c": SMALL,
    "timm:darknet17": SMALL,
    "timm:cspresnet50": SMALL,
    "timm:repvgg_a0": SMALL,
    "timm:nfnet_l0": SMALL,
    "timm:rexnet_100": SMALL,
    "timm:mixnet_s": SMALL,
    "timm:ghostnet_050": SMALL,
    "timm:mnasnet_small": SMALL,
    "timm:hardcorenas_a": SMALL,
    "timm:fbnetc_100": SMALL,
    "timm:spnasnet_100": SMALL,
    "timm:hgnet_tiny": SMALL,
    "timm:hgnetv2_b0": SMALL,
    "timm:ese_vovnet19b_slim_dw": SMALL,
    "timm:edgenext_xx_small": SMALL,
    "timm:coatnet_nano_rw_224": OWN,
    "timm:convmixer_768_32": (63, 84),
    "timm:lcnet_035": SMALL,
    "timm:tinynet_e": SMALL,
    "timm:starnet_s050": SMALL,
    "timm:inception_next_atto": SMALL,
    "timm:fastvit_t8": SMALL,
    "timm:tresnet_m": SMALL,
    "timm:repvit_m0_9": SMALL,
    "timm:repghostnet_050": SMALL,
    "torchvision:alexnet": SMALL,
    "torchvision:squeezenet1_1": SMALL,
    "torchvision:googlenet": SMALL,
    "torchvision:inception_v3": (107, 139),
    "torchvision:resnet18": SMALL,
    "torchvision:shufflenet_v2_x0_5": SMALL,
    "torchvision:mobilenet_v3_small": SMALL,
    "torchvision:mnasnet0_5": SMALL,
    "torchvision:convnext_tiny": SMALL,
}

WITH_UNUSED_HEADS = ("torchvision:googlenet", "torchvision:inception_v3")  # they serve training only


@pytest.mark.slow
@pytest.mark.parametrize("spec", ARCHITECTURES)
def test_graph_computes_what_the_module_computes(spec: str) -> None:
    net = randomized_network(spec, ARCHITECTURES[spec])
    y, x = net.input_shape[1:]
    inputs = torch.randn(2, 3, y, x, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = net.module(inputs)
        maps = net.run(inputs, net.layers.names)

    assert relative_error(expected[:1], expected[1:]) > 1e-4, "the two images must give different logits"
    assert_says_the_same(net.unfolded(), inputs, expected, 1e-5)
    assert_says_the_same(net, inputs, expected, 1e-4)
    assert {name: tuple(values.shape) for name, values in maps.items()} == {
        layer.name: (2, *layer.shape) for layer in net.layers
    }
    assert net.layers.without_field == ()
    if spec not in WITH_UNUSED_HEADS:
        assert net.layers.total.n_parameters == sum(parameter.numel() for parameter in net.module.parameters())


def assert_says_the_same(net: Network, inputs: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Random weights of a deep network may amplify any rounding, the module's own too: then double precision decides."""
    with torch.no_grad():
        if relative_error(net(inputs), expected) < tolerance:
            return
        precise = copy.deepcopy(net.module).double()(inputs.double())
        assert relative_error(expected, precise) > tolerance / 10, "rounding is no excuse here"
        assert relative_error(net.to(dtype=torch.float64)(inputs), precise) < 1e-6


@pytest.mark.parametrize("spec", ["timm:lcnet_035", "torchvision:squeezenet1_1"])
def test_a_spec_is_loaded_with_its_own_size_and_classes(spec: str) -> None:
    net = load(spec)
    assert net.input_shape == (3, 224, 224)
    assert net.n_classes == len(net.classes) == 1000
    assert prod(net.layers[-1].shape) == 1000
    inputs = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert relative_error(net(inputs), net.module.eval()(inputs)) < 1e-4


def test_at_least_sixty_architectures_are_covered() -> None:
    assert len(ARCHITECTURES) >= 60
