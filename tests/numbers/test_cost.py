"""Are parameters and multiply-accumulates those published, and those counted by hand?"""

import pytest
import torch
from small_networks import Pooled, network
from torch import nn
from torch.nn import functional as F

from convscope.network import load
from convscope.network.torchvision_ops import import_torchvision

PUBLISHED = (
    "alexnet",
    "squeezenet1_0",
    "resnet18",
    "densenet121",
    "googlenet",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "shufflenet_v2_x1_0",
    "mnasnet1_0",
    "resnext50_32x4d",
    "regnet_y_400mf",
    "efficientnet_b0",
    "convnext_tiny",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_totals_are_those_published(name: str) -> None:
    meta = import_torchvision("torchvision.models").get_model_weights(name).DEFAULT.meta
    total = load(f"torchvision:{name}").layers.total
    assert total.n_parameters == meta["num_params"]
    assert round(total.n_macs / 1e9, 3) == meta["_ops"]


Y, X = 20, 28
BY_HAND: dict[str, tuple[nn.Module, int, int]] = {
    "plain": (nn.Conv2d(3, 8, 3, padding=1), 3 * 8 * 9 + 8, Y * X * 8 * 3 * 9),
    "stride and unequal kernel": (nn.Conv2d(3, 8, (3, 5), stride=(2, 3), bias=False), 3 * 8 * 15, 9 * 8 * 8 * 3 * 15),
    "grouped": (nn.Conv2d(3, 9, 3, padding=1, groups=3), 9 * 9 + 9, Y * X * 9 * 9),
    "depthwise": (nn.Conv2d(3, 3, 5, padding=2, groups=3), 3 * 25 + 3, Y * X * 3 * 25),
    "dilated": (nn.Conv2d(3, 4, 3, dilation=2), 3 * 4 * 9 + 4, (Y - 4) * (X - 4) * 4 * 3 * 9),
    "transposed": (nn.ConvTranspose2d(3, 4, 3, stride=2), 3 * 4 * 9 + 4, Y * X * 3 * 4 * 9),
    "transposed, grouped": (nn.ConvTranspose2d(3, 6, 2, stride=2, groups=3), 3 * 2 * 4 + 6, Y * X * 3 * 2 * 4),
    "norm": (nn.BatchNorm2d(3), 6, 0),
    "activation and pool": (nn.Sequential(nn.PReLU(3), nn.MaxPool2d(2)), 3, 0),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_one_operation_costs_what_was_counted_by_hand(name: str) -> None:
    part, n_parameters, n_macs = BY_HAND[name]
    total = network(Pooled(part), Y, X).layers.total
    assert (total.n_parameters, total.n_macs) == (n_parameters, n_macs)


class _Shared(nn.Module):
    """One convolution used twice, one weight under two names, a parameter that is turned into another before use."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.one, self.other = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 3), nn.Linear(3, 3)
        self.other.weight = self.one.weight
        self.scaled = nn.utils.parametrizations.weight_norm(nn.Linear(3, 5, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(F.relu(self.conv(x)))
        return self.scaled(self.other(self.one(x.mean((2, 3)))))


def test_a_shared_parameter_counts_once_and_works_twice() -> None:
    net = network(_Shared(), Y, X)
    assert net.layers["conv"].n_parameters == 3 * 3 * 9 + 3
    assert net.layers["conv#2"].n_parameters == 0
    assert net.layers["conv"].n_macs == net.layers["conv#2"].n_macs == Y * X * 3 * 3 * 9
    assert net.layers["one"].n_parameters == 3 * 3 + 3
    assert net.layers["other"].n_parameters == 3
    assert net.layers.total.n_parameters == sum(p.numel() for p in _Shared().parameters())
    assert net.layers.total.n_macs == 2 * Y * X * 81 + 9 + 9 + 15


class _Attends(nn.Module):
    """Attention of 4 x 5 positions with two heads of three units, fused or written out."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.conv, self.qkv, self.fused = nn.Conv2d(3, 6, 5, stride=5), nn.Linear(6, 18), fused

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.conv(x).flatten(2).transpose(1, 2)
        query, key, value = self.qkv(tokens).unflatten(2, (3, 2, 3)).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            return F.scaled_dot_product_attention(query, key, value).mean(2).flatten(1)
        return ((query @ key.transpose(-1, -2)).softmax(-1) @ value).mean(2).flatten(1)


@pytest.mark.parametrize("fused", [True, False])
def test_attention_costs_two_products_of_tokens_with_tokens(fused: bool) -> None:
    net = network(_Attends(fused), 20, 25)
    n_tokens = 4 * 5
    conv, qkv, products = n_tokens * 6 * 75, n_tokens * 6 * 18, 2 * n_tokens * n_tokens * 6
    assert net.layers["conv"].n_macs == conv
    assert net.layers["qkv"].n_macs == qkv
    assert net.layers.total.n_macs == conv + qkv + products


def test_costs_follow_the_size_of_the_images() -> None:
    net = network(Pooled(nn.Conv2d(3, 4, 3, padding=1)), 20, 28)
    assert net.at(10, 14).layers.total.n_macs * 4 == net.layers.total.n_macs
    assert net.at(10, 14).layers.total.n_parameters == net.layers.total.n_parameters
