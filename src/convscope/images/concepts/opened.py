"""Which concepts are meant by `camvid/`, `coco:instances.json`, `pixels`?  The sources by their names."""

import os
from collections.abc import Sequence
from pathlib import Path

from convscope.errors import InputError, UnknownNameError, UsageError
from convscope.images.collection import Images
from convscope.images.concepts.class_labels import ClassLabels
from convscope.images.concepts.colours import Brightness, Colours
from convscope.images.concepts.concept import Source
from convscope.images.concepts.edges import Corners, EdgeScales, Orientations
from convscope.images.concepts.examples import Examples
from convscope.images.concepts.seen import Together
from convscope.images.concepts.text_labels import TextLabels
from convscope.images.concepts.textures import TextureFrequencies
from convscope.images.picture import printable
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
    `text:FOLDER=a wheel,stripes` names the folder of an image-text model and the texts. Of `examples:FOLDER` an image shows the
    concept of its folder and none of the others; images that lie in no folder of it are not known.
    Raises UnknownNameError for another name, InputError for a path that is not there, UsageError where the place is missing or too
    much, or texts are; and what the source itself raises.
    """
    name, _, place = spec.partition(":")
    if Path(spec).exists() and spec not in items("concepts"):
        name, place = _kind_of(Path(spec)), spec
    if name not in items("concepts"):
        raise _unknown(spec, name)
    make = lookup("concepts", name)
    if make is TextLabels:
        return _texts(spec, place)
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
    return Examples(place, exclusive=True) if make is Examples else make(place)


def _texts(spec: str, place: str) -> TextLabels:
    """`FOLDER=a wheel,stripes`: what stands before the last "=" is the folder, what stands after it the texts."""
    folder, _, words = place.rpartition("=")
    texts = tuple(dict.fromkeys(filter(None, (word.strip() for word in words.split(",")))))
    if not folder or not texts:
        found = "It names no folder of an image-text model" if not place else "It gives no texts for the model"
        raise _wrong(spec, f"{found}.", "Write 'text:FOLDER=wheel,stripes': the folder of a CLIP model, and the texts.")
    return TextLabels(folder, texts)


def _unknown(spec: str, name: str) -> UsageError | InputError:
    """What is neither a source nor there: a path that is missing, or a name that is misspelled."""
    if name == spec and (os.sep in spec or Path(spec).suffix):
        return InputError(
            f"The concepts '{printable(spec)}' were asked for.",
            "There is no such folder or file.",
            "Give a folder of label maps, a JSON file of COCO, or NAME:PATH, as voc:VOC2012.",
        )
    return UnknownNameError("source of concepts", name, items("concepts"))


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
