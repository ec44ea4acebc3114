"""How long does a mosaic of 256 maps of 56 x 56 take, from values to a picture with marks and legend?

Bar: under 5 ms for the values of a layer of 256 maps of 56 x 56. It takes one thread, so its processor time is what it takes on a
machine that does nothing else; the median of many is printed beside that of the time gone by. As a measure of the machine: the same
values copied once.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from interleaved import bar

from convscope.instruments.appearance.maps import Maps
from convscope.instruments.appearance.mosaic import mosaic

CASES = {
    "256 units of 56 x 56": (256, 56, 56),
    "2,000 units of 1 x 1": (2000, 1, 1),
    "2,000 units of 7 x 7": (2000, 7, 7),
    "64 units of 112 x 112": (64, 112, 112),
}
N_ROUNDS = 41
BARRED, BAR_MS = "256 units of 56 x 56", 5.0


def milliseconds(do: Callable[[], Any]) -> tuple[float, float]:
    """The median of many runs: of the processor, and gone by."""
    found = []
    for _ in range(N_ROUNDS):
        worked, started = time.thread_time(), time.perf_counter()
        do()
        found.append((1000 * (time.thread_time() - worked), 1000 * (time.perf_counter() - started)))
    worked_ms, gone_by_ms = (statistics.median(times) for times in zip(*found[1:], strict=True))
    return worked_ms, gone_by_ms


def main() -> None:
    generator = np.random.default_rng(0)
    for name, shape in CASES.items():
        signed = generator.standard_normal(shape).astype(np.float32)
        rectified = np.maximum(signed, 0)
        print(f"{name}: one copy of the values {milliseconds(rectified.copy)[0]:.2f} ms")
        ways: dict[str, Callable[[], Any]] = {
            "rectified": lambda values=rectified: mosaic(Maps("layer", values), marked=9),
            "signed": lambda values=signed: mosaic(Maps("layer", values), marked=9),
            "by response, scale per unit": lambda values=rectified: mosaic(
                Maps("layer", values), "response", "unit", marked=9
            ),
        }
        for way, do in ways.items():
            worked, gone_by = milliseconds(do)
            text = f"    {way}: {gone_by:.2f} ms gone by, processor ms"
            if name == BARRED:
                bar(text, worked, BAR_MS)
            else:
                print(f"{text:<58} {worked:6.2f}")


if __name__ == "__main__":
    main()
