"""Is a batch norm folded as its formula says, and only where nobody could tell the difference?"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from small_networks import Pooled, network, randomized, relative_error
from torch import nn

from convscope.graph.graph import Graph
from convscope.walks.fold import fold_batch_norm

IMAGES = torch.randn(2, 4, 9, 13, generator=torch.Generator().manual_seed(5))


def _ops(graph: Graph) -> list[str]:
    return [step.op for step in graph]


def _norm(n: int, **options: object) -> nn.BatchNorm2d:
    """Numbers that are easy to follow by hand: mean k, variance 4k, scale k + 1, shift -k, for unit k = 1, 2 ..."""
    norm = nn.BatchNorm2d(n, eps=0.5, **options)  # type: ignore[arg-type]
    k = torch.arange(1.0, n + 1)
    norm.running_mean.copy_(k)
    norm.running_var.copy_(4 * k)
    if norm.affine:
        with torch.no_grad():
            norm.weight.copy_(k + 1)
            norm.bias.copy_(-k)
    return norm.eval()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_the_folded_weights_are_the_formula(bias: bool, affine: bool) -> None:
    conv, norm = nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=bias), _norm(6, affine=affine)
    folded = fold_batch_norm(network(Pooled(conv, norm), 9, 13).graph)
    (step,) = [step for step in folded if step.op == "conv2d"]
    weight, shift = (folded.tensors[argument.name] for argument in step.args[1:3])
    for unit in range(6):
        k = unit + 1
        factor = (k + 1 if affine else 1) / (4 * k + 0.5) ** 0.5
        before = float(conv.bias[unit].detach()) if bias else 0.0
        torch.testing.assert_close(weight[unit], (conv.weight[unit] * factor).detach(), rtol=1e-6, atol=0)
        assert float(shift[unit]) == pytest.approx((before - k) * factor + (-k if affine else 0), rel=1e-5)
    assert "batch_norm" not in _ops(folded)
    assert step.name == "1", "the merged step stands for the norm"


FOLDED: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: Pooled(nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU()),
    "with bias": lambda: Pooled(nn.Conv2d(4, 6, 3, stride=2), nn.BatchNorm2d(6)),
    "grouped": lambda: Pooled(nn.Conv2d(4, 8, 3, groups=4), nn.BatchNorm2d(8), nn.SiLU()),
    "same": lambda: Pooled(nn.Conv2d(4, 6, 3, padding="same", dilation=2), nn.BatchNorm2d(6)),
    "without affine": lambda: Pooled(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, affine=False)),
    "dense": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(4 * 9 * 13, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3)
    ),
}


@pytest.mark.parametrize("name", FOLDED)
def test_a_folded_network_gives_the_same_logits(name: str) -> None:
    module = randomized(FOLDED[name](), (9, 13), n_channels=4)
    net = network(module, 9, 13, channels=4)
    folded = network(module, 9, 13, channels=4, fold=True)
    assert "batch_norm" in _ops(net.graph)
    assert "batch_norm" not in _ops(fold_batch_norm(net.graph))
    with torch.no_grad():
        expected = module(IMAGES)
    assert relative_error(net(IMAGES), expected) < 1e-6
    assert relative_error(folded(IMAGES), expected) < 1e-5


class _Read(nn.Module):
    """The convolution's value is read beside the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.conv(x)
        return (self.norm(before) + before.sigmoid()).mean((2, 3))


class _Training(nn.Module):
    """A norm that uses the statistics of the images at hand, always."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, track_running_stats=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x)).relu().mean((2, 3))


KEPT: dict[str, Callable[[], nn.Module]] = {
    "the convolution has another reader": _Read,
    "a non-linearity lies between": lambda: Pooled(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.BatchNorm2d(6)),
    "the convolution is transposed": lambda: Pooled(nn.ConvTranspose2d(4, 6, 3), nn.BatchNorm2d(6)),
    "the statistics are those of the batch": _Training,
}


@pytest.mark.parametrize("name", KEPT)
def test_a_norm_stays_where_folding_would_change_something(name: str) -> None:
    module = randomized(KEPT[name](), (9, 13), n_channels=4)
    net = network(module, 9, 13, channels=4, fold=True)
    assert "batch_norm" in _ops(fold_batch_norm(net.graph))
    with torch.no_grad():
        expected = module(IMAGES)
    assert relative_error(net(IMAGES), expected) < 1e-5


def test_the_value_before_a_folded_norm_can_still_be_asked_for() -> None:
    module = randomized(FOLDED["plain"](), (9, 13), n_channels=4)
    net = network(module, 9, 13, channels=4, fold=True)
    with torch.no_grad():
        before = module[0](IMAGES)
        after = module[1](before)
    found = net.run(IMAGES, ["0", "1", "2"])
    assert relative_error(found["0"], before) < 1e-6
    assert relative_error(found["1"], after) < 1e-6
    assert relative_error(net.run(IMAGES, ["1"])["1"], after) < 1e-5
    assert relative_error(net(IMAGES), module(IMAGES).detach()) < 1e-5


def test_an_output_is_never_folded_away() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.norm = nn.Linear(4, 6), nn.BatchNorm1d(6)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            before = self.dense(x.mean((2, 3)))
            return {"before": before, "logits": self.norm(before)}

    graph = network(randomized(Both(), (9, 13), n_channels=4), 9, 13, channels=4).graph
    assert "batch_norm" in _ops(fold_batch_norm(graph))
    assert "batch_norm" not in _ops(fold_batch_norm(replace(graph, outputs={"logits": graph.outputs["logits"]})))
