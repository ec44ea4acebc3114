"""Why this prediction, and can that answer be trusted?  Methods, each a file, and the checks of their answers."""

from convscope.instruments.attribution.ablation_cam import AblationCAM
from convscope.instruments.attribution.cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from convscope.instruments.attribution.deconvnet import Deconvnet
from convscope.instruments.attribution.deeplift import DeepLIFT
from convscope.instruments.attribution.gradient import Gradient, InputXGradient
from convscope.instruments.attribution.guided import GuidedBackprop
from convscope.instruments.attribution.integrated import IntegratedGradients
from convscope.instruments.attribution.lrp import LRP
from convscope.instruments.attribution.method import Attribution, Method
from convscope.instruments.attribution.occlusion import Occlusion
from convscope.instruments.attribution.rise import RISE
from convscope.instruments.attribution.score_cam import ScoreCAM
from convscope.instruments.attribution.shapley import Shapley
from convscope.instruments.attribution.smoothgrad import SmoothGrad
from convscope.instruments.attribution.target import Target

__all__ = [
    "LRP",
    "RISE",
    "AblationCAM",
    "Attribution",
    "Deconvnet",
    "DeepLIFT",
    "GradCAM",
    "GradCAMPlusPlus",
    "Gradient",
    "GuidedBackprop",
    "HiResCAM",
    "InputXGradient",
    "IntegratedGradients",
    "LayerCAM",
    "Method",
    "Occlusion",
    "ScoreCAM",
    "Shapley",
    "SmoothGrad",
    "Target",
]
