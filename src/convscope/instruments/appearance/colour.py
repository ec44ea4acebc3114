"""How do weights, signals and images become colours?  Zero is mid-grey; what is above it is lighter, what is below it darker.

Weights and signals live in the network's normalised input, so they are drawn in its units: grey + 127.5 value / top, channel by
channel, red, green and blue as the network orders them. A network that does not take colours is drawn as told by `Channels`.
"""

from dataclasses import dataclass

import numpy as np
import torch

from convscope.images import Preprocess


@dataclass(frozen=True)
class Channels:
    """Which input channels stand for red, green and blue, and what must be said of it."""

    shown: tuple[int, int, int]
    note: str = ""


def channels_of(preprocess: Preprocess) -> Channels:
    """The channels of a network's input that can be seen: one channel is grey, of more than three the first three are shown."""
    n = preprocess.n_channels
    if preprocess.channels == "BGR":
        return Channels((2, 1, 0))
    if n == 1:
        return Channels((0, 0, 0))
    if n == 2:
        return Channels((0, 0, 0), "Of 2 input channels the first is shown, in grey; numbers count both.")
    if n > 3:
        return Channels(
            (0, 1, 2), f"Of {n} input channels the first three are shown, as red, green and blue; numbers count all."
        )
    return Channels((0, 1, 2))


def signed_rgb(values: np.ndarray, preprocess: Preprocess, top: float | None = None) -> np.ndarray:
    """uint8 `... y x 3` of signed values `... channel y x`, symmetric about zero; `top` is full colour (default: the largest
    size).

    Values that are all zero are mid-grey.
    """
    top = float(np.abs(values).max(initial=0.0)) if top is None else top
    chosen = np.moveaxis(values[..., list(channels_of(preprocess).shown), :, :], -3, -1)
    share = np.clip(chosen / top, -1, 1) if top > 0 else np.zeros_like(chosen)
    return np.rint(127.5 + 127.5 * share).astype(np.uint8)


def image_rgb(inputs: torch.Tensor, preprocess: Preprocess) -> np.ndarray:
    """The uint8 image `y x 3` that one normalised input (`1 channel y x` or `channel y x`) shows."""
    pixels = preprocess.pixels(inputs if inputs.dim() == 4 else inputs[None])[0]
    order = (0, 1, 2) if preprocess.channels == "BGR" else channels_of(preprocess).shown  # pixels are RGB already
    return np.ascontiguousarray(pixels[..., list(order)])
