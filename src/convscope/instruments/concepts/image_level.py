"""How well do units rank images by a concept that has no mask?  Average precision of each unit's peak.

Average precision is the mean, over the images that have the concept, of the share of such images among those the unit answers to at
least as strongly; images that tie stand together. A unit that says nothing has the concept's frequency. A pair is tested on all
images, for nothing is chosen there; the control is the same with the labels of other images, of all layers together (`ranking`).
Where the best of many units is named, it is chosen on one half of the images (`chosen`) and measured on the other (`measured`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from convscope.images.concepts.concept import Concept
from convscope.instruments.concepts.chance import RATE, Scaled, rare, scaled
from convscope.instruments.concepts.collect import Collected
from convscope.instruments.concepts.iou import ratio
from convscope.intervals import false_discovery_rate
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE
from convscope.sweep.gauges.peaks import UnitPeaks


@dataclass(frozen=True, eq=False)
class ImageLevel:
    """One layer's units against concepts of whole images; arrays are float32 `unit concept` unless said."""

    concepts: tuple[Concept, ...]
    testable: np.ndarray  # bool concept: in both halves of the images, and not everywhere
    average_precision: np.ndarray  # over all images
    frequency: np.ndarray  # concept: share of all images (of those that say) that have it
    chosen: np.ndarray  # average precision on the half that chooses: what to choose units by, not what they reach
    measured: np.ndarray  # on the half that measures
    share: np.ndarray  # concept: of the images of that half
    scaled: Scaled  # how far beyond its frequency, in units of the scatter of wrong labels; and what those give

    @property
    def z(self) -> np.ndarray:
        """How far the average precision lies beyond what wrong labels give, in units of their scatter."""
        return self.scaled.z

    @property
    def lift(self) -> np.ndarray:
        """Average precision in multiples of the concept's frequency."""
        return ratio(self.average_precision, np.broadcast_to(self.frequency, self.average_precision.shape))


def ranking(layers: Mapping[str, ImageLevel], rate: float = RATE) -> dict[str, np.ndarray]:
    """Which units rank images better than wrong labels allow, truth values `unit concept`: all layers are tested together.

    As with concepts that have masks, each pair is held against the wrong scores of all layers, and at most a share `rate` of all
    that is found is false (Benjamini and Hochberg 1995).
    """
    if not layers:
        return {}
    wrong = np.sort(np.concatenate([one.scaled.wrong for one in layers.values()]))
    p_values = [rare(one.z, wrong, one.testable) for one in layers.values()]
    found = false_discovery_rate(np.concatenate([one.ravel() for one in p_values]), rate)
    parts = np.split(found, np.cumsum([one.size for one in p_values])[:-1])
    return {
        layer: part.reshape(one.z.shape) & (one.average_precision > one.frequency)
        for (layer, one), part in zip(layers.items(), parts, strict=True)
    }


def image_level(found: Collected, peaks: UnitPeaks) -> ImageLevel:
    """Average precision of every unit for every concept, over the images that were seen and of which something is known."""
    labelled = found.labelled
    usable = np.flatnonzero(peaks.seen & (labelled.half >= 0))
    labels, known = (
        np.unpackbits(bits[:, 0], axis=-1, count=labelled.n_concepts).astype(bool)
        for bits in (labelled.labels, labelled.known)
    )
    labels &= known
    owners, _ = labelled.wrong
    asked = [(usable, labels)]
    for null in range(labelled.n_null):
        wrong = np.stack([labels[owners[null, group], c] for c, group in enumerate(labelled.groups)], axis=1)
        asked.append((usable, wrong & known))
    asked += [(usable[labelled.half[usable] == half], labels) for half in (CHOOSE, MEASURE)]
    precision = np.empty((len(asked), len(peaks.values), labelled.n_concepts), np.float32)
    for unit, own in enumerate(peaks.values):
        values = np.asarray(own)
        for row, (images, given) in zip(precision, asked, strict=True):
            row[unit] = precisions(values[images], given[images], known[images])
    every, *dealt, chosen, measured = precision
    frequency, share = (ratio(labels[at].sum(axis=0), known[at].sum(axis=0)) for at in (usable, asked[-1][0]))
    wrong_ones = np.array(dealt).reshape(-1, *every.shape)
    scores = scaled(every - frequency, wrong_ones - frequency, found.testable)
    return ImageLevel(
        found.concepts, found.testable, every.copy(), frequency, chosen.copy(), measured.copy(), share, scores
    )


def precisions(values: np.ndarray, labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Average precision of values `image` for labels `image concept`, where they are known; 0 for a concept that is nowhere."""
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    right, seen = labels[order].cumsum(axis=0), known[order].cumsum(axis=0)
    last = np.searchsorted(-ordered, -ordered, side="right") - 1  # where those that tie end
    precision = ratio(right[last], seen[last])
    return ratio((precision * labels[order]).sum(axis=0), labels.sum(axis=0))
