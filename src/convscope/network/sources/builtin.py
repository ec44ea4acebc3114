"""Networks the package ships: `builtin:world`."""

from convscope.errors import UnknownNameError, UsageError, WeightsError
from convscope.images import Classes, Preprocess
from convscope.network.builtin import SIZE_PX, world_classes, world_facts, world_net
from convscope.network.origin import Origin, Request
from convscope.registry import register


@register("source", "builtin")
def builtin_source(request: Request) -> Origin:
    """The small ConvNet trained on the built-in world, with its weights. Raises UnknownNameError for another name."""
    if request.spec.name != "world":
        raise UnknownNameError("built-in network", request.spec.name, ["world"])
    if request.spec.options:
        raise UsageError(
            "The network 'builtin:world' was asked for.", "It takes no options.", "Leave out what follows '?'."
        )
    if request.weights is not None:
        raise WeightsError(
            "The network 'builtin:world' was asked for.", "It has weights of its own.", "Leave out --weights."
        )
    return Origin(
        model=world_net(),
        weights="convscope",
        preprocess=Preprocess(resize=min(SIZE_PX), crop=SIZE_PX, mean=world_facts()["mean"], std=world_facts()["std"]),
        classes=Classes(tuple(world_classes())),
        input_shape=(3, *SIZE_PX),
    )
