"""Where are edges, which way do they run, how soft are they, and where are corners?  Found in the image itself.

Contrasts are distances in OKLab: black to white is 1; .1 is a difference that is seen at a glance.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from convscope.errors import UsageError
from convscope.images.concepts.concept import Concept
from convscope.images.concepts.seen import FromPixels, Seen
from convscope.images.concepts.structure import nearby, on_ridge
from convscope.registry import register

LEAST_CONTRAST = 0.1


@register("concepts", "orientation")
@dataclass(frozen=True)
class Orientations(FromPixels):
    """Where does an edge run at 0, 22.5 ... degrees?  By the structure tensor; degrees counter-clockwise from horizontal.

    A pixel is on an edge where the contrast is at least `least_contrast`, the gradient is at least half of the steepest nearby,
    and one direction prevails: (l1 - l2) / (l1 + l2) is at least 1/2. It then has the nearest of `n` orientations.
    Raises UsageError for settings that are not possible.
    """

    n: int = 8
    scale_px: float = 1.0  # s.d. of the Gaussian whose derivative the gradient is
    window_px: float = 1.5  # s.d. of the Gaussian that gathers gradients
    least_contrast: float = LEAST_CONTRAST

    def __post_init__(self) -> None:
        if self.n < 2 or min(self.scale_px, self.window_px) <= 0:
            raise _wrong(f"{self.n} orientations at {self.scale_px} px", "n must be 2 or more, scales above 0")

    @cached_property
    def concepts(self) -> tuple[Concept, ...]:
        return tuple(Concept(f"edge {180 * k / self.n:g} deg", "orientation") for k in range(self.n))

    def found(self, seen: Seen) -> np.ndarray:
        found = seen.structure(self.scale_px, self.window_px)
        edge = (found.first >= self.least_contrast) & on_ridge(found.gradient, self.scale_px)
        edge &= 3 * found.second**2 <= found.first**2
        nearest = np.rint(found.along_deg * (self.n / 180)).astype(np.int64) % self.n
        return edge & (nearest == np.arange(self.n)[:, None, None])


@register("concepts", "corner")
@dataclass(frozen=True)
class Corners(FromPixels):
    """Where do edges of two directions meet?  By the smaller eigenvalue of the structure tensor (Shi & Tomasi 1994).

    A pixel is at a corner where the contrast across the second direction is at least `least_contrast`, and no direction
    prevails: (l1 - l2) / (l1 + l2) is below 1/2. No pixel is both at a corner and on an edge of Orientations.
    Raises UsageError for settings that are not possible.
    """

    scale_px: float = 1.0
    window_px: float = 1.5
    least_contrast: float = LEAST_CONTRAST

    concepts = (Concept("corner", "corner"),)

    def __post_init__(self) -> None:
        if min(self.scale_px, self.window_px) <= 0:
            raise _wrong(f"corners at {self.scale_px} px", "scales must be above 0")

    def found(self, seen: Seen) -> np.ndarray:
        found = seen.structure(self.scale_px, self.window_px)
        corner = (found.second >= self.least_contrast) & (3 * found.second**2 > found.first**2)
        return corner[None]


@register("concepts", "scale")
@dataclass(frozen=True)
class EdgeScales(FromPixels):
    """How soft is the edge here?  The scale at which its gradient is largest (Lindeberg 1998, edges, gamma = 1/2).

    Of a step blurred by a Gaussian of s.d. b px, sqrt(s) |grad at s| is largest at s = b; an edge counts to the nearest of
    `scales_px` in octaves (borders at their geometric means), a sharp one to the first. A soft edge within two of its scales of a
    sharper, stronger one is not counted. Raises UsageError for scales that do not grow.
    """

    scales_px: tuple[float, ...] = (1.0, 2.0, 4.0)
    least_contrast: float = LEAST_CONTRAST  # as measured at the edge's own scale: .7 of the step's height

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales_px", tuple(map(float, self.scales_px)))
        if not self.scales_px or self.scales_px[0] <= 0 or (np.diff(self.scales_px) <= 0).any():
            raise _wrong(f"edges of scales {self.scales_px}", "scales must be above 0 and grow")

    @cached_property
    def concepts(self) -> tuple[Concept, ...]:
        return tuple(Concept(f"edge of {scale:g} px", "scale") for scale in self.scales_px)

    def found(self, seen: Seen) -> np.ndarray:
        pairs = (seen.gradients(scale) for scale in self.scales_px)
        sizes = np.stack([np.sqrt((down * down + right * right).sum(0)) for down, right in pairs])
        scales = np.array(self.scales_px, np.float32)[:, None, None]
        around = np.stack([nearby(size, scale) for size, scale in zip(sizes, self.scales_px, strict=True)])
        edge = (sizes >= around / 2) & (np.sqrt(2 * np.pi, dtype=np.float32) * scales * sizes >= self.least_contrast)
        # Compared where each is largest, as far away as its own band reaches: beside an edge the coarser fall off more slowly.
        normed = np.sqrt(scales)
        best = (normed * sizes).max(0)
        own = normed * around >= np.stack([nearby(best, scale) for scale in self.scales_px])
        return edge & own


def _wrong(asked: str, would_work: str) -> UsageError:
    return UsageError(f"Concepts were asked for: {asked}.", "That is not possible.", f"{would_work}.".capitalize())
