"""Why does `import torchvision` fail beside a CPU build of torch, and how is that mended?

The published torchvision cannot load its compiled operators there, and its import ends with "operator torchvision::nms does not
exist". Declaring the two operators it asks for is enough for its models and transforms; nothing is computed with them.
"""

import importlib
import importlib.util
from types import ModuleType

import torch

from convscope.errors import MissingExtraError

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []  # a library lives as long as this reference


def import_torchvision(module: str = "torchvision") -> ModuleType:
    """torchvision, or a module of a package that needs it (timm). Raises MissingExtraError if it is not installed."""
    declare_missing_operators()
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        raise MissingExtraError(f"A network of {package} was asked for.", error.name or package, "models") from error


def declare_missing_operators() -> None:
    """Make `import torchvision` possible, if it is installed; nothing where it works anyway."""
    if _declared or importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(name + _SCHEMA)
        _declared.append(library)
