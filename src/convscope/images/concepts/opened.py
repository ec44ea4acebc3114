"""Which concepts are meant by `camvid/`, `coco:instances.json`, `pixels`?  The sources by their names."""

from collections.abc import Sequence
from pathlib import Path

from convscope.errors import UsageError
from convscope.images.collection import Images
from convscope.images.concepts.class_labels import ClassLabels
from convscope.images.concepts.colours import Brightness, Colours
from convscope.images.concepts.concept import Source
from convscope.images.concepts.edges import Corners, EdgeScales, Orientations
from convscope.images.concepts.seen import Together
from convscope.images.concepts.textures import TextureFrequencies
from convscope.images.scenes_source import WorldSource
from convscope.registry import items, lookup, register

_PLAIN = ("pixels", "colour", "brightness", "orientation", "corner", "scale", "texture", "world")

_SIGNS = (  # by which a folder is known
    ("voc", "SegmentationClass"),
    ("voc", "SegmentationObject"),
    ("pascal_part", "*_part.png"),
    ("pascal_part", "masks/*_part.png"),
)

NONE = "none"  # said for no concepts at all


@register("concepts", "pixels")
def pixels() -> Together:
    """All concepts that are found in the image itself: colours, brightness, orientations, corners, edge scales, textures."""
    return Together((Colours(), Brightness(), Orientations(), Corners(), EdgeScales(), TextureFrequencies()))


def open_concepts(spec: str, images: Images | None = None) -> Source:
    """The source of a name, as `pixels`, `world`, `classes`, or of a name and a place, as `coco:instances.json`, `voc:VOC2012`.

    A place alone is known by what lies there: a folder of VOC, of Pascal-Part or else of label maps, or a JSON file of COCO.
    Raises UnknownNameError for another name, UsageError where the place is missing or too much, and what the source itself raises.
    """
    name, _, place = spec.partition(":")
    if Path(spec).exists() and spec not in items("concepts"):
        name, place = _kind_of(Path(spec)), spec
    make = lookup("concepts", name)
    if make is ClassLabels:
        if images is None or place:
            raise _wrong(spec, "Classes are those of the images.", "Write 'classes', with images that are labelled.")
        return ClassLabels.of(images)
    if name in _PLAIN:
        if place:
            raise _wrong(spec, f"'{name}' is found in the images themselves.", f"Write '{name}'.")
        return make()
    if not place:
        raise _wrong(spec, f"It does not say where '{name}' is to be read.", f"Write '{name}:PATH'.")
    return make(place)


def _kind_of(place: Path) -> str:
    """The name of the source that reads what lies there."""
    if place.is_file():
        return "coco"
    return next((name for name, pattern in _SIGNS if next(place.glob(pattern), None)), "labels")


def _wrong(spec: str, found: str, would_work: str) -> UsageError:
    return UsageError(f"The concepts '{spec}' were asked for.", found, would_work)


def sources_of(images: Images, wanted: Sequence[str | Source]) -> tuple[Source, ...]:
    """The sources that are meant; by default what the built-in world drew, and in other images what is found in the image itself.

    Raises what `open_concepts` raises.
    """
    if not wanted:
        wanted = ("world",) if isinstance(images.source, WorldSource) else ("pixels",)
    return tuple(open_concepts(one, images) if isinstance(one, str) else one for one in wanted if one != NONE)
