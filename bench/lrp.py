"""How much faster is LRP than zennit's?  The same composite (EpsilonPlusFlat), the same relevance, interleaved.

One image of 224 px, float32, two threads. zennit's canonizer and hooks are put in place before the clock runs.

    python bench/lrp.py [--rounds N] [NETWORK ...]
"""

import argparse
import os
from collections.abc import Callable
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from interleaved import bar, ratio, seconds
from torch import nn

import convscope as cs
from convscope.instruments.attribution import LRP
from convscope.network.torchvision_ops import import_torchvision

CANONIZERS = {"resnet18": "ResNetCanonizer", "vgg16": "VGGCanonizer"}
TARGET, BAR = 7, 1.2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", default=list(CANONIZERS))
    parser.add_argument("--rounds", type=int, default=11)
    asked = parser.parse_args()
    torch.set_num_threads(2)
    for name in asked.networks:
        torch.manual_seed(0)
        module = import_torchvision("torchvision.models").get_model(name, weights=None).eval()
        measure(name, module, asked.rounds)


def measure(name: str, module: nn.Module, n_rounds: int) -> None:
    from zennit import torchvision as canonizers  # after torchvision can be imported
    from zennit.composites import EpsilonPlusFlat

    network, image = cs.load(module), torch.randn(1, 3, 224, 224)
    composite = EpsilonPlusFlat(canonizers=[getattr(canonizers, CANONIZERS[name])()])
    with composite.context(module) as hooked:
        for part in hooked.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eps = 0.0  # merged, it would go on dividing by sqrt(1 + eps)
        candidates: dict[str, Callable[[], torch.Tensor]] = {
            "zennit": partial(zennit, hooked, image),
            "ours": lambda: LRP("epsilon_plus_flat")(network, image, target=TARGET).values,
            "forward": torch.no_grad()(partial(network, image)),
        }
        expected, found = candidates["zennit"](), candidates["ours"]()
        times = seconds(candidates, n_rounds=n_rounds)
    bar(f"{name}: zennit / ours", ratio(times, "zennit", "ours"), BAR, at_most=False)
    print(f"    milliseconds: {', '.join(f'{key} {1000 * min(value):.0f}' for key, value in times.items())}")
    print(f"    relevance apart by {float((found - expected).abs().max() / expected.abs().max()):.1e} of the largest")


def zennit(hooked: nn.Module, image: torch.Tensor) -> torch.Tensor:
    """zennit's relevance, from the class's logit down."""
    leaf = image.clone().requires_grad_()
    logits = hooked(leaf)
    came = torch.zeros_like(logits)
    came[:, TARGET] = logits.detach()[:, TARGET]
    return torch.autograd.grad(logits, leaf, came)[0]


if __name__ == "__main__":
    main()
