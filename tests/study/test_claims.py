"""Do the claims say what was planted, and nothing where there is nothing to say?"""

import numpy as np
import pytest
import torch
from planted import CLASSES, COPIES, DEAD, FOR_BLUE, planted_images, planted_network
from torch import nn

import convscope as cs
from convscope.finding import Verdict
from convscope.registry import items
from convscope.walks.sharing import sharing


def rows(study: cs.Study, layer: str) -> list[dict]:
    return [row for row in study.units.rows() if row["layer"] == layer]


@pytest.mark.parametrize("layer", ["relu1", "relu2", "fc"])
def test_planted_dead_units_and_copies_are_found_and_no_others(planted_study: cs.Study, layer: str) -> None:
    found = rows(planted_study, layer)
    assert tuple(row["unit"] for row in found if row["dead"]) == DEAD.get(layer, ())
    pairs = tuple((row["copy_of"], row["unit"]) for row in found if row["copy_of"] is not None)
    assert pairs == COPIES.get(layer, ())


def test_the_planted_unit_of_one_class_is_found_and_no_other(planted_study: cs.Study) -> None:
    alone = [row for row in planted_study.units.rows() if row["tells_classes_apart"] and row["selectivity"] > 0.999]
    assert [(row["layer"], row["unit"]) for row in alone] == [FOR_BLUE]
    assert alone[0]["class"] == "blue"
    assert alone[0]["selectivity"] == pytest.approx(1.0)
    assert all("," not in name and name in CLASSES for name in {row["class"] for row in alone})


def test_the_finding_counts_what_was_planted(planted_study: cs.Study) -> None:
    finding = planted_study.findings["alive_units"]
    assert finding.value.value == pytest.approx(1 - 10 / 44)
    assert finding.controls[0].value.value == pytest.approx(1.0, abs=0.05)
    assert finding.verdict == Verdict.NOT_SUPPORTED
    table = next(part for part in finding.evidence if part["panel"] == "table")
    assert [row[0] for row in table["rows"]] == ["relu1", "relu2"]
    assert table["rows"][0][1:] == [4, "1, 5, 9, 20", 2, "7 = 2, 13 = 4"]


def test_a_trained_network_is_right_and_grows_selective(world_study: cs.Study) -> None:
    for claim in ("accuracy", "class_selectivity", "weight_sharing"):
        assert world_study.findings[claim].verdict == Verdict.SUPPORTED, claim


def test_fresh_weights_and_shuffled_labels_support_nothing(fresh_study: cs.Study) -> None:
    assert fresh_study.findings["accuracy"].verdict == Verdict.NOT_SUPPORTED
    assert fresh_study.findings["class_selectivity"].verdict == Verdict.NOT_SUPPORTED
    assert fresh_study.findings["weight_sharing"].verdict == Verdict.SUPPORTED  # it is a matter of structure


def test_accuracy_is_that_of_counting_by_hand(world_study: cs.Study, scenes: cs.Images) -> None:
    net = cs.load("builtin:world")
    with torch.no_grad():
        said = net(net.preprocess([scenes[i] for i in range(len(scenes))])).argmax(1).numpy()
    finding = world_study.findings["accuracy"]
    assert finding.value.value == pytest.approx((said == scenes.labels).mean())
    chance = sum((said == c).mean() * (scenes.labels == c).mean() for c in range(10))  # what shuffling gives on average
    assert finding.controls[0].value.value == pytest.approx(chance, abs=0.02)


def test_too_few_images_leave_a_claim_undecided(tmp_path, scenes: cs.Images) -> None:
    net = cs.load("builtin:world")
    for n, claim in ((2, "accuracy"), (10, "class_selectivity")):
        found = cs.why(net, scenes[:n], tmp_path / f"{n}", only=[claim], form="float32").findings[claim]
        assert found.verdict == Verdict.UNDECIDED
        assert found.reason
    wrong = scenes[:12]
    unlabelled = cs.images(wrong, labels=False)
    study = cs.why(net, unlabelled, tmp_path / "none", form="float32")
    assert study.findings["accuracy"].verdict == Verdict.UNDECIDED
    assert "labels" in study.findings["accuracy"].reason
    assert study.findings["class_selectivity"].verdict == Verdict.UNDECIDED
    assert "class" not in study.units.columns


def test_labels_of_other_classes_are_still_classes(tmp_path) -> None:
    images = planted_images(48)
    renamed = cs.images(images, labels=[f"x{label}" for label in images.labels])
    study = cs.why(planted_network(), renamed, tmp_path / "s", form="float32")
    assert study.findings["accuracy"].verdict == Verdict.UNDECIDED
    assert "not classes of this network" in study.findings["accuracy"].reason
    assert {row["class"] for row in study.units.rows()} - {None} <= {"x0", "x1", "x2", "x3"}


def test_the_interval_narrows_with_more_images(tmp_path, scenes: cs.Images, world_study: cs.Study) -> None:
    net = cs.load("builtin:world")
    few = cs.why(net, scenes[:60], tmp_path / "few", only=["accuracy"], form="float32").findings["accuracy"].value
    many = world_study.findings["accuracy"].value
    assert many.high - many.low < few.high - few.low


@pytest.mark.parametrize("claim", items("claim"))
def test_every_claim_has_a_control_an_interval_and_words(world_study: cs.Study, claim: str) -> None:
    finding = world_study.findings[claim]
    assert finding.controls
    assert all(control.what.endswith(".") for control in finding.controls)
    assert finding.value.low <= finding.value.value <= finding.value.high
    assert finding.beyond.low <= finding.beyond.value <= finding.beyond.high
    assert len(finding.means) > 100
    assert finding.summary.endswith(".")
    assert finding.evidence
    assert cs.Finding.from_dict(finding.as_dict()) == finding


class LeCun1989(nn.Module):
    """The network of LeCun et al. 1989, section 3: 16 x 16 digits, H2 reads eight of twelve maps, biases are not shared."""

    def __init__(self) -> None:
        super().__init__()
        self.h1 = nn.Conv2d(1, 12, 5, stride=2, padding=2, bias=False)
        self.bias1 = nn.Parameter(torch.randn(12, 8, 8))
        self.h2 = nn.ModuleList([nn.Conv2d(8, 1, 5, stride=2, padding=2, bias=False) for _ in range(12)])
        self.bias2 = nn.Parameter(torch.randn(12, 4, 4))
        self.h3, self.output = nn.Linear(192, 30), nn.Linear(30, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = torch.tanh(self.h1(x) + self.bias1)
        read = [torch.cat([first[:, (start + i) % 12, None] for i in range(8)], 1) for start in range(12)]
        second = torch.cat([conv(maps) for conv, maps in zip(self.h2, read, strict=True)], 1)
        return self.output(torch.tanh(self.h3(torch.tanh(second + self.bias2).flatten(1))))


def test_counts_are_those_of_lecun_1989() -> None:
    counts = sharing(cs.load(LeCun1989().eval(), size=16, n_channels=1).graph)
    assert sum(count.shared for count in counts) == 9760  # free parameters
    assert sum(count.local for count in counts) == 64660  # connections


def test_counts_of_one_convolution_by_hand() -> None:
    net = nn.Sequential(nn.Conv2d(1, 16, 5, padding=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3))
    conv, dense = sharing(cs.load(net.eval(), size=28, n_channels=1).graph)
    assert (conv.shared, conv.local, conv.dense) == (416, 326_144, 9_847_040)
    assert dense.shared == dense.local == dense.dense == 51


def test_counts_of_groups_strides_and_oblong_images_by_a_loop() -> None:
    net = nn.Sequential(
        nn.Conv2d(4, 6, (3, 5), stride=(2, 1), groups=2, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    (conv,) = sharing(cs.load(net.eval(), size=(11, 18), n_channels=4).graph)
    positions = len(range(0, 11 - 3 + 1, 2)) * len(range(0, 18 - 5 + 1))
    assert conv.shared == 6 * 2 * 3 * 5
    assert conv.local == sum(2 * 3 * 5 for _ in range(6 * positions))
    assert conv.dense == 6 * positions * 4 * 11 * 18


def test_fresh_weights_are_drawn_for_the_network_only(scenes: cs.Images) -> None:
    net = cs.load("builtin:world")
    inputs = net.preprocess([scenes[i] for i in range(6)])
    before = net(inputs)
    fresh, again, other = net.fresh(0, inputs), net.fresh(0, inputs), net.fresh(1, inputs)
    assert torch.equal(fresh(inputs), again(inputs))
    assert not torch.allclose(fresh(inputs), other(inputs))
    assert torch.equal(net(inputs), before)
    assert fresh.fingerprint != net.fingerprint
    for name, tensor in net.graph.tensors.items():
        assert fresh.graph.tensors[name].shape == tensor.shape
        assert not torch.equal(fresh.graph.tensors[name], tensor)


def test_batch_norms_of_fresh_weights_see_what_they_normalize() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 5, 3), nn.BatchNorm2d(5), nn.ReLU()
    )
    net = cs.load(nn.Sequential(*module, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval(), size=(17, 23))
    inputs = torch.randn(12, 3, 17, 23) * 5 + 2
    fresh = net.fresh(3, inputs)
    for layer in ("1", "4"):
        maps = fresh.run(inputs, [layer])[layer]
        np.testing.assert_allclose(maps.mean((0, 2, 3)), 0, atol=1e-3)
        np.testing.assert_allclose(maps.std((0, 2, 3)), 1, rtol=1e-2)
