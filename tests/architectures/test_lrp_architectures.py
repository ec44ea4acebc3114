"""Does all relevance arrive, whatever the network's form?  LRP-0 without biases, on a network of each kind."""

import pytest
import torch
from small_networks import randomized
from torch import nn

from convscope.instruments.attribution import LRP
from convscope.network import Network, load
from convscope.network.origin import Request
from convscope.network.spec import Spec
from convscope.registry import lookup

SMALL = (64, 80)  # y, x
# One of each way of building (the others of test_architectures.py are made of the same operations).
ARCHITECTURES = {
    "torchvision:resnet18": SMALL,
    "timm:seresnet18": SMALL,  # squeeze-excitation
    "timm:skresnet18": SMALL,  # branches weighed by a softmax
    "timm:ecaresnet26t": SMALL,  # gates from conv1d
    "timm:resnest14d": SMALL,  # split attention
    "timm:resnetv2_18": SMALL,  # norms before convolutions
    "timm:densenet121": SMALL,
    "timm:mobilenetv2_050": SMALL,  # ReLU6, linear bottlenecks
    "timm:mobilenetv3_small_050": SMALL,  # hard swish, hard sigmoid
    "timm:efficientnet_b0": SMALL,  # SiLU
    "timm:convnext_atto": SMALL,  # layer norm, GELU, layer scale
    "timm:convnextv2_atto": SMALL,  # global response norm
    "torchvision:squeezenet1_1": SMALL,
    "torchvision:googlenet": SMALL,
    "torchvision:shufflenet_v2_x0_5": SMALL,
    "timm:dpn48b": SMALL,
    "timm:hrnet_w18_small": (64, 96),  # resampling
    "timm:repvgg_a0": SMALL,  # norms on the way past
    "timm:nfnet_l0": SMALL,
    "timm:mixnet_s": SMALL,
    "timm:edgenext_xx_small": SMALL,  # attention across channels; adds an encoding of positions
    "timm:coatnet_nano_rw_224": (224, 224),  # attention
    "timm:starnet_s050": SMALL,  # products of two branches
    "timm:fastvit_t8": SMALL,  # differences
    "timm:tresnet_m": SMALL,  # pixels moved into channels
}
ADDS_A_CONSTANT = ("timm:edgenext_xx_small",)


@pytest.mark.slow
@pytest.mark.parametrize("spec", ARCHITECTURES)
def test_without_biases_all_relevance_arrives(spec: str) -> None:
    net = _without_biases(spec)
    inputs = torch.randn(2, *net.input_shape, generator=torch.Generator().manual_seed(1))
    assert not LRP.refuses(net.graph)
    found = LRP("zero")(net, inputs)
    assert float(found.error.max()) < 1e-4
    if spec in ADDS_A_CONSTANT:
        assert any("keep" in note for note in found.notes)
    else:
        total = found.values.double().flatten(1).sum(1)
        assert float(((total - found.score) / found.score).abs().max()) < 1e-4
        torch.testing.assert_close(found.promised, found.score.double(), rtol=1e-5, atol=0)


def _without_biases(spec: str) -> Network:
    parsed = Spec.parse(spec)
    torch.manual_seed(0)
    origin = lookup("source", parsed.source)(Request(parsed))
    size = ARCHITECTURES[spec]
    module = randomized(origin.model, size)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith(("bias", "beta")):
                parameter.zero_()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.zero_()
    return load(module, size=size, n_channels=3)
