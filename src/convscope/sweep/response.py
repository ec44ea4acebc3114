"""How did one layer answer a batch of images?  Its maps for the moment, and the reductions that several gauges share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch

from convscope.sweep.reduce import Reduced, reduced

N_SAMPLED = 8  # positions of each image whose values enter distributions and co-activation
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples fill an interval evenly


@dataclass(frozen=True, eq=False)
class Response:
    """One layer's answer to some images. The maps live only until the gauges that read maps have seen them."""

    layer: str
    maps: torch.Tensor  # batch unit y x, or batch unit
    keys: np.ndarray  # int64, the place of each image in the order of ids; unique in the collection
    # int64 batch unit, if the maps are gone: where the first peak is in reading order, and how many neurons reach it
    places: np.ndarray | None = None
    extents: np.ndarray | None = None

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
        return self._reduced.peaks.cpu().numpy()

    @cached_property
    def means(self) -> np.ndarray:
        """Mean over positions, float64 `batch unit`."""
        return self._reduced.sums.cpu().numpy().astype(np.float64) / (self.size[0] * self.size[1])

    @cached_property
    def mean_squares(self) -> np.ndarray:
        """Mean of the squares over positions, float64 `batch unit`."""
        return self._reduced.squares.cpu().numpy().astype(np.float64) / (self.size[0] * self.size[1])

    @cached_property
    def sample(self) -> torch.Tensor:
        """Values of all units at the same few positions of each image, float32 `batch position unit`.

        Which positions follows from the image alone, so that any batch gives the same.
        """
        if self.maps.dim() != 4:
            return self._reduced.peaks[:, None, :]
        n = self.size[0] * self.size[1]
        if n <= N_SAMPLED:
            return self.maps.flatten(2).transpose(1, 2).float()
        positions = torch.from_numpy(_positions(self.keys.tobytes(), n)).to(self.maps.device)
        images = torch.arange(len(self), device=self.maps.device)[:, None]
        return self.maps.flatten(2)[images, :, positions].float()

    @cached_property
    def finite(self) -> np.ndarray:
        """In which images every value is finite, truth values."""
        sums = self._reduced.sums
        if bool(sums.sum().isfinite()):  # then all are, and one question is enough
            return np.ones(len(self), bool)
        return sums.isfinite().all(1).cpu().numpy()

    @property
    def finite_alone(self) -> np.ndarray:
        """The same, quicker where nobody needs the reductions."""
        if "_reduced" not in self.__dict__ and bool(self.maps.sum(dtype=torch.float32).isfinite()):
            return np.ones(len(self), bool)
        return self.finite

    def first_peak(self, images: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(y, x) of the largest value of these units in these images; of the first one in reading order, if there are several."""
        if self.places is not None:
            flat = self.places[images, units]
            return flat // self.size[1], flat % self.size[1]
        if self.maps.dim() != 4:
            return np.zeros(len(images), np.int64), np.zeros(len(images), np.int64)
        image, unit = torch.from_numpy(images), torch.from_numpy(units)
        if self._reduced.columns is None:
            return _first(self.maps, image, unit)
        top = self._reduced.peaks[image, unit][:, None]
        holds = self._reduced.columns[image, :, unit] == top
        x = holds.int().argmax(1)
        y = (self.maps[image, unit, :, x] == top).int().argmax(1)
        several = torch.nonzero(holds.sum(1) != 1).flatten()  # only then can an earlier row hold it too
        found = y.cpu().numpy(), x.cpu().numpy()
        if len(several):
            for place, exact in zip(found, _first(self.maps, image[several], unit[several]), strict=True):
                place[several.cpu().numpy()] = exact
        return found

    def extent(self, images: np.ndarray, units: np.ndarray) -> np.ndarray:
        """How many neurons of these units reach their peak in these images, int64: many, where an activation saturates."""
        if self.extents is not None:
            return self.extents[images, units]
        if self.maps.dim() != 4:
            return np.ones(len(images), np.int64)
        chosen = self.maps[torch.from_numpy(images), torch.from_numpy(units)].flatten(1)
        return (chosen == chosen.amax(1, keepdim=True)).sum(1).cpu().numpy()

    def only(self, kept: np.ndarray) -> "Response":
        """The answer to some of the images (a truth value for each)."""
        return Response(self.layer, self.maps[torch.from_numpy(kept)], self.keys[kept])

    def without_maps(self, looked_at: np.ndarray, *, extents: bool = False) -> "Response":
        """The same, reduced: what is left may be kept when the memory of the maps is used again.

        `looked_at` (truth values, `batch unit`) says which peaks somebody may ask the place of, and their `extents`.
        """
        places, reached = np.zeros(looked_at.shape, np.int64), np.zeros(looked_at.shape, np.int64)
        if looked_at.any():
            images, units = np.nonzero(looked_at)
            y, x = self.first_peak(images, units)
            places[images, units] = y * self.size[1] + x
            if extents:
                reached[images, units] = self.extent(images, units)
        empty = Response(self.layer, self.maps.new_empty((0, *self.maps.shape[1:])), self.keys, places, reached)
        return _filled(empty, self._reduced, self.sample)

    @cached_property
    def _reduced(self) -> Reduced:
        return reduced(self.maps)


def joined(parts: Sequence[Response]) -> Response:
    """One layer's answers to several sets of images as one; all of them without maps."""
    if len(parts) == 1:
        return parts[0]
    kept = (np.concatenate([getattr(part, name) for part in parts]) for name in ("keys", "places", "extents"))
    sums = [part._reduced for part in parts]
    whole = Reduced(*(torch.cat([getattr(each, name) for each in sums]) for name in ("peaks", "sums", "squares")))
    empty = Response(parts[0].layer, parts[0].maps, *kept)
    return _filled(empty, whole, torch.cat([part.sample for part in parts]))


def _filled(empty: Response, sums: Reduced, sample: torch.Tensor) -> Response:
    """A response without maps, its reductions put in where they would be kept once computed."""
    empty.__dict__.update(_reduced=sums, sample=sample)
    return empty


@lru_cache(maxsize=256)
def _positions(keys: bytes, n: int) -> np.ndarray:
    """The same for every layer of one size."""
    return sampled_positions(np.frombuffer(keys, np.int64), n)


def _first(maps: torch.Tensor, image: torch.Tensor, unit: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    chosen = maps[image, unit].flatten(1)
    flat = (chosen == chosen.amax(1, keepdim=True)).int().argmax(1).cpu().numpy()
    return flat // maps.shape[3], flat % maps.shape[3]


def sampled_positions(keys: np.ndarray, n: int) -> np.ndarray:
    """Which of n positions are looked at in each image: evenly spread, with an offset that follows from the image. int64."""
    with np.errstate(over="ignore"):
        offset = (keys.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
    share = offset.astype(np.float64) / 2.0**64
    places = (np.arange(N_SAMPLED)[None, :] + share[:, None]) / N_SAMPLED
    return np.minimum((places * n).astype(np.int64), n - 1)
