"""What do all units of a layer say at the pixels that are labelled?  Kept, for whatever weighs several units together.

Room: images x pixels x units x 2 bytes (500 images, 64 pixels, 1,000 units: 64 MB); what exceeds `in_memory` bytes lies in a
temporary file. Values are kept to 11 bits (half precision): a value that is as large as any of its image is off by less than
1/2000 of itself. Each image has a power of two of its own, so that no value is too large or too small for that; those below
2^-28 of the largest of their image lose bits, those below 2^-39 are 0.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from convscope.registry import register
from convscope.sweep.gauges.base import Gauge
from convscope.sweep.gauges.overlap import IN_MEMORY, room
from convscope.sweep.gauges.pixels import Anchor, Pixels, values_at
from convscope.sweep.response import Response

HIGHEST = 15  # the largest value of an image lies between 2^14 and 2^15: half precision ends at 2^16


@dataclass(frozen=True, eq=False)
class UnitsAtPixels:
    """What units say at the lattice of pixels of each image; images by key."""

    values: np.ndarray  # float16 image pixel unit, to be multiplied by the image's power of two; 0 where not seen
    exponents: np.ndarray  # int16 image
    seen: np.ndarray  # bool image

    def of(self, keys: np.ndarray, units: np.ndarray | None = None) -> np.ndarray:
        """The values of some images, of all units or some, float32 `image pixel unit`."""
        kept = self.values[keys] if units is None else np.stack([self.values[key][:, units] for key in keys])
        found = kept.astype(np.float32)
        found *= np.ldexp(np.float32(1), self.exponents[keys])[:, None, None]
        return found


@register("gauge", "at_pixels")
@dataclass(eq=False)
class AtPixels(Gauge):
    """Keeps the values of all units at a lattice of pixels, read from maps as for Overlap.

    With `map_shape` (y, x), images whose maps have another size are left out, as Overlap does.
    """

    name = "at_pixels"
    n_units: int
    pixels: Pixels
    anchor: Anchor
    n_images: int
    map_shape: tuple[int, int] | None = None
    in_memory: int = IN_MEMORY
    values: np.ndarray = field(init=False, repr=False)  # float16 image pixel unit
    exponents: np.ndarray = field(init=False, repr=False)  # int16 image
    seen: np.ndarray = field(init=False, repr=False)  # bool image

    def __post_init__(self) -> None:
        rows, columns = self.pixels.shape
        self.values = room((self.n_images, rows * columns, self.n_units), np.float16, self.in_memory)
        self.exponents, self.seen = np.zeros(self.n_images, np.int16), np.zeros(self.n_images, bool)

    def update(self, response: Response) -> None:
        if self.map_shape not in (None, response.size):
            return
        at_pixels = values_at(response.maps, *self.pixels.places(response.keys), self.anchor)
        values = at_pixels.transpose(1, 2).cpu().numpy()
        exponents = np.frexp(np.abs(values).max(axis=(1, 2)))[1] - HIGHEST
        self.values[response.keys] = np.ldexp(values, -exponents[:, None, None]).astype(np.float16)
        self.exponents[response.keys], self.seen[response.keys] = exponents, True

    def merge(self, other: Self) -> None:
        for key in np.flatnonzero(other.seen):  # one at a time, where they lie in files
            self.values[key] = other.values[key]
        self.exponents[other.seen] = other.exponents[other.seen]
        self.seen |= other.seen

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.values[...] = state["values"]
        self.exponents, self.seen = (np.array(state[name]) for name in ("exponents", "seen"))

    def result(self) -> UnitsAtPixels:
        return UnitsAtPixels(self.values, self.exponents.copy(), self.seen.copy())
