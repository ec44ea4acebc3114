"""What is the answer about one image?  The prediction, each method's map with its checks, and what was refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from convscope.answer.prediction import Prediction
from convscope.documents import finite
from convscope.errors import UnknownNameError
from convscope.instruments.attribution.checks import Outcome, Result


@dataclass(frozen=True, eq=False)
class Explanation:
    """One method's map of one image, with its checks; all arrays are numpy's."""

    name: str  # how it was asked for: "occlusion:window=32"
    key: str  # the method
    title: str
    paper: str
    settings: Mapping[str, Any]
    layer: str  # where the scores live; "input" is the image
    map: np.ndarray = field(repr=False)  # float32 `y x`, at the layer's own positions
    size: tuple[int, int]  # of the image as the network sees it, y x
    signed: bool  # whether a negative score means "against"
    sizes_only: bool  # whether the scores are sizes, which know neither for nor against
    unit: str  # "logits"
    score: float  # what is explained
    promised: float | None  # what the scores should add up to
    error: float | None  # how far they are from that, as a part of it
    notes: tuple[str, ...]  # what was computed otherwise than the paper says
    checks: tuple[Result, ...]
    distrust: str  # why it is not to be relied on; "" where it can be shown at full strength
    sentence: str

    @cached_property
    def scores(self) -> np.ndarray:
        """The scores of each pixel, float32 `y x`: the map, spread over the image where the layer is coarser."""
        if self.map.shape == self.size:
            return self.map
        spread = F.interpolate(
            torch.from_numpy(self.map)[None, None], size=self.size, mode="bilinear", align_corners=False
        )
        return spread[0, 0].numpy()

    @property
    def verdict(self) -> str:
        """One of "trusted" (passes all that was run), "limited" (fails what does not decide), "distrusted" and "unchecked"."""
        outcomes = {check.outcome for check in self.checks}
        if self.distrust:
            return "distrusted"
        if Outcome.FAILS in outcomes:
            return "limited"
        return "trusted" if Outcome.PASSES in outcomes else "unchecked"

    def as_dict(self) -> dict[str, Any]:
        """All but the map itself, fit for JSON."""
        plain = ("name", "key", "title", "paper", "layer", "signed", "sizes_only", "unit", "score", "promised", "error")
        return finite(
            {
                **{name: getattr(self, name) for name in plain},
                "settings": dict(self.settings),
                "size": list(self.size),
                "map_size": list(self.map.shape),
                "lowest": float(self.map.min()),
                "highest": float(self.map.max()),
                "notes": list(self.notes),
                "verdict": self.verdict,
                "distrust": self.distrust,
                "sentence": self.sentence,
                "checks": [check.as_dict() for check in self.checks],
            }
        )


@dataclass(frozen=True)
class Refusal:
    """A method that gave no map of an image, and why."""

    name: str
    title: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        return {"name": self.name, "title": self.title, "reason": self.reason}


@dataclass(frozen=True, eq=False)
class Answer:
    """Why this prediction, and can that be trusted?  About one image."""

    id: str  # of the image
    pixels: np.ndarray = field(repr=False)  # uint8 `y x channel`, as the network sees it, 1 or 3 channels
    prediction: Prediction
    about: str  # what is explained, in words: a class, a class rather than another, a unit
    target: Mapping[str, Any]  # the same, as it was resolved: step, plus, minus, position
    explanations: tuple[Explanation, ...]
    refused: tuple[Refusal, ...] = ()

    def __getitem__(self, name: str) -> Explanation:
        """The explanation of that name, or of that method. Raises UnknownNameError."""
        for one in self.explanations:
            if name in (one.name, one.key):
                return one
        raise UnknownNameError("explanation", name, [one.name for one in self.explanations])

    @property
    def sentences(self) -> tuple[str, ...]:
        """The prediction, then each map, a sentence each."""
        return (self.prediction.sentence, *(f"{one.title}: {one.sentence}" for one in self.explanations))

    def as_dict(self) -> dict[str, Any]:
        """All but the maps and the image, fit for JSON."""
        return {
            "image": self.id,
            "prediction": finite(self.prediction.as_dict()),
            "about": self.about,
            "target": dict(self.target),
            "explanations": [one.as_dict() for one in self.explanations],
            "refused": [one.as_dict() for one in self.refused],
        }


_RATES = ("gradient", "smoothgrad", "guided_backprop", "deconvnet")
_WEIGHTED = ("score_cam", "ablation_cam")


def unit_of(key: str, of_class: bool) -> str:
    """What the scores of a method are counted in."""
    counted = "logits" if of_class else "activation"
    if key in _RATES:
        return f"{counted} per unit of input"
    return "weighted activation" if key in _WEIGHTED else counted


def pixels_seen(shown: np.ndarray) -> np.ndarray:
    """uint8 `y x channel` with 1 or 3 channels; of other numbers of channels the mean."""
    if shown.shape[2] in (1, 3):
        return shown
    return np.rint(shown.mean(2, keepdims=True)).astype(np.uint8)


def as_target(step: str, plus: Sequence[int], minus: Sequence[int], position: Sequence[int] | None) -> dict[str, Any]:
    """A target of one image, fit for JSON."""
    return {
        "layer": step,
        "unit": plus[0],
        "less_unit": minus[0] if minus else None,
        "position": None if position is None else list(position),
    }
