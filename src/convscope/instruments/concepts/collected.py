"""The labels of some images at the pixels that are looked at; and what of them cannot be used, in words."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from convscope.images import Skip
from convscope.images.concepts.concept import Concept
from convscope.sweep.gauges.labelled import Labelled


@dataclass(frozen=True, eq=False)
class Collected:
    """What is labelled in some images, and how often. Halves: images that choose thresholds, and those that measure."""

    concepts: tuple[Concept, ...]
    labelled: Labelled  # per pixel; per image with a single "pixel"
    per_pixel: bool
    n_images: np.ndarray  # int64 half concept: images in which it is there
    n_known: np.ndarray  # int64 half concept: images that say whether it is there
    frequency: (
        np.ndarray
    )  # float64 half concept: share of the pixels (of which something is known) that are labelled so
    cells: (
        np.ndarray
    )  # int32 (labelled, known) half concept y x: pixels in each of a few thousand places; empty per image
    n_silent: int = 0  # images that were read, and of which nothing is known
    skipped: tuple[Skip, ...] = field(default=())  # images, and what was given for one, that could not be used
    strays: tuple[Skip, ...] = field(default=())  # what the source has for images that are not here

    @property
    def remarks(self) -> dict[Concept, str]:
        """Why concepts cannot be tested, of those that cannot."""
        every = zip(self.concepts, self.n_images.T, self.n_known.T, self.frequency.T, strict=True)
        found = {concept: _wrong(*counts) for concept, *counts in every}
        return {concept: said for concept, said in found.items() if said}

    @property
    def testable(self) -> np.ndarray:
        """Which concepts are in both halves, and not everywhere, truth values."""
        wrong = self.remarks
        return np.array([concept not in wrong for concept in self.concepts], bool)

    def said(self) -> tuple[str, ...]:
        """What could not be used, in sentences, alike ones together: images without labels, concepts, masks, strays."""
        silent, lines = self._silent(), []
        for reason, concepts in _by_reason(Skip(str(c), said) for c, said in self.remarks.items()).items():
            first = f"{len(concepts)} concepts cannot be tested, the first '{concepts[0].id}'"
            lines.append(f"{first if len(concepts) > 1 else concepts[0].id}: {reason}")
        return (*silent, *lines, *self._skipped())

    def not_used(self) -> tuple[str, ...]:
        """The same without concepts: images without labels, masks, strays."""
        return (*self._silent(), *self._skipped())

    def _silent(self) -> tuple[str, ...]:
        n = len(self.labelled.half)
        return (f"Of {self.n_silent:,} of {n:,} images nothing is known.",) if self.n_silent else ()

    def _skipped(self) -> tuple[str, ...]:
        lines = []
        for counted, skips in (("skipped", self.skipped), ("masks or examples not used", self.strays)):
            for reason, own in _by_reason(skips).items():
                lines.append(f"{len(own):,} {counted}, the first '{own[0].id}': {reason}")
        return tuple(lines)


def _wrong(n_images: np.ndarray, n_known: np.ndarray, share: np.ndarray) -> str:
    """Why a concept cannot be tested, from counts of both halves; nothing where it can."""
    n, known = int(n_images.sum()), int(n_known.sum())
    if not known:
        return "None of the images says whether it is there."
    if not n:
        return f"It is in none of the {known:,} images that say whether it is there."
    if share.max() >= 1:
        everywhere = "in all of them" if share.min() >= 1 else "in one half of them"
        return f"It is everywhere {everywhere}, so nothing can answer to it."
    if min(n_known) < 2:
        return (
            "In one half a single image says whether it is there: no other image's labels are there to be wrong ones."
        )
    if not n_images.all():
        return f"It is in {n:,} image{'s' if n > 1 else ''}, none of which is in the other half."
    return ""


def _by_reason(skips: Iterable[Skip]) -> dict[str, list[Skip]]:
    """Alike reasons together, whatever the numbers in them; the most frequent first, each as it was first given."""
    groups: dict[str, list[Skip]] = {}
    for skip in sorted(skips):
        groups.setdefault(re.sub(r"\d[\d,]*", "#", skip.reason), []).append(skip)
    return {own[0].reason: own for own in sorted(groups.values(), key=len, reverse=True)}
