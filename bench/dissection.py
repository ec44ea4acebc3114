"""What does it cost to hold all units of all convolutions against 60 concepts?  A dissection against the bare sweep.

500 decoded images in batches of 32, 60 concepts with masks (blobs, eight an image, overlapping), ResNet-18 and MobileNetV2. The
dissection is all of it: thresholds chosen from a few images, the sweep with the joint counts of true labels and two wrong dealings
(64 pixels an image), and the numbers read from them. Reading the masks is not in it: they belong to the images, not to the network.
The bar is about that: random directions in the units' place, more dealings, and read-outs of several units cost as much again.
Bars: at most 1.5 times the bare forward pass (the module as its owner would run it, as in sweep.py); and at least 4 times as fast
as the original two passes (quantiles of every unit, then every map scaled up to the masks, cut at its quantile, and counted), which
are timed on a few images and taken to grow with their number. Without a bar: the same against a sweep that watches nothing, where
norms are folded and activations fused, and against one that watches all convolutions and has no gauges.

`python bench/dissection.py [images] [network]`
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from interleaved import bar, ratio, seconds

import convscope as cs
from convscope.images import Batch, Picture
from convscope.images.concepts.concept import Concept, Masks
from convscope.instruments.concepts.collect import Collected, collect
from convscope.instruments.concepts.single_units import single_units
from convscope.network.torchvision_ops import import_torchvision
from convscope.sweep.engine import sweep

N_CONCEPTS, A_IMAGE, SIZE, BATCH = 60, 8, (224, 224), 32
N_ORIGINAL = 4  # images that the original procedure is timed on


class Decoded:
    """Images that are there already."""

    def __init__(self, inputs: torch.Tensor) -> None:
        self.inputs, self.ids = inputs, tuple(f"{i:06}" for i in range(len(inputs)))
        self.labels = np.full(len(inputs), -1)

    def __len__(self) -> int:
        return len(self.ids)

    def limited(self, n: int, seed: int) -> "Decoded":
        return Decoded(self.inputs[:n])

    def stream(self, prepare: Any, *, batch_size: int, workers: int | None = None, start: int = 0) -> Iterator[Batch]:
        labelling = not hasattr(prepare, "__self__")  # what collects labels, rather than a preprocessing
        for at in range(start, len(self), batch_size):
            stop = min(at + batch_size, len(self))
            if labelling:
                for i in range(at, stop):
                    prepare(Picture(self.ids[i], np.zeros((1, 1, 3), np.uint8)))
            labels = torch.full((stop - at,), -1)
            yield Batch(self.ids[at:stop], tuple(range(at, stop)), self.inputs[at:stop], labels, (), stop)


class Blobs:
    """Discs anywhere, of any size, that have nothing to do with the images."""

    concepts = tuple(Concept(f"blob {i}", "object") for i in range(N_CONCEPTS))
    per_pixel = True

    def masks(self, picture: Picture, preprocess: Any, inputs: Any) -> Masks:
        rng = np.random.default_rng(int(picture.id))
        y, x = np.mgrid[: SIZE[0], : SIZE[1]]
        values = np.zeros((N_CONCEPTS, *SIZE), bool)
        for concept in rng.choice(N_CONCEPTS, A_IMAGE, replace=False):
            values[concept] = np.hypot(y - rng.uniform(0, SIZE[0]), x - rng.uniform(0, SIZE[1])) < rng.uniform(8, 80)
        return Masks(values, np.ones(N_CONCEPTS, bool))

    def strays(self, ids: Any) -> tuple[()]:
        return ()


def bare(module: torch.nn.Module, inputs: torch.Tensor) -> None:
    with torch.inference_mode():
        for part in inputs.split(BATCH):
            module(part)


def dissection(network: cs.Network, images: Any, found: Collected) -> None:
    single_units(network, images, found, batch_size=BATCH)


def original(module: torch.nn.Module, inputs: torch.Tensor, masks: torch.Tensor) -> None:
    """Two passes: the .995 quantile of every unit, then intersections and unions at the size of the masks."""
    kept: dict[int, list[torch.Tensor]] = {}
    counts: dict[int, torch.Tensor] = {}
    image = 0

    def keep(part: torch.nn.Module, _: object, maps: torch.Tensor) -> None:
        kept.setdefault(id(part), []).append(maps.transpose(0, 1).flatten(1))

    def count(part: torch.nn.Module, _: object, maps: torch.Tensor) -> None:
        on = F.interpolate(maps, size=SIZE, mode="bilinear") > thresholds[id(part)][None, :, None, None]
        flat = on[0].flatten(1)
        total = counts.setdefault(id(part), torch.zeros(maps.shape[1], N_CONCEPTS))
        for concept in torch.nonzero(masks[image].any(1)).flatten():
            total[:, concept] += flat[:, masks[image, concept]].sum(1)

    parts = [part for part in module.modules() if isinstance(part, torch.nn.Conv2d)]
    for see in (keep, count):
        hooks = [part.register_forward_hook(see) for part in parts]
        with torch.inference_mode():
            for image in range(len(inputs)):
                module(inputs[image : image + 1])
        for hook in hooks:
            hook.remove()
        thresholds = {key: torch.cat(maps, 1).kthvalue(_place(maps), 1).values for key, maps in kept.items()}


def _place(maps: list[torch.Tensor]) -> int:
    return max(1, int(0.995 * sum(part.shape[1] for part in maps)))


def main(n_images: int = 500, names: tuple[str, ...] = ("resnet18", "mobilenet_v2")) -> None:
    torch.manual_seed(0)
    models = import_torchvision("torchvision.models")
    images: Any = Decoded(torch.randn(n_images, 3, *SIZE))
    for name in names:
        module = models.get_model(name, weights=None).eval()
        network = cs.load(module)
        start = time.perf_counter()
        found = collect(images, Blobs(), _Nothing(), size=SIZE, n_null=2)
        print(f"{name}: labels of {n_images} images taken in {time.perf_counter() - start:.1f} s", flush=True)
        layers = [layer.name for layer in network.layers.of_kind("conv")]
        candidates = {
            "bare": partial(bare, module, images.inputs),
            "sweep": partial(sweep, network, images, {}, batch_size=BATCH),
            "watching": partial(sweep, network, images, {layer: {} for layer in layers}, batch_size=BATCH),
            "dissection": partial(dissection, network, images, found),
        }
        times = seconds(candidates, n_rounds=3, warm_up=0 if n_images < 200 else 1)
        bar(f"{name}: dissection / bare pass", ratio(times, "dissection", "bare"), 1.5)
        beside = {which: ratio(times, "dissection", which) for which in ("sweep", "watching")}
        print(f"    of a sweep that watches nothing: {beside['sweep']:.2f}; all convolutions: {beside['watching']:.2f}")
        masks = torch.stack(
            [torch.from_numpy(Blobs().masks(_picture(i), None, None).values) for i in range(N_ORIGINAL)]
        )
        two = seconds(
            {"original": partial(original, module, images.inputs[:N_ORIGINAL], masks.flatten(2))}, n_rounds=1, warm_up=0
        )
        faster = min(two["original"]) / N_ORIGINAL * n_images / min(times["dissection"])
        bar(f"{name}: two passes of the original / dissection", faster, 4, at_most=False)


class _Nothing:
    """Prepares nothing: the images are ready."""

    def prepare_one(self, picture: Picture) -> torch.Tensor:
        return torch.zeros(3, 1, 1)


def _picture(i: int) -> Picture:
    return Picture(f"{i:06}", np.zeros((1, 1, 3), np.uint8))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500, *([(sys.argv[2],)] if len(sys.argv) > 2 else []))
