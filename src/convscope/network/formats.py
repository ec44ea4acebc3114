"""In which precision and memory format does this network run fastest here?  Found by trying, on the processor at hand."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from convscope.network.network import Network

_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}


@dataclass(frozen=True)
class Trial:
    """One way of running a network, timed."""

    dtype: torch.dtype
    channels_last: bool
    images_per_s: float
    logit_difference: float  # largest, against float32 in the usual format, relative to the largest logit

    @property
    def name(self) -> str:
        return _NAMES.get(self.dtype, str(self.dtype)) + (" channels_last" if self.channels_last else "")

    def as_dict(self) -> dict[str, Any]:
        return {
            "format": self.name,
            "images_per_s": self.images_per_s,
            "logit_difference": self.logit_difference,
        }


def fastest(
    network: Network,
    inputs: torch.Tensor,
    *,
    dtypes: Sequence[torch.dtype] = (torch.float32, torch.bfloat16),
    n_rounds: int = 3,
) -> tuple[Network, tuple[Trial, ...]]:
    """The network in the fastest of these precisions, channels first or last, and what was tried, fastest first.

    Each is timed on `inputs` in turn, `n_rounds` times, and its best round counts. float32 in the usual format is always tried.
    """
    forms = [(torch.float32, False), *((dtype, last) for dtype in dtypes for last in (False, True))]
    nets = {form: network.to(dtype=form[0], channels_last=form[1]) for form in dict.fromkeys(forms)}
    with torch.no_grad():
        logits = {form: net(inputs) for form, net in nets.items()}  # also warms up
        seconds = dict.fromkeys(nets, float("inf"))
        for _ in range(n_rounds):
            for form, net in nets.items():
                start = time.perf_counter()
                net(inputs)
                seconds[form] = min(seconds[form], time.perf_counter() - start)
    exact = logits[torch.float32, False]
    scale = float(exact.abs().max()) or 1.0
    trials = [
        Trial(*form, len(inputs) / seconds[form], float((logits[form] - exact).abs().max()) / scale) for form in nets
    ]
    trials.sort(key=lambda trial: -trial.images_per_s)
    return nets[trials[0].dtype, trials[0].channels_last], tuple(trials)
