"""Does the local walk say what the network says of a changed image, on the networks people use?

Each network is asked with windows of 8 to 64 px, each with a fill and a stride of its own, so that over all networks every
combination is met; positions at all four borders are among them, where windows lie partly outside the image.
"""

from typing import Any

import pytest
import torch
from randomized_networks import randomized_network
from small_networks import relative_error

from convscope.images import Preprocess
from convscope.instruments.attribution.baseline import baseline_inputs
from convscope.network import Network

SMALL = (96, 128)  # y, x; not square: rows and columns cannot be mixed up
WINDOWS, STRIDES, FILLS = (8, 16, 32, 64), (4, 8, 16, 32), ("zero", "mean", "blur", "noise")
EVERYWHERE = "depends on every position"

# How far a change stays local: through everything that has positions (""), or words of the reason why not.
ARCHITECTURES = {
    "torchvision:alexnet": (SMALL, "stretches of unequal size"),
    "torchvision:resnet18": (SMALL, ""),
    "torchvision:squeezenet1_1": (SMALL, ""),
    "torchvision:mobilenet_v2": (SMALL, ""),
    "torchvision:mnasnet0_5": (SMALL, ""),
    "torchvision:shufflenet_v2_x0_5": (SMALL, ""),
    "torchvision:inception_v3": ((107, 139), ""),
    "torchvision:googlenet": (SMALL, ""),
    "torchvision:densenet121": (SMALL, ""),
    "timm:resnet26t": ((88, 120), ""),
    "timm:resnetv2_18": ((88, 120), ""),
    "timm:mobilenetv1_100": ((75, 101), ""),
    "timm:regnetx_002": (SMALL, ""),
    "timm:dla46_c": (SMALL, ""),
    "timm:darknet17": (SMALL, ""),
    "timm:repvgg_a0": (SMALL, ""),
    "timm:hrnet_w18_small": (SMALL, ""),
    "timm:xception41": (SMALL, ""),
    "timm:starnet_s050": (SMALL, ""),
    "timm:convnext_atto": (SMALL, ""),
    "timm:inception_next_atto": (SMALL, ""),
    "timm:convmixer_768_32": ((63, 84), ""),
    "timm:seresnet18": (SMALL, EVERYWHERE),
    "timm:mobilenetv3_small_050": (SMALL, EVERYWHERE),
    "timm:efficientnet_b0": (SMALL, EVERYWHERE),
    "timm:convnextv2_atto": (SMALL, "mixes positions"),
    "timm:vit_tiny_patch16_224?depth=3&img_size=(96,128)": (SMALL, "not kept apart"),
    "timm:swin_tiny_patch4_window7_224?depths=(1,1,1,1)&img_size=(112,168)": ((112, 168), "not kept apart"),
}


@pytest.mark.slow
@pytest.mark.parametrize("spec", ARCHITECTURES)
def test_the_local_walk_says_what_the_network_says(spec: str) -> None:
    network, turn = randomized_network(spec, ARCHITECTURES[spec][0]), list(ARCHITECTURES).index(spec)
    image = torch.randn(1, 3, *ARCHITECTURES[spec][0], generator=torch.Generator().manual_seed(turn))
    asked = []
    for i, window in enumerate(WINDOWS):
        fill = baseline_inputs(image, Preprocess(), FILLS[(i + turn) % 4])
        tops = _tops(image, window, STRIDES[(i + turn // 4) % 4], seed=turn)
        patches, images = (torch.cat([make(image, fill, top, window) for top in tops]) for make in (_patch, _filled))
        asked.append((tops, patches, images))
    found, expected = _both(network, image, asked)
    if relative_error(found, expected) > 1e-4:
        # Random weights of a deep network may amplify any rounding, the network's own too: then double precision decides.
        precise, truth = _both(network.to(dtype=torch.float64), image, asked)
        assert relative_error(expected, truth) > 1e-5, "rounding is no excuse here"
        assert relative_error(precise, truth) < 1e-6
    assert float(expected.std(0).max()) > 1e-3 * float(expected.abs().max()), "the windows must matter"
    reach = network.local(image).reach
    assert ARCHITECTURES[spec][1] in str(reach)
    assert (reach.whole_from is None) == (ARCHITECTURES[spec][1] == "")


def test_more_than_twenty_architectures_are_local_and_others_fall_back() -> None:
    assert sum(why == "" for _, why in ARCHITECTURES.values()) >= 20
    assert sum(why != "" for _, why in ARCHITECTURES.values()) >= 6


def _both(network: Network, image: torch.Tensor, asked: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the local walk says, and what the network says."""
    walk = network.local(image)
    with torch.no_grad():
        full = network(torch.cat([images for _, _, images in asked]))
    return torch.cat([walk(tops, patches) for tops, patches, _ in asked]), full


def _tops(image: torch.Tensor, window: int, stride: int, seed: int) -> list[tuple[int, int]]:
    """Three positions of the grid, and two beyond the borders at top left and bottom right."""
    generator = torch.Generator().manual_seed(seed)
    y, x = image.shape[2:]
    n_y, n_x = (max(1, (size - window) // stride + 1) for size in (y, x))
    cells = [int(i) for i in torch.randperm(n_y * n_x, generator=generator)[:3]]
    return [(c // n_x * stride, c % n_x * stride) for c in cells] + [(-3, -2), (y - window + 3, x - window + 2)]


def _patch(image: torch.Tensor, fill: torch.Tensor, top: tuple[int, int], window: int) -> torch.Tensor:
    """What a window holds; whatever lies outside the image does not matter."""
    patch = torch.full((1, image.shape[1], window, window), 7.0)
    for y in range(max(0, -top[0]), min(window, fill.shape[2] - top[0])):
        for x in range(max(0, -top[1]), min(window, fill.shape[3] - top[1])):
            patch[0, :, y, x] = fill[0, :, top[0] + y, top[1] + x]
    return patch


def _filled(image: torch.Tensor, fill: torch.Tensor, top: tuple[int, int], window: int) -> torch.Tensor:
    """The image with the window filled."""
    y, x = (slice(max(0, start), max(0, start + window)) for start in top)
    changed = image.clone()
    changed[:, :, y, x] = fill[:, :, y, x]
    return changed
