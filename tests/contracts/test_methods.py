"""Does every method keep the contract of its kind?  Also those that are registered tomorrow."""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest
import torch
from small_networks import network, randomized
from torch import nn
from torch.nn import functional as F

import convscope as cs
from convscope.errors import UsageError
from convscope.instruments.attribution.method import Method
from convscope.registry import items

SIZE = (19, 26)  # y x
METHODS = items("method")
# Settings at which a method is quick on a small image.
QUICK: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"n_steps": 6},
    "smoothgrad": {"n_samples": 3},
    "occlusion": {"window": 6, "stride": 4},
    "rise": {"n_masks": 40, "cells": 4},
    "shapley": {"n_regions": 6, "n_orders": 4},
}
# Another value of each setting, by its name. Those of `SILENT` change how it is computed, not what comes out.
OTHER: dict[str, Any] = {
    "n_steps": 9,
    "n_samples": 4,
    "noise": 0.4,
    "squared": True,
    "seed": 1,
    "window": 9,
    "stride": 5,
    "fill": "blur",
    "baseline": "white",
    "n_masks": 50,
    "cells": 3,
    "visible": 0.3,
    "centred": False,
    "n_regions": 9,
    "n_orders": 2,
    "softmax": False,
    "align_corners": True,
    "composite": "epsilon_gamma",
    "epsilon": 0.5,
    "precision": "bfloat16",
}
SILENT = {"batch_size"}
# Settings that count only beside others.
BESIDE: dict[tuple[str, str], dict[str, Any]] = {
    ("lrp", "gamma"): {"composite": "gamma"},
    ("lrp", "alpha"): {"composite": "alpha_beta"},
    ("lrp", "stabilizer"): {"composite": "z_plus"},
    ("lrp", "epsilon"): {"composite": "epsilon"},
    ("occlusion", "seed"): {"fill": "noise"},
    ("shapley", "n_orders"): {"n_regions": 12},
    ("shapley", "seed"): {"n_regions": 12},
}


class Small(nn.Module):
    """A stem, a residual sum, a concatenation, a pool."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.act, self.pool = nn.ReLU(inplace=True), nn.MaxPool2d(2)
        self.same, self.wide = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 4, 3, padding=1)
        self.fc = nn.Linear(10, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.act(self.norm(self.stem(x))))
        x = F.relu(x + self.same(x))
        x = torch.cat([x, F.relu(self.wide(x))], 1)
        return self.fc(x.mean((2, 3)))


@cache
def _module() -> nn.Module:
    torch.manual_seed(0)
    return randomized(Small(), SIZE)


@cache
def _net() -> cs.Network:
    return network(_module(), *SIZE, fold=True)


def inputs(n: int = 3) -> torch.Tensor:
    return torch.randn(n, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def made(key: str, **settings: Any) -> Method:
    return METHODS[key](**{**QUICK.get(key, {}), **settings})


def alike(first: torch.Tensor, second: torch.Tensor) -> bool:
    return bool(torch.allclose(first, second, rtol=1e-4, atol=1e-5 * float(first.abs().max() + 1e-12)))


@pytest.mark.parametrize("key", METHODS)
def test_shapes_scores_and_what_is_told(key: str) -> None:
    found = made(key)(_net(), inputs())
    assert found.scores.shape == (3, *SIZE)
    assert found.scores.dtype == torch.float32
    assert torch.isfinite(found.scores).all()
    assert found.scores.abs().max() > 0
    with torch.no_grad():
        assert torch.allclose(found.score, _module()(inputs()).amax(1), rtol=1e-4, atol=1e-4)
    assert made(key).title
    assert any(char.isdigit() for char in made(key).paper)
    if not made(key).signed:
        assert found.map.min() >= 0


@pytest.mark.parametrize("key", METHODS)
def test_a_batch_answers_as_its_images_do_one_by_one(key: str) -> None:
    together = made(key)(_net(), inputs(), target=[0, 3, 1])
    for i, target in enumerate((0, 3, 1)):
        alone = made(key)(_net(), inputs()[i : i + 1], target=target)
        assert alike(alone.values[0], together.values[i])


@pytest.mark.parametrize("key", METHODS)
def test_the_same_question_has_the_same_answer(key: str) -> None:
    first = made(key)(_net(), inputs(2)).values
    torch.rand(7)  # whoever else draws random numbers does not matter
    assert torch.equal(made(key)(_net(), inputs(2)).values, first)


@pytest.mark.parametrize("key", METHODS)
def test_the_target_matters(key: str) -> None:
    first = made(key)(_net(), inputs(1), target=0).values
    assert not alike(made(key)(_net(), inputs(1), target=1).values, first)
    assert not alike(made(key)(_net(), inputs(1), target=(0, 1)).values, first)
    unit = made(key)(_net(), inputs(1), target="same:2", layer="stem").values
    assert unit.abs().max() > 0
    assert not alike(made(key)(_net(), inputs(1), target="same:3", layer="stem").values, unit)
    assert not alike(made(key)(_net(), inputs(1), target="same:2@4,5", layer="stem").values, unit)


@pytest.mark.parametrize("key", METHODS)
def test_the_image_is_a_place_and_so_is_any_layer(key: str) -> None:
    if key == "score_cam":
        return  # its scores live in maps that mask the image
    assert made(key)(_net(), inputs(1), layer="input").scores.shape == (1, *SIZE)
    assert made(key)(_net(), inputs(1), layer="pool").map.shape == (1, 9, 13)


KNOBS = [(key, field.name) for key, method in METHODS.items() for field in fields(method) if field.name not in SILENT]


@pytest.mark.parametrize(("key", "name"), KNOBS)
def test_no_knob_is_dead(key: str, name: str) -> None:
    beside = BESIDE.get((key, name), {})
    before = made(key, **beside)
    now = getattr(before, name)
    value = 1e-8 if name == "error" else OTHER.get(name, now * 3 if isinstance(now, float) else None)
    assert value is not None, f"no other value is known of {name}"
    assert value != now
    one, other = (method(_net(), inputs(1)).values for method in (before, replace(before, **{name: value})))
    assert one.shape != other.shape or not torch.equal(one, other)


@pytest.mark.parametrize(
    "key", [key for key in METHODS if "batch_size" in {field.name for field in fields(METHODS[key])}]
)
def test_the_size_of_batches_changes_nothing(key: str) -> None:
    assert alike(made(key, batch_size=1)(_net(), inputs(2)).values, made(key, batch_size=5)(_net(), inputs(2)).values)


@pytest.mark.parametrize(
    "key", [key for key in METHODS if "batch_size" in {field.name for field in fields(METHODS[key])}]
)
@pytest.mark.parametrize("size", [0, -5])
def test_a_batch_of_nothing_is_refused(key: str, size: int) -> None:
    with pytest.raises(UsageError, match="batch size"):
        made(key, batch_size=size)(_net(), inputs(1), layer="pool" if key == "occlusion" else None)


@pytest.mark.parametrize("key", METHODS)
def test_the_model_and_the_inputs_go_back_as_they_came(key: str) -> None:
    torch.manual_seed(0)
    module = randomized(Small(), SIZE).train()
    module.stem.weight.requires_grad_(False)
    net = cs.load(module, size=SIZE)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    shown = inputs(2).requires_grad_()
    random, given = torch.get_rng_state(), shown.detach().clone()
    made(key)(net, shown)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(shown.detach(), given)
    assert shown.grad is None
    assert module.training
    assert not module.stem.weight.requires_grad
    assert module.same.weight.requires_grad
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(each._forward_hooks or each._backward_hooks for each in module.modules())


def _stopping(at: int) -> Callable[[int, int], None]:
    calls = 0

    def stop(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        assert 0 <= done <= total
        if calls >= at:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("key", [*QUICK, "score_cam", "ablation_cam"])
def test_it_can_be_stopped_and_asked_again(key: str) -> None:
    before = made(key)(_net(), inputs(1)).values
    with pytest.raises(KeyboardInterrupt):
        made(key)(_net(), inputs(1), progress=_stopping(1))
    assert torch.equal(made(key)(_net(), inputs(1)).values, before)
