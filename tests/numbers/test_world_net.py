"""Has the built-in network learnt the built-in world?  With fresh weights as the control."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from convscope.errors import WeightsError
from convscope.images.world import Scenes, World
from convscope.network import builtin


@pytest.fixture(scope="module")
def fresh() -> Scenes:
    return World().scenes(2000, seed=424242)


def _n_right(net: torch.nn.Module, scenes: Scenes) -> int:
    with torch.inference_mode():
        answers = net(builtin.world_inputs(scenes.images)).argmax(1).numpy()
    return int((answers == scenes.labels).sum())


def test_it_is_right_on_fresh_scenes(fresh: Scenes) -> None:
    interval = binomtest(_n_right(builtin.world_net(), fresh), len(fresh)).proportion_ci(method="wilson")
    assert interval.low > 0.96
    assert interval.low <= builtin.world_facts()["accuracy"] + 0.01


def test_fresh_weights_are_at_chance(fresh: Scenes) -> None:
    torch.manual_seed(3)
    few = fresh[:500]
    assert binomtest(_n_right(builtin.WorldNet().eval(), few), len(few)).proportion_ci(0.99).low < 0.16


def test_the_order_of_rows_and_columns_matters(fresh: Scenes) -> None:
    net, few = builtin.world_net(), fresh[:500]
    lying = Scenes(few.world, np.swapaxes(few.images, 1, 2), few.labels, few.parameters)
    assert _n_right(net, lying) < 0.8 * _n_right(net, few)


def test_the_first_filters_are_oriented() -> None:
    filters = builtin.world_net().conv1.weight.detach()
    contrast = filters - filters.mean(dim=(2, 3), keepdim=True)
    along = contrast.mean(dim=3).pow(2).sum(dim=(1, 2)) / contrast.mean(dim=2).pow(2).sum(dim=(1, 2))
    trained = (along.log2().abs() > 1).sum()  # twice as much change along one axis as along the other
    assert filters.shape == (16, 3, 5, 5)
    assert trained >= 4


def test_what_is_stored() -> None:
    facts = builtin.world_facts()
    assert builtin.WEIGHTS.stat().st_size < 1_000_000
    assert builtin.world_classes() == World().classes
    assert facts["interval"][0] < facts["accuracy"] < facts["interval"][1]
    assert facts["accuracy"] >= 0.97
    net = builtin.world_net()
    assert not net.training
    assert all(values.dtype == torch.float32 for values in net.state_dict().values())
    names = [name for name, _ in net.named_children()]
    assert names[:3] + names[-4:] == ["conv1", "relu1", "pool1", "flatten", "fc1", "relu5", "fc2"]


def test_normalized_is_plain_arithmetic() -> None:
    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.4, 0.25]
    expected = (torch.tensor(images).double() / 255 - torch.tensor(mean)) / torch.tensor(std)
    torch.testing.assert_close(builtin.normalized(images, mean, std), expected.permute(0, 3, 1, 2).float())


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(builtin, "WEIGHTS", tmp_path / "world.safetensors")
    builtin.world_facts.cache_clear()
    with pytest.raises(WeightsError, match=r"world\.safetensors is missing"):
        builtin.world_classes()
