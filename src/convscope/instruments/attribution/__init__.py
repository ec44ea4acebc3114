"""Why this prediction, and can that answer be trusted?  Methods, each a file, and the checks of their answers."""

from convscope.instruments.attribution.cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from convscope.instruments.attribution.gradient import Gradient, InputXGradient
from convscope.instruments.attribution.integrated import IntegratedGradients
from convscope.instruments.attribution.method import Attribution, Method
from convscope.instruments.attribution.smoothgrad import SmoothGrad
from convscope.instruments.attribution.target import Target

__all__ = [
    "Attribution",
    "GradCAM",
    "GradCAMPlusPlus",
    "Gradient",
    "HiResCAM",
    "InputXGradient",
    "IntegratedGradients",
    "LayerCAM",
    "Method",
    "SmoothGrad",
    "Target",
]
