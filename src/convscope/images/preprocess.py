"""What does a network get for an image?  Resize, centre crop, colour order, scale, mean and standard deviation."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from convscope.errors import ImagesError, UsageError
from convscope.images import presets
from convscope.images.decode import Decode
from convscope.images.geometry import (
    CENTERS,
    FITS,
    INTERPOLATIONS,
    crop_start,
    crop_values,
    resize_values,
    resized_shape,
)
from convscope.images.picture import Held, Picture
from convscope.images.values import as_held, is_batch, to_grey

Tuple = tuple[float, ...]


@dataclass(frozen=True)
class Preprocess:
    """What does this network get for an image?  Called with one image or several; returns float32 `batch channel y x`.

    An image is a Picture, a path, a Pillow image, an array `y x [channel]`, a tensor `[channel] y x`; several are a
    list of these, an array `batch y x channel` or a tensor `batch channel y x`. Arrays and tensors are uint8 0-255 or
    float 0-1; a float image that is already normalised is refused (ImagesError), for it needs no preprocessing.
    Pixels equal, to the last bit of 8 or nearly so, those of the recipe's own library on Pillow images.
    """

    resize: int | tuple[int, int] | None = None  # new short side in px, or (height, width)
    crop: tuple[int, int] | None = None  # (height, width) of the centre crop in px; smaller images get a border
    interpolation: str = "bilinear"  # nearest, box, bilinear, hamming, bicubic or lanczos, as Pillow does them
    mean: Tuple = (0.0, 0.0, 0.0)  # one per channel, in the network's channel order, on the range 0 to `scale`
    std: Tuple = (1.0, 1.0, 1.0)  # likewise
    channels: str | int = "RGB"  # RGB, BGR, L (luminance), or a number: the channels of an array as they are
    scale: float = 1.0  # the value that a full pixel (255, or 1.0) is mapped to before mean and std
    fit: str = "squash"  # what a resize to (height, width) does: squash, cover (keep proportions), contain (likewise)
    center: str = "even"  # how half a pixel is rounded in the crop: even (torchvision, timm) or floor (transformers)
    fill: tuple[int, ...] = ()  # colour 0-255 (RGB) of that border; () is black

    def __post_init__(self) -> None:
        for name, kind in (("resize", int), ("crop", int), ("mean", float), ("std", float), ("fill", int)):
            value = getattr(self, name)
            if isinstance(value, Sequence) and not isinstance(value, str):
                object.__setattr__(self, name, tuple(kind(part) for part in value))
        if isinstance(self.crop, int):
            object.__setattr__(self, "crop", (self.crop, self.crop))
        _check(self)

    @property
    def n_channels(self) -> int:
        return self.channels if isinstance(self.channels, int) else len(self.channels)

    @property
    def input_shape(self) -> tuple[int, int, int] | None:
        """(channel, height, width) of every input; None where it depends on the image."""
        shape = self.crop or (self.resize if isinstance(self.resize, tuple) and self.fit == "squash" else None)
        return None if shape is None else (self.n_channels, *shape)

    def __call__(self, images: Any) -> torch.Tensor:
        if not is_batch(images):
            return self.prepare_one(images)[None]
        inputs = [self.prepare_one(image) for image in images]
        shapes = {tuple(one.shape) for one in inputs}
        if len(shapes) != 1:
            raise ImagesError(
                f"{len(inputs)} images were to become one batch.",
                f"They have {len(shapes)} different shapes (channel, y, x) after preprocessing: {sorted(shapes)[:4]}.",
                "Give them one at a time, or set `crop` (or `resize` to a height and width).",
            )
        return torch.stack(inputs)

    def prepare_one(
        self, image: "Picture | Image.Image | np.ndarray | torch.Tensor | str | os.PathLike[str]"
    ) -> torch.Tensor:
        """float32 `channel y x` of one image; safe to call from several threads."""
        held = self._colors(as_held(image, Decode(), keep=isinstance(self.channels, int)))
        shape = (held.height, held.width) if isinstance(held, Image.Image) else held.shape[:2]
        values = resize_values(held, resized_shape(shape, self.resize, self.fit), self.interpolation)
        if values.shape[2] == 1 and self.n_channels > 1:
            values = np.repeat(values, self.n_channels, axis=2)
        values = crop_values(values, self.crop, self.center, self.fill)
        return torch.from_numpy(self._scaled(np.moveaxis(values, 2, 0)))

    def normalize(self, images01: torch.Tensor) -> torch.Tensor:
        """Inputs from float images 0-1, `batch channel y x`, RGB, already of the right size.  Differentiable."""
        values = images01.flip(1) if self.channels == "BGR" else images01
        mean, std = self._moments(images01)
        return (values * self.scale - mean) / std

    def denormalize(self, inputs: torch.Tensor) -> torch.Tensor:
        """The float images 0-1, `batch channel y x`, RGB, that these inputs show; values beyond 0-1 are cut off."""
        mean, std = self._moments(inputs)
        values = ((inputs * std + mean) / self.scale).clamp(0, 1)
        return values.flip(1) if self.channels == "BGR" else values

    def pixels(self, inputs: torch.Tensor) -> np.ndarray:
        """The uint8 images 0-255, `batch y x channel`, RGB, that these inputs show."""
        values = self.denormalize(inputs.detach().float().cpu()).mul(255).round()
        return values.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()

    def window(self, height: int, width: int) -> tuple[float, float, float, float]:
        """The part of an image of this size that the network sees: (top, left, bottom, right) in the image's pixels.

        Parts beyond the image (its border) have coordinates below 0 or above the size.
        """
        shape = resized_shape((height, width), self.resize, self.fit)
        crop = self.crop or shape
        top, left = (crop_start(length, size, self.center) for length, size in zip(shape, crop, strict=True))
        y_scale, x_scale = height / shape[0], width / shape[1]
        return top * y_scale, left * x_scale, (top + crop[0]) * y_scale, (left + crop[1]) * x_scale

    def as_dict(self) -> dict[str, Any]:
        """The settings, fit for JSON; `Preprocess(**settings)` gives them back."""
        return asdict(self)

    @classmethod
    def from_timm(cls, config: Any, *, test_size: bool = False) -> "Preprocess":
        """What was this timm network trained for?  Its `pretrained_cfg` or the model; see `presets.timm_settings`."""
        return cls(**presets.timm_settings(config, test_size=test_size))

    @classmethod
    def from_torchvision(cls, transforms: Any) -> "Preprocess":
        """What do these torchvision weights, or this `Compose`, ask for?  See `presets.torchvision_settings`."""
        return cls(**presets.torchvision_settings(transforms))

    @classmethod
    def from_transformers(cls, processor: Any) -> "Preprocess":
        """What does this transformers image processor or file ask for?  See `presets.transformers_settings`."""
        return cls(**presets.transformers_settings(processor))

    def _colors(self, values: Held) -> Held:
        found = len(values.getbands()) if isinstance(values, Image.Image) else values.shape[2]
        if found == self.n_channels or (found == 1 and self.channels in ("RGB", "BGR")):
            return values
        if found == 3 and self.channels == "L":
            return to_grey(values)
        raise ImagesError(
            f"An image of {found} channels was given to a network that takes {self.channels!r}.",
            "Its channels cannot be turned into those.",
            f"Give an image of {self.n_channels} channels.",
        )

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        if self.channels == "BGR":
            values = values[::-1]
        full = np.float32(255 if values.dtype == np.uint8 else 1)
        out = np.ascontiguousarray(values, np.float32)
        # Multiplied, then divided: exact both for scale 1 (x / 255) and for scale 255 (x).
        out = (out * np.float32(self.scale)) / full if self.scale != 1 else out / full
        out -= np.asarray(self.mean, np.float32)[:, None, None]
        out /= np.asarray(self.std, np.float32)[:, None, None]
        return out

    def _moments(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, std = (torch.tensor(part, dtype=like.dtype, device=like.device) for part in (self.mean, self.std))
        return mean[:, None, None], std[:, None, None]


def _check(recipe: Preprocess) -> None:
    """Raises UsageError for settings that contradict one another."""
    choices = {"interpolation": tuple(INTERPOLATIONS), "fit": FITS, "center": CENTERS}
    for name, known in choices.items():
        if getattr(recipe, name) not in known:
            raise _wrong(name, getattr(recipe, name), "one of " + ", ".join(known))
    if not (recipe.channels in ("RGB", "BGR", "L") or (isinstance(recipe.channels, int) and recipe.channels > 0)):
        raise _wrong("channels", recipe.channels, "RGB, BGR, L or a number of channels")
    for name, lengths in (
        ("mean", (recipe.n_channels,)),
        ("std", (recipe.n_channels,)),
        ("fill", (0, recipe.n_channels)),
    ):
        if len(getattr(recipe, name)) not in lengths:
            raise _wrong(name, getattr(recipe, name), f"{recipe.n_channels} values, one per channel")
    if not all(part > 0 for part in (*recipe.std, recipe.scale)):
        raise _wrong("std and scale", (recipe.std, recipe.scale), "greater than zero")
    for name in ("resize", "crop"):
        value = getattr(recipe, name)
        sides = value if isinstance(value, tuple) else (1, 1 if value is None else value)
        if len(sides) != 2 or min(sides) < 1:
            raise _wrong(name, value, "one or two whole numbers of pixels, at least 1")


def _wrong(name: str, value: object, would_work: str) -> UsageError:
    return UsageError(
        f"Preprocess was asked for {name} = {value!r}.", "That is not possible.", f"{name} must be {would_work}."
    )
