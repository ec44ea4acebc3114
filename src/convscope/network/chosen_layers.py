"""Which layers are measured?  One for each step of the hierarchy: where a convolution's norm and activation have been applied."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from convscope.errors import NetworkError, UnknownNameError, UsageError
from convscope.graph.graph import INPUT, Graph, Step
from convscope.network.network import Network

_PRODUCTS = ("conv", "linear")
_PASSED = ("norm", "activation")


def chosen_layers(network: Network, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """The layers to measure, in the order they are computed.

    Without `wanted`: the end of every chain of convolution (or dense layer), norm and activation, and every activation above a
    sum of branches; not the gates that scale whole maps. `wanted` are names, module paths or patterns (`layer3.*`), any
    layer of the table. Raises UnknownNameError for one that matches nothing, UsageError for one without maps, NetworkError where
    there is nothing to measure.
    """
    if not wanted:
        ends = tuple(name for name in _chain_ends(network.graph) if has_maps(network, name))
        if not ends:
            raise NetworkError(
                "The layers of a convolutional network were to be measured.",
                "It has no convolution or dense layer whose units have maps.",
                "Name the layers to be measured (--layers), or ask of another network.",
            )
        return ends
    found: set[str] = set()
    for name in wanted:
        matching = [layer for layer in network.layers.names if fnmatchcase(layer, name)]
        if not matching and any(mark in name for mark in "*?["):
            raise UnknownNameError("layer", name, network.layers.names)
        found.update(matching or [network.resolve(name)])
    chosen = tuple(name for name in network.layers.names if name in found)
    left = [name for name in found if name not in chosen or not has_maps(network, name)]
    if left:
        raise UsageError(
            f"The layer '{left[0]}' was to be measured.",
            "It has no units with maps.",
            "`convscope layers` lists those that have.",
        )
    return chosen


def has_maps(network: Network, layer: str) -> bool:
    """Whether a layer's units have maps in y and x, or one value each; not tokens without a place."""
    return len(network.layers[layer].shape) in (1, 3)


def depths(graph: Graph) -> dict[str, int]:
    """How many convolutions and dense layers lie on the longest way from the image to each step, itself included.

    Gates (squeeze-and-excitation) do not count.
    """
    found = {INPUT: 0}
    for step in graph.steps:
        below = max((found[name] for name in step.inputs), default=0)
        found[step.name] = below + (step.kind in _PRODUCTS and not _is_gate(graph, step))
    return found


def _chain_ends(graph: Graph) -> tuple[str, ...]:
    ends: dict[str, None] = {}
    for step in graph.steps:
        if step.kind in _PRODUCTS and step.is_layer and not _is_gate(graph, step):
            ends[_end(graph, step).name] = None
        elif step.kind == "activation" and step.is_layer and _kind(graph, step.inputs[0]) == "sum":
            ends[step.name] = None
    return tuple(step.name for step in graph.steps if step.name in ends)


def _kind(graph: Graph, name: str) -> str:
    return "" if name == INPUT else graph[name].kind


def _end(graph: Graph, step: Step) -> Step:
    """The last of the norms and activations that alone read this step, one after the other."""
    readers = graph.readers[step.name]
    if len(readers) != 1 or graph[readers[0]].kind not in _PASSED or not graph[readers[0]].is_layer:
        return step
    return _end(graph, graph[readers[0]])


def _is_gate(graph: Graph, step: Step) -> bool:
    """Whether a step's single value a unit only scales larger maps (squeeze-and-excitation)."""
    if not _is_point(step):
        return False
    waiting, seen = list(graph.readers[step.name]), set()
    while waiting:
        reader = graph[waiting.pop()]
        if reader.name in seen:
            continue
        seen.add(reader.name)
        if reader.kind == "product" and not _is_point(reader):
            return True
        if _is_point(reader):
            waiting.extend(graph.readers[reader.name])
    return False


def _is_point(step: Step) -> bool:
    layout = step.layout[0]
    return layout is not None and layout.map_shape[1:] in ((), (1, 1))
