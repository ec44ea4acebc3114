"""Do the checks say of a real network's maps what slow, simple code said of them?  SqueezeNet 1.1 and photographs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import convscope as cs
from convscope.instruments.attribution import Deconvnet, GradCAM, Gradient, GuidedBackprop, IntegratedGradients, Method
from convscope.instruments.attribution.checks import Outcome, Result, Subject, check_all, distrust, gains

pytestmark = pytest.mark.data
N_IMAGES = 6


METHODS: dict[str, Method] = {
    "grad_cam": GradCAM(),
    "gradient": Gradient(),
    "guided": GuidedBackprop(),
    "deconvnet": Deconvnet(),
    "integrated": IntegratedGradients(n_steps=8),
}


@pytest.fixture(scope="module")
def subjects(data_dir: Path) -> list[Subject]:
    """The first photographs, in a shuffled order, that are predicted with more than a half."""
    net = cs.load("torchvision:squeezenet1_1", weights=data_dir / "weights" / "squeezenet1_1_imagenet.safetensors")
    paths = sorted((data_dir / "images" / "imagenet1k_sample").iterdir())
    np.random.default_rng(0).shuffle(paths)  # type: ignore[arg-type]
    found: list[Subject] = []
    for path in paths:
        inputs = net.preprocess(path)
        with torch.no_grad():
            if float(net(inputs).softmax(1).max()) > 0.5:
                found.append(Subject(net, inputs))
        if len(found) == N_IMAGES:
            break
    return found


@pytest.fixture(scope="module")
def results(subjects: list[Subject]) -> dict[str, list[dict[str, Result]]]:
    keys = ["class_dependence", "weight_dependence", "faithfulness"]
    return {
        name: [{r.check: r for r in check_all(one, one.explain(method), keys)} for one in subjects]
        for name, method in METHODS.items()
        if name != "integrated"
    }


def mean(found: list[dict[str, Result]], key: str, figure: Any) -> float:
    return float(np.mean([figure(one[key].figures) for one in found]))


def test_insertion_gains_are_those_of_slow_code(subjects: list[Subject]) -> None:
    """Stated for 30 photographs: Grad-CAM .36, centre .27, gradient .20, edges .16, integrated gradients with sign about 0."""
    found: dict[str, list[Mapping[str, Any]]] = {
        name: [gains(one, one.explain(METHODS[name])) for one in subjects]
        for name in METHODS
        if name not in ("guided", "deconvnet")
    }
    for fill in ("mean", "blur"):
        over = {name: np.mean([one[fill]["insertion"]["random"] for one in ones]) for name, ones in found.items()}
        beyond = np.mean([one[fill]["insertion"]["centre"] for one in found["grad_cam"]])
        centre = over["grad_cam"] - beyond
        assert over["grad_cam"] > 0.2
        assert 0.05 < over["gradient"] < over["grad_cam"]
        assert abs(over["integrated"]) < 0.12
        assert centre > 0.1


def test_guided_backprop_hardly_depends_on_the_class(results: dict[str, list[dict[str, Result]]]) -> None:
    """Stated: correlation with the map of a random class .94 for guided, .999 for deconvnet, .22 gradient, .05 Grad-CAM."""

    def of_random(figures: Mapping[str, Any]) -> float:
        return figures["random_class"]["correlation"]

    assert mean(results["guided"], "class_dependence", of_random) >= 0.85
    assert mean(results["deconvnet"], "class_dependence", of_random) >= 0.95
    assert mean(results["gradient"], "class_dependence", of_random) <= 0.35
    assert mean(results["grad_cam"], "class_dependence", of_random) <= 0.35
    for one in results["guided"] + results["deconvnet"]:
        assert one["class_dependence"].outcome == Outcome.FAILS
        assert "hardly depends on the class" in distrust(list(one.values()))
    for name in ("gradient", "grad_cam"):
        assert all(one["class_dependence"].outcome == Outcome.PASSES for one in results[name])


def test_guided_backprop_hardly_depends_on_the_logits_layer(results: dict[str, list[dict[str, Result]]]) -> None:
    """Stated: rank correlation of sizes, last layer randomised, .91 for guided; .18 to .51 for the gradient and Grad-CAM."""

    def at_logits(figures: Mapping[str, Any]) -> float:
        return figures["cascade"][0]["rank_correlation"]

    assert mean(results["guided"], "weight_dependence", at_logits) >= 0.8
    assert mean(results["gradient"], "weight_dependence", at_logits) <= 0.55
    assert mean(results["grad_cam"], "weight_dependence", at_logits) <= 0.55
    assert all(one["weight_dependence"].outcome == Outcome.FAILS for one in results["guided"])


def test_most_maps_that_should_pass_do(results: dict[str, list[dict[str, Result]]]) -> None:
    trusted = {name: np.mean([not distrust(list(one.values())) for one in found]) for name, found in results.items()}
    assert trusted["grad_cam"] >= 0.6
    assert trusted["gradient"] >= 0.5
    assert trusted["guided"] == trusted["deconvnet"] == 0
