"""How much faster are integrated gradients and SmoothGrad than captum's, and on how much memory?  Interleaved; one 224 px image.

Float32, two threads, 50 steps and 25 samples. Captum is timed as it comes (all steps in one batch) and in batches of 8; the bar is
against the first, as that is what its users run, and the second is printed beside it. Memory is what a call needs beyond what the
process holds before it: its highest resident set, in a process of its own for each.

    python bench/gradients.py [--rounds N] [NETWORK ...]
"""

import argparse
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from captum.attr import NoiseTunnel, Saliency
from interleaved import bar, ratio, seconds

import convscope as cs
from convscope.instruments.attribution import IntegratedGradients, SmoothGrad
from convscope.network.torchvision_ops import import_torchvision

NETWORKS = ("resnet18", "squeezenet1_1", "vgg16")
FASTER, MEMORY = 1.8, 0.5
SIZE, TARGET, STEPS, SAMPLES, BATCH = 224, 7, 50, 25, 8
METHODS = ("IG", "SmoothGrad")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", help=argparse.SUPPRESS)  # one candidate, in a process of its own
    asked = parser.parse_args()
    torch.set_num_threads(2)
    warnings.simplefilter("ignore")
    if asked.memory:
        print(memory_mib(candidates(asked.networks[0])[asked.memory]))
        return
    for name in asked.networks:
        measure(name, asked.rounds)


def measure(name: str, n_rounds: int) -> None:
    runs = candidates(name)
    theirs, ours = runs["captum IG"]()[0], runs["ours IG"]()[0]
    apart = float((theirs - ours).abs().max() / theirs.abs().max())
    print(f"{name}: integrated gradients at most {apart:.1e} of the largest value away from captum's")
    for method in METHODS:
        own = {key: run for key, run in runs.items() if key.endswith(method)}
        times = seconds(own, n_rounds=n_rounds, warm_up=1)
        captum, mine, batched = f"captum {method}", f"ours {method}", f"captum by {BATCH} {method}"
        bar(f"{name}, {method}: time, captum / ours", ratio(times, captum, mine), FASTER, at_most=False)
        print(f"    captum in batches of {BATCH} / ours: {ratio(times, batched, mine):.2f}", end="; ")
        print(f"seconds: {min(times[captum]):.2f}, {min(times[batched]):.2f}, {min(times[mine]):.2f}")
        held = {key: _elsewhere(name, key) for key in own}
        bar(f"{name}, {method}: memory, ours / captum", held[mine] / held[captum], MEMORY)
        print(f"    MiB: {held[captum]:.0f}, in batches {held[batched]:.0f}, ours {held[mine]:.0f}")


def candidates(name: str) -> dict[str, Callable[[], torch.Tensor]]:
    """What is measured, by name; each returns values for the image."""
    torch.manual_seed(0)
    module = import_torchvision("torchvision.models").get_model(name, weights=None).eval()
    network, image = cs.load(module), torch.randn(1, 3, SIZE, SIZE)
    spread = float(0.15 * (image.max() - image.min()))
    steps = partial(CaptumIntegratedGradients(module).attribute, image, target=TARGET, n_steps=STEPS)
    noise = partial(NoiseTunnel(Saliency(module)).attribute, image, target=TARGET, nt_samples=SAMPLES, stdevs=spread)
    return {
        "captum IG": partial(steps, method="riemann_middle"),
        f"captum by {BATCH} IG": partial(steps, method="riemann_middle", internal_batch_size=BATCH),
        "ours IG": lambda: IntegratedGradients(n_steps=STEPS)(network, image, TARGET).values,
        "captum SmoothGrad": partial(noise, abs=False),
        f"captum by {BATCH} SmoothGrad": partial(noise, abs=False, nt_samples_batch_size=BATCH),
        "ours SmoothGrad": lambda: SmoothGrad(n_samples=SAMPLES)(network, image, TARGET).values,
    }


def memory_mib(run: Callable[[], object]) -> float:
    """How far the resident set rises above where it was, at most, during one call (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    before = _resident("VmRSS")
    run()
    return (_resident("VmHWM") - before) / 1024


def _resident(which: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which))


def _elsewhere(name: str, candidate: str) -> float:
    command = [sys.executable, __file__, name, "--memory", candidate]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
