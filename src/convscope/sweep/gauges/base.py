"""What is a gauge?  A statistic of one layer that is fed batch by batch, merged with others, saved and read out."""

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar, Self

import numpy as np

from convscope.sweep.response import Response


class Gauge(ABC):
    """A mergeable statistic of one layer. Its whole state is the arrays among its dataclass fields.

    Any split of the images, fed in any order to any number of gauges that are then merged, gives the same result: exactly for
    counts and exemplars, to rounding for sums.
    """

    name: ClassVar[str]
    # False: peaks, means, mean squares, samples, and places of the peaks it looks at are enough, and come once a batch.
    reads_maps: ClassVar[bool] = True

    @property
    def needs_extents(self) -> bool:
        """Whether `update` also asks how many neurons reach the peaks it looks at."""
        return False

    def looks_at(self, response: Response) -> np.ndarray | None:
        """Of which peaks the place may be asked for in `update`, truth values `batch unit`; None for none."""
        return None

    @abstractmethod
    def update(self, response: Response) -> None:
        """Takes in what the layer answered to some images it has not answered before."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Takes in what another gauge of the same layer has seen of other images."""

    @abstractmethod
    def result(self) -> Any:
        """What was found: a frozen record of arrays, a row for each unit."""

    def state(self) -> dict[str, np.ndarray]:
        """Everything there is to save."""
        return {f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), np.ndarray)}  # type: ignore[arg-type]

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Puts a saved state back."""
        for name, value in state.items():
            setattr(self, name, np.array(value))
