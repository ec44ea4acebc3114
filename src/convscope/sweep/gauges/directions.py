"""Which images drive a direction most?  The highest peaks along weighted sums of a layer's units, w . a(y, x), as for units."""

from dataclasses import dataclass, field

import numpy as np
import torch

from convscope.registry import register
from convscope.sweep.gauges.exemplars import Exemplars
from convscope.sweep.response import Response


@register("gauge", "directions")
@dataclass
class Directions(Exemplars):
    """The k highest peaks of each direction; a direction takes the place of a unit. `weights` are float32 `direction unit`."""

    name = "directions"
    reads_maps = True
    n_units: int = field(init=False)
    k: int = 1
    saturates: bool = field(init=False, default=False)
    weights: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def __post_init__(self) -> None:
        self.n_units = len(self.weights)
        super().__post_init__()

    def update(self, response: Response) -> None:
        weights = torch.from_numpy(self.weights).to(response.maps.device)
        along = torch.einsum("du,bu...->bd...", weights, response.maps.float())
        super().update(Response(response.layer, along, response.keys))
