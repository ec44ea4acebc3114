"""Where do networks come from?  One file per source; importing this package registers ours."""

from convscope.network.sources import builtin, exported, file, hf, timm, torchvision

__all__ = ["builtin", "exported", "file", "hf", "timm", "torchvision"]
