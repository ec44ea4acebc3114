"""Is a ReLU computed with its convolution the same, to the bit, and only where nobody can see the difference?"""

from dataclasses import replace

import pytest
import torch
from torch import nn

import convscope as cs
from convscope.walks.fuse import _available, fuse_relu

pytestmark = pytest.mark.skipif(not _available(), reason="this torch has no oneDNN convolution with an activation")


class Net(nn.Module):
    """Convolutions of several forms with a ReLU above; one of them is read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 5, stride=(2, 1), padding=(1, 2))
        self.b = nn.Conv2d(8, 8, 3, dilation=2, groups=4, bias=False)
        self.c = nn.Conv2d(8, 6, (1, 3))
        self.fc = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.b(torch.relu(self.a(x))))
        y = self.c(x)
        return self.fc((torch.relu(y) + y).mean((2, 3)))


@pytest.fixture
def net() -> cs.Network:
    torch.manual_seed(0)
    return cs.load(Net(), size=(31, 45))


def test_only_convolutions_that_nobody_else_reads_are_merged(net: cs.Network) -> None:
    names = {step.name for step in fuse_relu(net.graph)}
    assert "a" not in names
    assert "b" not in names
    assert {"c", "relu", "relu#2", "relu#3"} <= names
    assert "a" in {step.name for step in fuse_relu(net.graph, keep=["a"])}


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_are_the_same(net: cs.Network, dtype: torch.dtype, channels_last: bool) -> None:
    placed = net.to(dtype=dtype, channels_last=channels_last)
    inputs = torch.randn(3, 3, 31, 45, generator=torch.Generator().manual_seed(1))
    tracked = inputs.clone().requires_grad_()
    with torch.no_grad():
        quick = placed(inputs)
        maps = placed.run(inputs, ["a", "relu", "b", "relu#2", "c"])
    plain = placed(tracked)
    tolerance = 1e-6 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(quick, plain.detach(), rtol=tolerance, atol=tolerance)
    assert float(maps["a"].min()) < 0 < float(maps["relu"].max())
    torch.testing.assert_close(maps["relu"], maps["a"].relu())
    torch.testing.assert_close(maps["relu#2"], maps["b"].relu())
    plain.sum().backward()
    assert float(tracked.grad.abs().sum()) > 0


@pytest.mark.parametrize("where", ["weight", "bias", "input", "below", "norm"])
def test_values_that_are_no_numbers_stay_so(where: str) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 5, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).eval()
    images = torch.randn(2, 3, 11, 14)
    with torch.no_grad():
        if where == "weight":
            module[0].weight[2] = torch.nan
        elif where == "bias":
            module[3].bias[1] = torch.nan
        elif where == "norm":
            module[1].running_var[3] = -5.0
        elif where == "input":
            images[1, 0, 5, 5] = torch.nan
    net = cs.load(module, size=(11, 14))
    expected = module(images)
    if where == "below":
        net = net.swap("1", lambda x: torch.where(x > 1, torch.nan, x))
        expected = module[2:](torch.where(module[0:2](images) > 1, torch.nan, module[0:2](images)))
    assert expected.isnan().any()
    with torch.inference_mode():
        assert torch.equal(net(images).isnan(), expected.isnan())
        taken = {}
        net.watch(images, ["2", "4"], lambda name, maps: taken.update({name: maps.clone()}))
    assert taken["4"].isnan().any()


def test_only_numbers_are_joined() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    graph = cs.load(module, size=(9, 8)).graph
    assert len(fuse_relu(graph)) == len(graph) - 1
    tensors = {name: tensor * torch.nan if "weight" in name else tensor for name, tensor in graph.tensors.items()}
    assert len(fuse_relu(replace(graph, tensors=tensors))) == len(graph)
