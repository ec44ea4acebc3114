"""What does it cost to watch every convolution while images pass?  A sweep with all gauges against the bare forward pass.

256 decoded images, ResNet-18 and MobileNetV2, same precision and memory format, interleaved. Bars: at most 1.10 in float32, 1.25
in bfloat16; and at most 0.7 of the time of careful online hooks once the format is free.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from functools import partial

import numpy as np
import torch
from interleaved import bar, ratio, seconds

import convscope as cs
from convscope.network.torchvision_ops import import_torchvision
from convscope.sweep.gauges import Coactivation, Distribution, Exemplars, Gauge, Moments, Selectivity
from convscope.sweep.response import Response

N_IMAGES, BATCH = 256, 32


def gauges(n_units: int, labelings: np.ndarray) -> list[Gauge]:
    return [
        Exemplars(n_units),
        Moments(n_units),
        Distribution(n_units),
        Selectivity(n_units, labelings),
        Coactivation(n_units),
    ]


class Watching:
    """The sweep without decoding: batches that are there already."""

    def __init__(self, network: cs.Network, batches: list[torch.Tensor]) -> None:
        self.network, self.batches = network, batches
        self.layers = [layer.name for layer in network.layers.of_kind("conv")]
        self.labelings = np.random.default_rng(0).integers(0, 10, (2, N_IMAGES))

    def __call__(self) -> None:
        found = {layer: gauges(self.network.layers[layer].n_units, self.labelings) for layer in self.layers}

        def see(keys: np.ndarray, layer: str, maps: torch.Tensor) -> None:
            response = Response(layer, maps, keys)
            for gauge in found[layer]:
                gauge.update(response)

        with torch.inference_mode():
            for i, inputs in enumerate(self.batches):
                keys = np.arange(i * BATCH, (i + 1) * BATCH)
                self.network.watch(inputs, self.layers, partial(see, keys))


def bare(network: cs.Network, batches: list[torch.Tensor]) -> None:
    with torch.inference_mode():
        for inputs in batches:
            network(inputs)


class OnlineHooks:
    """The careful way with hooks: top 9, mean and variance of each unit, nothing kept."""

    def __init__(self, module: torch.nn.Module, batches: list[torch.Tensor]) -> None:
        self.module, self.batches = module, batches

    def __call__(self) -> None:
        state: dict[int, list[torch.Tensor]] = {}

        def see(part: torch.nn.Module, _: object, maps: torch.Tensor) -> None:
            peaks, sums, squares = maps.amax((2, 3)), maps.sum((0, 2, 3)), maps.square().sum((0, 2, 3))
            if id(part) not in state:
                state[id(part)] = [peaks.topk(9, dim=0).values, sums, squares]
                return
            old = state[id(part)]
            state[id(part)] = [torch.cat([old[0], peaks]).topk(9, dim=0).values, old[1] + sums, old[2] + squares]

        hooks = [part.register_forward_hook(see) for part in self.module.modules() if isinstance(part, torch.nn.Conv2d)]
        with torch.inference_mode():
            for inputs in self.batches:
                self.module(inputs)
        for hook in hooks:
            hook.remove()


def main() -> None:
    torch.manual_seed(0)
    models = import_torchvision("torchvision.models")
    batches = list(torch.randn(N_IMAGES, 3, 224, 224).split(BATCH))
    for name in ("resnet18", "mobilenet_v2"):
        module = models.get_model(name, weights=None).eval()
        network = cs.load(module)
        times = {}
        for dtype, limit in ((torch.float32, 1.10), (torch.bfloat16, 1.25)):
            for last in (False, True):
                placed = network.to(dtype=dtype, channels_last=last)
                own = seconds(
                    {"sweep": Watching(placed, batches), "bare": partial(bare, placed.unfolded(), batches)},
                    n_rounds=4,
                    warm_up=1,
                )
                form = f"{str(dtype).removeprefix('torch.')}{' channels_last' if last else ''}"
                bar(f"{name} {form}: sweep / bare forward", ratio(own, "sweep", "bare"), limit)
                times[dtype, last] = min(own["sweep"])
        best = min(times, key=lambda form: times[form])
        placed = network.to(dtype=best[0], channels_last=best[1])
        own = seconds(
            {"sweep": Watching(placed, batches), "hooks": OnlineHooks(module, batches)}, n_rounds=3, warm_up=1
        )
        bar(f"{name}: sweep in its best format / online hooks", ratio(own, "sweep", "hooks"), 0.7)


if __name__ == "__main__":
    main()
