"""Do the checks say of real networks' maps what slow, simple code said of them?  SqueezeNet 1.1, MobileNetV2, photographs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import convscope as cs
from convscope.instruments.attribution import (
    LRP,
    Deconvnet,
    DeepLIFT,
    GradCAM,
    Gradient,
    GuidedBackprop,
    HiResCAM,
    IntegratedGradients,
    Method,
)
from convscope.instruments.attribution.checks import Outcome, Result, Subject, check_all, distrust, gains

pytestmark = pytest.mark.data
N_IMAGES = 6
N_MORE = 20  # for the checks that are cheap


METHODS: dict[str, Method] = {
    "grad_cam": GradCAM(),
    "gradient": Gradient(),
    "guided": GuidedBackprop(),
    "deconvnet": Deconvnet(),
    "integrated": IntegratedGradients(n_steps=8),
}


@pytest.fixture(scope="module")
def more_subjects(data_dir: Path) -> list[Subject]:
    """The first photographs, in a shuffled order, that are predicted with more than a half."""
    net = cs.load("torchvision:squeezenet1_1", weights=data_dir / "weights" / "squeezenet1_1_imagenet.safetensors")
    found: list[Subject] = []
    for path in photographs(data_dir):
        inputs = net.preprocess(path)
        with torch.no_grad():
            if float(net(inputs).softmax(1).max()) > 0.5:
                found.append(Subject(net, inputs))
        if len(found) == N_MORE:
            break
    return found


@pytest.fixture(scope="module")
def subjects(more_subjects: list[Subject]) -> list[Subject]:
    return more_subjects[:N_IMAGES]


def photographs(data_dir: Path) -> list[Path]:
    paths = sorted((data_dir / "images" / "imagenet1k_sample").iterdir())
    np.random.default_rng(0).shuffle(paths)  # type: ignore[arg-type]
    return paths


@pytest.fixture(scope="module")
def class_dependence(more_subjects: list[Subject]) -> dict[str, list[Result]]:
    """By method, the check of each photograph's map."""
    return {
        name: [check_all(one, one.explain(method), ["class_dependence"])[0] for one in more_subjects]
        for name, method in METHODS.items()
        if name != "integrated"
    }


@pytest.fixture(scope="module")
def results(subjects: list[Subject], class_dependence: dict[str, list[Result]]) -> dict[str, list[dict[str, Result]]]:
    """By method, the checks of the first photographs' maps."""
    more = ["weight_dependence", "faithfulness"]
    return {
        name: [
            {r.check: r for r in (first, *check_all(one, one.explain(METHODS[name]), more))}
            for one, first in zip(subjects, found, strict=False)
        ]
        for name, found in class_dependence.items()
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
        assert "hardly depends on the class" in distrust(list(one.values()))


@pytest.mark.parametrize(
    ("name", "least", "most"), [("guided", 0, 0), ("deconvnet", 0, 0), ("gradient", 19, 20), ("grad_cam", 18, 20)]
)
def test_dependence_on_the_class_tells_methods_apart(
    class_dependence: dict[str, list[Result]], name: str, least: int, most: int
) -> None:
    """Those that show the image fail on every photograph, the gradient and Grad-CAM pass on nearly all (40 of the first 40)."""
    found = class_dependence[name]
    assert len(found) == N_MORE
    assert least <= sum(result.outcome == Outcome.PASSES for result in found) <= most


def test_lrp_says_where_biases_keep_the_score(data_dir: Path) -> None:
    """MobileNetV2: biases keep all of it, and LRP explains nothing. DeepLIFT and HiResCAM, of the same network, add up."""
    net = cs.load(
        "timm:mobilenetv2_100?pad_type=same", weights=data_dir / "weights" / "mobilenetv2_100_imagenet.safetensors"
    )
    for path in photographs(data_dir)[:3]:
        subject = Subject(net, net.preprocess(path))
        (result,) = check_all(subject, subject.explain(LRP()), ["completeness"])
        assert result.outcome == Outcome.FAILS
        assert result.value is not None
        assert result.value < 1e-4  # it does add up, to next to nothing
        assert abs(result.figures["share"]) < 1e-3
        assert distrust([result]) == "accounts for 0 % of the score: the biases keep the rest"
        assert "explains next to nothing" in result.words
        for method in (DeepLIFT(), HiResCAM()):
            (result,) = check_all(subject, subject.explain(method), ["completeness"])
            assert result.outcome == Outcome.PASSES
            assert abs(result.figures["share"]) > 0.5


def test_lrp_accounts_for_most_of_the_score_of_squeezenet(subjects: list[Subject]) -> None:
    for one in subjects[:3]:
        (result,) = check_all(one, one.explain(LRP()), ["completeness"])
        assert result.outcome == Outcome.PASSES
        assert result.figures["share"] > 0.6


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
