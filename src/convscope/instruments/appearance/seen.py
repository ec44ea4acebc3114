"""Which pixels of an image can a neuron see?  Its receptive field, position by position, cut at the image's border."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from convscope.graph.graph import INPUT
from convscope.network import Network
from convscope.network.layers import Layers


@dataclass(frozen=True)
class Region:
    """A rectangle of an image, and where in the image the middle of the neuron's field lies."""

    rows: slice
    columns: slice
    middle: tuple[
        float, float
    ]  # (y, x) in px of the image, pixel centres at half integers; may lie beyond the rectangle
    is_whole: bool = False  # the whole image, because some operation mixes all positions, or for want of a rule
    note: str = ""

    @property
    def slices(self) -> tuple[slice, slice]:
        return self.rows, self.columns

    @property
    def size(self) -> tuple[int, int]:
        """(y, x) in px."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def n_px(self) -> int:
        return self.size[0] * self.size[1]

    def nearest(self, n: int) -> np.ndarray:
        """The n pixels nearest to the middle, truth values `y x` of the rectangle: a disc."""
        y = np.arange(self.rows.start, self.rows.stop)[:, None] + 0.5 - self.middle[0]
        x = np.arange(self.columns.start, self.columns.stop)[None, :] + 0.5 - self.middle[1]
        found = np.zeros(self.n_px, bool)
        found[np.argsort((y * y + x * x).ravel(), kind="stable")[:n]] = True
        return found.reshape(self.size)


@dataclass(frozen=True, eq=False)
class Seen:
    """The fields of a network's neurons in images of one size. `inputs` are images of that size."""

    network: Network
    inputs: torch.Tensor

    @property
    def size(self) -> tuple[int, int]:
        return int(self.inputs.shape[2]), int(self.inputs.shape[3])

    @cached_property
    def layers(self) -> Layers:
        """The table of layers at this size."""
        return self.network.layers if self.size == self.network.input_shape[1:] else self.network.at(*self.size).layers

    def from_neuron(self, layer: str, position: tuple[int, int] | None) -> Region:
        """What a neuron sees; of a layer without positions (None), all its units see the same."""
        whole = slice(0, self.size[0]), slice(0, self.size[1])
        middle = self.size[0] / 2, self.size[1] / 2
        step = self.network.resolve(layer)
        field = None if step == INPUT else self.layers[step].receptive_field
        if field is None:
            note = f"What a neuron of '{layer}' sees is not known (an operation below it has no rule): the whole image is shown."
            return Region(*whole, middle, is_whole=True, note=note)
        y, x = position or (0, 0)
        rows, columns = field.region(y, x)
        if field.is_global:
            return Region(rows, columns, middle, is_whole=True)
        centres = (axis.center_px + at * axis.stride_px for axis, at in ((field.y, y), (field.x, x)))
        return Region(rows, columns, (next(centres), next(centres)))
