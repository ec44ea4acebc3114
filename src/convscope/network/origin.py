"""What does a source say of a network?  The record every source returns, and the one it is asked with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.export import ExportedProgram

from convscope.images import Classes, Preprocess
from convscope.network.spec import Spec

FROM_HUB = "hub"  # given as weights: download what the source publishes


@dataclass(frozen=True)
class Request:
    """What is asked of a source."""

    spec: Spec
    weights: str | Path | None = None  # a file, "hub", or None
    partial: bool = False  # load what fits of weights that do not fit


@dataclass(frozen=True)
class Origin:
    """A model as its source gives it, with what the source knows of it."""

    model: nn.Module | ExportedProgram
    weights: str  # where they come from, in words: "random", "squeezenet.safetensors", "timm/resnet18.a1_in1k"
    preprocess: Preprocess | None = None
    classes: Classes | None = None
    input_shape: tuple[int, int, int] | None = None  # channel y x
    notes: tuple[str, ...] = ()  # what the user should know


Source = Callable[[Request], Origin]


def describe_weights(weights: Any) -> str:
    """Weights in words."""
    return "random" if weights is None else Path(weights).name
