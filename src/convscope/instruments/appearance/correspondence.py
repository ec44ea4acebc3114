"""Does a layer link the same part across images?  Zeiler and Fergus 2013, section 4.3 and Table 1.

In each image the part (say, the left eye) is covered. e_i = x_i - x~_i is how a layer's values change; if the layer knows the
part, they change alike in all images: D = mean over pairs i != j of the Hamming distance between sign(e_i) and sign(e_j), the
share of entries that differ. The paper's control covers a piece of the same shape at a random place of each image. But parts stand
at about the same place in pictures that are framed alike, and changes at the same place are alike whatever was there; so the other
control moves the pieces of all images by the same random way. There entries that change in neither image are left out: near the
border fewer entries change, and all the others would be alike. A layer links the part if its distance is at least a tenth below
both controls, and 95 % intervals say that it is below.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from convscope.errors import NetworkError, UsageError
from convscope.intervals import Interval, bootstrap
from convscope.network import Network

Box = tuple[int, int, int, int]  # top left bottom right in px, the last row and column not included
TINY = 1e-5  # of a layer's root mean square: changes below it are rounding, and count as none
LINKED = 0.9  # the largest ratio that counts as a link
AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Correspondence:
    """How alike a layer's changes are across images, with the part covered and with other pieces."""

    layer: str
    n_images: int
    part: Interval  # mean distance over pairs of images, 0 to 1
    random: Interval  # with pieces at random places of each image
    of_changed: Interval  # the same for the part, of the entries that change in either image
    together: Interval  # likewise with the pieces of all images moved the same way; NaN where there is no room
    ratio: Interval  # of the part to random places, as in the paper
    ratio_together: Interval  # of the part to pieces moved together, of the entries that change
    distances: np.ndarray = field(repr=False)  # `image image`, the part covered, as in the paper
    changed: float  # share of the entries that covering the part changes

    @property
    def linked(self) -> bool | None:
        """Whether both ratios are .9 at most, and their 95 % intervals below 1; None if nothing can be said."""
        if np.isnan(self.ratio.value):
            return None
        controls = [one for one in (self.ratio, self.ratio_together) if not np.isnan(one.value)]
        return all(one.value <= LINKED and one.high < 1 for one in controls)

    @property
    def words(self) -> str:
        """What came out, in a sentence."""
        if self.linked is None:
            return f"{self.layer}: covering changes nothing there, so it says nothing about parts."
        verdict = "links the part across images" if self.linked else "is not shown to link the part across images"
        moved = "no room to move them together"
        if not np.isnan(self.ratio_together.value):
            moved = f"{_interval(self.ratio_together)} to pieces moved together"
        return (
            f"{self.layer} {verdict}: distance {self.part.value:.3f}, ratio {_interval(self.ratio)} to pieces at random places, "
            f"{moved}; {self.n_images} images."
        )


def _interval(found: Interval) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def correspondence(
    network: Network,
    inputs: torch.Tensor,
    parts: "Sequence[Box] | np.ndarray",
    layers: Sequence[str],
    *,
    fill: float = 0.0,
    pooled: bool = False,
    n_draws: int = 8,
    n_bootstrap: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Correspondence, ...]:
    """The correspondence of one part at some layers.

    `inputs` are normalised images `batch channel y x`, three or more; `parts` a box for each (top left bottom right), or masks
    `batch y x` of truth values. What is covered becomes `fill` in the network's input (0: the mean colour of the usual recipes).
    The paper compares whole maps, position by position; with `pooled` each map's mean is compared, which does not ask that the
    part stand at the same place. Raises UsageError for parts that are empty or do not fit, UnknownNameError for a layer,
    NetworkError for values that are not finite.
    """
    network.graph_for(inputs)
    masks = _masks(parts, inputs)
    generator = np.random.default_rng(seed)
    apart = [np.stack([_moved(mask, generator) for mask in masks]) for _ in range(n_draws)]
    together = [moved for _ in range(n_draws) if (moved := _moved_together(masks, generator)) is not None]
    names = list(layers)
    signs: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    with torch.no_grad():
        unchanged = _values(network, inputs, names, pooled)
        _check_finite(unchanged)
        scale = {name: TINY * float(unchanged[name].double().square().mean().sqrt()) for name in names}
        for i, covers in enumerate([masks, *apart, *together]):
            held = torch.from_numpy(covers)[:, None].to(inputs.device)
            covered = torch.where(held, torch.as_tensor(fill).to(inputs), inputs)
            found = _values(network, covered, names, pooled)
            for name in names:
                change = unchanged[name] - found[name]
                signs[name].append((change.sign() * (change.abs() > scale[name])).to(torch.int8).cpu())
            if progress:
                progress(i + 1, 1 + len(apart) + len(together))
    return tuple(_answer(name, signs[name], n_draws, seed, n_bootstrap) for name in names)


def _answer(layer: str, signs: list[torch.Tensor], n_draws: int, seed: int, n_bootstrap: int) -> Correspondence:
    counted = [_distances(one) for one in signs]
    every, changing = (np.array([one[i] for one in counted]) for i in (0, 1))
    part, apart = every[0], every[1 : 1 + n_draws]
    of_changed, together = changing[0], changing[1 + n_draws :]
    n, generator = len(part), np.random.default_rng([seed, 1])

    def numbers(weight: np.ndarray, draws: Callable[[np.ndarray], np.ndarray]) -> tuple[float, ...]:
        ours, theirs = _mean(part[None], weight), _mean(draws(apart), weight)
        ours_of_changed, moved = _mean(of_changed[None], weight), _mean(draws(together), weight)
        return ours, theirs, ours_of_changed, moved, _ratio(ours, theirs), _ratio(ours_of_changed, moved)

    drawn = np.empty((n_bootstrap, 6))
    for i in range(n_bootstrap):
        times = np.bincount(generator.integers(n, size=n), minlength=n)
        weight = np.outer(times, times).astype(float)
        drawn[i] = numbers(weight, lambda c: c[generator.integers(len(c), size=len(c))] if len(c) else c)
    found = numbers(np.ones((n, n)), lambda c: c)
    intervals = [bootstrap(value, draws) for value, draws in zip(found, drawn.T, strict=True)]
    names = ("part", "random", "of_changed", "together", "ratio", "ratio_together")
    changed = float((signs[0] != 0).double().mean())
    return Correspondence(layer, n, **dict(zip(names, intervals, strict=True)), distances=part, changed=changed)


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs if theirs > 0 else float("nan")


def _mean(distances: np.ndarray, weight: np.ndarray) -> float:
    """The mean over draws and pairs of different images (one drawn twice is no pair with itself); NaN where there are none."""
    known = ~np.isnan(distances)
    weights = weight * (1 - np.eye(len(weight))) * known
    total = weights.sum()
    return float((np.where(known, distances, 0) * weights).sum() / total) if total else float("nan")


def _distances(signs: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The share of entries that differ, `image image`: of all, and of those that change in either image (NaN where none does)."""
    flat = signs.flatten(1).numpy()
    every, changing = np.zeros((2, len(flat), len(flat)))
    for i, one in enumerate(flat):
        n_differ = (flat != one).sum(1)
        n_change = ((flat != 0) | (one != 0)).sum(1)
        every[i] = n_differ / flat.shape[1]
        changing[i] = np.divide(n_differ, n_change, out=np.full(len(flat), np.nan), where=n_change > 0)
    return every, changing


def _values(network: Network, inputs: torch.Tensor, layers: Sequence[str], pooled: bool) -> dict[str, torch.Tensor]:
    parts = [network.run(some, layers) for some in inputs.split(AT_ONCE)]
    whole = {name: torch.cat([part[name] for part in parts]) for name in layers}
    return {name: maps.flatten(2).mean(2) if pooled and maps.dim() > 2 else maps for name, maps in whole.items()}


def _check_finite(values: dict[str, torch.Tensor]) -> None:
    for name, maps in values.items():
        odd = ~torch.isfinite(maps.flatten(1)).all(1)
        if bool(odd.any()):
            raise NetworkError(
                f"The correspondence of a part at '{name}' was asked for.",
                f"Its values are not all finite for image {int(odd.nonzero()[0])}.",
                "Leave that image out.",
            )


def _masks(parts: Any, inputs: torch.Tensor) -> np.ndarray:
    """Truth values `batch y x`, checked."""
    size = (len(inputs), int(inputs.shape[2]), int(inputs.shape[3]))
    given = np.asarray(parts)
    if given.ndim == 2 and given.shape == (size[0], 4):
        masks = np.zeros(size, bool)
        for mask, (top, left, bottom, right) in zip(masks, given.tolist(), strict=True):
            mask[max(0, int(top)) : max(0, int(bottom)), max(0, int(left)) : max(0, int(right))] = True
    else:
        masks = given.astype(bool)
    empty = [i for i, mask in enumerate(masks) if not mask.any()] if masks.shape == size else []
    full = [i for i, mask in enumerate(masks) if mask.all()] if masks.shape == size else []
    if masks.shape != size or empty or full or size[0] < 3:
        what = (
            f"The part of image {(empty + full)[0]} is {'empty' if empty else 'the whole image'}."
            if empty or full
            else ""
        )
        raise UsageError(
            f"The correspondence of a part over {size[0]} images of {size[1]} x {size[2]} px was asked for.",
            what or f"The parts have the shape {given.shape}.",
            "Give three images or more, and for each a box (top left bottom right), or masks `batch y x`.",
        )
    return masks


def _moved(mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A piece of the same shape at a random place inside the image; not over the part itself, if that can be had."""
    y, x = np.nonzero(mask)
    piece = mask[y.min() : y.max() + 1, x.min() : x.max() + 1]
    room = [extent - side for extent, side in zip(mask.shape, piece.shape, strict=True)]
    best, least = mask, 2.0
    for _ in range(30):
        top, left = (int(generator.integers(0, free + 1)) for free in room)
        moved = np.zeros_like(mask)
        moved[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
        shared = float((moved & mask).sum() / mask.sum())
        if shared < least:
            best, least = moved, shared
        if shared == 0:
            break
    return best


def _moved_together(masks: np.ndarray, generator: np.random.Generator) -> np.ndarray | None:
    """The pieces of all images moved the same way, off the part where that can be had; None where there is no room at all."""
    y, x = (np.flatnonzero(masks.any(other)) for other in ((0, 2), (0, 1)))
    room = [(-int(at[0]), extent - 1 - int(at[-1])) for at, extent in zip((y, x), masks.shape[1:], strict=True)]
    best, least = None, 1.0
    for _ in range(30):
        by = [int(generator.integers(low, high + 1)) for low, high in room]
        moved = np.roll(masks, by, (1, 2))  # nothing goes round: there is room
        shared = float((moved & masks).sum() / masks.sum())
        if shared < least:
            best, least = moved, shared
        if shared == 0:
            break
    return best
