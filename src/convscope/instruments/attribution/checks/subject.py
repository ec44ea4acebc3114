"""What is a map checked on?  One image and one target, with everything that the maps of all methods are held against.

What does not depend on the method (answers to random orders, other classes, networks with shuffled weights) is worked out when
first asked for and kept; so checking many methods on one image costs little more than checking one.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch

from convscope.errors import UsageError
from convscope.instruments.attribution.method import Attribution, Method
from convscope.instruments.attribution.target import Asked, Target, resolve_target
from convscope.network import Network

Kept = TypeVar("Kept")
Box = tuple[int, int, int, int]  # y0 x0 y1 x1 in px, the last row and column not included
_AT_ONCE = 8  # images computed together


class Subject:
    """One image (normalised inputs, `1 channel y x`), one target, one seed; and a mask or boxes of where the thing is, if known.

    `thorough` repeats also methods that are expensive, and draws curves with more points. Raises UsageError for several images,
    for a mask that is empty or of another size, and whatever resolving the target raises.
    """

    def __init__(
        self,
        network: Network,
        inputs: torch.Tensor,
        target: Asked = None,
        seed: int = 0,
        mask: Any = None,
        boxes: Sequence[Box] = (),
        *,
        thorough: bool = False,
    ) -> None:
        network.graph_for(inputs)  # raises InputShapeError
        if len(inputs) != 1:
            raise UsageError(
                "A map was to be checked.", f"There are {len(inputs)} images.", "Make one Subject for each image."
            )
        self.network, self.inputs, self.seed, self.thorough = network, inputs.detach(), seed, thorough
        self.target: Target = resolve_target(network, self.logits, target)
        self.mask = _mask(mask, boxes, (int(inputs.shape[2]), int(inputs.shape[3])))
        self._kept: dict[Any, Any] = {}

    @cached_property
    def logits(self) -> torch.Tensor:
        with torch.no_grad():
            return self.network(self.inputs)

    @property
    def size(self) -> tuple[int, int]:
        """(y, x) of the image in px."""
        return int(self.inputs.shape[2]), int(self.inputs.shape[3])

    def kept(self, key: Any, make: Callable[[], Kept]) -> Kept:
        """What `make` gives, worked out the first time it is asked for."""
        if key not in self._kept:
            self._kept[key] = make()
        found: Kept = self._kept[key]
        return found

    def generator(self, what: str) -> torch.Generator:
        """Random numbers for one purpose, the same at every run."""
        return torch.Generator().manual_seed(int(np.random.default_rng([self.seed, *what.encode()]).integers(2**62)))

    def expect(self, attribution: Attribution) -> None:
        """Raises UsageError if an attribution is of another image or target."""
        if attribution.inputs.shape != self.inputs.shape or not torch.equal(attribution.inputs, self.inputs):
            raise UsageError(
                "An attribution was to be checked.", "It is of another image.", "Attribute subject.inputs."
            )
        if attribution.target != self.target:
            raise UsageError(
                "An attribution was to be checked.",
                f"It explains {attribution.target.words[0]}, not {self.target.words[0]}.",
                "Attribute subject.target.",
            )

    def explain(self, method: Method, layer: str | None = None) -> Attribution:
        """A method's attribution of this image and target."""
        return method(self.network, self.inputs, self.target, layer)

    @property
    def is_class(self) -> bool:
        """Whether the target is a class (or a contrast of two), not a unit or neuron inside."""
        return self.target.step == self.network.output and self.target.position is None

    @property
    def scale(self) -> str:
        """What curves are made of, in words."""
        if not self.is_class:
            return "response, in parts of that to the image"
        return "probability"

    @property
    def chance(self) -> float:
        """The response of a network that knows nothing: 1 / n for n classes, a half for a contrast or one logit; 0 for a unit."""
        if not self.is_class:
            return 0.0
        return 0.5 if self.target.minus or self.network.n_classes == 1 else 1 / self.network.n_classes

    def responses(self, images: Iterable[torch.Tensor]) -> torch.Tensor:
        """How the target answers to each image (`1 channel y x`), float64, a few computed at a time.

        That is the probability of the class (of two classes, for a contrast), or a unit's response in parts of that to the image.
        """
        waiting = iter(images)
        found = []
        while part := list(islice(waiting, _AT_ONCE)):
            found.append(self._answer(torch.cat(part)))
        answers = torch.cat(found)
        return answers if self.is_class else answers / self._unit

    @cached_property
    def _unit(self) -> torch.Tensor:
        response = self._answer(self.inputs)
        return torch.where(response == 0, torch.ones_like(response), response)

    def _answer(self, images: torch.Tensor) -> torch.Tensor:
        network, step = self.network.quick_for(self.inputs), self.target.step
        with torch.no_grad():
            if not self.is_class:
                return self.target.score(network.run(images, [step])[step]).double()
            return probability(network, network(images), self.target)


def probability(network: Network, logits: torch.Tensor, target: Target) -> torch.Tensor:
    """The probability of a target class, float64; of a contrast, that of the first among the two; of one logit, its sigmoid."""
    logits = logits.double()
    op = network.graph[network.output].op
    if op in ("softmax", "sigmoid"):  # the network says probabilities itself
        logits = logits.clamp_min(1e-300).log() if op == "softmax" else torch.logit(logits.clamp(1e-12, 1 - 1e-12))
    if target.minus or network.n_classes == 1:
        return target.score(logits).sigmoid()
    return target.score(logits.softmax(1))


def _mask(mask: Any, boxes: Sequence[Box], size: tuple[int, int]) -> torch.Tensor | None:
    """Where the thing is, bool `y x`."""
    if mask is None and not boxes:
        return None
    found = torch.zeros(size, dtype=torch.bool)
    if mask is not None:
        given = torch.as_tensor(mask)
        if given.shape != size:
            raise UsageError(
                "A mask was given.", f"It is {tuple(given.shape)}, the image {size} (y x).", "Crop it like the image."
            )
        found |= given.bool()
    for y0, x0, y1, x1 in boxes:
        found[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = True
    if not bool(found.any()):
        raise UsageError(
            "A mask was given.", "Nothing of it lies in the image.", "Give it in pixels of the input, y x."
        )
    return found
