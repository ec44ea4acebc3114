"""How was the built-in network made?  Draws scenes of the built-in world, trains on them, tests on fresh ones, saves.

    OMP_WAIT_POLICY=PASSIVE python tools/train_world.py --out src/convscope/network/weights/world.safetensors

The network is trained with batch normalisation behind each convolution, which is folded into the weights at the end.
"""

import json
import sys
import time
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from convscope.images.world import World
from convscope.network.builtin import SIZE_PX, WorldNet, normalized

VERSION = 1  # of the world: raise it when scenes of a seed change
N_BLOCK = 2000  # scenes drawn between two lines of progress


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where the weights go.")
@click.option("--seed", default=0, show_default=True, help="Of the scenes, the first weights and the order.")
@click.option("--n-scenes", default=40_000, show_default=True, help="Scenes to train on.")
@click.option("--n-epochs", default=7, show_default=True, help="Times each scene is seen.")
@click.option("--n-fresh", default=10_000, show_default=True, help="Scenes of another seed to test on.")
@click.option("--rate", default=4e-3, show_default=True, help="Highest learning rate.")
@click.option("--n-threads", default=2, show_default=True)
def main(out: Path, seed: int, n_scenes: int, n_epochs: int, n_fresh: int, rate: float, n_threads: int) -> None:
    """Train the built-in network and save its weights."""
    torch.set_num_threads(n_threads)
    torch.manual_seed(seed)
    world = World(size=SIZE_PX)
    images, labels = drawn(world, n_scenes, seed)
    sample = images[:: max(1, n_scenes // 2000)] / 255
    mean, std = sample.mean(axis=(0, 1, 2)).round(4).tolist(), sample.std(axis=(0, 1, 2)).round(4).tolist()
    net = train(images, labels, (mean, std), n_epochs=n_epochs, rate=rate, n_classes=len(world.classes))
    fresh_seed = seed + 1_000_003
    n_right = count_right(net, *drawn(world, n_fresh, fresh_seed), (mean, std))
    accuracy, interval = n_right / n_fresh, wilson(n_right, n_fresh)
    click.echo(f"accuracy {accuracy:.4f} [{interval[0]:.4f}, {interval[1]:.4f}] on {n_fresh} fresh scenes")
    facts = {
        "classes": world.classes,
        "mean": mean,
        "std": std,
        "seed": seed,
        "n_scenes": n_scenes,
        "n_epochs": n_epochs,
        "fresh_seed": fresh_seed,
        "n_fresh": n_fresh,
        "accuracy": accuracy,
        "interval": interval,
        "version": VERSION,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: values.contiguous() for name, values in net.state_dict().items()}
    save_file(weights, out, {name: json.dumps(value) for name, value in facts.items()})
    out.chmod(0o644)  # safetensors keeps its files to their owner
    click.echo(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


def drawn(world: World, n_scenes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures, batch y x channel, and labels."""
    images, labels = np.empty((n_scenes, *world.size, 3), np.uint8), np.empty(n_scenes, np.int64)
    began = time.monotonic()
    for start in range(0, n_scenes, N_BLOCK):
        rows = slice(start, min(start + N_BLOCK, n_scenes))
        scenes = world.scenes(rows.stop - start, seed=seed, start=start)
        images[rows], labels[rows] = scenes.images, scenes.labels
        progress("drawing scenes", rows.stop, n_scenes, began)
    return images, labels


def train(
    images: np.ndarray,
    labels: np.ndarray,
    scaling: tuple[list[float], list[float]],
    *,
    n_epochs: int,
    rate: float,
    n_classes: int,
    n_batch: int = 128,
) -> WorldNet:
    """A network after one cycle of AdamW, its normalisation folded in; evaluation mode."""
    learner = with_normalization(WorldNet(n_classes)).to(memory_format=torch.channels_last)
    n_steps = n_epochs * (len(images) // n_batch)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, n_steps, pct_start=0.2)
    error = nn.CrossEntropyLoss(label_smoothing=0.02)
    order = np.concatenate(
        [torch.randperm(len(images)).numpy()[: n_steps // n_epochs * n_batch] for _ in range(n_epochs)]
    )
    n_right, began = 0.0, time.monotonic()
    for step, rows in enumerate(np.split(order, n_steps), start=1):
        targets = torch.from_numpy(labels[rows])
        logits = learner(normalized(images[rows], *scaling).contiguous(memory_format=torch.channels_last))
        loss = error(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        n_right += (logits.argmax(1) == targets).float().sum().item()
        if step % 100 == 0:
            note = f"loss {loss.item():.3f}, right {n_right / 100 / n_batch:.3f}"
            progress("training", step * n_batch, n_steps * n_batch, began, note)
            n_right = 0.0
    return folded(learner.eval())


def with_normalization(net: WorldNet) -> nn.Sequential:
    """The network with batch normalisation behind each convolution, and dropout before the last layer."""
    learner = nn.Sequential()
    for name, layer in net.named_children():
        if name == "fc2":
            learner.add_module("dropout", nn.Dropout(0.2))
        learner.add_module(name, layer)
        if isinstance(layer, nn.Conv2d):
            learner.add_module(f"norm_{name}", nn.BatchNorm2d(layer.out_channels))
    return learner


def folded(learner: nn.Sequential) -> WorldNet:
    """The same function as a plain network."""
    layers = dict(learner.named_children())
    net = WorldNet(layers["fc2"].out_features)
    for name, layer in net.named_children():
        source = layers[name]
        if isinstance(layer, nn.Conv2d):
            source = fuse_conv_bn_eval(source, layers[f"norm_{name}"])
        layer.load_state_dict(source.state_dict())
    return net.eval()


@torch.inference_mode()
def count_right(net: WorldNet, images: np.ndarray, labels: np.ndarray, scaling: tuple[list[float], list[float]]) -> int:
    """How many labels the network gets right."""
    answers = [net(normalized(images[k : k + 500], *scaling)).argmax(1) for k in range(0, len(images), 500)]
    return int((torch.cat(answers).numpy() == labels).sum())


def wilson(n_right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share, Wilson 1927."""
    share = n_right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)
    return middle - half, middle + half


def progress(what: str, done: int, total: int, began: float, note: str = "") -> None:
    """One line on stderr: how far, how fast, how long to go."""
    rate = done / max(time.monotonic() - began, 1e-9)
    line = f"{what}: {done}/{total}, {rate:.0f}/s, {(total - done) / rate:.0f} s left  {note}"
    print(line.rstrip(), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
