"""In which precision and memory format does this network run fastest here?  Found by trying, on the processor at hand."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from convscope.errors import UnknownNameError
from convscope.network.network import Network

_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
Work = Callable[[Network, torch.Tensor], object]
LAST = "channels_last"
OTHER_LAYOUT, OTHER_PRECISION = 1.05, 1.5  # how much faster another form has to be to be taken
MOST_DIFFERENCE = 0.02  # of the largest logit, that a lower precision may change


def form_name(dtype: torch.dtype, channels_last: bool) -> str:
    """A precision and memory format in words: "float32", "bfloat16 channels_last"."""
    return _NAMES.get(dtype, str(dtype)) + (f" {LAST}" if channels_last else "")


def named_format(network: Network, name: str) -> Network:
    """The network in a precision and memory format given in words. Raises UnknownNameError for others."""
    known = {form_name(dtype, last): (dtype, last) for dtype in _NAMES for last in (False, True)}
    if name not in known:
        raise UnknownNameError("format", name, known)
    dtype, last = known[name]
    return network.to(dtype=dtype, channels_last=last)


@dataclass(frozen=True)
class Trial:
    """One way of running a network, timed."""

    dtype: torch.dtype
    channels_last: bool
    images_per_s: float
    logit_difference: float  # largest, against float32 in the usual format, relative to the largest logit

    @property
    def name(self) -> str:
        return form_name(self.dtype, self.channels_last)

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
    work: Work | None = None,
) -> tuple[Network, tuple[Trial, ...]]:
    """The network in the fastest of these precisions, channels first or last, and what was tried, fastest first.

    Each is timed on `inputs` in turn, `n_rounds` times, and its best round counts: a pass, or the `work` that is to be done
    with the network. float32 in the usual format is always tried.
    """
    work = work or Network.__call__
    forms = [(torch.float32, False), *((dtype, last) for dtype in dtypes for last in (False, True))]
    nets = {form: network.to(dtype=form[0], channels_last=form[1]) for form in dict.fromkeys(forms)}
    with torch.no_grad():
        logits = {form: net(inputs) for form, net in nets.items()}  # also warms up
        seconds = dict.fromkeys(nets, float("inf"))
        for _ in range(n_rounds):
            for form, net in nets.items():
                start = time.perf_counter()
                work(net, inputs)
                seconds[form] = min(seconds[form], time.perf_counter() - start)
    exact = logits[torch.float32, False]
    scale = float(exact.abs().max()) or 1.0
    trials = [
        Trial(*form, len(inputs) / seconds[form], float((logits[form] - exact).abs().max()) / scale) for form in nets
    ]
    trials.sort(key=lambda trial: -trial.images_per_s)
    return nets[trials[0].dtype, trials[0].channels_last], tuple(trials)


def choose_format(
    network: Network, inputs: torch.Tensor, work: Work | None = None
) -> tuple[Network, tuple[Trial, ...]]:
    """The form to measure in: float32, channels first, unless another is clearly faster and says the same.

    Another order of memory has to be 5 % faster; a lower precision half as fast again as the best of float32, and its logits
    within 2 % of the largest. What was tried comes with it, fastest first. `inputs` should be as many images as are computed
    together. A choice by timing can come out otherwise the next time: who needs the same bytes again keeps its name.
    """
    _, trials = fastest(network, inputs, work=work)
    taken = worth_taking(trials)
    return network.to(dtype=taken.dtype, channels_last=taken.channels_last), trials


def worth_taking(trials: Sequence[Trial]) -> Trial:
    """The trial that `choose_format` takes."""
    exact = [trial for trial in trials if trial.dtype == torch.float32]
    usual = next(trial for trial in exact if not trial.channels_last)
    best = max(exact, key=lambda trial: trial.images_per_s)
    lower = [
        trial
        for trial in trials
        if trial.dtype != torch.float32
        and trial.images_per_s >= OTHER_PRECISION * best.images_per_s
        and trial.logit_difference <= MOST_DIFFERENCE
    ]
    if lower:
        return max(lower, key=lambda trial: trial.images_per_s)
    return best if best.images_per_s >= OTHER_LAYOUT * usual.images_per_s else usual
