"""Which colours stand for numbers?  Diverging for signed ones, zero neutral; sequential for others; grey for what failed.

Tables are sampled from ColorBrewer's RdBu (Brewer 2003) and from viridis (van der Walt and Smith 2015), read between the samples.
"""

import numpy as np

DIVERGING = (
    "053061 124984 2065ab 327cb7 4393c3 6bacd1 90c4dd b1d5e7 d1e5f0 e4eef4 f7f6f6 fae9df fddbc7 f8bfa4 f3a481 e48066 d6604d c43b3c "
    "b1182b 8a0b25 67001f"
)
SEQUENTIAL = (
    "440154 471365 482475 463480 414487 3b528b 355f8d 2f6c8e 2a788e 25848e 21918c 1e9c89 22a884 2fb47c 44bf70 5ec962 7ad151 9bd93c "
    "bddf26 dfe318 fde725"
)
GREYS = "f2f2f2 2b2b2b"
SIGNED_GREYS = "ffffff 9a9a9a 1f1f1f"


def colors(hexes: str, n: int) -> np.ndarray:
    """`n` colours between those given, float 0-255 `color 3`."""
    known = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in hexes.split()], float)
    at = np.linspace(0, len(known) - 1, n)
    return np.stack([np.interp(at, np.arange(len(known)), known[:, channel]) for channel in range(3)], 1)
