"""Networks of timm: `timm:NAME`, `timm:NAME.TAG`; options go to `timm.create_model`."""

from typing import Any

from convscope.errors import UnknownNameError, UsageError
from convscope.images import Classes, Preprocess, imagenet_classes
from convscope.network.downloads import downloading
from convscope.network.origin import FROM_HUB, Origin, Request, describe_weights
from convscope.network.torchvision_ops import import_torchvision
from convscope.registry import register


@register("source", "timm")
def timm_source(request: Request) -> Origin:
    """A timm architecture with its own preprocessing and class names; weights are random unless given.

    Raises UnknownNameError for an architecture timm does not have, UsageError for options it does not take.
    """
    import_torchvision()  # timm imports it, and may meet its missing operators
    timm = import_torchvision("timm")
    name = request.spec.name
    if not timm.is_model(name):
        raise UnknownNameError("timm architecture", name, timm.list_models(), "timm.list_models() lists all.")
    published = request.weights == FROM_HUB
    with downloading(published, f"the weights of timm's {name}", f"'timm:{name}' with --weights FILE.safetensors"):
        try:
            model = timm.create_model(name, pretrained=published, **request.spec.options)
        except (TypeError, AssertionError, ValueError) as error:
            if published or not request.spec.options:
                raise
            raise UsageError(
                f"The network '{request.spec.text}' was asked for.",
                f"timm does not build it with these options: {error}",
                "Check the options after '?'.",
            ) from error
    config = model.pretrained_cfg
    weights = str(config.get("hf_hub_id") or name) if published else describe_weights(request.weights)
    return Origin(
        model=model,
        weights=weights,
        preprocess=Preprocess.from_timm(config),
        classes=_classes(model, config),
        input_shape=_input_shape(config, request.spec.options),
    )


def _classes(model: Any, config: dict[str, Any]) -> Classes | None:
    if config.get("label_names"):
        return Classes(tuple(config["label_names"]))
    return imagenet_classes() if getattr(model, "num_classes", 0) == 1000 else None


def _input_shape(config: dict[str, Any], options: dict[str, Any]) -> tuple[int, int, int]:
    channels, y, x = config["input_size"]
    size = options.get("img_size", (y, x))
    y, x = (size, size) if isinstance(size, int) else size
    return options.get("in_chans", channels), y, x
