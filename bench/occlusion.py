"""How much faster is occlusion when only what a window reaches is computed again?  Against captum's Occlusion, interleaved.

One image of 224 px, windows of 16 px every 8 px, float32, two threads; random weights. Captum gets the best of its batch sizes.
As all its batches cost the same, it is timed on a part of the positions (whole batches of one strip of the image) and scaled to
all of them; that both give the same map is shown on a coarser grid of the whole image. The table says how many
multiply-accumulates a full pass takes for one of ours: the ceiling, if small crops run as well as whole maps.

    python bench/occlusion.py [--bf16] [--rounds N] [NETWORK ...]
"""

import argparse
import os
from collections.abc import Callable
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from captum.attr import Occlusion as Captum
from interleaved import bar, ratio, seconds
from torch import nn

import convscope as cs
from convscope.instruments.attribution import Occlusion
from convscope.network import Network
from convscope.network.torchvision_ops import import_torchvision

BARS = {"vgg16": 8.0, "resnet18": 3.0, "squeezenet1_1": 3.0, "mobilenet_v2": 2.0}
SIZE, WINDOW, STRIDE, TARGET = 224, 16, 8, 7
PER_CALL = (1, 8, 32)  # captum's perturbations_per_eval
STRIP = 40  # rows of the image that captum is timed on: 4 x 27 of our 27 x 27 positions


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", default=list(BARS))
    parser.add_argument("--bf16", action="store_true", help="also in bfloat16, with the correlation of the maps")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(2)
    for name in asked.networks:
        torch.manual_seed(0)
        module = import_torchvision("torchvision.models").get_model(name, weights=None).eval()
        measure(name, module, asked.rounds, asked.bf16)


def measure(name: str, module: nn.Module, n_rounds: int, bf16: bool) -> None:
    network = cs.load(module)
    image = torch.randn(1, 3, SIZE, SIZE)
    compare(name, network, module, image)
    peers = {f"captum {n}": partial(captum, module, image, n, rows=STRIP) for n in PER_CALL}
    best = min(seconds(peers, n_rounds=1, warm_up=0).items(), key=lambda item: item[1][0])[0]
    ours: dict[str, Callable[[], object]] = {"ours": partial(scores, network, image)}
    if bf16:
        ours["ours bf16"] = partial(scores, network, image, precision="bfloat16")
    times = seconds({best: peers[best], **ours}, n_rounds=n_rounds, warm_up=1)
    n_all, n_strip = len(grid()), len(grid(rows=STRIP))
    times[best] = [second * n_all / n_strip for second in times[best]]
    local, full = network.local(image).work(grid(), (WINDOW, WINDOW))
    limit = BARS.get(name, 1.0)
    bar(f"{name}: {best} / ours, {n_all} positions", ratio(times, best, "ours"), limit, at_most=False)
    print(
        f"    seconds: {min(times[best]):.2f} against {min(times['ours']):.2f}; {full / local:.2f} x fewer operations"
    )
    if bf16:
        maps = torch.stack([scores(network, image, precision=each).flatten() for each in (None, "bfloat16")])
        bar(f"{name}: {best} / ours in bfloat16", ratio(times, best, "ours bf16"), 2 * limit, at_most=False)
        print(f"    the map correlates {torch.corrcoef(maps)[0, 1]:.4f} with float32's")


def scores(
    network: Network, image: torch.Tensor, window: int = WINDOW, stride: int = STRIDE, precision: str | None = None
) -> torch.Tensor:
    """Our map, `y x`."""
    return Occlusion(window=window, stride=stride, precision=precision)(network, image, target=TARGET).scores[0]


def captum(
    module: nn.Module, image: torch.Tensor, n: int, *, rows: int = SIZE, stride: int = STRIDE, window: int = WINDOW
) -> torch.Tensor:
    """Captum's map, for positions in the first rows of the image; the network always sees all of it."""
    strip = image[:, :, :rows]

    def forward(part: torch.Tensor) -> torch.Tensor:
        return module(torch.cat([part, image[:, :, rows:].expand(len(part), -1, -1, -1)], 2))

    return Captum(forward).attribute(
        strip,
        sliding_window_shapes=(3, window, window),
        strides=(3, stride, stride),
        target=TARGET,
        baselines=0,
        perturbations_per_eval=n,
    )[0, 0]


def grid(rows: int = SIZE) -> list[tuple[int, int]]:
    """Top left corners of the windows."""
    return [(y, x) for y in range(0, rows - WINDOW + 1, STRIDE) for x in range(0, SIZE - WINDOW + 1, STRIDE)]


def compare(name: str, network: Network, module: nn.Module, image: torch.Tensor) -> None:
    """Says how far our map is from captum's, on windows of 40 px every 32 px."""
    theirs, mine = captum(module, image, 32, stride=32, window=40), scores(network, image, 40, 32)
    apart = float((mine - theirs).abs().max() / theirs.abs().max())
    print(f"{name}: at most {apart:.1e} of the largest score away from captum's, all pixels")


if __name__ == "__main__":
    main()
