"""Do the claims say what was planted, and nothing where there is nothing to say?"""

import numpy as np
import pytest
import torch
from planted import CLASSES, COPIES, DEAD, FOR_BLUE, SIZE, planted_images, planted_network
from torch import nn

import convscope as cs
from convscope.finding import Verdict
from convscope.registry import items
from convscope.study.claims.alive import Units, share_useful
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


def test_fresh_weights_support_no_selectivity_and_no_accuracy(fresh_study: cs.Study) -> None:
    assert fresh_study.findings["accuracy"].verdict == Verdict.NOT_SUPPORTED
    assert fresh_study.findings["class_selectivity"].verdict == Verdict.NOT_SUPPORTED
    assert fresh_study.findings["weight_sharing"].verdict == Verdict.SUPPORTED  # it is a matter of structure


def test_shuffled_labels_support_nothing_that_is_about_labels(tmp_path, scenes: cs.Images) -> None:
    labels = np.random.default_rng(3).permutation(scenes.labels)
    shuffled = cs.images(scenes, labels=labels.tolist())
    only = ["accuracy", "class_selectivity"]
    study = cs.why(cs.load("builtin:world"), shuffled, tmp_path / "s", only=only, form="float32")
    assert study.findings["accuracy"].verdict == Verdict.NOT_SUPPORTED
    assert study.findings["class_selectivity"].verdict == Verdict.NOT_SUPPORTED
    assert sum(study.units["tells_classes_apart"]) <= 0.05 * len(study.units)


@pytest.mark.parametrize("n", [1, 3, 20])
def test_few_images_leave_it_open_whether_units_are_alive(tmp_path, scenes: cs.Images, n: int) -> None:
    study = cs.why(cs.load("builtin:world"), scenes[:n], tmp_path / "s", only=["alive_units"], form="float32")
    assert study.findings["alive_units"].verdict == Verdict.UNDECIDED
    assert "too few" in study.findings["alive_units"].reason


def test_images_of_one_class_leave_accuracy_open(tmp_path, scenes: cs.Images) -> None:
    one = scenes[np.flatnonzero(scenes.labels == 3)]
    found = cs.why(cs.load("builtin:world"), one, tmp_path / "s", only=["accuracy"], form="float32").findings[0]
    assert found.verdict == Verdict.UNDECIDED
    assert "one class" in found.reason


def test_names_of_labels_are_not_guessed(tmp_path) -> None:
    torch.manual_seed(0)
    nameless = cs.load(planted_network().module, size=SIZE, preprocess=planted_network().preprocess)
    images = planted_images(40)
    study = cs.why(nameless, images[images.labels < 3], tmp_path / "s", only=["accuracy"], form="float32")
    assert study.findings[0].verdict == Verdict.UNDECIDED or study.findings[0].value.value > 0
    some = cs.images(images, labels=[None if label == 3 else f"{label}x" for label in images.labels])
    study = cs.why(nameless, some, tmp_path / "t", only=["accuracy"], form="float32")
    assert "which is which is not known" in study.findings[0].reason


def test_where_no_unit_is_alive_the_trend_is_open(tmp_path, scenes: cs.Images) -> None:
    net = cs.load("builtin:world").swap("relu4", lambda x: x * 0).swap("relu5", lambda x: x * 0)
    study = cs.why(net, scenes[:120], tmp_path / "s", layers=["relu*", "conv4", "fc1"], form="float32")
    found = study.findings["class_selectivity"]
    assert "nan" not in found.summary


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
    assert (conv.shared, conv.local, conv.dense, conv.n_positions) == (416, 326_144, 9_847_040, 784)
    assert dense.shared == dense.local == dense.dense == 51
    assert dense.n_positions == 1


class EveryPlace(nn.Module):
    """A dense layer at every position, and the same as a convolution of 1 x 1."""

    def __init__(self, as_conv: bool) -> None:
        super().__init__()
        self.conv, self.dense, self.as_conv = nn.Conv2d(3, 8, 1), nn.Linear(3, 8), as_conv

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.conv(x) if self.as_conv else self.dense(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return found.mean((2, 3))


def test_a_dense_layer_at_every_place_counts_as_the_convolution_it_is() -> None:
    found = [sharing(cs.load(EveryPlace(as_conv).eval(), size=(7, 9)).graph) for as_conv in (True, False)]
    for (count,) in found:
        assert (count.shared, count.local, count.n_positions) == (32, 7 * 9 * 32, 63)
        assert count.dense == 63 * 8 * 63 * 3 + 63 * 8


def test_counts_of_a_transposed_convolution_by_a_loop() -> None:
    net = nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    (count,) = sharing(cs.load(net.eval(), size=(5, 7), n_channels=4).graph)
    pairs = sum(
        3 * 3 * 3 for _ in range(4 * 5 * 7)
    )  # each input neuron reaches three units of its group, nine places each
    assert count.shared == 4 * 3 * 9 + 6
    assert count.local == pairs + 6 * 11 * 15


def test_counts_of_groups_strides_and_oblong_images_by_a_loop() -> None:
    net = nn.Sequential(
        nn.Conv2d(4, 6, (3, 5), stride=(2, 1), groups=2, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    (conv,) = sharing(cs.load(net.eval(), size=(11, 18), n_channels=4).graph)
    positions = len(range(0, 11 - 3 + 1, 2)) * len(range(0, 18 - 5 + 1))
    assert conv.shared == 6 * 2 * 3 * 5
    assert conv.local == sum(2 * 3 * 5 for _ in range(6 * positions))
    assert conv.dense == 6 * positions * 4 * 11 * 18
    assert conv.n_positions == positions


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


def test_units_that_were_on_once_say_how_many_silent_ones_may_wake() -> None:
    n_on = np.array([0, 0, 0, 1, 1, 100])
    layer = Units("layer", n_on == 0, np.full(6, -1), n_on, n_images=100)
    found = share_useful([layer], np.random.default_rng(0))
    assert found.value == 0.5
    assert found.low == pytest.approx(1 / 6)  # both that were on once may be missed
    assert found.high == 1.0  # 2, and twice the root of 2, is more than the three that are silent
    sure = Units("layer", n_on == 0, np.full(6, -1), np.where(n_on, 100, 0), n_images=100)
    assert share_useful([sure], np.random.default_rng(0)) == cs.Interval(0.5, 0.5, 0.5)


def test_the_curve_is_what_the_table_of_units_says(world_study: cs.Study) -> None:
    finding = world_study.findings["class_selectivity"]
    curve = finding.evidence[0]
    trained = next(series for series in curve["series"] if series["name"] == "trained")
    for layer, value in zip(curve["x"], trained["values"], strict=True):
        alive = [row for row in rows(world_study, layer) if not row["dead"]]
        beyond = np.mean([row["selectivity"] - row["selectivity_shuffled"] for row in alive])
        assert value == pytest.approx(beyond), layer
        assert np.mean([row["selectivity_shuffled"] for row in alive]) > 0.02, "there is something to take off"


def test_draws_of_fresh_weights_differ(world_study: cs.Study) -> None:
    curve = next(part for part in world_study.findings["alive_units"].evidence if part["panel"] == "curves")
    fresh = next(series for series in curve["series"] if series["name"] == "dead, fresh")
    assert any(low < high for low, high in zip(fresh["low"], fresh["high"], strict=True))
