"""Do decoding and computing hide behind each other?  A sweep of JPEG files against decoding alone and computing alone.

Bar: at most 1.15 of the slower of the two. That can only be reached where the slower one leaves cores idle. If both use the same
cores to the full, as they do on a CPU, the work of one adds to that of the other; so the sum is shown as well, and the processor
time of the whole against the sum of its parts: 1.00 means that nothing is lost by doing both at once. Run as
`python bench/sweep_files.py [FOLDER] [N_IMAGES]`; without a folder the one of ../shared/data.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from interleaved import bar
from sweep import BATCH, Decoded, all_gauges

import convscope as cs
from convscope.images.stream import n_cores
from convscope.sweep.engine import gauges_for, sweep

FOLDER = Path(__file__).resolve().parents[2] / "shared/data/images/imagenet1k_sample"
N_ROUNDS = 3
NETWORKS = {"resnet18": (torch.float32, torch.bfloat16), "mobilenet_v2": (torch.float32, torch.bfloat16)}


def decoded(network: cs.Network, images: cs.Images) -> torch.Tensor:
    """All images as the network wants them, by as many threads as there are cores."""
    return torch.cat([batch.inputs for batch in images.stream(network.preprocess.prepare_one, batch_size=BATCH)])


def swept(network: cs.Network, images: "cs.Images | Decoded", layers: list[str]) -> None:
    sweep(network, images, gauges_for(network, layers, all_gauges), batch_size=BATCH)  # type: ignore[arg-type]


def costs(candidates: dict[str, Callable[[], object]]) -> dict[str, tuple[list[float], list[float]]]:
    """Elapsed seconds and processor seconds of each in each round, all run in turn."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in candidates}
    for round_ in range(-1, N_ROUNDS):
        for name, run in candidates.items():
            start, cpu = time.perf_counter(), time.process_time()
            run()
            if round_ >= 0:
                found[name][0].append(time.perf_counter() - start)
                found[name][1].append(time.process_time() - cpu)
    return found


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    n_images = int(sys.argv[2]) if len(sys.argv) > 2 else 256
    if not folder.is_dir():
        sys.exit(f"There is no folder {folder}; give one with photos.")
    images = cs.images(folder, labels=False, limit=n_images)
    for name, dtypes in NETWORKS.items():
        for dtype in dtypes:
            network = cs.load(f"torchvision:{name}").to(dtype=dtype, channels_last=dtype == torch.bfloat16)
            layers = [layer.name for layer in network.layers.of_kind("conv")]
            ready = Decoded(decoded(network, images))
            parts = {
                "decode": partial(decoded, network, images),
                "compute": partial(swept, network, ready, layers),
                "both": partial(swept, network, images, layers),
            }
            found = costs(parts)
            elapsed = {part: times for part, (times, _) in found.items()}
            work = {part: median(cpu) for part, (_, cpu) in found.items()}
            rounds = list(zip(elapsed["decode"], elapsed["compute"], elapsed["both"], strict=True))
            what = f"{name} {str(dtype).removeprefix('torch.')}"
            slower = median(both / max(decode, compute) for decode, compute, both in rounds)
            total = median(both / (decode + compute) for decode, compute, both in rounds)
            share = median(decode / (decode + compute) for decode, compute, _ in rounds)
            bar(f"{what}: both / the slower alone", slower, 1.15)
            print(f"    decoding is {share:.0%} of the sum of both; both / sum {total:.2f}", flush=True)
            added = work["both"] / (work["decode"] + work["compute"])
            idle = 1 - work["both"] / (median(elapsed["both"]) * n_cores())
            print(
                f"    processor time of both / sum {added:.2f}; share of the cores' time not used by it {idle:.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
