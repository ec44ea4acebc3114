"""What if an operation were another one?  Names and shapes stay, and only what was named changes."""

import pytest
import torch
from small_networks import Pooled, network, relative_error
from torch import nn
from torch.nn import functional as F

from convscope.errors import UnknownNameError, UsageError

IMAGES = torch.rand(2, 3, 21, 27, generator=torch.Generator().manual_seed(0))


def _module(pool: nn.Module | None = None, act: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(0)
    return Pooled(
        nn.Conv2d(3, 6, 3, padding=1),
        act or nn.ReLU(inplace=True),
        pool or nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(6, 5, 3),
        nn.ReLU(inplace=True),
    ).eval()


class _Middles(nn.Module):
    """The value at the middle of each 3 x 3 window with stride 2 and a border of one, by plain indexing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, ::2, ::2]


def test_maxima_become_the_values_at_the_middle_of_their_windows() -> None:
    net = network(_module(), 21, 27)
    expected = _module(_Middles())(IMAGES).detach()
    assert relative_error(net.swap("max_pool2d", "subsample")(IMAGES), expected) < 1e-6
    assert relative_error(net(IMAGES), expected) > 1e-3, "the network itself must not change"


@pytest.mark.parametrize("ceil", [False, True])
def test_maxima_become_means(ceil: bool) -> None:
    module = _module(nn.MaxPool2d((3, 2), stride=(2, 3), padding=1, ceil_mode=ceil))
    mean = nn.AvgPool2d((3, 2), stride=(2, 3), padding=1, ceil_mode=ceil, count_include_pad=False)
    net = network(module, 21, 27).swap("2", "average")
    assert relative_error(net(IMAGES), _module(mean)(IMAGES).detach()) < 1e-6


def test_an_activation_is_left_out_by_name_or_everywhere() -> None:
    net = network(_module(), 21, 27)
    conv = _module()
    without_first = Pooled(conv[0], conv[2], conv[3], nn.ReLU())
    without_any = Pooled(conv[0], conv[2], conv[3])
    assert relative_error(net.swap("1", "identity")(IMAGES), without_first(IMAGES).detach()) < 1e-6
    assert relative_error(net.swap("relu", "identity")(IMAGES), without_any(IMAGES).detach()) < 1e-6


def test_an_own_function_gets_the_value_and_the_settings() -> None:
    def leaky(values: torch.Tensor, slope: float) -> torch.Tensor:
        return F.leaky_relu(values, slope)

    net = network(_module(), 21, 27).swap("1", leaky, slope=0.3)
    assert relative_error(net(IMAGES), _module(act=nn.LeakyReLU(0.3))(IMAGES).detach()) < 1e-6
    assert net.layers["1"].op == "leaky"
    assert net.graph["1"].shape == network(_module(), 21, 27).graph["1"].shape


def test_a_swap_survives_another_size_and_precision_and_a_second_swap() -> None:
    net = network(_module(), 21, 27).swap("max_pool2d", "subsample").swap("relu", "identity")
    conv = _module()
    expected = Pooled(conv[0], _Middles(), conv[3])
    for images in (IMAGES, IMAGES[:, :, :13, :18]):
        assert relative_error(net(images), expected(images).detach()) < 1e-6
        assert relative_error(net.to(dtype=torch.float64)(images), expected(images).detach()) < 1e-5
    assert relative_error(net.at(13, 18)(IMAGES[:, :, :13, :18]), expected(IMAGES[:, :, :13, :18]).detach()) < 1e-6


def test_gradients_go_through_the_replacement() -> None:
    net = network(_module(), 21, 27).swap("max_pool2d", "subsample")
    mine, theirs = (IMAGES.clone().requires_grad_() for _ in range(2))
    net(mine)[:, 0].sum().backward()
    _module(_Middles())(theirs)[:, 0].sum().backward()
    assert relative_error(mine.grad, theirs.grad) < 1e-5


@pytest.mark.parametrize(("where", "by"), [("max_pool2", "average"), ("7", "identity")])
def test_an_unknown_operation_is_refused_by_name(where: str, by: str) -> None:
    with pytest.raises(UnknownNameError, match=where):
        network(_module(), 21, 27).swap(where, by)


def test_an_unknown_replacement_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match="average"):
        network(_module(), 21, 27).swap("max_pool2d", "averag")


@pytest.mark.parametrize(("where", "by"), [("max_pool2d", "identity"), ("1", lambda values: values[:, 1:])])
def test_another_shape_is_refused(where: str, by: object) -> None:
    with pytest.raises(UsageError, match="shape"):
        network(_module(), 21, 27).swap(where, by)  # type: ignore[arg-type]


def test_a_sum_of_two_values_cannot_be_swapped() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (self.conv(x) + x).mean((2, 3))

    with pytest.raises(UsageError, match="add"):
        network(Sum(), 21, 27).swap("add", "identity")
