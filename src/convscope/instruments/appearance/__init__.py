"""What does a unit look for?"""

from convscope.instruments.appearance.canvas import Canvas, canvas
from convscope.instruments.appearance.driven import Driven, driven, high_power
from convscope.instruments.appearance.natural import Natural, measured, prior
from convscope.instruments.appearance.objective import Direction, Objective, objective
from convscope.instruments.appearance.optimise import RAW, YOSINSKI, Optimise, Optimised
from convscope.instruments.appearance.parameterization import Fourier, Phase, Pixel
from convscope.instruments.appearance.regularise import (
    Blur,
    ClipContribution,
    ClipNorm,
    Decay,
    Transforms,
)

__all__ = [
    "RAW",
    "YOSINSKI",
    "Blur",
    "Canvas",
    "ClipContribution",
    "ClipNorm",
    "Decay",
    "Direction",
    "Driven",
    "Fourier",
    "Natural",
    "Objective",
    "Optimise",
    "Optimised",
    "Phase",
    "Pixel",
    "Transforms",
    "canvas",
    "driven",
    "high_power",
    "measured",
    "objective",
    "prior",
]
