"""How well do units rank images by a concept that has no mask?  Average precision of each unit's peak.

Average precision is the mean, over the images that have the concept, of the share of such images among those the unit answers to at
least as strongly; images that tie stand together. A unit that says nothing has the concept's frequency. Nothing is chosen, so all
images measure; the control is the same with the labels of other images.
"""

from dataclasses import dataclass

import numpy as np

from convscope.images.concepts.concept import Concept
from convscope.instruments.concepts.chance import tested
from convscope.instruments.concepts.collect import Collected
from convscope.instruments.concepts.iou import ratio
from convscope.intervals import false_discovery_rate
from convscope.sweep.gauges.peaks import UnitPeaks


@dataclass(frozen=True, eq=False)
class ImageLevel:
    """One layer's units against concepts of whole images; arrays are float32 `unit concept` unless said."""

    concepts: tuple[Concept, ...]
    average_precision: np.ndarray
    frequency: np.ndarray  # concept
    z: np.ndarray  # how far beyond wrong labels, in units of their scatter
    p_values: np.ndarray

    @property
    def lift(self) -> np.ndarray:
        """Average precision in multiples of the concept's frequency."""
        return ratio(self.average_precision, np.broadcast_to(self.frequency, self.average_precision.shape))

    @property
    def detectors(self) -> np.ndarray:
        """Which units rank images better than wrong labels allow, truth values (false discovery rate 5 %)."""
        return false_discovery_rate(self.p_values) & (self.average_precision > self.frequency)


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
    dealt = [labels[usable]]
    for null in range(labelled.n_null):
        wrong = np.stack([labels[owners[null, group], c] for c, group in enumerate(labelled.groups)], axis=1)
        dealt.append((wrong & known)[usable])
    n_units = len(peaks.values)
    precision = np.empty((len(dealt), n_units, labelled.n_concepts), np.float32)
    for unit in range(n_units):
        values = np.asarray(peaks.values[unit])[usable]
        for row, one in zip(precision, dealt, strict=True):
            row[unit] = precisions(values, one, known[usable])
    frequency = ratio(labels[usable].sum(axis=0), known[usable].sum(axis=0))
    said = tested(precision[0] - frequency, precision[1:] - frequency, found.testable)
    return ImageLevel(found.concepts, precision[0], frequency, said.z.astype(np.float32), said.p_values)


def precisions(values: np.ndarray, labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Average precision of values `image` for labels `image concept`, where they are known; 0 for a concept that is nowhere."""
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    right, seen = labels[order].cumsum(axis=0), known[order].cumsum(axis=0)
    last = np.searchsorted(-ordered, -ordered, side="right") - 1  # where those that tie end
    precision = ratio(right[last], seen[last])
    return ratio((precision * labels[order]).sum(axis=0), labels.sum(axis=0))
