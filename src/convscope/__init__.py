"""Why does this convolutional network work?  Measurements, each with an interval and a control.

import convscope as cs

net = cs.load("timm:mobilenetv2_100", weights="mobilenetv2.safetensors")
photos = cs.images("photos/")
"""

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from convscope.images.world import World as World
    from convscope.intervals import Interval as Interval
    from convscope.network import Network as Network
    from convscope.network import load as load
    from convscope.network.check import check as check
    from convscope.network.formats import fastest as fastest
    from convscope.registry import register as register
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
