"""Studies that several tests look at, each made once."""

from pathlib import Path

import pytest
import torch
from few_measured import AS_IT_IS, few_measured
from planted import planted_images, planted_network

import convscope as cs


@pytest.fixture(scope="session", autouse=True)
def _few_measured():
    with few_measured():
        yield


@pytest.fixture
def as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies measure as many as they do for everyone."""
    for where, name, value in AS_IT_IS:
        monkeypatch.setattr(where, name, value)


@pytest.fixture(scope="session")
def planted_study(tmp_path_factory: pytest.TempPathFactory) -> cs.Study:
    return cs.why(planted_network(), planted_images(), tmp_path_factory.mktemp("planted") / "study", form="float32")


@pytest.fixture(scope="session")
def scenes() -> cs.Images:
    """Scenes of the built-in world, whose masks are known."""
    return cs.images("builtin:world?n=400&seed=5")


@pytest.fixture(scope="session")
def world_study(tmp_path_factory: pytest.TempPathFactory, scenes: cs.Images) -> cs.Study:
    return cs.why(cs.load("builtin:world"), scenes, tmp_path_factory.mktemp("world") / "study", form="float32")


@pytest.fixture(scope="session")
def fresh_study(tmp_path_factory: pytest.TempPathFactory, scenes: cs.Images) -> cs.Study:
    """The built-in network with weights that have learned nothing, shown scenes with their true labels."""
    net = cs.load("builtin:world")
    fresh = net.fresh(7, net.preprocess([scenes[i] for i in range(8)]))
    only = ["accuracy", "class_selectivity", "weight_sharing"]
    return cs.why(fresh, scenes, tmp_path_factory.mktemp("fresh") / "study", only=only, form="float32")


@pytest.fixture
def study_folder(tmp_path: Path) -> Path:
    return tmp_path / "study"


@pytest.fixture(autouse=True)
def _one_thread():
    """All is small here; more threads would wait for one another longer than they compute."""
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)
