"""Are predictions explained where they can be, and is a network whose answers hang on nothing found out?"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import convscope as cs
from convscope.finding import Verdict
from convscope.study.claim import Measured
from convscope.study.claims.predictions import WhyThesePredictions
from convscope.study.singly import singly

CLAIM = "why_these_predictions"
SIZE = (36, 48)  # y x
PATCH = (slice(2, 10), slice(34, 46))  # in a corner, without edges of its own


class Corner(nn.Module):
    """Red or not: it looks at one corner of the image, and nowhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 2, 1), nn.ReLU()
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[1.0, -0.5, -0.5], [-0.5, 1.0, -0.5]])[..., None, None])
            self.conv.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 6 * self.relu(self.conv(x))[:, :, PATCH[0], PATCH[1]].mean((2, 3))


def corner() -> cs.Network:
    settings = {"resize": None, "crop": SIZE, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    return cs.load(Corner().eval(), size=SIZE, preprocess=settings, classes=("red", "green"))


def pictures(n: int) -> cs.Images:
    """Grey noise with a coloured corner."""
    rng = np.random.default_rng(0)
    pixels = np.repeat(rng.integers(90, 160, (n, *SIZE, 1)), 3, axis=3).astype(np.uint8)
    for i, image in enumerate(pixels):
        image[PATCH] = (200, 60, 60) if i % 2 else (60, 200, 60)
    return cs.images(pixels, labels=[("green", "red")[i % 2] for i in range(n)])


def test_where_the_answer_hangs_on_one_place_the_claim_is_supported(tmp_path: Path) -> None:
    found = cs.why(corner(), pictures(16), tmp_path / "s", only=[CLAIM], form="float32").findings[CLAIM]
    assert found.verdict == Verdict.SUPPORTED
    assert found.value.low > 0.05  # the two classes are even where nothing is seen, so no order gains much more
    assert [control.name for control in found.controls] == ["centre", "edges"]
    bars = {bar["name"]: bar["value"] for bar in found.evidence[0]["bars"]}
    by_input = {"Occlusion", "LRP", "Integrated gradients", "Gradient"}  # there are no maps but those of the classes
    assert by_input | {"centre map", "edges map"} == bars.keys()
    assert bars["Occlusion"] > bars["centre map"] + 0.05


def test_where_the_answer_hangs_on_nothing_it_is_not(tmp_path: Path) -> None:
    module = Corner().eval()
    with torch.no_grad():
        module.conv.weight.mul_(1e-6)
        module.conv.bias.copy_(torch.tensor([0.3, 0.1]))
    settings = {"resize": None, "crop": SIZE, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    net = cs.load(module, size=SIZE, preprocess=settings, classes=("red", "green"))
    found = cs.why(net, pictures(16), tmp_path / "s", only=[CLAIM], form="float32").findings[CLAIM]
    assert found.verdict == Verdict.NOT_SUPPORTED
    assert abs(found.value.value) < 0.01


def test_few_images_and_answers_that_are_not_numbers_leave_it_open(tmp_path: Path) -> None:
    for n in (1, 2, 7):
        few = cs.why(corner(), pictures(n), tmp_path / f"{n}", only=[CLAIM], form="float32").findings[CLAIM]
        assert few.verdict == Verdict.UNDECIDED
        assert "too few" in few.reason
    module = Corner().eval()
    with torch.no_grad():
        module.conv.bias.fill_(float("nan"))
    settings = {"resize": None, "crop": SIZE, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    net = cs.load(module, size=SIZE, preprocess=settings, classes=("red", "green"))
    none = cs.why(net, pictures(9), tmp_path / "nan", only=[CLAIM], form="float32").findings[CLAIM]
    assert none.verdict == Verdict.UNDECIDED
    assert "finite" in none.reason


class _Counted(WhyThesePredictions):
    """Counts what it measures, and is stopped where it is told to."""

    n_sampled = 6
    seen = 0
    stop_at = 99

    def measure(self, question, network, inputs):
        if type(self).seen >= type(self).stop_at:
            raise KeyboardInterrupt
        type(self).seen += 1
        return {"mean": float(inputs.mean())}


@pytest.mark.parametrize("cut", ["", '{"id": "00', '{"id": "x", "row": {}}'])
def test_images_measured_before_it_was_stopped_are_not_measured_again(tmp_path: Path, monkeypatch, cut: str) -> None:
    monkeypatch.setattr(_Counted, "seen", 0)
    monkeypatch.setattr(_Counted, "stop_at", 4)
    net, claim = corner(), _Counted()
    question = Measured(net, pictures(12), ())

    def run(seen: list[int] | None = None) -> list[dict]:
        note = (lambda done, total: None) if seen is None else (lambda done, total: seen.append(done))
        return singly(claim, question, lambda which: net, images="x", folder=tmp_path, progress=note)

    with pytest.raises(KeyboardInterrupt):
        run()
    (path,) = tmp_path.iterdir()
    with path.open("a") as file:
        file.write(cut)  # what a process that was killed may leave
    monkeypatch.setattr(_Counted, "stop_at", 99)
    done: list[int] = []
    rows = run(done)
    assert _Counted.seen == 6
    assert done == [4, 5, 6]
    assert [json.loads(line)["row"] for line in path.read_text().splitlines()] == rows
    assert run() == rows
    assert _Counted.seen == 6
    other = singly(claim, question, lambda which: net, images="y", folder=tmp_path, progress=lambda done, total: None)
    assert _Counted.seen == 12, "rows of other images are not taken for these"
    assert other == rows
