"""How steep is an image at each pixel, which way do its edges run, and is there more than one way?  The structure tensor.

Bigün & Granlund 1987; summed over the channels of a colour image as in Di Zenzo 1986. With G_s a Gaussian of s.d. s px and the
gradient taken at s, J = G_r * sum over channels of grad grad^T. Eigenvalues l1 >= l2 are given as contrasts: of a straight ideal
step of height h, l1 = h^2 / (2 s sqrt(pi)) * 1 / sqrt(2 pi (s^2/2 + r^2)) on the edge, so what is returned is h there; l2 is 0.
"""

from dataclasses import dataclass

import numpy as np

from convscope.images.concepts.filters import largest, smoothed


@dataclass(frozen=True, eq=False)
class Structure:
    """All `y x`, float32; contrasts in units of the image's own values."""

    gradient: np.ndarray  # its size at each pixel, per px
    first: np.ndarray  # contrast across the strongest direction
    second: np.ndarray  # contrast across the direction at right angles to it
    along_deg: np.ndarray  # which way the edge itself runs, counter-clockwise from horizontal, 0 to 180


def structure(down: np.ndarray, right: np.ndarray, scale_px: float, window_px: float) -> Structure:
    """The structure tensor from gradients `channel y x` at `scale_px`, gathered over `window_px` (both s.d.)."""
    products = np.stack([(down * down).sum(0), (right * right).sum(0), (down * right).sum(0)])
    yy, xx, yx = smoothed(products, window_px)
    spread = np.sqrt((xx - yy) ** 2 + 4 * yx**2)
    step = 2 * scale_px * np.sqrt(np.pi) * np.sqrt(2 * np.pi * (scale_px**2 / 2 + window_px**2))
    first, second = (np.sqrt(np.maximum(xx + yy + sign * spread, 0) * np.float32(step / 2)) for sign in (1, -1))
    across = np.arctan2(2 * yx, xx - yy) / 2  # of the gradient, from the right towards down
    return Structure(np.sqrt(products[0] + products[1]), first, second, np.degrees(np.pi / 2 - across) % 180)


def nearby(values: np.ndarray, scale_px: float) -> np.ndarray:
    """The largest value within two scales, `y x`."""
    return largest(values, 2 * max(1, round(2 * scale_px)) + 1)


def on_ridge(gradient: np.ndarray, scale_px: float) -> np.ndarray:
    """Where a gradient is at least half of the largest within two scales: a band of about 1.2 scales to each side of an edge."""
    return gradient >= nearby(gradient, scale_px) / 2
