"""What does a unit look for?"""

from convscope.instruments.appearance.canvas import Canvas, canvas
from convscope.instruments.appearance.correspondence import Correspondence, correspondence
from convscope.instruments.appearance.deconvnet_picture import Projection, project
from convscope.instruments.appearance.driven import Driven, driven, high_power
from convscope.instruments.appearance.exemplars import Exemplar, UnitExemplars, exemplars
from convscope.instruments.appearance.filters import Filters, connections, filters, weights_of
from convscope.instruments.appearance.maps import Maps, maps_of
from convscope.instruments.appearance.mosaic import Mosaic, mosaic
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
    "Correspondence",
    "Decay",
    "Direction",
    "Driven",
    "Exemplar",
    "Filters",
    "Fourier",
    "Maps",
    "Mosaic",
    "Natural",
    "Objective",
    "Optimise",
    "Optimised",
    "Phase",
    "Pixel",
    "Projection",
    "Transforms",
    "UnitExemplars",
    "canvas",
    "connections",
    "correspondence",
    "driven",
    "exemplars",
    "filters",
    "high_power",
    "maps_of",
    "measured",
    "mosaic",
    "objective",
    "prior",
    "project",
    "weights_of",
]
