"""torchvision for the sources of networks; see convscope.torchvision_ops, which stands lower because images need it too."""

from convscope.torchvision_ops import import_torchvision as import_torchvision
