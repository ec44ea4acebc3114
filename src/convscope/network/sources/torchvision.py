"""Networks of torchvision: `torchvision:NAME`; options go to its builder."""

from typing import Any

from convscope.errors import UnknownNameError, UsageError
from convscope.images import Classes, Preprocess, imagenet_classes
from convscope.network.downloads import downloading
from convscope.network.origin import FROM_HUB, Origin, Request, describe_weights
from convscope.network.torchvision_ops import import_torchvision
from convscope.registry import register


@register("source", "torchvision")
def torchvision_source(request: Request) -> Origin:
    """A torchvision classifier with the preprocessing and class names of its published weights; weights are random unless given.

    Raises UnknownNameError for an architecture torchvision does not have, UsageError for options it does not take.
    """
    models = import_torchvision("torchvision.models")
    name, options = request.spec.name, dict(request.spec.options)
    known = models.list_models(module=models)
    if name not in known:
        raise UnknownNameError("torchvision classifier", name, known, "torchvision.models.list_models() lists all.")
    published = models.get_model_weights(name).DEFAULT
    builder = models.get_model_builder(name)
    if name in ("googlenet", "inception_v3"):  # their own initialisation takes a minute, and a warning says so
        options.setdefault("init_weights", False)
    from_hub = request.weights == FROM_HUB
    with downloading(from_hub, f"the weights of torchvision's {name}", f"'torchvision:{name}' with --weights FILE"):
        try:
            model = builder(weights=published if from_hub else None, **options)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"The network '{request.spec.text}' was asked for.",
                f"torchvision does not build it with these options: {error}",
                "Check the options after '?'.",
            ) from error
    preprocess = Preprocess.from_torchvision(published.transforms())
    return Origin(
        model=model,
        weights=f"torchvision {published}" if from_hub else describe_weights(request.weights),
        preprocess=preprocess,
        classes=_classes(published, options),
        input_shape=preprocess.input_shape,
    )


def _classes(published: Any, options: dict[str, Any]) -> Classes | None:
    names = published.meta["categories"]
    if options.get("num_classes", len(names)) != len(names):
        return None
    return imagenet_classes() if len(names) == 1000 else Classes(tuple(names))
