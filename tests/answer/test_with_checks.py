"""Do answers hold what the real checks say, with curves that the page can draw, and do all methods have their place in them?"""

import json

import numpy as np
import pytest
import torch

import convscope as cs
from convscope.answer.evidence import evidence_of
from convscope.answer.page import blocks
from convscope.instruments.attribution.checks import Outcome, Subject, check_all, distrust
from convscope.registry import items, lookup


def test_checks_are_those_of_the_map(network: cs.Network, pixels: np.ndarray) -> None:
    mask = np.zeros((21, 34), bool)
    mask[5:15, 5:20] = True
    answer = cs.explain(network, pixels[2], ["grad_cam", "gradient"], target="blue", seed=3, masks=[mask])[0]
    inputs = network.preprocess(pixels[2])
    for one in answer.explanations:
        subject = Subject(network, inputs, 2, seed=3, mask=torch.from_numpy(mask))
        direct = check_all(subject, lookup("method", one.key)()(network, inputs, subject.target))
        assert {check.check for check in one.checks} == set(items("check"))
        assert [(check.check, check.outcome) for check in one.checks] == [
            (check.check, check.outcome) for check in direct
        ]
        for found, expected in zip(one.checks, direct, strict=True):
            assert found.value == pytest.approx(expected.value, abs=1e-4)
        assert one.distrust == distrust(one.checks)
        assert (one.verdict == "distrusted") == bool(one.distrust)


def test_every_check_that_was_run_is_drawn() -> None:
    scene = cs.images("builtin:world", limit=1)
    trained = cs.load("builtin:world")
    answers = cs.explain(trained, scene, ["grad_cam", "input_x_gradient"], masks=[np.eye(*trained.input_shape[1:])])
    drawn = {check.check for one in answers[0].explanations for check in one.checks if evidence_of(check)}
    run = {check.check for one in answers[0].explanations for check in one.checks if check.outcome != Outcome.NOT_RUN}
    assert drawn == run - {"completeness"}  # its numbers are said in words
    panels = blocks(answers)["answer/0"]["explanations"][0]["checks"]
    faithfulness = next(check for check in panels if check["check"] == "faithfulness")
    assert len(faithfulness["evidence"]) == 4  # two ways, two fills
    figures = next(check for check in answers[0].explanations[0].checks if check.check == "faithfulness").figures
    first = faithfulness["evidence"][0]
    names = [series["name"] for series in first["series"]]
    assert names == ["this map", "centre of the image", "edges of the image", "random order"]
    np.testing.assert_allclose(first["series"][0]["values"], figures["curves"]["mean"]["insertion"]["map"])
    assert json.dumps(answers.as_dict(), allow_nan=False)


def test_every_method_answers_and_is_public(network: cs.Network, pixels: np.ndarray) -> None:
    known = items("method")
    fast = {"rise": "rise:n_masks=20", "shapley": "shapley:n_orders=4", "smoothgrad": "smoothgrad:n_samples=4"}
    answer = cs.explain(network, pixels[1], [fast.get(key, key) for key in known], target="green", checks=False)[0]
    assert [one.key for one in answer.explanations] == list(known)
    for one in answer.explanations:
        assert one.scores.shape == (21, 34)
        assert one.unit
        assert getattr(cs, type(lookup("method", one.key)()).__name__) is lookup("method", one.key)


def test_running_it_again_gives_the_same_numbers(network: cs.Network, pixels: np.ndarray) -> None:
    first, second = (cs.explain(network, pixels[1], ["grad_cam"], seed=2)[0].as_dict() for _ in range(2))
    assert first == second
