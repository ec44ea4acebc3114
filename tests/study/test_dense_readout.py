"""Is the claim about the read-out supported where each class is read from two units, and only there?"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import convscope as cs
from convscope.finding import Finding, Verdict
from convscope.instruments.readout.sections import WHOLE, Sections
from convscope.study import readout
from convscope.study.claim import Measured
from convscope.study.claims import dense_readout

CLAIM = "dense_readout"
SIZE = (21, 34)  # y x
N_CLASSES = 12  # hues
PRIOR = 4.0  # of class 0: what is given to an image that says nothing
HUES = 2 * np.pi * np.arange(N_CLASSES) / N_CLASSES
COLOURFUL, WIDTH_DEG = 0.3, 20
DIRECTIONS = np.outer(np.cos(HUES), np.array([1, -1, 0]) / 2**0.5) + np.outer(
    np.sin(HUES), np.array([1, 1, -2]) / 6**0.5
)


@pytest.fixture(autouse=True)
def _as_many_as_for_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readout, "MOST_IMAGES", 2000)
    monkeypatch.setattr(dense_readout.DenseReadout, "n_sampled", 60)


class Hues(nn.Module):
    """Units that see one hue each, some for every class; others see how bright it is; all are averaged and read."""

    def __init__(self, n_each: int, n_bright: int) -> None:
        super().__init__()
        n_units = n_each * N_CLASSES + n_bright
        self.conv, self.relu, self.fc = nn.Conv2d(3, n_units, 1), nn.ReLU(), nn.Linear(n_units, N_CLASSES)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.conv.weight.copy_(torch.rand(self.conv.weight.shape, generator=generator))
            self.conv.bias.zero_()
            self.fc.weight.copy_(0.05 * torch.randn(self.fc.weight.shape, generator=generator))
            self.fc.bias.zero_()
            self.fc.bias[0] = PRIOR
            for wanted, direction in enumerate(torch.from_numpy(DIRECTIONS).float()):
                for i in range(n_each):
                    unit = wanted * n_each + i
                    self.conv.weight[unit, :, 0, 0] = 10 * direction
                    self.conv.bias[unit] = -10 * COLOURFUL * float(np.cos(np.deg2rad(WIDTH_DEG)))
                    self.fc.weight[:, unit] = 0
                    self.fc.weight[wanted, unit] = 2000 / n_each / (1 + i % 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.relu(self.conv(x)).mean((2, 3)))


def images(n: int, *, labels: bool = True) -> cs.Images:
    """Grey noise, with a patch of the class's hue somewhere."""
    rng = np.random.default_rng(0)
    pixels = np.repeat(rng.integers(60, 200, (n, *SIZE, 1)), 3, axis=3).astype(np.uint8)
    known = np.arange(n) % N_CLASSES
    for image, label in zip(pixels, known, strict=True):
        y, x = rng.integers(0, SIZE[0] - 6), rng.integers(0, SIZE[1] - 8)
        image[y : y + 6, x : x + 8] = np.rint(255 * (0.5 + COLOURFUL * DIRECTIONS[label]))
    return cs.images(pixels, labels=known.tolist() if labels else False)


def finding_of(module: nn.Module, shown: cs.Images, folder: Path) -> Finding:
    settings = {"resize": None, "crop": SIZE, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    net = cs.load(module.eval(), size=SIZE, preprocess=settings)
    return cs.why(net, shown, folder / "s", only=[CLAIM], form="float32").findings[CLAIM]


def table(finding: Finding) -> list[list]:
    return next(part["rows"] for part in finding.evidence if part["panel"] == "table")


def test_classes_of_two_units_hang_on_them(tmp_path: Path) -> None:
    finding = finding_of(Hues(n_each=2, n_bright=24), images(20 * N_CLASSES), tmp_path)
    assert finding.verdict == Verdict.SUPPORTED, finding.summary
    assert finding.value.value == pytest.approx(1 - 1 / N_CLASSES)  # class 0 is what nothing is taken for
    controls = {control.name: control.value.value for control in finding.controls}
    assert controls["units as active"] == controls["another class's units"] == 0
    assert "accuracy" in finding.summary
    rows = table(finding)
    assert [row[0] for row in rows] == [f"class {i}" for i in range(N_CLASSES)]
    for i, row in enumerate(rows):
        assert {int(unit) for unit in row[-1].split(", ")[:2]} == {2 * i, 2 * i + 1}
        assert row[1:3] == [20, "100 %"]
        assert row[3] == ("0" if i == 0 else "−100"), "without its units"
        assert row[4] == "0", "without others as active"
        assert row[7] == 2 or i == 0, "units for 90 %"
        assert row[8] == 1, "units for 90 % of the accuracy"
    assert "1 (the others at their mean) keep 90 % of a class's accuracy" in finding.summary


def test_a_class_spread_over_many_units_hangs_on_few_of_them_no_more(tmp_path: Path) -> None:
    finding = finding_of(Hues(n_each=42, n_bright=24), images(20 * N_CLASSES), tmp_path)
    assert finding.verdict == Verdict.NOT_SUPPORTED, finding.summary
    assert finding.value.value == 0


def test_with_one_image_a_class_probabilities_are_measured(tmp_path: Path) -> None:
    finding = finding_of(Hues(n_each=2, n_bright=24), images(N_CLASSES), tmp_path)
    assert finding.value.value == pytest.approx(1 - 1 / N_CLASSES)
    assert "points of probability" in finding.summary
    assert "chosen on the images they are measured on" in finding.summary


def test_without_labels_the_network_s_own_answers_are_its_classes(tmp_path: Path) -> None:
    finding = finding_of(Hues(n_each=2, n_bright=24), images(8 * N_CLASSES, labels=False), tmp_path)
    assert finding.verdict == Verdict.SUPPORTED, finding.summary


def test_few_classes_leave_it_open(tmp_path: Path) -> None:
    shown = images(10 * N_CLASSES)
    finding = finding_of(Hues(n_each=2, n_bright=24), shown[np.flatnonzero(shown.labels < 4)], tmp_path)
    assert finding.verdict == Verdict.UNDECIDED
    assert "it takes 5" in finding.reason


def test_a_network_without_a_head_leaves_it_open_and_says_why(tmp_path: Path) -> None:
    class Means(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, N_CLASSES, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x).mean((2, 3))

    finding = finding_of(Means(), images(N_CLASSES), tmp_path)
    assert finding.verdict == Verdict.UNDECIDED
    assert "a window of 3 x 3" in finding.reason


def test_sections_are_read_from_earlier_images_of_each_class_and_measured_on_later_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = {"resize": None, "crop": SIZE, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    net = cs.load(Hues(n_each=1, n_bright=4).eval(), size=SIZE, preprocess=settings)
    seen = []

    def leave_out(network: cs.Network, head: object, batches: Callable[[], Iterable[tuple]]) -> Sections:
        seen.extend(batches())
        return Sections((), (), {WHOLE: np.ones(3, bool)}, ())

    monkeypatch.setattr(readout, "leave_out", leave_out)
    readout._sections(Measured(net, images(10 * N_CLASSES), ()), net, "trained")
    labels, learns = (torch.cat([batch[part] for batch in seen]) for part in (1, 2))
    for wanted in range(N_CLASSES):
        own = learns[labels == wanted].tolist()
        assert own == sorted(own, reverse=True)
        assert sum(own) == 5
