"""Image classifiers of transformers: `hf:ORG/NAME`, or a local folder `hf:./folder`."""

from pathlib import Path
from typing import Any

from convscope.errors import InputError, MissingExtraError, NetworkError
from convscope.images import Classes, Preprocess
from convscope.network.downloads import downloading
from convscope.network.origin import Origin, Request, describe_weights
from convscope.network.torchvision_ops import import_torchvision
from convscope.registry import register


@register("source", "hf")
def hf_source(request: Request) -> Origin:
    """A classifier from the Hugging Face hub or a folder in its format, with its preprocessing and class names.

    Only safetensors are read and no code of the repository is run. With weights of your own, only its configuration is used.
    Raises InputError if it cannot be had, NetworkError if it is no image classifier.
    """
    transformers = _transformers()
    name = request.spec.name
    folder = Path(name)
    if name.startswith((".", "/", "~")) and not folder.expanduser().is_dir():
        raise InputError(
            f"The network 'hf:{name}' was asked for.", "There is no such folder.", "Give ORG/NAME or a folder."
        )
    place = str(folder.expanduser()) if folder.expanduser().is_dir() else name
    wanted = f"config.json, preprocessor_config.json and model.safetensors of {name}"
    with downloading(place == name, wanted, "'hf:FOLDER', a folder with these three files"):
        try:
            config = transformers.AutoConfig.from_pretrained(place, **request.spec.options)
            model = _model(transformers, place, config, own_weights=request.weights is not None)
        except (ValueError, KeyError) as error:
            raise NetworkError(
                f"The network 'hf:{name}' was asked for.",
                f"transformers does not read it as an image classifier: {str(error).splitlines()[0]}",
                "Name a model of the task image-classification.",
            ) from error
        preprocess = _preprocess(transformers, place)
    shape = preprocess.input_shape if preprocess else None
    labels = getattr(config, "id2label", None) or {}
    classes = Classes(tuple(str(labels[i]) for i in sorted(labels))) if labels else None
    weights = describe_weights(request.weights) if request.weights else name
    return Origin(model=model, weights=weights, preprocess=preprocess, classes=classes, input_shape=shape)


def _transformers() -> Any:
    import_torchvision()
    try:
        import transformers  # late: optional, and slow to import
    except ImportError as error:
        raise MissingExtraError("A network of the Hugging Face hub was asked for.", "transformers", "hub") from error
    transformers.logging.set_verbosity_error()
    return transformers


def _model(transformers: Any, place: str, config: Any, *, own_weights: bool) -> Any:
    auto = transformers.AutoModelForImageClassification
    if own_weights:
        return auto.from_config(config)
    return auto.from_pretrained(place, config=config, use_safetensors=True, trust_remote_code=False)


def _preprocess(transformers: Any, place: str) -> Preprocess | None:
    try:
        config, _ = transformers.ImageProcessingMixin.get_image_processor_dict(place)
    except OSError:
        return None
    return Preprocess.from_transformers(config)
