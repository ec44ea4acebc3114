"""What may be explained, and how may it be asked for?  Every way of saying one thing, and what is refused."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import network, randomized
from torch import nn

from convscope.errors import NetworkError, UnknownNameError, UsageError
from convscope.instruments.attribution import GradCAM, Gradient, Occlusion, Target
from convscope.instruments.attribution.method import Method
from convscope.network import Network
from convscope.registry import items

IMAGES = torch.randn(2, 3, 15, 22, generator=torch.Generator().manual_seed(3))
QUICK: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"n_steps": 3},
    "smoothgrad": {"n_samples": 2},
    "occlusion": {"window": 8, "stride": 8},
    "rise": {"n_masks": 6, "cells": 3},
    "shapley": {"n_regions": 4, "n_orders": 2},
}


@cache
def _net() -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 5, 3, padding=1), nn.ReLU()
    )
    module.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4)])
    return network(randomized(module, size=(15, 22)), 15, 22, fold=True)


METHODS = [pytest.param(method(**QUICK.get(key, {})), id=key) for key, method in items("method").items()]


@pytest.mark.parametrize(
    "target",
    [
        *[3, "3", " 3 ", np.int64(3), np.array(3), torch.tensor(3), torch.tensor(3, dtype=torch.uint8)],
        *[[3, 3], range(3, 4), np.array([3, 3]), torch.tensor([3, 3]), [torch.tensor(3), np.int16(3)]],
        np.array(["3", "3"]),
    ],
    ids=repr,
)
def test_one_class_may_be_said_in_many_ways(target: Any) -> None:
    images = IMAGES[:1] if isinstance(target, range) else IMAGES
    assert set(Gradient()(_net(), images, target=target).target.plus) == {3}


def test_the_class_that_is_predicted_may_be_given() -> None:
    predicted = _net()(IMAGES[:1]).argmax()
    own, asked = Gradient()(_net(), IMAGES[:1]), Gradient()(_net(), IMAGES[:1], target=predicted)
    assert asked.target == own.target
    assert torch.equal(asked.values, own.values)
    pair = Gradient()(_net(), IMAGES, target=(torch.tensor(1), np.int64(2))).target
    assert (pair.plus, pair.minus) == ((1, 1), (2, 2))


@pytest.mark.parametrize(
    ("target", "match"),
    [
        (4, "0 to 3"),
        (-1, "0 to 3"),
        ("-1", "0 to 3"),
        (torch.tensor(9), "0 to 3"),
        (3.0, "neither a class"),
        (np.float64(3.7), "neither a class"),
        (torch.tensor([1.0, 2.0]), "neither a class"),
        (True, "not a class"),
        (np.bool_(True), "not a class"),
        (torch.tensor([True, False]), "not a class"),
        (np.array([[1, 2], [2, 1]]), "neither a class"),
        ({1: 2}, "neither a class"),
        ([1, 2, 3], "3 for 2 images"),
        (np.array([1]), "1 for 2 images"),
        ([], "0 for 2 images"),
        ((1, 2, 3), "pair"),
        ((1, 1), "same class"),
    ],
    ids=repr,
)
def test_what_is_no_class_is_refused(target: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Gradient()(_net(), IMAGES, target=target)


@pytest.mark.parametrize("target", ["--3", "-", "3-", "cat"])
def test_a_name_that_is_not_there_is_refused(target: str) -> None:
    with pytest.raises(UnknownNameError, match="have no names"):
        Gradient()(_net(), IMAGES, target=target)


@pytest.mark.parametrize(
    ("target", "match"),
    [
        (Target("7", (4, 4)), "4 units"),
        (Target("7", (1, 1), (1, 9)), "4 units"),
        (Target("7", (1, 2, 3)), "3 images, of which there are 2"),
        (Target("7", (1, 2), (3,)), "1 images, of which there are 2"),
        (Target("3", (5, 5)), "5 units"),
        (Target("3", (1, 1), (), (7, 0)), "7 x 10"),
        (Target("input", (1, 1)), "image itself"),
    ],
    ids=str,
)
def test_a_target_made_elsewhere_is_checked(target: Target, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Gradient()(_net(), IMAGES, target=target)


def test_a_target_made_elsewhere_names_a_layer_of_the_network() -> None:
    with pytest.raises(UnknownNameError, match="no layer 'head'"):
        Gradient()(_net(), IMAGES, target=Target("head", (1, 1)))


def test_positions_are_those_of_the_images_at_hand() -> None:
    larger = torch.randn(1, 3, 31, 22)
    for target in ("3:1@14,9", Target("3", (1,), (), (14, 9))):
        assert torch.isfinite(Gradient()(_net(), larger, target=target).values).all()
        with pytest.raises(UsageError, match="7 x 10"):
            Gradient()(_net(), IMAGES[:1], target=target)


@pytest.mark.parametrize("target", [None, 1, (0, 1), "3:1", Target("7", (1,)), Target("3", (1,))], ids=str)
def test_what_is_not_a_number_is_refused(target: Any) -> None:
    image = IMAGES[:1].clone()
    image[0, 0, 4, 4] = torch.nan
    with pytest.raises(NetworkError, match="not finite"):
        Gradient()(_net(), image, target=target)


@pytest.mark.parametrize("method", METHODS)
def test_no_images_are_refused(method: Method) -> None:
    with pytest.raises(UsageError, match="batch is empty"):
        method(_net(), IMAGES[:0])


@pytest.mark.parametrize("method", METHODS)
def test_inference_mode_changes_nothing(method: Method) -> None:
    expected = method(_net(), IMAGES, target=[2, 0])
    with torch.inference_mode():
        images = IMAGES.clone()
        inside = method(_net(), images, target=[2, 0])
    assert images.is_inference()
    after = method(_net(), images, target=[2, 0])
    for found in (inside, after):
        assert torch.equal(found.values, expected.values)
        assert not found.values.is_inference()


def test_what_is_first_made_in_inference_mode_can_be_differentiated_later() -> None:
    torch.manual_seed(0)
    net = network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 13 * 20, 3)).eval(), 15, 22)
    with torch.inference_mode():
        quick, moved = net.quick_for(IMAGES), net.to(dtype=torch.float64)
        above = net.onward("0", IMAGES.clone())
        tape = above.tape(above.maps)
        signals = tape.back({net.output: torch.ones(2, 3)}, ["0"])
    expected = above.gradient(above.maps, torch.ones_like)[1]
    assert torch.allclose(signals["0"], expected, atol=1e-6)
    for twin in (quick, moved):
        found = GradCAM()(twin, IMAGES, target=1, layer="0").values
        assert torch.allclose(found, GradCAM()(net, IMAGES, target=1, layer="0").values, atol=1e-6)


def test_the_gradient_mode_stays_that_of_the_caller() -> None:
    with torch.no_grad():
        Gradient()(_net(), IMAGES)
        assert not torch.is_grad_enabled()
        assert not _net().onward("3", IMAGES).maps.requires_grad
    with torch.inference_mode():
        Occlusion(window=8)(_net(), IMAGES)
        assert torch.is_inference_mode_enabled()
    leaf = IMAGES.clone().requires_grad_()
    assert _net().onward("3", leaf).maps.requires_grad
