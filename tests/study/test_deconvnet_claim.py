"""Is the claim about deconvnet pictures supported where they find what was planted, and only there?"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import convscope as cs
from convscope.finding import Finding, Verdict
from convscope.study.claims import DeconvnetPictures

CLAIM = "deconvnet_pictures"
SIZE = (37, 46)  # y x
N_UNITS = 24
pytestmark = pytest.mark.usefixtures("many")


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeconvnetPictures, "n_sampled", 96)


class Units(nn.Module):
    """Three convolutions of 5 x 5, and classes that are the mean of the last units."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (
            nn.Conv2d(3, N_UNITS, 5),
            nn.Conv2d(N_UNITS, N_UNITS, 5),
            nn.Conv2d(N_UNITS, N_UNITS, 5),
        )
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.fc = nn.Linear(N_UNITS, 4)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu3(self.conv3(self.relu2(self.conv2(self.relu1(self.conv1(x))))))
        return self.fc(x.mean((2, 3)))


def off_centre() -> Units:
    """Each unit hangs on one pixel near a corner of what it sees."""
    module = Units()
    with torch.no_grad():
        module.fc.weight += torch.rand(4, N_UNITS, generator=torch.Generator().manual_seed(0))
        for conv in (module.conv1, module.conv2, module.conv3):
            for unit in range(N_UNITS):
                conv.weight[unit, unit % conv.weight.shape[1], (0, 0, 4, 4)[unit % 4], (0, 4, 0, 4)[unit % 4]] = 1
    return module


def around_the_middle() -> Units:
    """Each unit answers to how bright it is around the middle, by a bell whose peak is where a disc would be."""
    module, line = Units(), torch.tensor([0.05, 0.5, 1.0, 0.5, 0.05])
    with torch.no_grad():
        module.fc.weight += torch.rand(4, N_UNITS, generator=torch.Generator().manual_seed(0))
        for conv in (module.conv1, module.conv2, module.conv3):
            for unit in range(N_UNITS):
                conv.weight[unit, unit % conv.weight.shape[1]] = line[:, None] * line
    return module


def finding_of(module: nn.Module, folder: Path, n_images: int = 24, *, bright: bool = False) -> Finding:
    """Noise, a pixel in ten of which is bright; or of one brightness, nearly."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 40, (n_images, *SIZE, 3))
    pixels[rng.random(pixels.shape) < 0.1] = 250
    pixels = np.full_like(pixels, 200) + rng.integers(-2, 3, pixels.shape) if bright else pixels
    settings = {"resize": None, "crop": SIZE, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    net = cs.load(module.eval(), size=SIZE, preprocess=settings)
    return cs.why(net, cs.images(pixels.astype(np.uint8)), folder / "s", only=[CLAIM], form="float32").findings[CLAIM]


def test_pictures_of_units_that_hang_on_a_corner_show_it(tmp_path: Path) -> None:
    finding = finding_of(off_centre(), tmp_path)
    assert finding.verdict == Verdict.SUPPORTED, finding.summary
    assert finding.value.value == 1.0
    controls = {control.name: control.value.value for control in finding.controls}
    assert controls["a disc in the middle"] < 0.1
    assert controls["the mask elsewhere"] < 0.1
    assert set(controls) == {"a disc in the middle", "fresh weights", "the mask elsewhere", "random pixels"}
    assert [part["panel"] for part in finding.evidence] == ["bars", "bars", "table"]
    assert sum(row[1] for row in finding.evidence[2]["rows"]) == 3 * N_UNITS
    beats = finding.evidence[1]["bars"]
    assert beats[0]["value"] == 1.0
    assert finding.beyond.value == pytest.approx(min(0.5, 1 - beats[1]["value"]))


def test_where_a_disc_does_as_much_they_show_nothing(tmp_path: Path) -> None:
    finding = finding_of(around_the_middle(), tmp_path, bright=True)
    assert finding.verdict == Verdict.NOT_SUPPORTED, finding.summary
    assert finding.controls[0].value.value > 0.9, "the disc is confirmed by the same test"


def test_with_fresh_weights_they_show_nothing_that_was_learned(tmp_path: Path) -> None:
    module = Units()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                spread = (2 / parameter[0].numel()) ** 0.5
                parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
    finding = finding_of(module, tmp_path)
    assert finding.verdict != Verdict.SUPPORTED, finding.summary
    assert finding.beyond.low < 0 < finding.beyond.high, "as with other fresh weights"


class NoRule(nn.Module):
    """Its units pass a step through which no signal goes back."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 30, 3), nn.ReLU()
        self.fc = nn.Linear(30, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.relu(self.conv(x.mul(8).round() / 8)).mean((2, 3)))


def test_operations_without_a_rule_are_said(tmp_path: Path) -> None:
    finding = finding_of(NoRule(), tmp_path)
    assert finding.verdict == Verdict.UNDECIDED
    assert "no sound rule for round" in finding.reason


def test_few_units_leave_it_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeconvnetPictures, "n_sampled", 12)
    finding = finding_of(off_centre(), tmp_path)
    assert finding.verdict == Verdict.UNDECIDED
    assert "12 units could be tested; it takes 20" in finding.reason
