"""What does it cost to watch every convolution while images pass?  A sweep with all gauges against the bare forward pass.

256 decoded images in batches of 32, ResNet-18 and MobileNetV2; the bare pass is the module as its owner would run it, in the same
precision and memory format, interleaved. Bars: at most 1.10 in float32, 1.25 in bfloat16; and at most 0.7 of the time of
careful online hooks once the format is free. Two sets of layers: every convolution's own values ("conv"), for which norms cannot
be folded, and what a study sweeps, the end of every chain of convolution, norm and activation ("ends").

The sweep computes few images at once, because that is faster. So that nobody takes that for cheap gauges, the sweep is
also shown, without a bar, against the bare pass in the same small portions.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from interleaved import bar, ratio, seconds

import convscope as cs
from convscope.images import Batch
from convscope.network.chosen_layers import chosen_layers
from convscope.network.torchvision_ops import import_torchvision
from convscope.sweep.engine import gauges_for, sweep
from convscope.sweep.gauges import Coactivation, Distribution, Exemplars, Gauge, Moments, Selectivity
from convscope.sweep.reduce import images_at_once

N_IMAGES, BATCH = 256, 32
LABELINGS = np.random.default_rng(0).integers(0, 10, (2, N_IMAGES))
FORMATS = [(dtype, last) for dtype in (torch.float32, torch.bfloat16) for last in (False, True)]
LIMITS = {torch.float32: 1.10, torch.bfloat16: 1.25}


class Decoded:
    """Images that are there already."""

    def __init__(self, inputs: torch.Tensor) -> None:
        self.inputs, self.ids = inputs, tuple(f"{i:06}" for i in range(len(inputs)))

    def __len__(self) -> int:
        return len(self.ids)

    def stream(self, prepare: Any, *, batch_size: int, workers: int | None, start: int) -> Iterator[Batch]:
        for at in range(start, len(self), batch_size):
            stop = min(at + batch_size, len(self))
            labels = torch.full((stop - at,), -1)
            yield Batch(self.ids[at:stop], tuple(range(at, stop)), self.inputs[at:stop], labels, (), stop)


def all_gauges(n_units: int) -> list[Gauge]:
    return [
        Exemplars(n_units, k=9),
        Moments(n_units),
        Distribution(n_units),
        Selectivity(n_units, LABELINGS),
        Coactivation(n_units),
    ]


def swept(network: cs.Network, images: Any, layers: Sequence[str]) -> None:
    sweep(network, images, gauges_for(network, layers, all_gauges), batch_size=BATCH)


def bare(module: torch.nn.Module, inputs: torch.Tensor, dtype: torch.dtype, last: bool, size: int = BATCH) -> None:
    form = torch.channels_last if last else torch.contiguous_format
    with torch.inference_mode():
        for part in inputs.split(size):
            module(part.to(dtype=dtype, memory_format=form))


class OnlineHooks:
    """The careful way with hooks: top 9, mean and variance of each unit, nothing kept."""

    def __init__(self, module: torch.nn.Module, inputs: torch.Tensor) -> None:
        self.module, self.inputs = module, inputs

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
            for inputs in self.inputs.split(BATCH):
                self.module(inputs)
        for hook in hooks:
            hook.remove()


def main() -> None:
    torch.manual_seed(0)
    models = import_torchvision("torchvision.models")
    images = Decoded(torch.randn(N_IMAGES, 3, 224, 224))
    for name in ("resnet18", "mobilenet_v2"):
        module = models.get_model(name, weights=None).eval()
        network = cs.load(module)
        layers = {
            "conv": [layer.name for layer in network.layers.of_kind("conv")],
            "ends": list(chosen_layers(network)),
        }
        times = {}
        for dtype, last in FORMATS:
            placed = network.to(dtype=dtype, channels_last=last)
            form = torch.channels_last if last else torch.contiguous_format
            own = copy.deepcopy(module).to(dtype=dtype, memory_format=form)
            candidates = {which: partial(swept, placed, images, names) for which, names in layers.items()}
            candidates["bare"] = partial(bare, own, images.inputs, dtype, last)
            candidates["few"] = partial(bare, own, images.inputs, dtype, last, images_at_once(placed, BATCH))
            found = seconds(candidates, n_rounds=4, warm_up=1)
            what = f"{name} {str(dtype).removeprefix('torch.')}{' channels_last' if last else ''}"
            for which in layers:
                bar(f"{what}: sweep of {which} / bare", ratio(found, which, "bare"), LIMITS[dtype])
                print(f"    of the bare pass in the same small portions: {ratio(found, which, 'few'):.2f}", flush=True)
            times[dtype, last] = min(found["conv"])
        best = min(times, key=lambda form: times[form])
        placed = network.to(dtype=best[0], channels_last=best[1])
        hooks = OnlineHooks(module, images.inputs)
        found = seconds({"sweep": partial(swept, placed, images, layers["conv"]), "hooks": hooks}, n_rounds=3)
        bar(f"{name}: sweep in its best format / online hooks", ratio(found, "sweep", "hooks"), 0.7)


if __name__ == "__main__":
    main()
