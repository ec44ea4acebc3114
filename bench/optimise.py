"""How many steps a second does an optimised image take, against the loop of torch-lucent?  Interleaved, one process.

The loop is lucent's default, written out (optvis/render.py of torch-lucent 0.1.8, 224 px, Fourier, decorrelated colours, its five
standard transforms, Adam; a neuron of one unit in the middle of the map): the whole network runs, and gradients of all weights are
made, as they are there. With `--lucent` torch-lucent itself is timed too, on its default canvas (128 px, shown at 224): it, kornia
and what they import must be on PYTHONPATH (`pip install --no-deps --target FOLDER`), not in this project's environment.

    python bench/optimise.py [--rounds N] [--threads N] [--lucent] [NETWORK ...]
"""

import argparse
import os
import warnings
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from interleaved import bar, ratio, seconds
from torch import nn
from torch.nn import functional as F

import convscope as cs
from convscope.instruments.appearance import Optimise
from convscope.instruments.appearance.natural import IMAGENET_COLORS
from convscope.network.torchvision_ops import import_torchvision

# Layers over the depth: of the first half up to its end, then the last. Batches count for the first three.
LAYERS = {
    "squeezenet1_1": (
        ("features.1", "features.4.squeeze", "features.6.squeeze_activation", "features.7"),
        "classifier.1",
    ),
    "resnet18": (("relu", "layer1.1.relu", "layer2.0.relu", "layer2.1"), "layer4.1"),
}
SIZE, N_UNITS = 224, 16
N_LOOP, N_STEPS, N_STEPS_EARLY = 4, 32, 128  # steps in a round, the last where ours are short; a picture takes 256
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EARLY, LAST, BATCH = 8.0, 1.0, 2.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", default=list(LAYERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lucent", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    warnings.simplefilter("ignore")
    for name in asked.networks:
        measure(name, asked.rounds, with_lucent=asked.lucent)


def measure(name: str, n_rounds: int, *, with_lucent: bool) -> None:
    torch.manual_seed(0)
    module = import_torchvision("torchvision.models").get_model(name, weights=None).eval()
    network = cs.load(module, size=(SIZE, SIZE))
    half = network.to(dtype=torch.bfloat16)
    early, last = LAYERS[name]
    for layer in (*early, last):
        n_steps = N_STEPS if layer == last else N_STEPS_EARLY
        own = Steps(network, [f"{layer}:{unit}" for unit in range(N_UNITS)], n_steps)
        runs: dict[str, Callable[[], object]] = {
            "loop": lambda layer=layer: loop(module, layer),
            "ours": lambda own=own: own(1),
        }
        if layer == early[-1]:
            in_half = Steps(half, own.units, n_steps)
            runs["bfloat16"] = lambda in_half=in_half: in_half(1)
        if with_lucent:
            runs["lucent"] = lambda layer=layer: lucent(module, layer)
        if layer in early[:3]:
            runs["batch"] = lambda own=own: own(N_UNITS)
        times = seconds(runs, n_rounds=n_rounds, warm_up=1)
        counts = {"loop": N_LOOP, "lucent": N_LOOP, "ours": n_steps, "bfloat16": n_steps, "batch": n_steps}
        times = {key: [one / counts[key] for one in found] for key, found in times.items()}
        each = {key: f"{1000 * min(found):.1f}" for key, found in times.items()}
        limit = LAST if layer == last else EARLY
        bar(f"{name} {layer}: steps/s, ours / lucent's loop", ratio(times, "loop", "ours"), limit, at_most=False)
        if "bfloat16" in runs:
            bar(
                f"{name} {layer}: ours in bfloat16 / lucent's loop",
                ratio(times, "loop", "bfloat16"),
                limit,
                at_most=False,
            )
        if with_lucent:
            bar(f"{name} {layer}: ours / lucent itself", ratio(times, "lucent", "ours"), limit, at_most=False)
        if "batch" in runs:
            gained = N_UNITS * ratio(times, "ours", "batch")
            bar(f"{name} {layer}: {N_UNITS} units at once / one by one", gained, BATCH, at_most=False)
        print(f"    canvas {own.size}; ms a step: {each}")


class Steps:
    """Our steps, with what is done once for a layer."""

    def __init__(self, network: cs.Network, units: list[str], n_steps: int) -> None:
        self.method, self.network, self.units = Optimise(n_steps=n_steps, n_restarts=1), network, units
        self.size = self.method(network, units[0])[0].canvas.size

    def __call__(self, n_units: int) -> object:
        return self.method(self.network, self.units[:n_units])


def loop(module: nn.Module, layer: str) -> None:
    """N_LOOP steps of lucent's default, written out."""
    generator = np.random.default_rng(0)
    found: list[torch.Tensor] = []
    handle = module.get_submodule(layer).register_forward_hook(lambda part, args, value: found.append(value))
    frequencies = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None])
    scale = torch.tensor(1 / np.maximum(frequencies, 1 / SIZE), dtype=torch.float32)[None, None, ..., None]
    colors = torch.tensor(IMAGENET_COLORS)
    colors = colors / colors.norm(dim=0).max()
    spectrum = (0.01 * torch.randn(1, 3, *frequencies.shape, 2)).requires_grad_()
    optimizer = torch.optim.Adam([spectrum], lr=0.05)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    for _ in range(N_LOOP):
        optimizer.zero_grad()
        module.zero_grad()
        image = torch.fft.irfftn(torch.view_as_complex(scale * spectrum), s=(SIZE, SIZE), norm="ortho") / 4
        image = torch.sigmoid((image.permute(0, 2, 3, 1) @ colors.T).permute(0, 3, 1, 2))
        found.clear()
        module((accidents(image, generator) - mean) / std)
        y, x = (n // 2 for n in found[0].shape[2:])
        (-found[0][:, 0, y, x].mean()).backward()
        optimizer.step()
    handle.remove()


def accidents(image: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    """Lucent's standard transforms: pad, jitter 8, scale, rotate, jitter 4. It moves and turns by grids, as kornia does."""
    image = F.pad(image, [12] * 4, value=0.5)
    image = moved(image, *generator.choice(8, 2), 0)
    scale = generator.choice([1 + (i - 5) / 50 for i in range(11)])
    size = [int(np.ceil(scale * n)) for n in image.shape[2:]]
    pad = [max(0, int(np.ceil((n - m) / 2))) for n, m in zip(image.shape[2:], size, strict=True)]
    image = F.pad(F.interpolate(image, size=size, mode="bilinear", align_corners=True), [pad[0], pad[1]] * 2)
    image = moved(image, 0, 0, generator.choice([*range(-10, 11), *[0] * 5]))
    return moved(image, *generator.choice(4, 2), 0)


def moved(image: torch.Tensor, down: int, right: int, degrees: float) -> torch.Tensor:
    angle = np.pi / 180 * degrees
    height, width = image.shape[2:]
    theta = torch.tensor(
        [
            [np.cos(angle), -np.sin(angle), -2 * right / width],
            [np.sin(angle), np.cos(angle), -2 * down / height],
        ],
        dtype=torch.float32,
    )
    grid = F.affine_grid(theta[None], list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, align_corners=False)


def lucent(module: nn.Module, layer: str) -> None:
    """N_LOOP steps of torch-lucent itself."""
    import kornia
    import kornia.geometry
    from lucent.optvis import objectives, render

    for name in ("get_rotation_matrix2d", "warp_affine"):  # where lucent looks for them; kornia has moved them
        setattr(kornia, name, getattr(kornia.geometry, name))
    neuron = objectives.neuron(layer.replace(".", "_"), 0)
    render.render_vis(module, neuron, thresholds=(N_LOOP,), progress=False, show_image=False)
    for part in module.modules():  # it leaves its own there, more of them each time
        part._forward_hooks.clear()


if __name__ == "__main__":
    main()
