"""Does a sweep of more images take more memory, or more time for each?  Each number of images in a process of its own.

Bars: the peak of resident memory at 2,000 images within 64 MiB of that at 200; processor time for each image at 250, 500, 1,000
and 2,000 images within 5 % of one another.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from interleaved import bar

import convscope as cs
from convscope.images import Batch
from convscope.sweep.engine import gauges_for, sweep
from convscope.sweep.gauges import Coactivation, Distribution, Exemplars, Gauge, Moments, Selectivity

BATCH, N_GROUPS, N_ROUNDS = 32, 20, 3


class Noise:
    """Any number of random images, made when they are asked for."""

    def __init__(self, n: int) -> None:
        self.ids = tuple(f"{i:06}" for i in range(n))

    def __len__(self) -> int:
        return len(self.ids)

    def stream(self, prepare: Any, *, batch_size: int, workers: int | None, start: int) -> Iterator[Batch]:
        for at in range(start, len(self), batch_size):
            stop = min(at + batch_size, len(self))
            inputs = torch.randn(stop - at, 3, 224, 224, generator=torch.Generator().manual_seed(at))
            yield Batch(self.ids[at:stop], tuple(range(at, stop)), inputs, torch.full((stop - at,), -1), (), stop)


def swept(network: cs.Network, n: int) -> None:
    labelings = np.random.default_rng(0).integers(0, 10, (2, n))

    def gauges(n_units: int) -> list[Gauge]:
        return [
            Exemplars(n_units, k=9),
            Moments(n_units),
            Distribution(n_units),
            Selectivity(n_units, labelings, N_GROUPS),
            Coactivation(n_units),
        ]

    layers = [layer.name for layer in network.layers.of_kind("conv")]
    sweep(network, Noise(n), gauges_for(network, layers, gauges), batch_size=BATCH)  # type: ignore[arg-type]


def alone(n: int) -> None:
    """What a process of its own does: sweeps n images and prints processor seconds for each, and its peak memory in MiB."""
    network = cs.load("torchvision:resnet18")
    swept(network, 2 * BATCH)
    start = time.process_time()
    swept(network, n)
    each = (time.process_time() - start) / n
    print(json.dumps([each, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def measured(n: int) -> tuple[float, float]:
    run = subprocess.run([sys.executable, __file__, str(n)], capture_output=True, check=True, text=True)
    each, memory = json.loads(run.stdout.splitlines()[-1])
    return each, memory


def main() -> None:
    if len(sys.argv) > 1:
        alone(int(sys.argv[1]))
        return
    few, many = measured(200)[1], measured(2000)[1]
    bar("resnet18: MiB more at 2,000 images than at 200", many - few, 64)
    rounds = [{n: measured(n)[0] for n in (250, 500, 1000, 2000)} for _ in range(N_ROUNDS)]
    each = {n: min(found[n] for found in rounds) for n in rounds[0]}
    print(
        "    processor time for each image, of that at 2,000:", {n: round(t / each[2000], 3) for n, t in each.items()}
    )
    bar("resnet18: most / least processor time for each image", max(each.values()) / min(each.values()), 1.05)


if __name__ == "__main__":
    main()
