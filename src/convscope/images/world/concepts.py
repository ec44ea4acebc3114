"""Which concepts does the built-in world know, at which level?"""

from convscope.errors import UnknownNameError
from convscope.images.world.paint import COLOR_NAMES, TEXTURES

CLASSES = ("face", "cat", "fish", "bus", "car", "bicycle", "ship", "house", "tree", "flower")
PARTS = (
    *("eye", "brow", "nose", "mouth", "hair", "ear", "whisker", "fin", "tail"),
    *("wheel", "window", "headlight", "bumper", "frame", "saddle", "handlebar", "hull", "sail", "mast"),
    *("door", "roof", "chimney", "trunk", "crown", "stem", "leaf", "petal"),
)
N_ORIENTATIONS = 8
# The direction of the edge itself, counter-clockwise from horizontal; a bin reaches 11.25 deg to either side.
EDGES = tuple(f"edge {180 * k / N_ORIENTATIONS:g} deg" for k in range(N_ORIENTATIONS))
CURVES = ("arc right", "arc up", "arc left", "arc down")  # named after the side to which the arc bulges
CONCEPTS: dict[str, tuple[str, ...]] = {
    "edge": EDGES,
    "curve": CURVES,
    "color": COLOR_NAMES,
    "texture": TEXTURES,
    "part": PARTS,
    "object": CLASSES,
}


def concepts_of(level: str) -> tuple[str, ...]:
    """The concepts of a level, in the order of their numbers (the first is 1; 0 is none).

    Raises UnknownNameError for a level that is not one of edge, curve, color, texture, part, object.
    """
    if level not in CONCEPTS:
        raise UnknownNameError("level", level, CONCEPTS)
    return CONCEPTS[level]


def number_of(level: str, concept: str) -> int:
    """The number of a concept in its level's map, from 1. Raises UnknownNameError."""
    known = concepts_of(level)
    if concept not in known:
        raise UnknownNameError(f"{level} concept", concept, known)
    return known.index(concept) + 1
