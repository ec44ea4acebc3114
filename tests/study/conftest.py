"""Studies that several tests look at, each made once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import planted_images, planted_network

import convscope as cs
from convscope.study import patterns
from convscope.study.claims import DeconvnetPictures, PreferredPatterns, WhyThesePredictions, dense_readout

FEW = (  # what studies measure one by one here, where that is not what is tested
    (WhyThesePredictions, "n_sampled", 8),
    (dense_readout, "MOST_IMAGES", 120),
    (dense_readout, "FEWEST_IMAGES", 60),
    (DeconvnetPictures, "n_sampled", 6),
    (PreferredPatterns, "n_sampled", 3),
    (PreferredPatterns, "n_classes", 2),
    (patterns, "OF_UNITS", replace(patterns.OF_UNITS, n_steps=6)),
    (patterns, "OF_CLASSES", replace(patterns.OF_CLASSES, n_steps=6)),
    (patterns, "RAW_ASCENT", replace(patterns.RAW_ASCENT, n_steps=6)),
)
AS_IT_IS = [(where, name, getattr(where, name)) for where, name, _ in FEW]


@pytest.fixture(scope="session", autouse=True)
def _few_measured():
    for where, name, value in FEW:
        setattr(where, name, value)
    yield
    for where, name, value in AS_IT_IS:
        setattr(where, name, value)


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
    """Scenes of the built-in world, drawn once."""
    drawn = cs.images("builtin:world?n=400&seed=5")
    pixels = np.stack([picture.pixels for picture in drawn])
    return cs.images(pixels, labels=drawn.labels.tolist())


@pytest.fixture(scope="session")
def world_study(tmp_path_factory: pytest.TempPathFactory, scenes: cs.Images) -> cs.Study:
    return cs.why(cs.load("builtin:world"), scenes, tmp_path_factory.mktemp("world") / "study", form="float32")


@pytest.fixture(scope="session")
def fresh_study(tmp_path_factory: pytest.TempPathFactory, scenes: cs.Images) -> cs.Study:
    """The built-in network with weights that have learned nothing, shown scenes with their true labels."""
    net = cs.load("builtin:world")
    fresh = net.fresh(7, net.preprocess([scenes[i] for i in range(8)]))
    return cs.why(fresh, scenes, tmp_path_factory.mktemp("fresh") / "study", form="float32")


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
