"""What is to be seen?  A layer, a unit, a neuron at one position, or a class."""

from dataclasses import dataclass

from convscope.errors import UnknownNameError, UsageError
from convscope.graph.graph import INPUT
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
    return Asked(layer + where, layer, unit, address.position, target)


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
    if isinstance(place, int):
        if not 0 <= place < network.n_classes:
            raise UsageError(
                f"Class {place} was to be seen.", f"The network has {network.n_classes} classes.", "Count from 0."
            )
        return place
    layer = place.partition(":")[0]
    known = layer in network.layers.names or layer in network.graph.modules
    return list(names).index(place) if place in names and not known else None
