"""Why does this convolutional network work?  Measurements, each with an interval and a control.

import convscope as cs

net = cs.load("timm:mobilenetv2_100", weights="mobilenetv2.safetensors")
photos = cs.images("photos/")
"""

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.answer import Answer as Answer
    from convscope.answer import Answers as Answers
    from convscope.answer import Explanation as Explanation
    from convscope.answer import compare as compare
    from convscope.answer import explain as explain
    from convscope.errors import ConvscopeError as ConvscopeError
    from convscope.errors import ImagesError as ImagesError
    from convscope.errors import InputError as InputError
    from convscope.errors import NetworkError as NetworkError
    from convscope.errors import UsageError as UsageError
    from convscope.finding import Control as Control
    from convscope.finding import Finding as Finding
    from convscope.images import Classes as Classes
    from convscope.images import Images as Images
    from convscope.images import Picture as Picture
    from convscope.images import Preprocess as Preprocess
    from convscope.images import images as images
    from convscope.images.concepts import open_concepts as open_concepts
    from convscope.images.world import World as World
    from convscope.instruments.appearance import Direction as Direction
    from convscope.instruments.appearance import Fourier as Fourier
    from convscope.instruments.appearance import Optimise as Optimise
    from convscope.instruments.appearance import Phase as Phase
    from convscope.instruments.appearance import Pixel as Pixel
    from convscope.instruments.appearance import correspondence as correspondence
    from convscope.instruments.appearance import driven as driven
    from convscope.instruments.appearance import exemplars as exemplars
    from convscope.instruments.appearance import filters as filters
    from convscope.instruments.appearance import maps_of as maps_of
    from convscope.instruments.appearance import mosaic as mosaic
    from convscope.instruments.appearance import project as project
    from convscope.instruments.attribution import LRP as LRP
    from convscope.instruments.attribution import RISE as RISE
    from convscope.instruments.attribution import AblationCAM as AblationCAM
    from convscope.instruments.attribution import Attribution as Attribution
    from convscope.instruments.attribution import Deconvnet as Deconvnet
    from convscope.instruments.attribution import DeepLIFT as DeepLIFT
    from convscope.instruments.attribution import GradCAM as GradCAM
    from convscope.instruments.attribution import GradCAMPlusPlus as GradCAMPlusPlus
    from convscope.instruments.attribution import Gradient as Gradient
    from convscope.instruments.attribution import GuidedBackprop as GuidedBackprop
    from convscope.instruments.attribution import HiResCAM as HiResCAM
    from convscope.instruments.attribution import InputXGradient as InputXGradient
    from convscope.instruments.attribution import IntegratedGradients as IntegratedGradients
    from convscope.instruments.attribution import LayerCAM as LayerCAM
    from convscope.instruments.attribution import Method as Method
    from convscope.instruments.attribution import Occlusion as Occlusion
    from convscope.instruments.attribution import ScoreCAM as ScoreCAM
    from convscope.instruments.attribution import Shapley as Shapley
    from convscope.instruments.attribution import SmoothGrad as SmoothGrad
    from convscope.instruments.attribution import Target as Target
    from convscope.instruments.concepts import attribute_to_concepts as attribute_to_concepts
    from convscope.instruments.concepts import concept_vectors as concept_vectors
    from convscope.instruments.concepts import sensitivities as sensitivities
    from convscope.intervals import Interval as Interval
    from convscope.network import Network as Network
    from convscope.network import load as load
    from convscope.network.check import check as check
    from convscope.network.formats import fastest as fastest
    from convscope.registry import register as register
    from convscope.see import Dissected as Dissected
    from convscope.see import Sheet as Sheet
    from convscope.see import dissect as dissect
    from convscope.see import see as see
    from convscope.study import Study as Study
    from convscope.study import why as why

__version__ = _version("convscope")

# Where each public name lives; imported when first used, so that `import convscope` is quick and needs no torch.
_HOMES = {
    # a network
    "load": "convscope.network",
    "Network": "convscope.network",
    "check": "convscope.network.check",
    "fastest": "convscope.network.formats",
    # what is shown to it
    "images": "convscope.images",
    "Images": "convscope.images",
    "Picture": "convscope.images",
    "Preprocess": "convscope.images",
    "Classes": "convscope.images",
    "World": "convscope.images.world",
    # what a unit looks for
    "see": "convscope.see",
    "Sheet": "convscope.see",
    # ... by one instrument alone
    **dict.fromkeys(
        (
            *("filters", "maps_of", "mosaic", "exemplars", "project", "correspondence"),
            *("Optimise", "Direction", "Fourier", "Phase", "Pixel", "driven"),
        ),
        "convscope.instruments.appearance",
    ),
    # what units mean
    "dissect": "convscope.see",
    "Dissected": "convscope.see",
    "open_concepts": "convscope.images.concepts",
    **dict.fromkeys(("concept_vectors", "sensitivities", "attribute_to_concepts"), "convscope.instruments.concepts"),
    # why this prediction
    "explain": "convscope.answer",
    "compare": "convscope.answer",
    "Answer": "convscope.answer",
    "Answers": "convscope.answer",
    "Explanation": "convscope.answer",
    # ... by one method alone: settings in the constructor, then called with network, inputs, target
    **dict.fromkeys(
        (
            *("Gradient", "InputXGradient", "IntegratedGradients", "SmoothGrad", "GuidedBackprop", "Deconvnet"),
            *("GradCAM", "GradCAMPlusPlus", "LayerCAM", "HiResCAM", "ScoreCAM", "AblationCAM"),
            *("Occlusion", "RISE", "Shapley", "LRP", "DeepLIFT", "Method", "Attribution", "Target"),
        ),
        "convscope.instruments.attribution",
    ),
    # why it works
    "why": "convscope.study",
    "Study": "convscope.study",
    "Finding": "convscope.finding",
    "Control": "convscope.finding",
    "Interval": "convscope.intervals",
    # adding your own
    "register": "convscope.registry",
    # what can go wrong
    "ConvscopeError": "convscope.errors",
    "UsageError": "convscope.errors",
    "InputError": "convscope.errors",
    "ImagesError": "convscope.errors",
    "NetworkError": "convscope.errors",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"convscope has no '{name}'; it has: {', '.join(_HOMES)}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
