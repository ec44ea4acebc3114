"""Where does the read-out of a network begin?  The last units whose values nothing but a head turns into logits.

A head is made of dense layers and convolutions of 1 x 1, activations, norms and pooling, each reading one value. It is found by
what steps do, not by their names: from the logits down to the first layer below a dense one that has maps. Three forms are
common: pooling and one dense layer (ResNet, MobileNetV2), a convolution of 1 x 1 and pooling (SqueezeNet), hidden dense layers
(VGG).
"""

from dataclasses import dataclass
from math import prod

from convscope.errors import NetworkError
from convscope.graph.graph import INPUT, Graph, Step
from convscope.network import Network

PRODUCTS = ("conv", "linear")
AVERAGES = frozenset({"avg_pool2d", "adaptive_avg_pool2d", "mean", "sum"})
POOLS = AVERAGES | {"max_pool2d", "adaptive_max_pool2d", "amax", "lp_pool2d"}
RESHAPES = frozenset({"reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "to", "alias"})
# Linear piece by piece.
PIECEWISE = frozenset({"relu", "relu6", "hardtanh", "leaky_relu", "prelu", "max_pool2d", "adaptive_max_pool2d", "amax"})
LINEAR = AVERAGES | RESHAPES | {"conv2d", "linear", "addmm", "mm", "batch_norm"}
_NO_UNITS = ("sum", "concat")  # where units that have one value each may begin


@dataclass(frozen=True)
class Head:
    """What turns the values of a layer's units into logits."""

    layer: str  # whose units are read
    read: str  # where they are read: the layer, or the mean over its positions, where that is all the head sees of it
    steps: tuple[Step, ...]  # above the layer, in order
    n_units: int

    @property
    def products(self) -> tuple[str, ...]:
        """The dense layers and convolutions of 1 x 1, in order; the last gives the logits."""
        return tuple(step.name for step in self.steps if step.kind in PRODUCTS)

    @property
    def is_linear(self) -> bool:
        """Whether logits are a weighted sum of what is read, and a constant."""
        return all(step.op in LINEAR for step in self.steps)

    @property
    def is_piecewise_linear(self) -> bool:
        """Whether they are, given which gates are open."""
        return all(step.op in LINEAR or step.op in PIECEWISE for step in self.steps)

    @property
    def words(self) -> str:
        """What it does, from the units up: adaptive_avg_pool2d, linear."""
        return ", ".join(step.op for step in self.steps if step.is_layer)


def head_of(network: Network) -> Head:
    """The head of a network.

    Raises NetworkError, by the operation, where logits are made of something else: attention, a token picked out, products of
    values, a convolution with a window; or where no layer with units lies below.
    """
    graph = network.graph
    if graph[network.output].shape is None or len(graph[network.output].shape or ()) != 2:
        raise _refused(network, f"The output '{network.output}' is no vector of logits.")
    steps: list[Step] = []
    name = network.output
    while not _begins(graph, name, steps):
        step = graph[name]
        why = _why_not(graph, step)
        if why:
            raise _refused(network, why)
        steps.insert(0, step)
        name = step.inputs[0]
        if name == INPUT:
            raise _refused(network, f"'{step.name}' ({step.op}) reads the pixels: there are no units to read.")
    return Head(name, _read(graph, name, steps), tuple(steps), _places(graph[name])[0])


def _begins(graph: Graph, name: str, above: list[Step]) -> bool:
    """Whether units begin here: below the last product, where there are maps, or where branches meet."""
    step = graph[name]
    if not step.is_layer or not any(one.kind in PRODUCTS for one in above):
        return False
    return _places(step)[1] > 1 or step.kind in _NO_UNITS


def _why_not(graph: Graph, step: Step) -> str:
    """Why a step cannot be part of a head; empty if it can."""
    told = f"'{step.name}' ({step.op})"
    if len(step.inputs) != 1:
        return f"{told} joins {len(step.inputs)} values."
    if step.layout[0] is None:
        return f"The value of {told} has no units."
    if step.kind == "conv" and _places(step)[1] > 1 and any(size > 1 for size in _window(graph, step)):
        window = " x ".join(map(str, _window(graph, step)))
        return f"{told} has a window of {window}: it looks for patterns, and reads no units."
    if step.kind in (*PRODUCTS, "activation", "norm") or step.op in POOLS or step.op in RESHAPES:
        return ""
    return f"{told} is no pooling, dense layer, activation or norm."


def _window(graph: Graph, step: Step) -> tuple[int, ...]:
    (weight, *_) = step.params or ("",)
    return tuple(graph.tensors[weight].shape[2:]) if weight else ()


def _places(step: Step) -> tuple[int, int]:
    """Units, and positions of each."""
    assert step.layout[0] is not None
    n_units, *size = step.layout[0].map_shape
    return n_units, prod(size)


def _read(graph: Graph, layer: str, steps: list[Step]) -> str:
    """The mean over positions, where the head begins with it."""
    found, n_units = layer, _places(graph[layer])[0]
    for step in steps:
        if (step.op not in AVERAGES and step.op not in RESHAPES) or step.layout[0] is None:
            break
        if step.op in AVERAGES and _places(step) == (n_units, 1):
            return step.name
    return found


def _refused(network: Network, found: str) -> NetworkError:
    return NetworkError(
        f"The read-out of {network.name} was asked for: how units become classes.",
        found,
        "It takes a head of pooling, dense layers or convolutions of 1 x 1, activations and norms, each reading one value.",
    )
