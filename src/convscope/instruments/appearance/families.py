"""Which filters are alike?  Orientation, frequency and colour of each, measured from its spectrum, and the families these make.

The power spectrum of a filter w (`channel y x`) is P(f) = sum over channels of |FFT w|^2, taken on a fine grid within the disc of
frequencies up to .5 cycles/px, where all directions reach equally far. From it:
- direction: of the bars or the edge, counter-clockwise from horizontal, 90 deg across arg(sum P exp(2i phi)) / 2; how strongly
  directed it is: |sum P exp(2i phi)| / sum P, from 0 (none) to 1, both over the frequencies that are not flat;
- frequency: the mean |f| over P, in cycles/px;
- flat share: what the filter's mean holds of its energy: |mean|^2 n / sum w^2, near 1 for a blob;
- colour share: the energy across the grey axis (1, 1, 1) over all energy; hue: of the axis along which its colours differ, as the
  angle in the plane of opponent colours that the bright side has; only for three channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

GRID = 64  # frequencies along each axis
N_DIRECTIONS = 8  # families of direction, 22.5 deg each, the first around horizontal, as in the built-in world
DIRECTED, COLORED, FLAT = 0.45, 0.5, 0.6  # from where on a filter counts as directed, coloured, a blob
DEAD_FRAC = 0.01  # of the median filter's size
HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")
_RED_GREEN = np.array([1.0, -1.0, 0.0]) / np.sqrt(2)
_YELLOW_BLUE = np.array([1.0, 1.0, -2.0]) / np.sqrt(6)


@dataclass(frozen=True)
class Measured:
    """What is measured of one filter."""

    unit: int
    size: float  # root mean square of its weights
    direction_deg: float  # 0 to 180; NaN for a filter without any
    directed: float  # 0 to 1
    frequency: float  # cycles/px
    flat_share: float
    color_share: float  # NaN where there are not three channels
    hue_deg: float  # 0 red, 60 yellow, 120 green ...; of the side with the larger weights
    family: str

    @property
    def words(self) -> str:
        """The numbers, in one line."""
        color = "" if np.isnan(self.color_share) else f", colour {self.color_share:.0%}"
        direction = f"{self.direction_deg:.0f} deg ({self.directed:.2f})" if np.isfinite(self.direction_deg) else "none"
        return f"direction {direction}, {self.frequency:.2f} cycles/px, flat {self.flat_share:.0%}{color}"


def measure_filters(values: np.ndarray, *, rgb: Sequence[int] | None = (0, 1, 2)) -> tuple[Measured, ...]:
    """What each filter (`unit channel y x`) is tuned to, by its weights.

    `rgb` says which channels are red, green and blue; None (or other than three channels) where there are no colours.
    """
    sizes = np.sqrt(np.square(values, dtype=np.float64).mean((1, 2, 3)))
    least = DEAD_FRAC * float(np.median(sizes))
    colored = rgb is not None and values.shape[1] == 3
    return tuple(
        _measured(unit, one[list(rgb)] if colored and rgb is not None else one, colored, size <= least)
        for unit, (one, size) in enumerate(zip(values.astype(np.float64), sizes, strict=True))
    )


def families(measured: Sequence[Measured]) -> dict[str, tuple[int, ...]]:
    """The units of each family: edges by direction, blobs, then colours, dead filters last; in a family low frequencies first."""
    found: dict[str, list[Measured]] = {}
    for one in sorted(measured, key=_rank):
        found.setdefault(one.family, []).append(one)
    return {name: tuple(one.unit for one in members) for name, members in found.items()}


def family_order(measured: Sequence[Measured]) -> tuple[int, ...]:
    """All units, family by family: an order for mosaics."""
    return tuple(unit for units in families(measured).values() for unit in units)


def spectrum(values: np.ndarray) -> np.ndarray:
    """Power over frequencies `fy fx` (as np.fft.fftfreq orders them) of a filter `channel y x`, zero-padded to a fine grid."""
    extent = max(GRID, *values.shape[1:])
    power: np.ndarray = np.square(np.abs(np.fft.fft2(values, (extent, extent)))).sum(0)
    return power


def _measured(unit: int, values: np.ndarray, colored: bool, dead: bool) -> Measured:
    energy = float(np.square(values).sum())
    if energy == 0:
        return Measured(unit, 0.0, nan, 0.0, nan, nan, nan, nan, "dead")
    power = spectrum(values)
    frequencies = np.fft.fftfreq(len(power))
    fy, fx = np.meshgrid(frequencies, frequencies, indexing="ij")
    radius = np.hypot(fy, fx)
    inside = (radius <= 0.5) & (radius > 0)
    weight = power[inside]
    total = float(weight.sum())
    # An image's y runs downward, angles counter-clockwise: hence the sign of fy.
    moment = complex((weight * np.exp(2j * np.arctan2(-fy[inside], fx[inside]))).sum())
    directed = abs(moment) / total if total else 0.0
    direction = (np.degrees(np.angle(moment)) / 2 + 90) % 180 if directed > 1e-6 else nan
    frequency = float((weight * radius[inside]).sum()) / total if total else 0.0
    flat = float(np.square(values.mean((1, 2))).sum()) * values[0].size / energy
    share, hue = _color(values, energy) if colored else (nan, nan)
    family = "dead" if dead else _family(directed, float(direction), flat, share, hue)
    size = float(np.sqrt(np.square(values).mean()))
    return Measured(unit, size, float(direction), directed, frequency, flat, share, hue, family)


def _color(values: np.ndarray, energy: float) -> tuple[float, float]:
    """The share of the energy across the grey axis, and the hue of its strongest axis."""
    flat = values.reshape(3, -1)
    plane = np.stack([_RED_GREEN @ flat, _YELLOW_BLUE @ flat])
    share = float(np.square(plane).sum()) / energy
    axes, _, _ = np.linalg.svd(plane, full_matrices=False)
    along = axes[:, 0] @ plane
    bright = axes[:, 0] * (1.0 if along.sum() >= 0 else -1.0)
    return share, _hue(bright[0] * _RED_GREEN + bright[1] * _YELLOW_BLUE)


def _hue(rgb: np.ndarray) -> float:
    """The hexagon's angle of a colour, 0 to 360: red 0, green 120, blue 240."""
    y, x = np.sqrt(3) * (rgb[1] - rgb[2]), 2 * rgb[0] - rgb[1] - rgb[2]
    return float(np.degrees(np.arctan2(y, x)) % 360)


def _family(directed: float, direction: float, flat: float, share: float, hue: float) -> str:
    is_directed = directed >= DIRECTED and flat < FLAT
    if share >= COLORED:
        first = round(hue / 60) % 6
        axis = f"{HUES[first % 3]}-{HUES[first % 3 + 3]}"
        return f"colour edge {axis}" if is_directed else f"colour {HUES[first] if flat >= FLAT else axis}"
    if is_directed:
        step = 180 / N_DIRECTIONS
        return f"edge {step * (round(direction / step) % N_DIRECTIONS):g} deg"
    return "blob" if flat >= FLAT else "undirected"


def _rank(one: Measured) -> tuple[float, ...]:
    kinds = ("edge", "blob", "undirected", "colour edge", "colour", "dead")
    kind = max((k for k in kinds if one.family.startswith(k)), key=len)
    first = 0.0
    if kind == "edge":
        first = float(one.family.split()[1])
    elif kind.startswith("colour"):
        first = float(HUES.index(one.family.split()[-1].split("-")[0]))
    return kinds.index(kind), first, one.frequency if np.isfinite(one.frequency) else 0.0, one.unit
