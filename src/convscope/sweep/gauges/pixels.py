"""What do the units of a layer say at a pixel of the image?  Maps read by bilinear interpolation at evenly spread pixels.

Network Dissection (Bau et al. 2017, arXiv:1704.05796, section 2.2) scales each map up to the size of the masks, bilinearly,
anchored at the centres of the neurons' receptive fields, and then counts pixels. The same is done here, but only at the pixels that
are counted: an even lattice, shifted by an amount that follows from the image, so every pixel is as likely as any other. With as
many as there are pixels it is the original procedure; with fewer an unbiased sample of it. (Pooling the masks to the size of the
map instead would cost less in deep layers, but moves the borders of small things by up to half a neuron.)
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
import torch.nn.functional as F

from convscope.walks.receptive_field import ReceptiveField

_RATIOS = (
    0.7548776662466927,
    0.5698402909980532,
)  # 1/p and 1/p^2 of the plastic number: multiples fill a square evenly


@dataclass(frozen=True)
class Pixels:
    """A lattice of about `n` pixels in each image of a size (y, x); all of them, if n is that many."""

    size: tuple[int, int]
    n: int = 64

    @property
    def shape(self) -> tuple[int, int]:
        """(y, x): rows and columns of the lattice."""
        height, width = self.size
        if self.n >= height * width:
            return self.size
        rows = min(height, max(1, round((self.n * height / width) ** 0.5)))
        return rows, min(width, max(1, ceil(self.n / rows)))

    def places(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows `image y` and columns `image x` of the lattice in these images, int64; ascending."""
        shares = ((keys.astype(np.float64)[:, None] + 0.5) * np.array(_RATIOS)) % 1.0
        steps = (np.arange(number)[None, :] for number in self.shape)
        scales = (size / number for size, number in zip(self.size, self.shape, strict=True))
        rows, columns = (
            np.minimum(((step + share[:, None]) * scale).astype(np.int64), size - 1)
            for step, share, scale, size in zip(steps, shares.T, scales, self.size, strict=True)
        )
        return rows, columns


@dataclass(frozen=True)
class Anchor:
    """Where the neurons of a layer stand in the image, along y and x; pixel centres at half integers."""

    first_px: tuple[float, float]  # centre of what the first neuron sees
    step_px: tuple[float, float]

    def places(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same pixels counted in neurons, float64; whole numbers where a neuron stands."""
        return tuple(
            (pixel + 0.5 - first) / step
            for pixel, first, step in zip((rows, columns), self.first_px, self.step_px, strict=True)
        )  # type: ignore[return-value]


def anchor_of(field: ReceptiveField | None, map_shape: tuple[int, int], size: tuple[int, int]) -> Anchor:
    """Where a layer's neurons stand, for images of a size: at the centres of what they see.

    Where these are not known, or every neuron sees the whole image, the maps are stretched over the image.
    """
    strides = (0.0, 0.0) if field is None or field.is_global else field.stride_px
    if field is not None and min(strides) > 0:
        return Anchor(field.offset_px, field.stride_px)
    return stretched(map_shape, size)


def stretched(map_shape: tuple[int, int], size: tuple[int, int]) -> Anchor:
    """Maps that cover the image, edge to edge, as most later implementations have it."""
    steps = (size[0] / map_shape[0], size[1] / map_shape[1])
    return Anchor((steps[0] / 2, steps[1] / 2), steps)


def values_at(maps: torch.Tensor, rows: np.ndarray, columns: np.ndarray, anchor: Anchor) -> torch.Tensor:
    """What maps `image unit y x` say at the lattice of these rows `image y` and columns `image x`: float32 `image unit pixel`.

    Between neurons linear, beyond the outermost ones constant.
    """
    places = anchor.places(rows, columns)
    y, x = ((2 * place + 1) / n - 1 for place, n in zip(places, maps.shape[2:], strict=True))
    grid = np.empty((len(y), y.shape[1], x.shape[1], 2), np.float32)
    grid[..., 0], grid[..., 1] = x[:, None, :], y[:, :, None]
    at = torch.from_numpy(grid).to(maps.device)
    found = F.grid_sample(maps.float(), at, mode="bilinear", padding_mode="border", align_corners=False)
    return found.flatten(2)


def neurons_at(maps: torch.Tensor, rows: np.ndarray, columns: np.ndarray) -> torch.Tensor:
    """What neurons of maps `image unit y x` in these rows `image y` and columns `image x` say: float32 `image unit neuron`."""
    image, row, column = (
        torch.from_numpy(part).to(maps.device)
        for part in (np.arange(len(rows))[:, None, None], rows[:, :, None], columns[:, None, :])
    )
    return maps[image, :, row, column].flatten(1, 2).transpose(1, 2).float()
