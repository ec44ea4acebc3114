"""What do images give the head to read?  The values of its units, kept; the head can then be asked again without the network."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from convscope.errors import ImagesError
from convscope.instruments.readout.head import Head, head_of
from convscope.network import Network
from convscope.walks.onward import Onward

MOST_NUMBERS = 2**24  # of the largest value that is computed at once
MOST_SLOPES = 2**27  # classes times values read: a linear head with more is computed anew each time


@dataclass(frozen=True, eq=False)
class Kept:
    """Images, as the head reads them; all float32."""

    head: Head
    values: Tensor  # `image unit`, or `image unit y x`
    logits: Tensor  # `image class`
    onward: Onward  # the head
    whole: "Kept | None" = None  # these are some of its images

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_classes(self) -> int:
        return self.logits.shape[1]

    def finish(self, values: Tensor) -> Tensor:
        """Logits `image class` of any values, `image unit` or `image unit y x`."""
        with torch.no_grad():
            return torch.cat([self.onward(part).cpu() for part in values.split(self._n_at_once)])

    def gradient(self, values: Tensor, classes: Tensor) -> Tensor:
        """How fast the logit of a class of each image (int64 `image`) changes with each value; in the shape of `values`."""
        found = []
        for part, chosen in zip(values.split(self._n_at_once), classes.split(self._n_at_once), strict=True):
            signal = F.one_hot(chosen, self.n_classes)
            found.append(self.onward.gradient(part, signal.type_as)[1].cpu())
        return torch.cat(found)

    @cached_property
    def slopes(self) -> Tensor | None:
        """The weights of a linear head, `class unit` (or `class unit y x`); None for another, or where they are too many."""
        if self.whole is not None:
            return self.whole.slopes
        one = self.values[:1]
        if not self.head.is_linear or self.n_classes * one.numel() > MOST_SLOPES:
            return None
        return self.gradient(one.expand(self.n_classes, *one.shape[1:]).contiguous(), torch.arange(self.n_classes))

    @cached_property
    def mean(self) -> Tensor:
        """Each unit's mean over all images and positions, `unit`."""
        return self.whole.mean if self.whole is not None else over_places(self.values, mean=True).mean(0)

    @property
    def _n_at_once(self) -> int:
        sizes = [prod(size or 1 for size in step.shape or ()) for step in self.head.steps]
        return max(1, MOST_NUMBERS // max([*sizes, self.values[0].numel()]))

    def __getitem__(self, places: Tensor) -> "Kept":
        """Some of the images (int64, or truth values); means stay those of all."""
        return Kept(self.head, self.values[places], self.logits[places], self.onward, self.whole or self)


def keep(network: Network, batches: Iterable[Tensor], head: Head | None = None) -> Kept:
    """Normalised inputs (`batch channel y x`, a batch at a time), as the head reads them.

    Where the head reads maps, all images have to be of one size. Raises NetworkError for a network without a head (see head.py),
    ImagesError for no images or several sizes.
    """
    head = head_of(network) if head is None else head
    found: list[Tensor] = []
    logits: list[Tensor] = []
    onward: Onward | None = None
    for inputs in batches:
        quick = network.quick_for(inputs)
        with torch.no_grad():
            if onward is None:
                onward = quick.onward(head.read, inputs[:1])
            both = quick.run(inputs, [head.read, network.output])
        found.append(both[head.read].cpu())
        logits.append(both[network.output].cpu())
    if onward is None or len({part.shape[1:] for part in found}) > 1:
        what = "There are none." if onward is None else "They are of several sizes, and the head reads whole maps."
        raise ImagesError("Images were to be read out.", what, "Give images, all of one size after preprocessing.")
    return Kept(head, torch.cat(found), torch.cat(logits), onward)


def over_places(values: Tensor, *, mean: bool = False) -> Tensor:
    """`image unit y x` summed (or averaged) over positions, `image unit`; values without positions as they are."""
    if values.dim() == 2:
        return values
    return values.mean((2, 3)) if mean else values.sum((2, 3))
