"""Which concepts are meant by `camvid/`, `coco:instances.json`, `pixels`?  The sources by their names."""

from pathlib import Path

from convscope.errors import UsageError
from convscope.images.collection import Images
from convscope.images.concepts.class_labels import ClassLabels
from convscope.images.concepts.colours import Brightness, Colours
from convscope.images.concepts.concept import Several, Source
from convscope.images.concepts.edges import Corners, EdgeScales, Orientations
from convscope.images.concepts.textures import TextureFrequencies
from convscope.registry import lookup, register

_PLAIN = ("pixels", "colour", "brightness", "orientation", "corner", "scale", "texture", "world")


@register("concepts", "pixels")
def pixels() -> Several:
    """All concepts that are found in the image itself: colours, brightness, orientations, corners, edge scales, textures."""
    return Several((Colours(), Brightness(), Orientations(), Corners(), EdgeScales(), TextureFrequencies()))


def open_concepts(spec: str, images: Images | None = None) -> Source:
    """The source of a name, as `pixels`, `world`, `classes`, or of a name and a place, as `coco:instances.json`, `voc:VOC2012`.

    A folder alone is one of label maps, `labels:FOLDER`. Raises UnknownNameError for another name, UsageError where the place
    is missing or too much, and what the source itself raises.
    """
    name, colon, place = spec.partition(":")
    if not colon and Path(spec).is_dir():
        name, place = "labels", spec
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


def _wrong(spec: str, found: str, would_work: str) -> UsageError:
    return UsageError(f"The concepts '{spec}' were asked for.", found, would_work)
