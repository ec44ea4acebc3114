"""Which pages does a study hold of its concepts?  An index of all, those with masks first, and a page for each."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from convscope.images.concepts.concept import Concept
from convscope.see.concept import best_read, best_unit, concept_sheet, n_detectors
from convscope.see.dissected import Dissected
from convscope.see.image_concept import best_ranking, fresh_rankings, image_concept_sheet, n_ranking
from convscope.see.sheet import Sheet

MOST_PAGES = 200  # of a chapter; rows are there for all
MOST_NAMED = 5  # reasons for which labels could not be used
Chapter = dict[str, Any]
Progress = Callable[[str, int, int], None]

_TRIVIAL = ("images", "everywhere", "mean mask", "cap", "share of images")
_REACHED = (
    *("IoU", "average precision", "times its share", "fresh weights", "fresh weights, precision"),
    *("several units", "units for 90 %"),
)
_OF_MASKS = (
    "IoU is the overlap of a unit with the concept's masks, on the half of the images that chose nothing; 'everywhere' is that of "
    "a unit which is always on (the concept's share of pixels), 'mean mask' that of knowing only where it usually is. A "
    "detector beats both, and wrong labels. 'Cap' is the most that a unit can reach by the conventional rule (IoU above .04) if "
    "it is on at exactly .5 % of the pixels; where its map is coarse it is on at less, where values tie at more. 'Times its "
    "share' is its average precision over the share."
)
_OF_IMAGES = (
    "Concepts of whole images have no overlap: their 'detectors' are units that rank images by them better than wrong labels "
    "allow. The best is chosen on one half of the images; its average precision is that on the other, where a unit that says "
    "nothing has the share of images."
)


def concept_chapter(known: Dissected) -> Chapter:
    """The index: a row for each concept."""
    cells = [[str(what), *_concept_cells(known, i)] for i, what in enumerate(_with_masks(known))]
    cells += [[str(what), *_image_cells(known, i)] for i, what in enumerate(known.of_images)]
    paged = _n_paged(known)
    not_used = "".join(f" {line.rstrip('.')}." for line in known.labels.not_used[:MOST_NAMED])
    words = (*((_OF_MASKS,) if _with_masks(known) else ()), *((_OF_IMAGES,) if known.of_images else ()))
    return {
        "key": "concepts",
        "title": "Concepts",
        "words": f"{' '.join(words)}{not_used}",
        **filled(
            ("concept", *_TRIVIAL, "detectors", "best unit", *_REACHED),
            ("left", *("right" for _ in range(len(_TRIVIAL) + 1)), "left", *("right" for _ in _REACHED)),
            [(row[0] if i < paged else None, row) for i, row in enumerate(cells)],
        ),
    }


def concept_pages(known: Dissected, progress: Progress) -> Iterator[Sheet]:
    """The pages, made as they are asked for."""
    n_masks, n = len(_with_masks(known)), _n_paged(known)
    for concept in range(n):
        progress("pages of concepts", concept, n)
        yield concept_sheet(known, concept) if concept < n_masks else image_concept_sheet(known, concept - n_masks)
    progress("pages of concepts", n, n)


def _n_paged(known: Dissected) -> int:
    """How many concepts have a page: those with masks first, then those of whole images."""
    return min(len(_with_masks(known)) + len(known.of_images), MOST_PAGES)


def _with_masks(known: Dissected) -> tuple[Concept, ...]:
    """The concepts with masks; none where no measured layer has maps, for they were held against nothing."""
    return known.concepts if known.detects else ()


def _concept_cells(known: Dissected, concept: int) -> list[Any]:
    """The row of a concept with masks, but for its name."""
    single, pixels = known.trained.single, known.labels.pixels
    assert single is not None
    assert pixels is not None
    n = int(pixels.n_images[:, concept].sum())
    share = float(single.everywhere[concept])
    trivial = [n, round(share, 3), round(float(single.prior[concept]), 3), round(float(single.cap[concept]), 3), None]
    if not pixels.testable[concept]:
        return [*trivial, None, single.remarks.get(single.concepts[concept], "–"), *(None for _ in _REACHED)]
    best, read = best_unit(known, concept), best_read(known, concept)
    fresh = [best_unit(known, concept, one.single).iou for one in known.fresh if one.single is not None]
    several: list[Any] = [None, None]
    if read is not None:
        several = [round(float(read.iou[concept]), 3), int(read.to_most[concept]) or None]
    lift = round(best.precision / share, 1) if share > 0 else None
    beside = round(float(np.mean(fresh)), 3) if fresh else None
    found = [n_detectors(known, concept), f"{best.layer}:{best.unit}", round(best.iou, 3), None, lift, beside, None]
    return [*trivial, *found, *several]


def _image_cells(known: Dissected, concept: int) -> list[Any]:
    """The row of a concept of whole images, but for its name."""
    whole = known.labels.whole
    assert whole is not None
    n, of = (int(counts[:, concept].sum()) for counts in (whole.n_images, whole.n_known))
    trivial = [n, None, None, None, round(n / max(of, 1), 3)]
    if not whole.testable[concept]:
        return [*trivial, None, whole.remarks[whole.concepts[concept]], *(None for _ in _REACHED)]
    best, fresh = best_ranking(known, concept), fresh_rankings(known, concept)
    lift = round(best.precision / best.share, 1) if best.share > 0 else None
    beside = round(float(np.mean(fresh)), 3) if fresh else None
    found = [n_ranking(known, concept), f"{best.layer}:{best.unit}", None, round(best.precision, 3), lift, None, beside]
    return [*trivial, *found, None, None]


def filled(columns: Sequence[str], align: Sequence[str], rows: Sequence[tuple[str | None, list[Any]]]) -> Chapter:
    """A table of rows (page, cells), without the columns in which nothing stands."""
    kept = [i for i in range(len(columns)) if any(cells[i] is not None for _, cells in rows)]
    return {
        "columns": [columns[i] for i in kept],
        "align": [align[i] for i in kept],
        "rows": [{"page": page, "cells": [cells[i] for i in kept]} for page, cells in rows],
    }
