"""Which images does a text describe?  By an image-text model (CLIP) whose weights are on this machine."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convscope.errors import MissingExtraError, UsageError, WeightsError
from convscope.images.concepts.concept import Concept, Masks
from convscope.images.picture import Picture, Skip
from convscope.images.preprocess import Preprocess
from convscope.registry import register
from convscope.torchvision_ops import declare_missing_operators

NEEDED = ("config.json", "preprocessor_config.json", "model.safetensors")


@register("concepts", "text")
@dataclass(frozen=True)
class TextLabels:
    """Which images show `a wheel`, which `stripes`?  Radford et al. 2021: cosine of image and text, softmax over the texts.

    `weights` is a folder of a CLIP model as transformers keeps it; nothing is downloaded, no code of it is run, and only
    safetensors are read. The texts compete with one another and with `else_text`; an image has a concept where its share is
    at least `least_share`. These are a model's opinions, with its errors, and no labels. Raises UsageError without texts,
    WeightsError where the folder is not there or lacks a file, MissingExtraError without transformers.
    """

    weights: str | os.PathLike[str]
    texts: tuple[str, ...] = ()
    template: str = "a photo of {}"
    else_text: str = "a photo"
    least_share: float = 0.5
    category: str = "text"

    per_pixel = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", tuple(self.texts))
        if not self.texts or "{}" not in self.template or not 0 < self.least_share <= 1:
            raise UsageError(
                "Concepts were asked for by texts.",
                f"texts={self.texts}, template={self.template!r}, least_share={self.least_share}.",
                "Give at least one text, a template with {}, and a share above 0 and at most 1.",
            )
        folder = Path(self.weights).expanduser()
        missing = [name for name in NEEDED if not (folder / name).is_file()]
        if missing:
            raise WeightsError(
                "Concepts were asked for by texts, which takes an image-text model.",
                f"'{folder.name}' lacks {', '.join(missing)}."
                if folder.is_dir()
                else f"There is no folder '{folder.name}'.",
                f"Give the folder of a CLIP model with {', '.join(NEEDED)} and its tokenizer; nothing is downloaded.",
            )
        _ = self._model  # what is missing is said now

    @property
    def concepts(self) -> tuple[Concept, ...]:
        return tuple(Concept(text, self.category) for text in self.texts)

    def masks(self, picture: Picture, preprocess: Preprocess, inputs: torch.Tensor) -> Masks:
        return Masks(self.shares(picture)[:-1] >= self.least_share, np.ones(len(self.texts), bool))

    def shares(self, picture: Picture) -> np.ndarray:
        """The share of each text, and last that of `else_text`; float32, they add up to 1."""
        model, recipe, texts, scale = self._model
        with torch.inference_mode():
            found = _features(model.get_image_features(pixel_values=recipe(picture)))
            found = found / found.norm(dim=-1, keepdim=True)
            return (scale * (found @ texts.T)).softmax(-1)[0].numpy()

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        return ()

    @cached_property
    def _model(self) -> tuple[Any, Preprocess, torch.Tensor, float]:
        """The model, how it gets an image, the directions of the texts `text feature`, and its temperature."""
        declare_missing_operators()  # transformers imports torchvision where it is there
        try:
            import transformers  # late: optional, and slow to import
        except ImportError as error:
            raise MissingExtraError("Concepts were asked for by texts.", "transformers", "hub") from error
        transformers.logging.set_verbosity_error()
        folder = str(Path(self.weights).expanduser())
        tokenizer, model, config = _read(transformers, folder)
        words = [*(self.template.format(text) for text in self.texts), self.else_text]
        tokens = tokenizer(words, padding=True, truncation=True, return_tensors="pt")
        wanted = {name: tokens[name] for name in ("input_ids", "attention_mask")}
        with torch.inference_mode():
            found = _features(model.get_text_features(**wanted))
            texts = found / found.norm(dim=-1, keepdim=True)
            return model, Preprocess.from_transformers(config), texts, float(model.logit_scale.exp())


def _read(transformers: Any, folder: str) -> tuple[Any, Any, Any]:
    """Tokenizer, model and the settings of its image processor.  Raises WeightsError."""
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        kind = transformers.AutoConfig.from_pretrained(folder, **local).model_type
        if kind != "clip":
            raise ValueError(f"it is a model of type '{kind}'")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
        model, told = transformers.CLIPModel.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **local
        )
        if told["missing_keys"]:  # transformers would make them up
            first = sorted(told["missing_keys"])[0]
            raise ValueError(f"{len(told['missing_keys'])} weights are missing, {first} among them")
        config, _ = transformers.ImageProcessingMixin.get_image_processor_dict(folder, local_files_only=True)
    except Exception as error:  # transformers, tokenizers and safetensors each raise their own
        raise WeightsError(
            f"An image-text model was to be read from '{Path(folder).name}'.",
            f"transformers does not read it as a CLIP model: {(str(error).splitlines() or [repr(error)])[0][:200]}.",
            "Give the folder of a CLIP model.",
        ) from error
    return tokenizer, model.eval(), config


def _features(found: Any) -> torch.Tensor:
    """The projected features, which newer transformers wrap in a record."""
    return found if isinstance(found, torch.Tensor) else found.pooler_output
