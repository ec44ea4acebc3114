"""Which preprocessing was a network trained for?  Read from what timm, torchvision and transformers say about it.

None of the three is imported here: their descriptions are read as they are given, into the settings of a Preprocess.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from convscope.errors import InputError, UsageError

Settings = dict[str, Any]  # of a Preprocess

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PILLOW_NAMES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def timm_settings(config: Any, *, test_size: bool = False) -> Settings:
    """What was this timm network trained for?  From its `pretrained_cfg` (or the model), as timm's eval transform.

    `test_size` takes the larger test resolution where the network declares one. One-channel networks whose mean and
    std are given for three get their averages. Raises UsageError when the channels and the mean do not fit.
    """
    config = getattr(config, "pretrained_cfg", config)
    given: dict[str, Any] = asdict(config) if is_dataclass(config) and not isinstance(config, type) else dict(config)
    size = (test_size and given.get("test_input_size")) or given.get("input_size") or (3, 224, 224)
    crop_pct = (test_size and given.get("test_crop_pct")) or given.get("crop_pct") or 0.875
    mode = given.get("crop_mode") or "center"
    scaled = tuple(math.floor(side / crop_pct) for side in size[-2:])
    resize: int | tuple[int, ...] = scaled[0] if mode == "center" and scaled[0] == scaled[1] else scaled
    fit = {"squash": "squash", "border": "contain"}.get(mode, "cover")
    mean, std = (
        _fitted(given.get(key) or usual, size[0]) for key, usual in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD))
    )
    return {
        "resize": resize,
        "crop": tuple(size[-2:]),
        "interpolation": given.get("interpolation") or "bicubic",
        "mean": mean,
        "std": std,
        "channels": {1: "L", 3: "RGB"}.get(size[0], size[0]),
        "fit": fit if isinstance(resize, tuple) else "squash",
        "fill": tuple(round(255 * part) for part in mean) if mode == "border" else (),
    }


def _fitted(values: Any, n_channels: int) -> tuple[float, ...]:
    values = tuple(float(part) for part in (values if isinstance(values, (list, tuple)) else (values,)))
    if len(values) == n_channels:
        return values
    if n_channels == 1 or len(set(values)) == 1:
        return (sum(values) / len(values),) * n_channels
    raise UsageError(
        f"A network of {n_channels} channels was described with {len(values)} means or deviations.",
        "It is not known which belongs to which channel.",
        f"Give Preprocess(channels={n_channels}, mean=..., std=...) with {n_channels} values each.",
    )


def torchvision_settings(transforms: Any) -> Settings:
    """What do these torchvision weights, `weights.transforms()`, or a `Compose` of the usual steps, ask for?

    A Compose may hold Resize, CenterCrop, Grayscale, ToTensor (or PILToTensor, ToImage, ConvertImageDtype, ToDtype) and
    Normalize, in that order; anything else raises UsageError.
    """
    if not hasattr(transforms, "resize_size") and callable(getattr(transforms, "transforms", None)):
        transforms = transforms.transforms()  # a weights entry
    if hasattr(transforms, "resize_size"):
        return {
            "resize": _side(transforms.resize_size),
            "crop": _pair(getattr(transforms, "crop_size", None)),
            "interpolation": _interpolation(transforms.interpolation),
            "mean": tuple(transforms.mean),
            "std": tuple(transforms.std),
        }
    steps = getattr(transforms, "transforms", None)
    if steps is None:
        raise _unread(type(transforms).__name__)
    return _step_settings(list(steps))


def _step_settings(steps: list[Any]) -> Settings:
    settings: dict[str, Any] = {}
    order = ("Grayscale", "Resize", "CenterCrop", "ToTensor", "Normalize")
    tensors = ("PILToTensor", "ToImage", "ConvertImageDtype", "ToDtype", "ToPureTensor", "MaybeToTensor")
    reached = 0
    for step in steps:
        name = type(step).__name__
        place = order.index("ToTensor" if name in tensors else name) if name in (*order, *tensors) else -1
        if place < reached or (name == "Resize" and getattr(step, "max_size", None)):
            raise _unread(name)
        reached = place
        if name == "Grayscale":
            if step.num_output_channels != 1:
                raise _unread(name)
            settings |= {"channels": "L", "mean": (0.0,), "std": (1.0,)}
        elif name == "Resize":
            settings |= {"resize": _side(step.size), "interpolation": _interpolation(step.interpolation)}
        elif name == "CenterCrop":
            settings |= {"crop": _pair(step.size)}
        elif name == "Normalize":
            settings |= {"mean": tuple(map(float, step.mean)), "std": tuple(map(float, step.std))}
    if "channels" not in settings and len(settings.get("mean", "RGB")) != 3:
        settings["channels"] = "L" if len(settings["mean"]) == 1 else len(settings["mean"])
    return settings


def _unread(name: str) -> UsageError:
    return UsageError(
        f"A transform with the step '{name}' was to become a Preprocess.",
        "It is unknown, or stands where it cannot be read.",
        "Give Preprocess(resize=..., crop=..., mean=..., std=...) with the same settings.",
    )


def transformers_settings(processor: Any) -> Settings:
    """What does this transformers image processor, or `preprocessor_config.json` (path or dict), ask for?

    Equal to the processors that use Pillow ("slow", `...Pil`); those that use tensors differ a little in resizing.
    Settings that a file leaves out: an image is resized if `size` is there, cropped if `crop_size` is, divided by
    255, and normalised if `image_mean` is. Raises InputError for an unreadable file, UsageError for a size that
    cannot be read.
    """
    given = _config(processor)
    if "pretrained_cfg" in given or "data_config" in given:
        return timm_settings(given.get("pretrained_cfg") or given["data_config"])
    resize, crop = _transformers_sizes(given, _kind(given))
    mean, std, scale = _transformers_moments(given)
    resample = given.get("resample", 2)
    return {
        "resize": resize,
        "crop": crop,
        "interpolation": PILLOW_NAMES.get(resample, resample)
        if isinstance(resample, int)
        else _interpolation(resample),
        "mean": mean,
        "std": std,
        "channels": "BGR" if given.get("do_flip_channel_order", _is_mobilevit(given)) else "RGB",
        "scale": scale,
        "center": "floor",
    }


def _config(processor: Any) -> dict[str, Any]:
    if isinstance(processor, Mapping):
        return dict(processor)
    if not isinstance(processor, (str, os.PathLike)):
        return dict(processor.to_dict())
    path = Path(processor)
    path = path / "preprocessor_config.json" if path.is_dir() else path
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"'{path.name}' was to be read.", f"{error}.", "Give a preprocessor_config.json.") from error


def _kind(given: dict[str, Any]) -> str:
    return str(given.get("image_processor_type") or given.get("feature_extractor_type") or "")


def _is_mobilevit(given: dict[str, Any]) -> bool:
    """MobileViT's processor turns RGB to BGR and never normalises, whatever mean its file names."""
    return _kind(given).startswith("MobileViT")


def _transformers_sizes(given: dict[str, Any], kind: str) -> tuple[Any, Any]:
    """(resize, crop) of a transformers configuration, with the habits of the processors that have their own."""
    size, crop = given.get("size"), given.get("crop_size")
    crop = _named_pair(crop) if crop is not None and given.get("do_center_crop", True) else None
    if size is None or not given.get("do_resize", True):
        return None, crop
    whole = ("ViT", "DeiT", "Swin", "Beit", "EfficientNet")  # where a bare number is a square, not a short side
    if isinstance(size, int):
        size = {"height": size, "width": size} if kind.startswith(whole) else {"shortest_edge": size}
    short = size.get("shortest_edge")
    if kind.startswith("ConvNext"):
        return _convnext_sizes(short, given.get("crop_pct") or 224 / 256, crop)
    if kind.startswith("Levit") and short:
        return int(256 / 224 * short), crop
    if kind.startswith("PoolFormer") and given.get("crop_pct"):
        sides = [int(side / given["crop_pct"]) for side in ([short] if short else _named_pair(size))]
        return (sides[0] if len(set(sides)) == 1 else tuple(sides)), crop
    if short and not size.get("longest_edge"):
        return short, crop
    return _named_pair(size), crop


def _convnext_sizes(short: Any, crop_pct: float, crop: Any) -> tuple[Any, Any]:
    """Below 384 the short side is size / crop_pct and the centre is kept; from 384 on the image is squashed."""
    return (int(short / crop_pct), (short, short)) if short < 384 else ((short, short), crop)


def _transformers_moments(given: dict[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """(mean, std, scale): the steps rescale, offset, normalise (twice for some EfficientNets) as one."""
    scale = 255 * given.get("rescale_factor", 1 / 255) if given.get("do_rescale", True) else 255.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    if given.get("image_mean") is not None and given.get("do_normalize", not _is_mobilevit(given)):
        mean, std = tuple(given["image_mean"]), tuple(given["image_std"])
    if given.get("rescale_offset"):
        mean = tuple(part + 1 for part in mean)
    if given.get("include_top"):
        std = tuple(part * again for part, again in zip(std, given["image_std"], strict=True))
    return mean, std, scale


def _named_pair(size: Any) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if isinstance(size, Mapping) and size.get("height") and size.get("width"):
        return size["height"], size["width"]
    raise UsageError(
        f"A size {size!r} was to be read from a transformers configuration.",
        "It has no height and width, and no shortest edge alone.",
        "Give Preprocess(resize=..., crop=...) instead.",
    )


def _interpolation(value: Any) -> str:
    value = getattr(value, "value", value)
    return PILLOW_NAMES.get(value, str(value)) if isinstance(value, int) else str(value)


def _side(size: Any) -> Any:
    sides = (size,) if isinstance(size, int) or size is None else tuple(size)
    return sides[0] if len(sides) == 1 else sides


def _pair(size: Any) -> Any:
    side = _side(size)
    return (side, side) if isinstance(side, int) else side
