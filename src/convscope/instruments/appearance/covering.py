"""Does a picture show what drives the neuron?  The tenth of the pixels it marks most is covered, and the response is looked at.

Zeiler and Fergus 2013, section 4.2, as a check: covering those pixels must lower the neuron at least twice as much as covering
random pixels of the same number, and more than the same mask at other places. A disc in the middle of what the neuron sees is the
strongest trivial rival: whether the picture beats it is said as well. Everything takes place inside what the neuron can see.

What covers is the image itself, blurred until no shape is left: a constant colour covers the marked pixels no better, but scattered
over the image its dots are edges of their own, which silence some neurons wherever they are. A neuron at a ceiling (ReLU6) is
followed as it is below it: from far above, a fall would not be seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from convscope.errors import UsageError
from convscope.instruments.appearance.ceiling import without_ceiling
from convscope.instruments.appearance.seen import Region
from convscope.network import Network
from convscope.network.address import Address
from convscope.walks.local import LocalWalk

SHARE = 0.1
AT_LEAST = 2.0  # times what random pixels do
FILLS = ("blur", "zero", "mean")
BLUR_FRAC = 1 / 12  # standard deviation, in parts of the image's shorter side
OCCLUDED_FRAC = 1 / 6  # window of occlusion, in parts of the field


@dataclass(frozen=True)
class Covered:
    """What covering pixels did to a neuron: drops, as parts of its response (1: it fell to zero; below 0: it rose)."""

    place: Address
    value: float  # the response with nothing covered; what goes into its ReLU6, where it ends in one
    n_px: int  # covered each time
    share: float  # of what the neuron sees
    top: float  # the pixels the picture marks most
    random: float  # random pixels, mean
    random_each: tuple[float, ...]
    shifted: float  # the same mask elsewhere, mean
    shifted_each: tuple[float, ...]
    centre: float  # a disc in the middle of the field
    why_not: str = ""  # why nothing was covered

    @property
    def ran(self) -> bool:
        return not self.why_not

    @property
    def beyond_random(self) -> bool:
        """Whether the marked pixels matter, and at least twice as much as random ones."""
        return self.ran and self.top > 0 and self.top >= AT_LEAST * self.random

    @property
    def beyond_shifted(self) -> bool:
        """Whether they matter more than the same mask elsewhere."""
        return self.ran and self.top > 0 and self.top > self.shifted

    @property
    def beyond_centre(self) -> bool:
        """Whether they matter more than the middle of the field does."""
        return self.ran and self.top > self.centre

    @property
    def centre_passes(self) -> bool:
        """Whether the disc in the middle would have been confirmed against random pixels."""
        return self.ran and self.centre > 0 and self.centre >= AT_LEAST * self.random

    @property
    def confirmed(self) -> bool:
        return self.beyond_random and self.beyond_shifted

    @property
    def words(self) -> str:
        """What came out, in a sentence or two."""
        if not self.ran:
            return f"Not checked: {self.why_not}."
        verdict = "Confirmed" if self.confirmed else "Not confirmed"
        says = (
            f"{verdict}: with the {100 * self.share:.2g} % of the pixels that it marks most covered, {self.place} "
            f"{_change(self.top)}; with random pixels of the same number it {_change(self.random)}, with the same mask elsewhere "
            f"it {_change(self.shifted)}."
        )
        if self.confirmed and not self.beyond_centre:
            says += f" But a disc in the middle of what it sees does as much or more (it {_change(self.centre)})."
        return says


def _change(drop: float) -> str:
    return f"falls by {drop:.0%}" if drop >= 0.005 else f"rises by {-drop:.0%}" if drop <= -0.005 else "stays as it is"


def cover(
    network: Network,
    inputs: torch.Tensor,
    place: Address,
    seen: Region,
    energy: np.ndarray,
    *,
    share: float = SHARE,
    fill: str = "blur",
    n_draws: int = 8,
    seed: int = 0,
    walk: LocalWalk | None = None,
) -> Covered:
    """Covers the pixels with most `energy` (`y x` of the image; normalised inputs `1 channel y x`), and as many others.

    `share` is how many, of what the neuron sees; never pixels without energy. `fill` is what they show instead: the image,
    blurred; "zero" (the mean colour of the usual recipes); "mean" (the image's own mean colour). `walk` is made by `walk_for`,
    where it is there already. Not run where the neuron is not above zero, there is no energy, or what would be covered is all that
    the neuron sees. Raises UsageError for another fill.
    """
    if fill not in FILLS:
        raise UsageError(f"Pixels were to be covered with '{fill}'.", "", f"Use {', '.join(FILLS)}.")
    walk = walk or walk_for(network, inputs, place.layer)
    value = float(_of(walk.value, place)[0])
    within = energy[seen.slices]
    n_px = min(max(1, round(share * seen.n_px)), int((within > 0).sum()))
    why_not = "" if value > 0 else "the neuron is not above zero in this image"
    why_not = why_not if np.isfinite(value) else "the neuron is not finite in this image"
    why_not = why_not or ("" if seen.n_px else "it sees padding only")
    why_not = why_not or ("" if n_px else "the picture marks nothing")
    why_not = why_not or ("" if n_px < seen.n_px else "there is nothing else to cover")
    if why_not:
        nan = float("nan")
        return Covered(place, value, 0, 0.0, nan, nan, (), nan, (), nan, why_not)
    generator = np.random.default_rng([seed, place.unit or 0])
    covers, floored = _fill(inputs, fill), walk.graph.output != network.resolve(place.layer)
    masks = [top_pixels(within, n_px), seen.nearest(n_px)]
    randoms = [_random(seen, n_px, generator) for _ in range(n_draws)]
    shifts = [_shifted(masks[0], generator) for _ in range(n_draws)]
    drops = _drops(walk, place, seen, [*masks, *randoms, *shifts], covers, value, floored)
    random, shifted = drops[2 : 2 + n_draws], drops[2 + n_draws :]
    return Covered(
        place=place,
        value=value,
        n_px=n_px,
        share=n_px / seen.n_px,
        top=float(drops[0]),
        random=float(random.mean()),
        random_each=tuple(map(float, random)),
        shifted=float(shifted.mean()),
        shifted_each=tuple(map(float, shifted)),
        centre=float(drops[1]),
    )


def walk_for(network: Network, inputs: torch.Tensor, layer: str) -> LocalWalk:
    """The walk round one image that follows the neurons of a layer, without their ceiling if they have one."""
    return network.local(inputs, without_ceiling(network, layer))


def occlusion_energy(
    network: Network,
    inputs: torch.Tensor,
    place: Address,
    seen: Region,
    *,
    fill: str = "blur",
    walk: LocalWalk | None = None,
) -> np.ndarray:
    """How much does the neuron need each pixel?  Mean drop over windows that cover it, what rises it 0: float64 `y x` of the
    image.

    Windows are squares of a sixth of the field's longer side, at steps of half a window, over what the neuron sees.
    """
    energy = np.zeros(tuple(inputs.shape[2:]))
    if not seen.n_px:
        return energy
    walk = walk or walk_for(network, inputs, place.layer)
    side = max(1, round(OCCLUDED_FRAC * max(seen.size)))
    starts = [np.arange(0, max(1, extent - side // 2), max(1, side // 2)) for extent in seen.size]
    masks = []
    for y in starts[0]:
        for x in starts[1]:
            mask = np.zeros(seen.size, bool)
            mask[y : y + side, x : x + side] = True
            masks.append(mask)
    value = float(_of(walk.value, place)[0])
    floored = value > 0 and walk.graph.output != network.resolve(place.layer)
    drops = np.zeros(len(masks))
    if value:
        drops = value * _drops(walk, place, seen, masks, _fill(inputs, fill), value, floored)
    held = np.array(masks, np.float64)
    energy[seen.slices] = np.tensordot(drops, held, 1) / np.maximum(held.sum(0), 1)
    return np.maximum(energy, 0)


def top_pixels(energy: np.ndarray, n: int) -> np.ndarray:
    """The n pixels with most energy, truth values; of equal ones the first in reading order."""
    found = np.zeros(energy.size, bool)
    found[np.argsort(-energy.ravel(), kind="stable")[:n]] = True
    return found.reshape(energy.shape)


def _random(seen: Region, n: int, generator: np.random.Generator) -> np.ndarray:
    found = np.zeros(seen.n_px, bool)
    found[generator.choice(seen.n_px, n, replace=False)] = True
    return found.reshape(seen.size)


def _shifted(mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The mask moved round the field, by a quarter of it at least along each axis longer than one pixel."""
    by = []
    for extent in mask.shape:
        least = -(-extent // 4)
        by.append(int(generator.integers(least, extent - least + 1)) if extent > 1 else 0)
    return np.roll(mask, by, (0, 1))


def _fill(inputs: torch.Tensor, fill: str) -> torch.Tensor:
    """What covered pixels show, in the shape of the image."""
    if fill == "zero":
        return torch.zeros_like(inputs)
    if fill == "mean":
        return inputs.mean((2, 3), keepdim=True).expand_as(inputs)
    sd = BLUR_FRAC * min(inputs.shape[2:])
    blurred = gaussian_filter(inputs.detach().float().cpu().numpy(), (0, 0, sd, sd), mode="nearest")
    return torch.from_numpy(blurred).to(inputs)


def _drops(
    walk: LocalWalk,
    place: Address,
    seen: Region,
    masks: Sequence[np.ndarray],
    fill: torch.Tensor,
    value: float,
    floored: bool,
) -> np.ndarray:
    """How far the neuron falls with each mask covered, as a part of its response; only what the field reaches is computed.

    Followed without its ceiling, it still ends at zero: `floored`.
    """
    own = walk.image[(..., *seen.slices)].float()
    covers = fill[(..., *seen.slices)].to(own)
    corner = (seen.rows.start, seen.columns.start)
    found = np.empty(len(masks))
    for first in range(0, len(masks), 16):
        held = torch.from_numpy(np.array(masks[first : first + 16]))[:, None].to(own.device)
        patches = torch.where(held, covers, own)
        values = _of(walk(np.array([corner] * len(held)), patches), place)
        found[first : first + len(held)] = values.double().cpu().numpy()
    drops: np.ndarray = (value - found) / value
    return np.minimum(drops, 1) if floored else drops


def _of(maps: torch.Tensor, place: Address) -> torch.Tensor:
    """The neuron's value in each image."""
    return maps[(slice(None), place.unit, *(place.position or ()))]
