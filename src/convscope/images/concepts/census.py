"""Which concepts are in these images, how often, and which cannot be measured?  What was left out is named and counted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from convscope.errors import ConvscopeError, ImagesError
from convscope.images.collection import Images
from convscope.images.concepts.concept import Concept, Masks, Source
from convscope.images.picture import Skip
from convscope.images.preprocess import Preprocess


@dataclass(eq=False)
class Tally:
    """Counts concepts image by image; two that counted different images can be merged, in any order."""

    concepts: tuple[Concept, ...]
    n_images: int = 0
    known: np.ndarray = field(init=False)  # int64, concept: images of which anything is known
    shown: np.ndarray = field(init=False)  # int64: of those, images that show it
    filled: np.ndarray = field(init=False)  # int64: of those, images in which it is everywhere
    inside: np.ndarray = field(init=False)  # int64: its pixels (per image: as `shown`)
    counted: np.ndarray = field(init=False)  # int64: all pixels that say whether it is there
    skipped: list[Skip] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in _COUNTS:
            setattr(self, name, np.zeros(len(self.concepts), np.int64))

    def add(self, masks: Masks) -> None:
        """Count one image."""
        values = masks.values if masks.values.ndim == 3 else masks.values[:, None, None]
        said = np.broadcast_to(True, values.shape)
        if masks.void is not None:
            said = ~masks.void
            values = values & said
        inside, counted = values.sum((1, 2)) * masks.known, said.sum((1, 2)) * masks.known
        self.n_images += 1
        self.known += masks.known
        self.shown += inside > 0
        self.filled += (inside > 0) & (inside == counted)
        self.inside += inside
        self.counted += counted
        self.skipped += masks.skipped

    def merge(self, other: "Tally") -> None:
        """Add what another counted.  Raises ValueError where it counted other concepts."""
        if self.concepts != other.concepts:
            raise ValueError("two tallies of different concepts cannot be merged")
        for name in ("n_images", *_COUNTS):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.skipped += other.skipped

    def result(self, strays: Iterable[Skip] = ()) -> "Census":
        counts = {name: getattr(self, name).copy() for name in _COUNTS}
        return Census(self.concepts, self.n_images, **counts, skipped=tuple(sorted(self.skipped)), strays=tuple(strays))


_COUNTS = ("known", "shown", "filled", "inside", "counted")


@dataclass(frozen=True, eq=False)
class Census:
    """How often each concept is in a collection; arrays int64, one entry per concept, as in Tally."""

    concepts: tuple[Concept, ...]
    n_images: int
    known: np.ndarray
    shown: np.ndarray
    filled: np.ndarray
    inside: np.ndarray
    counted: np.ndarray
    skipped: tuple[Skip, ...]  # what was given for an image and could not be used
    strays: tuple[Skip, ...]  # what the source has for images that are not here

    @property
    def frequency(self) -> np.ndarray:
        """The share of pixels (per image: of images) that show it, of those that say whether they do; 0 where none says."""
        return self.inside / np.maximum(self.counted, 1)

    def unusable(self, least_images: int = 2) -> dict[Concept, str]:
        """The concepts that cannot be measured, each with the reason; `least_images` must show a concept."""
        found = {}
        for place, concept in enumerate(self.concepts):
            known, shown = int(self.known[place]), int(self.shown[place])
            if known == 0:
                found[concept] = f"of none of the {self.n_images} images is it known"
            elif shown == 0:
                found[concept] = f"empty: none of {known} images shows it"
            elif shown < least_images:
                found[concept] = f"{_images(shown)} it, {least_images} are needed: none would be left to test on"
            elif self.inside[place] == self.counted[place]:
                found[concept] = f"it is everywhere in all {known} images: there is nothing to tell it from"
        return found

    def usable(self, least_images: int = 2) -> np.ndarray:
        """Which concepts can be measured, truth values."""
        wrong = self.unusable(least_images)
        return np.array([concept not in wrong for concept in self.concepts], bool)

    def said(self, least_images: int = 2) -> tuple[str, ...]:
        """What was left out, in sentences: concepts, masks that could not be used (counted by reason), masks without an image."""
        lines = [f"{concept}: {reason}" for concept, reason in self.unusable(least_images).items()]
        for reason, skips in _by_reason(self.skipped).items():
            lines.append(f"{len(skips)} skipped, the first '{skips[0].id}': {reason}")
        for reason, skips in _by_reason(self.strays).items():
            lines.append(f"{len(skips)} masks or examples not used, the first '{skips[0].id}': {reason}")
        return tuple(lines)


def census(source: Source, images: Images, preprocess: Preprocess) -> Census:
    """Counts the concepts of a source in all images, without a network; images that cannot be read are skipped and named.

    Raises ImagesError where the source knows nothing of any image.
    """
    tally = Tally(source.concepts)
    for index, name in enumerate(images.ids):
        try:
            picture = images.picture(index)
            tally.add(source.masks(picture, preprocess, preprocess(picture)))
        except ImagesError as error:
            tally.skipped.append(Skip(name, error.found or error.asked))
    found = tally.result(source.strays(images.ids))
    if found.n_images and not found.known.any():
        raise nothing_fits(found, images)
    return found


def nothing_fits(found: Census, images: Images) -> ConvscopeError:
    """The error for a source that knows nothing of any image."""
    reasons = (*found.skipped, *found.strays)
    first = f" The first that was given: '{reasons[0].id}': {reasons[0].reason}." if reasons else ""
    return ImagesError(
        f"Concepts were to be found in {len(images)} images.",
        f"Nothing is known of any of them.{first}",
        f"Name masks as the images: the first image is '{images.ids[0]}'.",
    )


def _images(n: int) -> str:
    return "1 image shows" if n == 1 else f"{n} images show"


def _by_reason(skips: Iterable[Skip]) -> dict[str, list[Skip]]:
    order = Counter(skip.reason for skip in skips).most_common()
    groups: dict[str, list[Skip]] = {reason: [] for reason, _ in order}
    for skip in skips:
        groups[skip.reason].append(skip)
    return groups
