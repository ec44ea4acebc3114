"""What is explained?  One number for each image: a class's logit, the difference of two, a unit's response, or one neuron's."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
import torch

from convscope.errors import NetworkError, UnknownNameError, UsageError
from convscope.graph.graph import INPUT
from convscope.graph.layout import Layout
from convscope.network import Network
from convscope.network.address import Address


@dataclass(frozen=True)
class Target:
    """A number for each image, linear in the value of one step: the sum of some entries less the sum of others."""

    step: str
    plus: tuple[int, ...]  # class or unit, one for each image
    minus: tuple[int, ...] = ()  # class that is subtracted, likewise
    position: tuple[int, int] | None = None  # (y, x) of a neuron; None for the mean over the positions of a unit
    words: tuple[str, ...] = ()  # what it is, for each image

    def score(self, maps: torch.Tensor) -> torch.Tensor:
        """The number for each image, of the step's maps (`batch unit ...`), n variants of each image grouped by image."""
        found = self._entry(maps, self.plus)
        return found - self._entry(maps, self.minus) if self.minus else found

    def signal(self, maps: torch.Tensor) -> torch.Tensor:
        """The derivative of the number by the step's maps, in their shape."""
        leaf = torch.zeros_like(maps, requires_grad=True)
        with torch.enable_grad():
            self.score(leaf).sum().backward()
        assert leaf.grad is not None
        return leaf.grad

    def of(self, image: int) -> "Target":
        """The same for one image of the batch."""
        one = slice(image, image + 1)
        return Target(self.step, self.plus[one], self.minus[one], self.position, self.words[one])

    def _entry(self, maps: torch.Tensor, units: tuple[int, ...]) -> torch.Tensor:
        times = maps.shape[0] // len(units)
        index = torch.tensor(units, device=maps.device).repeat_interleave(times)
        chosen = maps[torch.arange(maps.shape[0], device=maps.device), index]
        if self.position is not None:
            return chosen[:, self.position[0], self.position[1]]
        return chosen.flatten(1).mean(1) if chosen.dim() > 1 else chosen


Asked = int | str | tuple[Any, Any] | Sequence[Any] | torch.Tensor | np.ndarray | Target | None


def resolve_target(network: Network, values: torch.Tensor, asked: Asked = None) -> Target:
    """What was meant: nothing (the class each image is predicted as), a class by index or name, a pair of classes (the first less
    the second), a list (one for each image), or `LAYER:UNIT` and `LAYER:UNIT@y,x`; or a Target, which is checked.

    `values` are those of `target_step`: the logits, or the maps of the layer whose unit is meant. A network with a single logit
    has one target, that logit: positive scores speak for its class. Raises UsageError for a class, unit or position that is not
    there, NetworkError for values that are not finite.
    """
    n_images = values.shape[0]
    if not bool(torch.isfinite(values).all()):
        raise NetworkError(
            "A prediction was to be explained.",
            "The network answers with values that are not finite (NaN or infinite).",
            "Look for the layer they come from: convscope why counts them, layer by layer.",
        )
    if isinstance(asked, Target):
        return _checked(network, asked, n_images)
    if asked is None:
        return _classes(network, tuple(values.argmax(1).tolist()))
    asked = _plain(asked)
    if isinstance(asked, str) and _names_unit(network, asked):
        return _unit(network, asked, n_images)
    if isinstance(asked, tuple):
        if len(asked) != 2:
            raise _wrong(asked, "A contrast is a pair: the class that is explained, and the one it is held against.")
        pair = [_class(network, one) for one in asked]
        if pair[0] == pair[1]:
            raise _wrong(asked, "Both are the same class.")
        return _classes(network, (pair[0],) * n_images, (pair[1],) * n_images)
    if isinstance(asked, Sequence) and not isinstance(asked, str):
        if len(asked) != n_images:
            raise _wrong(list(asked[:5]), f"There are {len(asked)} for {n_images} images.")
        return _classes(network, tuple(_class(network, one) for one in asked))
    return _classes(network, (_class(network, asked),) * n_images)


def target_step(network: Network, asked: Asked = None) -> str:
    """The step that what was meant is read from: the logits, or a layer. Raises UsageError for a unit or position not there."""
    if isinstance(asked, Target):
        return _step(network, asked.step)
    return _unit(network, asked, 1).step if isinstance(asked, str) and _names_unit(network, asked) else network.output


def class_name(network: Network, index: int) -> str:
    """What a class is called."""
    return network.classes[index] if network.classes is not None else f"class {index}"


def layout_of(network: Network, step: str, inputs: torch.Tensor) -> Layout:
    """Which axis of a step's value is which."""
    layout = network.graph_for(inputs)[step].layout[0]
    assert layout is not None
    return layout


def _classes(network: Network, plus: tuple[int, ...], minus: tuple[int, ...] = ()) -> Target:
    names = [class_name(network, index) for index in plus]
    if minus:
        names = [f"{name} rather than {class_name(network, i)}" for name, i in zip(names, minus, strict=True)]
    return Target(network.output, plus, minus, words=tuple(names))


def _class(network: Network, asked: Any) -> int:
    asked, n_classes = _plain(asked), network.n_classes
    if isinstance(asked, str) and not re.fullmatch(r"\s*-?\d+\s*", asked):
        if network.classes is None:
            raise UnknownNameError("class", asked, (), f"The {n_classes} classes have no names; give an index.")
        return network.classes.index_of(asked)
    try:
        number = int(asked) if isinstance(asked, str) else index(asked)
    except TypeError as error:
        raise _wrong(asked, "That is neither a class nor a layer's unit.") from error
    if isinstance(asked, bool):
        raise _wrong(asked, "That is an answer, not a class.")
    if not 0 <= number < n_classes:
        raise _wrong(number, f"The network has {n_classes} class{'es' if n_classes > 1 else ''}, 0 to {n_classes - 1}.")
    return number


def _plain(asked: Any) -> Any:
    """Numbers of tensors and arrays as Python's own."""
    return asked.tolist() if isinstance(asked, (torch.Tensor, np.ndarray, np.generic)) else asked


def _checked(network: Network, target: Target, n_images: int) -> Target:
    """A target that was made elsewhere, if this network has it."""
    for units in (target.plus, target.minus) if target.minus else (target.plus,):
        if len(units) != n_images:
            raise _wrong(target, f"It is for {len(units)} images, of which there are {n_images}.")
    for unit in dict.fromkeys((*target.plus, *target.minus)):
        _unit(network, str(Address(target.step, unit, target.position)), 1)
    return target


def _names_unit(network: Network, asked: str) -> bool:
    return ":" in asked and (network.classes is None or asked not in network.classes.names)


def _unit(network: Network, place: str, n_images: int) -> Target:
    address = network.address(place)
    if address.unit is None:
        raise _wrong(place, "That names a layer, not one of its units.")
    step = _step(network, address.layer)
    return Target(step, (address.unit,) * n_images, (), address.position, words=(str(address),) * n_images)


def _step(network: Network, layer: str) -> str:
    """The step behind a layer's name."""
    if network.resolve(layer) == INPUT:
        raise _wrong(layer, "That is the image itself.")
    return network.resolve(layer)


def _wrong(asked: object, found: str) -> UsageError:
    return UsageError(
        f"The target {asked!r} was to be explained.",
        found,
        "Give a class by index or name, a pair of them, or LAYER:UNIT or LAYER:UNIT@y,x.",
    )
