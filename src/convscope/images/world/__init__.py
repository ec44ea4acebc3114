"""What can every instrument be tried on?  A built-in world of small scenes, with exact masks."""

from convscope.images.world.concepts import CLASSES as CLASSES
from convscope.images.world.concepts import CONCEPTS as CONCEPTS
from convscope.images.world.scenes import Masks as Masks
from convscope.images.world.scenes import Scenes as Scenes
from convscope.images.world.scenes import World as World
