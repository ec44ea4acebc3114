"""Where is a unit to be followed that can rise no further?  ReLU6 and its like end at a ceiling, and many peaks stand at it."""

from convscope.graph.graph import Ref, Step
from convscope.network import Network


def without_ceiling(network: Network, layer: str) -> str:
    """The step whose values are those of a layer without the ceiling: what goes into its ReLU6; else the layer's own step.

    The layer's values are those of the step with what is below zero, or beyond the ceiling, cut off. Raises UnknownNameError.
    """
    name = network.resolve(layer)
    step = network.graph.by_name.get(name)
    if step is None or not has_ceiling(step) or not isinstance(step.args[0], Ref):
        return name
    return step.args[0].step


def has_ceiling(step: Step) -> bool:
    """Whether a step rectifies, and ends at a ceiling: ReLU6, or a hardtanh from zero on."""
    return step.op == "relu6" or (step.op == "hardtanh" and step.argument(1, "min_val", -1) == 0)
