"""What shall a picture drive?  A unit, one neuron, a direction in the space of units, or a class; up or down.

Each is a weighted sum of the units of one layer at one neuron: w . a(y, x) (Olah, Mordvintsev and Schubert 2017,
doi:10.23915/distill.00007, "Optimization Objectives"); a unit is a direction with a single 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from convscope.errors import UnknownNameError, UsageError
from convscope.graph.graph import Ref, Step
from convscope.graph.layout import UNIT
from convscope.network import Network
from convscope.walks.pooled_first import pooled_name
from convscope.walks.rectifiers import rectifier

# Activations that rise with their input wherever they are not flat: a unit is driven through what goes into them.
# Rectifiers are too, however they are written.
_RISING = frozenset({"hardtanh", "leaky_relu", "elu", "celu", "selu", "sigmoid", "tanh", "hardsigmoid"})
_CEILINGS = {"sigmoid": 1.0, "tanh": 1.0, "hardsigmoid": 1.0}
_FLAT_FROM = {"hardsigmoid": 3.0}


@dataclass(frozen=True, eq=False)
class Direction:
    """A direction in the space of a layer's units: a weight for each. Only where it points matters, not how long it is."""

    layer: str
    weights: Sequence[float] | torch.Tensor
    name: str = "a direction"


Asked = str | int | Direction


@dataclass(frozen=True, eq=False)
class Objective:
    """What one picture shall drive."""

    words: str  # "features.3.relu:5", "class 'otter'"
    layer: str  # the step that is asked about
    weights: torch.Tensor = field(repr=False)  # over the units of that layer, of length 1
    driven: (
        str  # the step that the optimiser follows: below an activation, which would be flat where the unit is silent
    )
    driven_weights: torch.Tensor = field(repr=False)
    position: tuple[int, int] | None = None  # (y, x) of a neuron; None for the middle of a canvas
    negative: bool = False  # the picture that drives it down
    target: int | None = None  # the class, where it is one
    ceiling: float | None = None  # no value is above this
    enough: float | None = None  # of the driven step: the activation above it does not rise further

    @property
    def sign(self) -> float:
        return -1.0 if self.negative else 1.0

    @property
    def kind(self) -> str:
        """ "class", "direction", "neuron" or "unit"."""
        if self.target is not None:
            return "class"
        if int((self.weights != 0).sum()) != 1:
            return "direction"
        return "unit" if self.position is None else "neuron"


def objective(network: Network, asked: Asked, *, negative: bool = False) -> Objective:
    """What was meant: `LAYER:UNIT`, `LAYER:UNIT@y,x`, a class by index or name, or a Direction.

    Raises UnknownNameError for a layer or class, UsageError for a unit, a position or a direction that is not there.
    """
    if isinstance(asked, Objective):
        return asked
    if isinstance(asked, Direction):
        step = _step(network, asked.layer)
        weights = _unit_length(asked, _n_units(step))
        return _made(network, asked.name, step, weights, negative=negative)
    if isinstance(asked, str) and ":" in asked and (network.classes is None or asked not in network.classes.names):
        address = network.address(asked)
        if address.unit is None:
            raise UsageError(f"A picture for '{asked}' was to be made.", "That is a whole layer.", "Give LAYER:UNIT.")
        step = _step(network, address.layer)
        weights = _single(_n_units(step), address.unit)
        return _made(network, asked, step, weights, negative=negative, position=address.position)
    target = _class(network, asked)
    step = network.graph[network.output]
    name = network.classes[target] if network.classes is not None else str(target)
    return _made(network, f"class '{name}'", step, _single(_n_units(step), target), negative=negative, target=target)


def _made(
    network: Network,
    words: str,
    step: Step,
    weights: torch.Tensor,
    *,
    negative: bool,
    position: tuple[int, int] | None = None,
    target: int | None = None,
) -> Objective:
    below = _below(network, step, weights)
    words = f"{words}, driven down" if negative else words
    return Objective(
        words,
        step.name,
        weights,
        below.step,
        below.weights,
        position,
        negative,
        target,
        ceiling=below.ceiling,
        enough=None if negative else below.enough,
    )


@dataclass(frozen=True, eq=False)
class _Followed:
    """Where a unit is followed, and where the activation ends that lies between."""

    step: str
    weights: torch.Tensor
    ceiling: float | None = None
    enough: float | None = None  # of that step: the activation does not rise further


def _below(network: Network, step: Step, weights: torch.Tensor) -> _Followed:
    """Where to follow a unit: its own step, or what goes into the activation that makes it, through concatenations and pools."""
    own, units = _Followed(step.name, weights), weights.nonzero().flatten().tolist()
    if len(units) != 1 or not step.args:
        return own
    first = step.args[0]
    if step.op == "cat" and isinstance(first, (list, tuple)) and _along_units(step):
        begin = 0
        for part in first:
            below = _with_units(network, part)
            if below is None:
                break
            if units[0] < begin + _n_units(below):
                return _below(network, below, weights[begin : begin + _n_units(below)])
            begin += _n_units(below)
    if step.op == "max_pool2d" and step.shape is not None:
        below = _with_units(network, first)
        found = None if below is None else _below(network, below, weights)
        if found is not None and found.step != first.step:
            return replace(found, step=pooled_name(step.name, found.step))
    ceiling, enough = _CEILINGS.get(step.op), _FLAT_FROM.get(step.op)
    passes = rectifier(step, network.graph)
    if passes is not None:
        first, ceiling, enough = Ref(passes.below), passes.ceiling, passes.ceiling
    elif step.op == "hardtanh":
        ceiling = enough = float(step.argument(2, "max_val", 1))
    below = _with_units(network, first) if passes is not None or step.op in _RISING else None
    if below is None or _n_units(below) != len(weights):
        return replace(own, ceiling=ceiling)
    return _Followed(below.name, weights, ceiling, enough)


def _with_units(network: Network, argument: object) -> Step | None:
    """The step that an argument is the value of, if that has units."""
    step = network.graph.by_name.get(argument.step) if isinstance(argument, Ref) else None
    return None if step is None or step.layout[0] is None else step


def _along_units(step: Step) -> bool:
    dim, layout = int(step.argument(1, "dim", 0)), step.layout[0]
    return layout is not None and any(atom.axis == UNIT for atom in layout.dims[dim])


def _step(network: Network, layer: str) -> Step:
    name = network.resolve(layer)
    if name not in network.graph.by_name:
        raise UsageError(f"A picture for '{layer}' was to be made.", "That is the image itself.", "Name a layer.")
    return network.graph[name]


def _n_units(step: Step) -> int:
    if step.layout[0] is None:
        raise UsageError(
            f"A picture for '{step.name}' was to be made.", "Its value has no units.", "Name a layer of the table."
        )
    return step.layout[0].map_shape[0]


def _single(n_units: int, unit: int) -> torch.Tensor:
    weights = torch.zeros(n_units)
    weights[unit] = 1.0
    return weights


def _unit_length(asked: Direction, n_units: int) -> torch.Tensor:
    weights = torch.as_tensor(asked.weights, dtype=torch.float32).flatten()
    length = float(weights.norm())
    if len(weights) != n_units or not 0 < length < float("inf"):
        raise UsageError(
            f"A picture for {asked.name} of '{asked.layer}' was to be made.",
            f"It has {len(weights)} weights of length {length:g}; the layer has {n_units} units.",
            "Give one finite weight for each unit, not all 0.",
        )
    return weights / length


def _class(network: Network, asked: object) -> int:
    """The index that is meant; a name comes before an index that is written the same."""
    names = () if network.classes is None else network.classes.names
    if isinstance(asked, str) and names.count(asked) == 1:
        return names.index(asked)
    if isinstance(asked, str) and (asked in names or not asked.strip().isdecimal()):
        if network.classes is None:
            raise UnknownNameError("class", asked, (), f"The {network.n_classes} classes have no names; give an index.")
        return network.classes.index_of(asked)
    index = int(asked)  # type: ignore[call-overload]
    if not 0 <= index < network.n_classes:
        raise UsageError(
            f"A picture for class {index} was to be made.",
            f"The network has {network.n_classes} classes, 0 to {network.n_classes - 1}.",
            "Give a class, LAYER:UNIT, LAYER:UNIT@y,x or a Direction.",
        )
    return index
