"""What do the statistics need of a layer's maps?  Peak, sum and sum of squares of each unit in each image, while they are in cache.

The maps of one layer can be larger than the network's weights, and reading them from memory costs more than the arithmetic.
So they come a few images at a time (see `images_at_once`), and are reduced in blocks that fit a processor's cache. Maps in
channels_last are folded over whole rows first: torch adds and compares long rows quickly, and few units slowly.
All sums are taken in float32, over lines and then over the lines' results, so that rounding stays below 1e-6.
"""

from dataclasses import dataclass

import torch

from convscope.network import Network

BLOCK = 1 << 20  # values that are reduced together
LARGEST_MAPS = 20 << 20  # bytes of the largest maps of the images that are computed together
FEWEST_AT_ONCE = 4  # images; dense layers read their weights anew each time
LONG = 4096  # positions beyond which squares are added line by line


@dataclass(frozen=True)
class Reduced:
    """One row for each image, one column for each unit, float32."""

    peaks: torch.Tensor
    sums: torch.Tensor
    squares: torch.Tensor  # sums of squares
    columns: torch.Tensor | None = None  # `batch x unit`: the peak of each column of a map; where it costs nothing


def reduced(maps: torch.Tensor) -> Reduced:
    """The reductions of maps `batch unit y x`, or `batch unit`, of any precision and memory format."""
    if maps.dim() == 2:
        values = maps.float().clone()  # the maps' own memory may be used again
        return Reduced(values, values, values.square())
    n_images = max(1, BLOCK // max(1, maps[0].numel())) if len(maps) else 1
    last = not maps.is_contiguous() and maps.is_contiguous(memory_format=torch.channels_last)
    parts = [_rows_first(part) if last else _lines(part) for part in maps.split(n_images)]
    return parts[0] if len(parts) == 1 else _joined(parts)


def _lines(maps: torch.Tensor) -> Reduced:
    values = maps.float()
    if values.shape[2] * values.shape[3] <= LONG:
        norms = torch.linalg.vector_norm(values, dim=(2, 3))
        squares = norms.square()
    else:
        squares = torch.linalg.vector_norm(values, dim=3).square().sum(2)
    return Reduced(values.amax((2, 3)), values.sum((2, 3)), squares)


def _rows_first(maps: torch.Tensor) -> Reduced:
    n, n_units, height, width = maps.shape
    values = maps.permute(0, 2, 3, 1).float().reshape(n, height, width * n_units)
    columns = values.amax(1).reshape(n, width, n_units)
    sums = values.sum(1).reshape(n, width, n_units).sum(1)
    squares = (values * values).sum(1).reshape(n, width, n_units).sum(1)
    return Reduced(columns.amax(1), sums, squares, columns)


def _joined(parts: list[Reduced]) -> Reduced:
    columns = [part.columns for part in parts if part.columns is not None]
    return Reduced(
        torch.cat([part.peaks for part in parts]),
        torch.cat([part.sums for part in parts]),
        torch.cat([part.squares for part in parts]),
        torch.cat(columns) if columns else None,
    )


def images_at_once(network: Network, batch_size: int, n_threads: int = 1) -> int:
    """How many images of a batch a thread should compute together: on a CPU, so few that the largest maps stay in cache.

    That also spares the allocator from fetching fresh memory for every layer, and makes the pass itself faster.
    """
    if network.device.type != "cpu":
        return batch_size
    largest = max((_n_values(step.shape) for step in network.graph), default=1)
    few = max(FEWEST_AT_ONCE, LARGEST_MAPS // (max(largest, 1) * network.dtype.itemsize))
    return min(-(-batch_size // n_threads), 1 << (few.bit_length() - 1))


def _n_values(shape: tuple[int | None, ...] | None) -> int:
    """How many values of one image such a step has."""
    return torch.Size([size for size in shape[1:] if size is not None]).numel() if shape else 0
