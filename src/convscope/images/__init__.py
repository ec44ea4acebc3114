"""What is shown to the network: folders, files, arrays and data sets of images, their classes, and their preprocessing.

collection.py   Images: ids, labels, sub-sets (sample.py); opened by `images(...)`
files.py, arrays.py, archives.py, datasets.py   where images come from (source.py: what these share)
picture.py      one image, once read; decode.py, modes.py: a file becomes pixels
labels.py       which class each image is of; classes.py, imagenet.py: what the network's classes are called
preprocess.py   pixels become a network's input (values.py, geometry.py, presets.py)
stream.py       batches, decoded ahead by threads
"""

import sys
from types import ModuleType
from typing import Any

from convscope.images.classes import Classes as Classes
from convscope.images.collection import Images as Images
from convscope.images.collection import images as images
from convscope.images.decode import Decode as Decode
from convscope.images.imagenet import imagenet_classes as imagenet_classes
from convscope.images.picture import Picture as Picture
from convscope.images.picture import Skip as Skip
from convscope.images.preprocess import Preprocess as Preprocess
from convscope.images.stream import Batch as Batch


class _Callable(ModuleType):
    """Importing this package puts it where `convscope.images` is looked up; so it answers `convscope.images(...)`."""

    def __call__(self, source: Any, **settings: Any) -> Images:
        return images(source, **settings)


sys.modules[__name__].__class__ = _Callable
