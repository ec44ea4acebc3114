"""How did one layer answer a batch of images?  Its maps for the moment, and the reductions that several gauges share."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

N_SAMPLED = 8  # positions of each image whose values enter distributions and co-activation
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples fill an interval evenly


@dataclass(frozen=True, eq=False)
class Response:
    """One layer's answer to some images. The maps live only until the gauges have seen them."""

    layer: str
    maps: torch.Tensor  # batch unit y x, or batch unit
    keys: np.ndarray  # int64, the place of each image in the order of ids; unique in the collection

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def n_units(self) -> int:
        return self.maps.shape[1]

    @cached_property
    def size(self) -> tuple[int, int]:
        """(y, x) of the maps; (1, 1) for a vector."""
        return (int(self.maps.shape[2]), int(self.maps.shape[3])) if self.maps.dim() == 4 else (1, 1)

    @cached_property
    def peaks(self) -> np.ndarray:
        """Largest value of each unit in each image, float32 `batch unit`."""
        return _numpy(self.maps.amax((2, 3)) if self.maps.dim() == 4 else self.maps)

    @cached_property
    def means(self) -> np.ndarray:
        """Mean over positions, float64 `batch unit`."""
        found = self.maps.mean((2, 3), dtype=torch.float32) if self.maps.dim() == 4 else self.maps
        return _numpy(found).astype(np.float64)

    @cached_property
    def mean_squares(self) -> np.ndarray:
        """Mean of the squares over positions, float64 `batch unit`."""
        if self.maps.dim() != 4:
            return _numpy(self.maps).astype(np.float64) ** 2
        n = self.size[0] * self.size[1]
        if self.maps.is_contiguous():
            return (
                _numpy(torch.linalg.vector_norm(self.maps, dim=(2, 3), dtype=torch.float32)).astype(np.float64) ** 2 / n
            )
        return _numpy(self.maps.square().sum((2, 3), dtype=torch.float32)).astype(np.float64) / n

    @cached_property
    def sample(self) -> torch.Tensor:
        """Values of all units at the same few positions of each image, float32 `batch position unit`.

        Which positions follows from the image alone, so that any batch gives the same.
        """
        if self.maps.dim() != 4:
            return self.maps.float()[:, None, :]
        n = self.size[0] * self.size[1]
        flat = self.maps.flatten(2)
        if n <= N_SAMPLED:
            return flat.transpose(1, 2).float()
        positions = torch.from_numpy(sampled_positions(self.keys, n))
        images = torch.arange(len(self))[:, None]
        return flat[images.to(flat.device), :, positions.to(flat.device)].float()

    def first_peak(self, images: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(y, x) of the largest value of these units in these images; of the first one in reading order, if there are several."""
        if self.maps.dim() != 4:
            return np.zeros(len(images), np.int64), np.zeros(len(images), np.int64)
        chosen = self.maps[torch.from_numpy(images), torch.from_numpy(units)].reshape(len(images), -1)
        top = chosen.amax(1, keepdim=True)
        flat = (chosen == top).int().argmax(1).cpu().numpy()
        return flat // self.size[1], flat % self.size[1]

    def only(self, kept: np.ndarray) -> "Response":
        """The answer to some of the images (a truth value for each)."""
        return Response(self.layer, self.maps[torch.from_numpy(kept)], self.keys[kept])


def sampled_positions(keys: np.ndarray, n: int) -> np.ndarray:
    """Which of n positions are looked at in each image: evenly spread, with an offset that follows from the image. int64."""
    with np.errstate(over="ignore"):
        offset = (keys.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
    share = offset.astype(np.float64) / 2.0**64
    places = (np.arange(N_SAMPLED)[None, :] + share[:, None]) / N_SAMPLED
    return np.minimum((places * n).astype(np.int64), n - 1)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
