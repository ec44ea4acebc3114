"""Where is a unit to be followed that can rise no further?  ReLU6 and its like end at a ceiling, and many peaks stand at it."""

from convscope.graph.graph import Graph, Step
from convscope.network import Network
from convscope.walks.rectifiers import rectifier


def without_ceiling(network: Network, layer: str) -> str:
    """The step whose values are those of a layer without the ceiling: what goes into its ReLU6; else the layer's own step.

    The layer's values are those of the step with what is below zero, or beyond the ceiling, cut off. Raises UnknownNameError.
    """
    name = network.resolve(layer)
    step = network.graph.by_name.get(name)
    found = None if step is None else rectifier(step, network.graph)
    return found.below if found is not None and found.ceiling is not None else name


def has_ceiling(step: Step, graph: Graph) -> bool:
    """Whether a step rectifies, and ends at a ceiling: ReLU6, however it was written."""
    found = rectifier(step, graph)
    return found is not None and found.ceiling is not None
