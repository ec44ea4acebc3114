"""Does an answer say what the network says and what the method finds, whatever was given, and is bad input refused clearly?"""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from planted_answers import Corner, Drawn, Endless, Refusing, Told, result
from small_networks import Pooled
from torch import nn

import convscope as cs
from convscope.answer import Answers, explaining
from convscope.errors import ImagesError, InputShapeError, NetworkError, UnknownNameError, UsageError
from convscope.instruments.attribution import GradCAM, Gradient, InputXGradient
from convscope.instruments.attribution.checks import Outcome

SIZE = (21, 34)


def explain(network: Any, images: Any, methods: Any = "grad_cam", **given: Any) -> Answers:
    return cs.explain(network, images, methods, **{"checks": False, **given})


# What it says.


def test_the_prediction_is_that_of_the_logits(network: cs.Network, pixels: np.ndarray) -> None:
    answers = explain(network, cs.images(pixels, labels=["red", "green", "blue", "grey", "red", "blue"]))
    assert len(answers) == 6
    for answer, image, label in zip(answers, pixels, (0, 1, 2, 3, 0, 2), strict=True):
        logits = network(network.preprocess(image))[0].double().numpy()
        shares = np.exp(logits) / np.exp(logits).sum()
        order = np.argsort(-logits)
        prediction = answer.prediction
        assert [one.index for one in prediction.top] == order.tolist()
        assert [one.name for one in prediction.top] == [network.classes[i] for i in order]
        np.testing.assert_allclose([one.probability for one in prediction.top], shares[order], rtol=1e-6)
        assert math.isclose(prediction.margin, logits[order[0]] - logits[order[1]], rel_tol=1e-5)
        assert (prediction.label, prediction.right) == (label, order[0] == label)
        assert answer.about == network.classes[order[0]]


def test_maps_are_those_of_the_methods(network: cs.Network, pixels: np.ndarray) -> None:
    answer = explain(network, pixels[1], ["grad_cam", "gradient", "input_x_gradient"], target="blue")[0]
    inputs = network.preprocess(pixels[1])
    for name, method in (("grad_cam", GradCAM()), ("gradient", Gradient()), ("input_x_gradient", InputXGradient())):
        direct = method(network, inputs, target=2)
        np.testing.assert_array_equal(answer[name].map, direct.map[0].numpy())
        np.testing.assert_array_equal(answer[name].scores, direct.scores[0].numpy())
        assert answer[name].layer == direct.layer
        assert answer[name].score == float(direct.score[0])
    assert answer["grad_cam"].map.shape != SIZE
    assert answer["grad_cam"].scores.shape == answer.pixels.shape[:2] == SIZE
    assert answer.about == "blue"


def test_a_sentence_for_the_prediction_and_one_for_each_map(
    network: cs.Network, pixels: np.ndarray, told: Told
) -> None:
    told.of["Grad-CAM"] = (
        result("faithfulness", Outcome.PASSES),
        result("class_dependence", Outcome.FAILS),
        result("localisation", Outcome.NOT_RUN, value=None),
    )
    told.of["Gradient"] = (
        result("faithfulness", Outcome.PASSES),
        result("repeatability", Outcome.FAILS, decides=False),
    )
    answer = explain(network, pixels[0], [Corner(), "grad_cam", "gradient"], target="red", checks=True)[0]
    said = answer.sentences
    assert len(said) == 4
    assert "logits ahead of" in said[0]
    assert (
        said[1]
        == "Corner: Half of what speaks for red lies in 1 % of the image, mostly at the top left; it passes all 1 checks."
    )
    assert said[2].endswith("not to be relied on: it says the same for every class.")
    assert answer["grad_cam"].verdict == "distrusted"
    assert said[3].startswith("Gradient: Half of what red is sensitive to")
    assert said[3].endswith("to be read with care: it passes what decides, but not repeatability.")
    assert [one.verdict for one in answer.explanations] == ["trusted", "distrusted", "limited"]
    subjects = {id(subject) for subject, _ in told.asked}
    assert len(subjects) == 1  # all methods of an image share what they are checked on


def test_checks_can_be_left_out_or_chosen(network: cs.Network, pixels: np.ndarray, told: Told) -> None:
    answer = explain(network, pixels[0], checks=False)[0]
    assert not told.asked
    assert answer["grad_cam"].verdict == "unchecked"
    assert "nothing was checked" in answer["grad_cam"].sentence
    with pytest.raises(UnknownNameError, match="no check 'faithfullness'"):
        explain(network, pixels[0], checks=["faithfullness"])


# What may be given.


def test_one_image_in_every_form_gives_one_answer(network: cs.Network, pixels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    Image.fromarray(pixels[2]).save(path)
    picture = cs.images(path)[0]
    forms = [
        *(pixels[2], pixels[2:3], torch.from_numpy(pixels[2]).permute(2, 0, 1), Image.fromarray(pixels[2])),
        *(path, str(path), [path], tmp_path, picture, [picture], cs.images(path)),
    ]
    expected = explain(network, pixels[2])[0]
    for form in forms:
        (answer,) = explain(network, form)
        np.testing.assert_array_equal(answer["grad_cam"].map, expected["grad_cam"].map)
        np.testing.assert_array_equal(answer.pixels, expected.pixels)
        assert answer.prediction.top == expected.prediction.top
    assert explain(network, picture).ids == ("one.png",)
    assert explain(network, [picture, picture]).ids == ("00000", "00001")  # ids stay unique


def test_a_network_can_be_anything_that_load_takes(pixels: np.ndarray) -> None:
    module = Pooled(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 3, 3))
    answer = explain(module.eval(), pixels[0])[0]
    assert answer.prediction.best.name == f"class {answer.prediction.best.index}"


def test_methods_by_name_by_settings_by_class_and_by_instance(network: cs.Network, pixels: np.ndarray) -> None:
    answers = explain(
        network,
        pixels[0],
        ["integrated_gradients:n_steps=7,baseline=black", Gradient, GradCAM(), "grad_cam:layer=conv1", "gradient"],
    )
    names = [one.name for one in answers[0].explanations]
    assert names == ["integrated_gradients:n_steps=7,baseline=black", "gradient", "grad_cam", "grad_cam:layer=conv1"]
    first = answers[0].explanations[0]
    assert (first.settings["n_steps"], first.settings["baseline"]) == (7, "black")
    assert answers[0]["grad_cam:layer=conv1"].layer == "conv1"
    assert answers[0]["grad_cam:layer=conv1"].map.shape == SIZE
    at = explain(network, pixels[0], ["grad_cam", "gradient"], layer="relu1")[0]
    assert [one.layer for one in at.explanations] == ["relu1", "relu1"]
    with pytest.raises(UnknownNameError, match="Nearest: 'gradient'"):
        answers[0]["gradiant"]


def test_defaults_are_methods_of_different_kinds(network: cs.Network, pixels: np.ndarray) -> None:
    answer = cs.explain(network, pixels[0], checks=False)[0]
    keys = [one.key for one in answer.explanations]
    assert keys == ["grad_cam", "integrated_gradients", "occlusion", "smoothgrad"]
    assert answer["occlusion"].name == "occlusion:window=4,stride=2"  # seven windows to the short side


@pytest.mark.parametrize(
    ("methods", "kind", "said"),
    [
        ("grad_can", UnknownNameError, "Nearest: 'grad_cam'"),
        (["gradient", "grad_cam:size=3"], UnknownNameError, "no setting of grad_cam 'size'"),
        ("integrated_gradients:n_step=3", UnknownNameError, "Nearest: 'n_steps'"),
        ("integrated_gradients:n_steps=many", UsageError, "n_steps is a number, not 'many'"),
        ("integrated_gradients:n_steps", UsageError, "'n_steps' sets nothing"),
        ("grad_cam:layer=conv9", UnknownNameError, "no layer 'conv9'"),
        ([], UsageError, "No method was named"),
        (3, UsageError, "That is a int"),
        ([3], UsageError, "That is a int"),
    ],
)
def test_methods_that_are_not_there_are_refused(
    network: cs.Network, pixels: np.ndarray, methods: Any, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        explain(network, pixels[0], methods)


def test_a_layer_that_is_not_there_is_refused_before_anything_is_computed(
    network: cs.Network, pixels: np.ndarray
) -> None:
    with pytest.raises(UnknownNameError, match="Nearest: 'conv2'"):
        explaining(network, pixels[0], "grad_cam", layer="conv3")


def test_every_kind_of_target(network: cs.Network, pixels: np.ndarray) -> None:
    logits = network(network.preprocess(pixels[0]))[0]
    for target, about, score in (
        (2, "blue", logits[2]),
        ("green", "green", logits[1]),
        (("red", 2), "red rather than blue", logits[0] - logits[2]),
    ):
        answer = explain(network, pixels[0], target=target)[0]
        assert answer.about == about
        assert math.isclose(answer["grad_cam"].score, float(score), rel_tol=1e-4)
        assert answer["grad_cam"].unit == "logits"
    unit = explain(network, pixels[0], target="relu1:6", methods="gradient")[0]
    assert unit.about == "relu1:6"
    assert unit["gradient"].unit == "activation per unit of input"
    assert dict(unit.target) == {"layer": "relu1", "unit": 6, "less_unit": None, "position": None}
    neuron = explain(network, pixels[0], target="relu1:6@3,4", methods="gradient")[0]
    assert neuron.target["position"] == [3, 4]
    several = explain(network, pixels[:3], target=[0, "green", 2])
    assert [answer.about for answer in several] == ["red", "green", "blue"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (4, "4 classes, 0 to 3"),
        (-1, "4 classes, 0 to 3"),
        ("gren", "Nearest: 'green'"),
        (("red", "red"), "the same class"),
        ("relu1:99", "24 units"),
        ("relu9:1", "no layer 'relu9'"),
        ([0, 1], "There are 2 for 1 images"),
    ],
)
def test_targets_that_are_not_there_are_refused(
    network: cs.Network, pixels: np.ndarray, target: Any, said: str
) -> None:
    with pytest.raises((UsageError, UnknownNameError), match=said):
        explain(network, pixels[0], target=target)


# What cannot be explained.


def test_a_method_that_refuses_the_network_is_listed_and_the_others_go_on(
    network: cs.Network, pixels: np.ndarray
) -> None:
    answer = explain(network, pixels[0], [Refusing(), "grad_cam", Endless()])[0]
    assert [one.key for one in answer.explanations] == ["grad_cam"]
    assert [(one.title, one.reason) for one in answer.refused] == [
        ("Refusing", "It has no sound rule for conv2d in 'conv1'. Use another."),
        ("Endless", "Its scores are not finite (NaN or infinite). Another method may work."),
    ]
    at_logits = explain(network, pixels[0], "gradient", layer="fc", target=0)[0]
    assert "no positions" in at_logits.refused[0].reason


def test_images_that_cannot_be_read_are_named(network: cs.Network, photos: Path) -> None:
    answers = explain(network, photos)
    assert len(answers) == 4
    assert {one.id for one in answers.skipped} == {"red/empty.png", "blue/text <b>.jpg"}
    assert [answer.prediction.label_name for answer in answers] == ["blue", "green", "grey", "red"]
    with pytest.raises(ImagesError, match="None of them could be"):
        explain(network, [photos / "red" / "empty.png"])
    with pytest.raises(ImagesError, match="No such file"):
        explain(network, photos / "nothing")


class _NaNWhereDark(nn.Module):
    """Two classes; NaN for images without light."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        light = x.mean((1, 2, 3))
        return torch.log(torch.stack([light, light / 2], 1))


def test_logits_that_are_not_finite_are_said(pixels: np.ndarray) -> None:
    plain = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "resize": None, "crop": SIZE}
    network = cs.load(_NaNWhereDark().eval(), size=SIZE, preprocess=plain)
    dark = np.zeros((*SIZE, 3), np.uint8)
    answers = explain(network, np.stack([dark, pixels[0]]), "gradient")
    assert answers.ids == ("00001",)
    assert "not finite" in answers.skipped[0].reason
    with pytest.raises(NetworkError, match="not finite"):
        explain(network, dark, "gradient")


def test_a_network_of_one_logit_is_explained_as_that_logit(pixels: np.ndarray) -> None:
    torch.manual_seed(0)
    module = Pooled(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 1, 3)).eval()
    network = cs.load(module, size=SIZE, classes=["cat"])
    logit = float(network(network.preprocess(pixels[0]))[0, 0])
    answer = explain(network, cs.images(pixels[:1], labels=[1]))[0]
    prediction = answer.prediction
    assert prediction.single
    assert math.isclose(prediction.margin, logit, rel_tol=1e-5)
    assert math.isclose(prediction.best.probability, 1 / (1 + math.exp(-logit)), rel_tol=1e-5)
    assert prediction.right == (logit > 0)
    assert ("yes to cat" if logit > 0 else "no to cat") in prediction.sentence
    assert answer.about == "cat"
    assert json.dumps(answer.as_dict(), allow_nan=False)
    named = explain(network, cs.images(pixels[:3], labels=["Cat", "dog", "cat"]))
    assert [one.prediction.label for one in named] == [1, 0, 1]
    assert explain(network, cs.images(pixels[:1], labels=["dog"]))[0].prediction.label is None


def test_labels_that_are_not_known_to_be_classes_are_left_out(pixels: np.ndarray) -> None:
    module = Pooled(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 3, 3)).eval()
    network = cs.load(module, size=SIZE)  # classes without names
    assert explain(network, cs.images(pixels[:2], labels=[2, 0]))[0].prediction.label == 2
    for labels in ([7, 0], ["cat", "dog"]):
        assert explain(network, cs.images(pixels[:2], labels=labels))[0].prediction.label is None
    named = cs.load(module, size=SIZE, classes=["cat", "dog", "eagle"])
    labels = [answer.prediction.label for answer in explain(named, cs.images(pixels[:2], labels=["eagle", "whale"]))]
    assert labels == [2, None]


class _TwoOutputs(nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"classes": x.mean((2, 3)), "box": x.amax((2, 3))}


def test_a_network_with_two_outputs_needs_to_be_told_which(pixels: np.ndarray) -> None:
    with pytest.raises(NetworkError, match=r"output='\.\.\.'"):
        explain(_TwoOutputs().eval(), pixels[0])
    network = cs.load(_TwoOutputs().eval(), size=SIZE, output="box")
    assert explain(network, pixels[0], "gradient")[0].prediction.best.name.startswith("class")


def test_images_of_another_size_are_brought_to_the_networks_own_or_refused(network: cs.Network) -> None:
    larger = np.random.default_rng(0).integers(0, 255, (60, 50, 3), np.uint8)
    assert explain(network, larger)[0].pixels.shape == (*SIZE, 3)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 19 * 32, 3)).eval()
    fixed = cs.load(module, size=SIZE)
    unsized = replace(fixed, preprocess=replace(fixed.preprocess, resize=None, crop=None))
    assert explain(unsized, np.zeros((*SIZE, 3), np.uint8), "gradient")[0].pixels.shape == (*SIZE, 3)
    with pytest.raises(NetworkError) as refused:
        explain(unsized, larger, "gradient")
    assert isinstance(refused.value, InputShapeError) or "60" in str(refused.value)
    two = explain(unsized, [larger, np.zeros((*SIZE, 3), np.uint8)], "gradient")
    assert (len(two), len(two.skipped)) == (1, 1)


# Masks.


def test_masks_go_the_way_of_their_image(network: cs.Network, told: Told, tmp_path: Path) -> None:
    image = np.zeros((42, 80, 3), np.uint8)
    image[10:30, 20:60] = 255
    Image.fromarray(image).save(tmp_path / "one.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(image[..., 0]).save(tmp_path / "masks" / "one.png")
    wide = cs.load(
        network.module, size=SIZE, classes=network.classes, preprocess={"resize": 21, "crop": SIZE, "mean": (0,) * 3}
    )
    seen = explain(wide, tmp_path / "one.png")[0].pixels[..., 0] > 127
    for masks in (tmp_path / "masks", {"one.png": image[..., 0]}, [image[..., 0] > 0], [seen], image[..., 0]):
        told.asked.clear()
        explain(wide, tmp_path / "one.png", masks=masks, checks=True)
        mask = told.asked[0][0].mask
        assert mask.shape == SIZE
        assert float((mask.numpy() != seen).mean()) < 0.08  # the edge alone is resized otherwise


def test_masks_that_do_not_fit_are_refused(network: cs.Network, pixels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"It is 9 x 9 pixels; the image is 21 x 34"):
        explain(network, pixels[0], masks=[np.ones((9, 9))])
    with pytest.raises(UsageError, match="There are 1 for 2 images"):
        explain(network, pixels[:2], masks=[np.ones(SIZE)])
    with pytest.raises(UsageError, match="is an image here"):
        explain(network, pixels[:2], masks={"cat.png": np.ones(SIZE)})
    with pytest.raises(UsageError, match="Its shape is"):
        explain(network, pixels[0], masks=[np.ones((3, *SIZE))])
    with pytest.raises(ImagesError, match="no such folder"):
        explain(network, pixels[0], masks=tmp_path / "nothing")
    with pytest.raises(ImagesError, match="No file in it is named"):
        explain(network, pixels[0], masks=tmp_path)


# How.


def test_the_seed_reaches_the_methods_that_draw(network: cs.Network, pixels: np.ndarray) -> None:
    maps = [explain(network, pixels[0], Drawn(), seed=seed)[0].explanations[0].map for seed in (0, 3, 3)]
    assert not np.array_equal(maps[0], maps[1])
    np.testing.assert_array_equal(maps[1], maps[2])
    own = explain(network, pixels[0], Drawn(seed=5), seed=3)[0].explanations[0]
    assert own.settings["seed"] == 5


def test_progress_counts_images_and_the_steps_of_each(network: cs.Network, pixels: np.ndarray) -> None:
    told: list[tuple[str, int, int]] = []
    explain(network, pixels[:3], ["grad_cam", "gradient"], progress=lambda *step: told.append(step))
    assert [done for stage, done, _ in told if stage == "images"] == [0, 1, 2, 3]
    within = [(done, total) for stage, done, total in told if stage == "this image"]
    assert all(0 <= done <= total for done, total in within)
    assert sum(done == total for done, total in within) == 3


def test_the_document_holds_only_what_json_can(network: cs.Network, photos: Path, told: Told) -> None:
    told.of["Gradient"] = (result("localisation", Outcome.NOT_RUN, value=float("nan")),)
    answers = explain(network, photos, ["grad_cam", "gradient", Refusing()], checks=True)
    found = json.loads(json.dumps(answers.as_dict(), allow_nan=False))
    assert found["network"]["name"]
    assert [one["image"] for one in found["answers"]] == list(answers.ids)
    checks = found["answers"][0]["explanations"][1]["checks"]
    assert checks[0]["value"] is None
    assert found["answers"][0]["refused"][0]["name"] == "Refusing"
    assert found["settings"]["methods"][0] == {
        "name": "grad_cam",
        "key": "grad_cam",
        "title": "Grad-CAM",
        "settings": {},
        "layer": None,
    }


def test_answers_are_found_by_place_by_id_and_in_slices(network: cs.Network, pixels: np.ndarray) -> None:
    answers = explain(network, pixels[:3])
    assert answers["00001"].id == answers[1].id == "00001"
    assert [one.id for one in answers[1:]] == ["00001", "00002"]
    assert answers[-1].id == "00002"
    with pytest.raises(UnknownNameError, match="no image '1'"):
        answers["1"]


def test_the_model_is_left_as_it_was(pixels: np.ndarray) -> None:
    module = Pooled(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(inplace=True), nn.Conv2d(5, 3, 3)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    explain(cs.load(module, size=SIZE), pixels[0])
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert torch.equal(torch.get_rng_state(), state)
