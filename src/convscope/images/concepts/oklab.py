"""How do the pixels of a network's input look to an eye?  OKLab, a space in which equal steps look about equally large.

Ottosson 2020, "A perceptual color space for image processing" (bottosson.github.io/posts/oklab); sRGB by IEC 61966-2-1. Its hues
stay what they are when colours get vivid; those of CIELAB do not (a display's blue turns purple).
"""

import numpy as np

_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def oklab(rgb01: np.ndarray) -> np.ndarray:
    """(L, a, b) of sRGB colours 0-1, on the last axis, float32.  L is 0 for black and 1 for white; chroma reaches about .3."""
    values = np.asarray(rgb01, np.float32)
    planes = np.moveaxis(values, -1, 0).reshape(3, -1)
    linear = np.where(planes <= 0.04045, planes / 12.92, ((planes + 0.055) / 1.055) ** 2.4)
    lab = _TO_LAB.astype(np.float32) @ np.cbrt(_TO_CONES.astype(np.float32) @ linear)
    return np.moveaxis(lab.reshape(3, *values.shape[:-1]), 0, -1)
