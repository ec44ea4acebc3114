"""Do optimised images drive the units of real networks beyond the best natural image?  SqueezeNet 1.1 and MobileNetV2.

Few units here, over the depths at which a picture takes seconds; a longer list of them is measured by hand.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import convscope as cs
from convscope.instruments.appearance import RAW, Fourier, Optimise, Optimised, driven

pytestmark = pytest.mark.data
N_IMAGES, BATCH = 96, 16
SPECS = {
    "squeezenet": ("torchvision:squeezenet1_1", "squeezenet1_1_imagenet.safetensors"),
    "mobilenet": ("timm:mobilenetv2_100?pad_type=same", "mobilenetv2_100_imagenet.safetensors"),
}
LAYERS = {
    "squeezenet": ("features.0", "features.3.cat", "features.6.squeeze", "features.7.cat"),
    "mobilenet": ("blocks.0.0.bn2", "blocks.1.0.bn2.act", "blocks.1.1.add", "blocks.2.1.bn1.act"),
}
CLASSES = (9, 130, 340, 817)  # ostrich, flamingo, zebra, sports car
METHOD = Optimise()


@pytest.fixture(scope="module", params=list(SPECS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def net(data_dir: Path, name: str) -> cs.Network:
    spec, weights = SPECS[name]
    return cs.load(spec, weights=data_dir / "weights" / weights)


@pytest.fixture(scope="module")
def strongest(net: cs.Network, name: str, data_dir: Path) -> dict[str, torch.Tensor]:
    """The peak of each unit over photographs."""
    paths = sorted((data_dir / "images" / "imagenet1k_sample").iterdir())
    chosen = [str(paths[i]) for i in np.random.default_rng(0).permutation(len(paths))[:N_IMAGES]]
    peaks: dict[str, list[torch.Tensor]] = {layer: [] for layer in LAYERS[name]}
    with torch.no_grad():
        for i in range(0, N_IMAGES, BATCH):
            inputs = net.preprocess(chosen[i : i + BATCH])
            for layer, maps in net.run(inputs, LAYERS[name]).items():
                peaks[layer].append(maps.amax((0, 2, 3)))
    return {layer: torch.stack(found).amax(0) for layer, found in peaks.items()}


@pytest.fixture(scope="module")
def pictures(net: cs.Network, name: str, strongest: dict[str, torch.Tensor]) -> list[tuple[Optimised, float]]:
    """Two live units of each layer, picked by chance, and their strongest natural response."""
    rng = np.random.default_rng(1)
    wanted = []
    for layer in LAYERS[name]:
        live = np.flatnonzero(strongest[layer].numpy() > 0)
        wanted += [(f"{layer}:{unit}", float(strongest[layer][unit])) for unit in rng.choice(live, 2, replace=False)]
    found = METHOD(net, [unit for unit, _ in wanted])
    return [(one, natural) for one, (_, natural) in zip(found, wanted, strict=True)]


def test_they_beat_the_best_natural_image_as_bytes_and_moved(pictures: list[tuple[Optimised, float]]) -> None:
    for found, natural in pictures:
        check = driven(found, natural=natural)[0]
        assert not check.failed, f"{check.about}: {check.failed}"


def test_they_have_less_high_frequency_power_than_raw_ascent(
    net: cs.Network, pictures: list[tuple[Optimised, float]]
) -> None:
    raw = replace(RAW, n_steps=METHOD.n_steps)(net, [found.objective for found, _ in pictures])
    checks = [driven(found, raw=one)[0] for (found, _), one in zip(pictures, raw, strict=True)]
    assert max(check.high_of_raw for check in checks) <= 0.5
    assert max(check.frac_of_raw for check in checks) <= 0.5


def test_class_images_are_classified_as_their_class(net: cs.Network) -> None:
    found = Optimise(parameterization=Fourier(rate=0.1), n_steps=40)(net, CLASSES)
    assert [driven(one)[0].rank for one in found] == [0] * len(CLASSES)
