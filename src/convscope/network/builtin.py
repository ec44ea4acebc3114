"""Which network ships with convscope?  A small ConvNet of the plainest kind, trained on the built-in world."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from convscope.errors import WeightsError

WEIGHTS = Path(__file__).parent / "weights" / "world.safetensors"
SIZE_PX = (64, 64)  # y, x of the images it reads
WIDTHS = (16, 32, 64, 96)  # units of the four convolutions
N_HIDDEN = 96


class WorldNet(nn.Sequential):
    """Four blocks of convolution, ReLU and max-pooling, then two dense layers.

    Reads normalised RGB, batch 3 64 64 (see `world_inputs`); returns logits, batch class.
    """

    def __init__(self, n_classes: int = 10) -> None:
        super().__init__()
        n_before, side_px = 3, SIZE_PX[0]
        for index, n_units in enumerate(WIDTHS, start=1):
            side = 5 if index == 1 else 3
            self.add_module(f"conv{index}", nn.Conv2d(n_before, n_units, side, padding=side // 2))
            self.add_module(f"relu{index}", nn.ReLU())
            self.add_module(f"pool{index}", nn.MaxPool2d(2))
            n_before, side_px = n_units, side_px // 2
        self.add_module("flatten", nn.Flatten())
        self.add_module("fc1", nn.Linear(n_before * side_px * side_px, N_HIDDEN))
        self.add_module("relu5", nn.ReLU())
        self.add_module("fc2", nn.Linear(N_HIDDEN, n_classes))


def world_net() -> WorldNet:
    """The trained network, in evaluation mode, float32 on the CPU.

    Raises WeightsError when the weights that are shipped with the package are missing or not those of this network.
    """
    net = WorldNet(len(world_classes()))
    try:
        net.load_state_dict({name: values.float() for name, values in load_file(WEIGHTS).items()})
    except RuntimeError as error:
        raise WeightsError(f"{WEIGHTS} was read.", str(error), "Install convscope again.") from error
    return net.eval()


def world_classes() -> tuple[str, ...]:
    """The names of the classes, in the order of the logits."""
    return tuple(world_facts()["classes"])


@cache
def world_facts() -> dict[str, Any]:
    """What is stored with the weights.

    `classes`; `mean` and `std` per channel of pixels 0-1; `seed`, `n_scenes` and `n_epochs` of the training;
    `accuracy` with its 95 % `interval` on `n_fresh` scenes of `fresh_seed`; `version` of the world.
    """
    if not WEIGHTS.is_file():
        raise WeightsError("The built-in network was asked for.", f"{WEIGHTS} is missing.", "Install convscope again.")
    with safe_open(WEIGHTS, framework="pt") as stored:
        metadata = stored.metadata()
    return {name: json.loads(value) for name, value in metadata.items()}


def world_inputs(images: np.ndarray) -> torch.Tensor:
    """What the network reads, batch channel y x, from pictures of the built-in world, batch y x channel, uint8."""
    facts = world_facts()
    return normalized(images, facts["mean"], facts["std"])


def normalized(images: np.ndarray, mean: list[float], std: list[float]) -> torch.Tensor:
    """(pixels / 255 - mean) / std per channel: from batch y x channel, uint8, to batch channel y x, float32."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    scale = (1 / (255 * torch.tensor(std))).view(3, 1, 1)
    shift = (torch.tensor(mean) / torch.tensor(std)).view(3, 1, 1)
    return pixels * scale - shift
