"""What is to be seen?  A layer, a unit, a neuron at one position, or a class."""

import operator
from dataclasses import dataclass

from convscope.errors import UnknownNameError, UsageError
from convscope.graph.graph import INPUT, Ref, Step
from convscope.graph.layout import UNIT
from convscope.network import Network
from convscope.network.address import Address


@dataclass(frozen=True)
class Asked:
    """A place of the network."""

    text: str  # as it was asked for, the layer's name as the table has it
    layer: str  # as the table has it
    unit: int | None = None
    position: tuple[int, int] | None = None
    target: int | None = None  # the class that the unit stands for, if it is a logit
    note: str = ""  # where the unit of a concatenation comes from: that is what is looked at


def asked(network: Network, place: str | int) -> Asked:
    """What `LAYER`, `LAYER:UNIT`, `LAYER:UNIT@y,x`, or a class by index or name, means.

    Raises UnknownNameError for a layer that is not there, UsageError for a unit, a position or a class that is not, or for a layer
    without units.
    """
    target = _class(network, place)
    if target is not None:
        logits = logits_layer(network)
        return Asked(f"{logits}:{target}", logits, target, None, target)
    address = _address(network, str(place))
    layer = network.resolve(address.layer)
    if layer == INPUT or layer not in network.layers.names or layer not in network.graph.above([INPUT]):
        raise UsageError(
            f"'{place}' was to be seen.",
            "It is the image itself, or does not depend on it.",
            "Name a layer of the table.",
        )
    unit = address.unit
    target = unit if layer in (network.output, logits_layer(network)) and unit is not None else None
    where = "" if unit is None else f":{unit}"
    where += "" if address.position is None else f"@{address.position[0]},{address.position[1]}"
    own, own_unit = (layer, unit) if unit is None else _branch(network, layer, unit)
    note = (
        f"Unit {unit} of the concatenation '{layer}' is unit {own_unit} of '{own}', which is shown."
        if own != layer
        else ""
    )
    return Asked(layer + where, own, own_unit, address.position, target, note)


def has_no_place(network: Network, layer: str) -> bool:
    """Whether a layer's units have values that stand at no place of the image (tokens)."""
    layout = network.graph[layer].layout[0]
    return layout is None or len(layout.map_shape) == 2


def _branch(network: Network, layer: str, unit: int) -> tuple[str, int]:
    """Where a unit of a concatenation comes from: the branch's layer, and its number there; else the same."""
    step, number = network.graph[layer], unit
    while step.op == "cat" and _joins_units(step):
        for part in step.args[0]:
            below = network.graph.by_name.get(part.step) if isinstance(part, Ref) else None
            layout = None if below is None else below.layout[0]
            if below is None or layout is None:
                return layer, unit
            if number < layout.map_shape[0]:
                step = below
                break
            number -= layout.map_shape[0]
        else:
            return layer, unit
    return (step.name, number) if step.is_layer else (layer, unit)


def _joins_units(step: Step) -> bool:
    dim, layout = int(step.argument(1, "dim", 0)), step.layout[0]
    return layout is not None and any(atom.axis == UNIT for atom in layout.dims[dim])


def _address(network: Network, place: str) -> Address:
    """The place in the network; a name that is no layer's may have been meant for a class."""
    try:
        return network.address(place)
    except UnknownNameError:
        if network.classes is None or ":" in place:
            raise
        raise UnknownNameError("layer or class", place, (*network.layers.names, *network.classes.names)) from None


def logits_layer(network: Network) -> str:
    """The layer of the table whose units are the logits: the output, or what it flattens."""
    step = network.graph[network.output]
    while not step.is_layer and step.inputs and step.inputs[0] in network.graph.by_name:
        step = network.graph[step.inputs[0]]
    return step.name if step.is_layer else network.output


def _class(network: Network, place: str | int) -> int | None:
    """The class that is meant, if one is: its index, or its name where no layer is called so."""
    names = () if network.classes is None else network.classes.names
    if not isinstance(place, str):
        try:
            target = operator.index(place)
        except TypeError:
            raise UsageError(
                f"{place!r} was to be seen.",
                f"That is {type(place).__name__}.",
                "Give LAYER, LAYER:UNIT, LAYER:UNIT@y,x as text, or a class by name or index; several with convscope.see.sheets.",
            ) from None
        if not 0 <= target < network.n_classes:
            raise UsageError(
                f"Class {target} was to be seen.", f"The network has {network.n_classes} classes.", "Count from 0."
            )
        return target
    layer = place.partition(":")[0]
    if layer in network.layers.names or layer in network.graph.modules:
        return None
    alike = [i for i, name in enumerate(names) if name.casefold() == place.casefold()]
    exact = [i for i in alike if names[i] == place]
    return exact[0] if exact else alike[0] if len(alike) == 1 else None
