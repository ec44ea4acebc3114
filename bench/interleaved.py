"""How much faster is one thing than another, on a machine that is never quiet?  Timed in turn, compared round by round."""

import statistics
import time
from collections.abc import Callable, Mapping


def seconds(
    candidates: Mapping[str, Callable[[], object]], *, n_rounds: int = 15, warm_up: int = 2
) -> dict[str, list[float]]:
    """Seconds of each candidate in each round; all run once in every round, in turn, beginning with another one each time."""
    names = list(candidates)
    found: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(-warm_up, n_rounds):
        turn = round_ % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.perf_counter()
            candidates[name]()
            if round_ >= 0:
                found[name].append(time.perf_counter() - start)
    return found


def ratio(times: Mapping[str, list[float]], name: str, against: str) -> float:
    """Median over rounds of the ratio of two candidates in the same round."""
    return statistics.median(a / b for a, b in zip(times[name], times[against], strict=True))


def bar(text: str, value: float, limit: float, *, at_most: bool = True) -> None:
    """Prints a ratio beside its bar."""
    met = value <= limit if at_most else value >= limit
    sign = "<=" if at_most else ">="
    print(f"{text:<58} {value:6.2f}   bar {sign} {limit:g}   {'met' if met else 'MISSED'}", flush=True)
