"""How long does a mosaic of 256 maps of 56 x 56 take, from values to a picture with marks and legend?

Bar: under 5 ms, the median of many, on one core. Beside it, as a measure of the machine: the same values copied once.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from convscope.instruments.appearance.maps import Maps
from convscope.instruments.appearance.mosaic import mosaic

CASES = {
    "256 units of 56 x 56": (256, 56, 56),
    "2,000 units of 1 x 1": (2000, 1, 1),
    "2,000 units of 7 x 7": (2000, 7, 7),
    "64 units of 112 x 112": (64, 112, 112),
}
N_ROUNDS = 41


def milliseconds(do: Callable[[], Any]) -> float:
    """The median of many runs."""
    found = []
    for _ in range(N_ROUNDS):
        start = time.perf_counter()
        do()
        found.append(1000 * (time.perf_counter() - start))
    return statistics.median(found[1:])


def main() -> None:
    generator = np.random.default_rng(0)
    for name, shape in CASES.items():
        signed = generator.standard_normal(shape).astype(np.float32)
        rectified = np.maximum(signed, 0)
        copy = milliseconds(rectified.copy)
        print(f"{name}: one copy of the values {copy:.2f} ms")
        ways: dict[str, Callable[[], Any]] = {
            "rectified": lambda values=rectified: mosaic(Maps("layer", values), marked=9),
            "signed": lambda values=signed: mosaic(Maps("layer", values), marked=9),
            "by response, scale per unit": lambda values=rectified: mosaic(
                Maps("layer", values), "response", "unit", marked=9
            ),
        }
        for way, do in ways.items():
            print(f"    {way:<28} {milliseconds(do):6.2f} ms")


if __name__ == "__main__":
    main()
