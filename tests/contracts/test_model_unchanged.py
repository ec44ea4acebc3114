"""Does a borrowed model come back as it was, and does a Network stay as it was read?"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import relative_error
from torch import nn

from convscope.errors import ConvscopeError, ExportError, InputShapeError
from convscope.graph.read import read
from convscope.network import Network, load

IMAGES = torch.randn(2, 3, 20, 28, generator=torch.Generator().manual_seed(0))


class _Model(nn.Module):
    """In training, with gradients, frozen parts, hooks, statistics, dropout, weights made from others; may refuse images."""

    def __init__(self, trouble: str = "") -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.5)
        self.fc = nn.utils.parametrizations.weight_norm(nn.Linear(6, 4))
        self.register_buffer("calls", torch.zeros(1))
        self.trouble = trouble

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        x = self.relu(self.norm(self.conv(x)))
        if self.trouble == "raises":
            raise RuntimeError("the owner's own trouble")
        if self.trouble == "branches" and x.mean() > 100:
            x = x * 2
        return self.fc(self.drop(x).mean((2, 3)))


def _in_use(trouble: str = "") -> tuple[_Model, list[str]]:
    """A model in the middle of its training, and what its hooks have seen."""
    torch.manual_seed(0)
    model, seen = _Model(), []
    model.norm.eval()
    model.conv.bias.requires_grad_(False)
    model(IMAGES).sum().backward()
    model.trouble = trouble
    model.conv.register_forward_hook(lambda *_: seen.append("forward"))
    model.conv.register_forward_pre_hook(lambda *_: seen.append("forward pre"))
    model.fc.register_full_backward_hook(lambda *_: seen.append("backward"))
    model.register_forward_hook(lambda *_: seen.append("model"))
    return model, seen


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")


def _state(model: nn.Module) -> dict[str, Any]:
    """All that could have been changed."""
    tensors = {**dict(model.named_parameters()), **{f"buffer {name}": b for name, b in model.named_buffers()}}
    return {
        "training": {path: part.training for path, part in model.named_modules()},
        "values": {name: tensor.detach().clone() for name, tensor in tensors.items()},
        "memory": {name: (tensor.data_ptr(), id(tensor), tensor._version) for name, tensor in tensors.items()},
        "requires_grad": {name: tensor.requires_grad for name, tensor in tensors.items()},
        "grad": {name: None if t.grad is None else (id(t.grad), t.grad.clone()) for name, t in tensors.items()},
        "hooks": {
            (path, kind): list(getattr(part, kind).items()) for path, part in model.named_modules() for kind in _HOOKS
        },
        "modules": {path: id(part) for path, part in model.named_modules()},
        "attributes": {path: sorted(vars(part)) for path, part in model.named_modules()},
        "inplace": model.get_submodule("relu").inplace,
    }


def _random_state() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the global one is the one that could be touched
    return torch.get_rng_state().tolist(), random.getstate(), kind, keys.tolist(), rest


def assert_same(before: Any, after: Any) -> None:
    if isinstance(before, torch.Tensor):
        assert torch.equal(before, after)
    elif isinstance(before, dict):
        assert before.keys() == after.keys()
        for key in before:
            assert_same(before[key], after[key])
    elif isinstance(before, (tuple, list)):
        assert len(before) == len(after)
        for mine, theirs in zip(before, after, strict=True):
            assert_same(mine, theirs)
    else:
        assert before == after


def _everything(net: Network) -> None:
    """One of each thing that is done with a network."""
    images = IMAGES.clone().requires_grad_()
    net(images).sum().backward()
    net.run(IMAGES, net.layers.names)
    above = net.onward("norm", IMAGES)
    above(above.maps.repeat_interleave(2, 0))
    net.swap("relu", "identity")(IMAGES[:, :, :12, :16])
    net.to(dtype=torch.bfloat16, channels_last=True)(IMAGES)
    net.at(12, 16).layers.total  # noqa: B018


USES: dict[str, Callable[[nn.Module], Any]] = {
    "load": lambda model: load(model, size=(20, 28)),
    "use": lambda model: _everything(load(model, size=(20, 28))),
}


@pytest.mark.parametrize("use", USES)
def test_the_model_comes_back_as_it_was(use: str) -> None:
    model, seen = _in_use()
    before, chance = _state(model), _random_state()
    USES[use](model)
    assert_same(before, _state(model))
    assert chance == _random_state()
    assert seen == [], "a hook of the owner's was called"
    model(IMAGES).sum().backward()
    assert seen == ["forward pre", "forward", "model", "backward"], "the owner's hooks must still work"


@pytest.mark.parametrize(
    ("trouble", "size", "error"),
    [("raises", (20, 28), InputShapeError), ("branches", (20, 28), ExportError), ("", (0, 3), ConvscopeError)],
)
def test_the_model_comes_back_as_it_was_after_an_error(
    trouble: str, size: tuple[int, int], error: type[Exception]
) -> None:
    model, seen = _in_use(trouble)
    before, chance = _state(model), _random_state()
    with pytest.raises(error):
        load(model, size=size)
    assert_same(before, _state(model))
    assert chance == _random_state()
    assert seen == []


def test_an_error_says_what_the_owner_said_and_where() -> None:
    model, _ = _in_use("raises")
    with pytest.raises(InputShapeError, match="the owner's own trouble"):
        load(model, size=(20, 28))
    model.trouble = "branches"
    with pytest.raises(ExportError, match=r"test_model_unchanged\.py:\d+"):
        load(model, size=(20, 28))


def test_a_model_that_is_changed_later_does_not_change_the_network() -> None:
    model, _ = _in_use()
    net = load(model, size=(20, 28))
    logits, smaller, mark = net(IMAGES), IMAGES[:, :, :12, :16], net.fingerprint
    at_another_size = load(model, size=(12, 16))(smaller)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.mul_(-3).add_(1)
    model.relu = nn.Sigmoid()
    assert torch.equal(net(IMAGES), logits)
    assert relative_error(net(smaller), at_another_size) < 1e-6, "it is read again from the copy, not from the model"
    assert net.fingerprint == mark
    assert load(model, size=(20, 28)).fingerprint != mark


def test_the_network_is_the_model_in_evaluation_mode() -> None:
    model, _ = _in_use()
    net = load(model, size=(20, 28))
    twin, _ = _in_use()
    assert relative_error(net(IMAGES), twin.eval()(IMAGES).detach()) < 1e-5
    assert torch.equal(net(IMAGES), net(IMAGES)), "dropout must be off"


def test_a_graph_is_read_in_evaluation_mode_whatever_the_model_is_in() -> None:
    model, _ = _in_use()
    model.norm.train()
    graph = read(model, (3, 20, 28))
    assert [step.op for step in graph].count("batch_norm") == 1
    assert not graph["norm"].args[5], "the norm must use its stored statistics"
    assert model.training
    assert model.norm.training


def test_the_callers_images_stay_as_they_are() -> None:
    model, _ = _in_use()
    net = load(model, size=(20, 28))
    images = IMAGES.clone()
    _everything(net)
    net(images), net.run(images, net.layers.names), net.onward("input", images)(images)
    assert torch.equal(images, IMAGES)
    assert not images.requires_grad
    assert images.grad is None


def test_hooks_that_watch_are_reported() -> None:
    model, _ = _in_use()
    assert any("hooks" in note and "conv" in note for note in load(model, size=(20, 28)).notes)


def test_a_call_changes_no_network() -> None:
    model, _ = _in_use()
    net = load(model, size=(20, 28))
    mark, logits = net.fingerprint, net(IMAGES)
    _everything(net)
    assert net.fingerprint == mark
    assert torch.equal(net(IMAGES), logits)
