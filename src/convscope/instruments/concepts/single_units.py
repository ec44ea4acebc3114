"""Which units are detectors of which concepts?  Overlap of single units with concepts, held against everything trivial.

Network Dissection (Bau et al. 2017, arXiv:1704.05796) with the controls it lacked. The threshold of each unit and concept is chosen
on one half of the images and measured on the other. A detector is a unit that there covers a concept better than
- the same unit covers it under wrong labels (chance.py; over all pairs of all layers),
- a unit that is on everywhere, whose IoU is the concept's frequency,
- the mean mask of the other half, which has not looked at the image,
and by enough to matter: its IoU beyond chance is more than .04.
Beside it stand the layer's units replaced by random directions (is the unit axis special?), and, measured in the same way by
whoever asks, the same architecture with fresh weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.errors import UsageError
from convscope.images import Images
from convscope.images.concepts.concept import Concept
from convscope.instruments.concepts.chance import RATE, position_prior, tested
from convscope.instruments.concepts.collect import Collected
from convscope.instruments.concepts.iou import AtTop, Tails, at_top, average_precision, cap, ratio, tails
from convscope.intervals import false_discovery_rate
from convscope.network import Network
from convscope.sweep.engine import Gauges, sweep
from convscope.sweep.gauges import Gauge, Overlap, Values
from convscope.sweep.gauges.labelled import CHOOSE, MEASURE
from convscope.sweep.gauges.levels import levels_from
from convscope.sweep.gauges.overlap import IN_MEMORY, JointCounts
from convscope.sweep.gauges.pixels import Pixels, anchor_of

Progress = Callable[[int, int], None]
CONVENTIONAL = 0.04  # IoU beyond which a unit is called a detector in the paper
LEAST = 0.04  # IoU beyond chance that matters: given enough pixels, anything stands out from wrong labels
N_PILOT, N_PILOT_PIXELS = 24, 144  # images, and pixels of each, from which thresholds are chosen
WORKING = 1 << 22  # pairs and thresholds that are worked out together
UNITS, ROTATED = "overlap", "rotated"


@dataclass(frozen=True, eq=False)
class UnitConcepts:
    """One layer's units against all concepts; arrays are `unit concept` (float32), of the half that measures unless said."""

    layer: str
    n_images: tuple[int, int]  # that chose, that measured
    top: AtTop  # at the conventional threshold, over all images
    iou: np.ndarray  # at the chosen threshold
    chosen: np.ndarray  # the IoU there in the half that chooses: what to choose units by, not what they reach
    error: np.ndarray  # of it, from looking at some pixels only: a standard error
    threshold: np.ndarray  # float64: what the unit exceeds where it is on
    area: np.ndarray  # share of the pixels at which it is on
    chance: np.ndarray  # IoU of a unit of that area which has nothing to do with the concept
    average_precision: np.ndarray  # 0-1; a unit that says nothing has the concept's frequency
    frequency: np.ndarray  # concept: share of the pixels that are looked at; the IoU of what is on everywhere
    z: np.ndarray  # how far beyond wrong labels, in units of their scatter
    p_values: np.ndarray

    @property
    def corrected(self) -> np.ndarray:
        """The IoU beyond chance, as a share of what is left beyond it: 0 for a unit that says nothing, 1 for a perfect one."""
        return ratio(self.iou - self.chance, 1 - self.chance)

    @property
    def lift(self) -> np.ndarray:
        """Average precision in multiples of the concept's frequency."""
        return ratio(self.average_precision, np.broadcast_to(self.frequency, self.average_precision.shape))


@dataclass(frozen=True, eq=False)
class SingleUnits:
    """What single units mean, in all layers that were looked at."""

    concepts: tuple[Concept, ...]
    layers: dict[str, UnitConcepts]
    rotated: dict[str, UnitConcepts]  # random directions in their place; empty where not asked for
    everywhere: np.ndarray  # float64 concept: the IoU of what is on everywhere, in the half that measures
    prior: np.ndarray  # float64 concept: the IoU of the mean mask
    cap: np.ndarray  # float64 concept: the most a unit can have at the conventional threshold
    remarks: dict[Concept, str]
    n_left_out: int  # images without labels, or of another size
    rate: float = RATE  # of false ones among pairs that stand out from wrong labels
    least: float = LEAST

    def detectors(self, *, rotated: bool = False) -> dict[str, np.ndarray]:
        """Which units of each layer detect which concepts, truth values `unit concept`: more than all that is trivial explains."""
        layers = self.rotated if rotated else self.layers
        if not layers:
            return {}
        p_values = np.concatenate([found.p_values.ravel() for found in layers.values()])
        beyond_chance = false_discovery_rate(p_values, self.rate)
        parts = np.split(beyond_chance, np.cumsum([found.p_values.size for found in layers.values()])[:-1])
        found = {}
        for (layer, own), part in zip(layers.items(), parts, strict=True):
            trivial = np.maximum(np.maximum(self.everywhere, own.frequency), self.prior)
            found[layer] = part.reshape(own.iou.shape) & (own.iou > trivial) & (own.corrected > self.least)
        return found

    def conventional(self, *, rotated: bool = False) -> dict[str, np.ndarray]:
        """Which units the original rule would call detectors: IoU > .04 at the top .5 %, over all images, no control."""
        layers = self.rotated if rotated else self.layers
        return {layer: found.top.iou > CONVENTIONAL for layer, found in layers.items()}

    def meaning(self, layer: str) -> np.ndarray:
        """The concept each unit detects best, int64 `unit`: that with the largest overlap beyond chance; -1 for none."""
        detects = self.detectors()[layer]
        corrected = np.where(detects, self.layers[layer].corrected, -np.inf)
        return (
            np.where(detects.any(axis=1), corrected.argmax(axis=1), -1)
            if len(self.concepts)
            else np.full(len(detects), -1)
        )

    def by_category(self, layer: str) -> dict[str, tuple[int, int]]:
        """For each category, how many units detect one of its concepts best, and how many of its concepts are detected so."""
        meaning = self.meaning(layer)
        found = {}
        for category in dict.fromkeys(concept.category for concept in self.concepts):
            own = [i for i, concept in enumerate(self.concepts) if concept.category == category]
            mine = meaning[np.isin(meaning, own)]
            found[category] = (len(mine), len(np.unique(mine)))
        return found


def single_units(
    network: Network,
    images: Images,
    found: Collected,
    *,
    layers: Sequence[str] | None = None,
    n_rotated: int = 0,
    n_bins: int = 24,
    in_memory: int = IN_MEMORY,
    batch_size: int = 32,
    workers: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> SingleUnits:
    """Overlap of the units of these layers (default: all convolutions) with pixel concepts, in one sweep over the images.

    A few images are swept before, to choose thresholds. `n_rotated` random directions of each layer are measured beside its units.
    Raises UsageError for concepts of whole images (see image_level.py) and for layers without maps, UnknownNameError.
    """
    if not found.per_pixel:
        raise UsageError(
            "Overlap was asked for.", "These concepts have no masks.", "Rank images instead: `image_level`."
        )
    wanted = _layers(network, layers)
    axes = {layer: rotation(n_units, n_rotated, seed) for layer, (n_units, *_) in wanted.items()} if n_rotated else {}
    pilot = images.limited(min(N_PILOT, len(images)), seed)
    values = sweep(network, pilot, _pilot(network, found, wanted, axes), batch_size=batch_size, workers=workers).gauges
    gauges: Gauges = {}
    for layer, (n_units, height, width) in wanted.items():
        anchor = anchor_of(network.layers[layer].receptive_field, (height, width), found.labelled.pixels.size)
        gauges[layer] = {
            name: Overlap(
                n_units,
                found.labelled,
                levels_from(gauge.result().values, n_bins),
                anchor,
                (height, width),
                axes.get(layer) if name == ROTATED else None,
                in_memory,
            )
            for name, gauge in values[layer].items()
        }
    swept = sweep(network, images, gauges, batch_size=batch_size, workers=workers, progress=progress)
    counts = {layer: {name: gauge.result() for name, gauge in own.items()} for layer, own in swept.gauges.items()}
    return evaluated(found, counts)


def evaluated(found: Collected, counts: dict[str, dict[str, JointCounts]]) -> SingleUnits:
    """What joint counts of some layers ("overlap", and "rotated" where it was measured) say."""
    layers, rotated = (
        {layer: unit_concepts(layer, own[name], found.testable) for layer, own in counts.items() if name in own}
        for name in (UNITS, ROTATED)
    )
    left_out = max((own[UNITS].n_left_out for own in counts.values()), default=0)
    everywhere, prior = found.frequency[MEASURE], position_prior(found)
    known = found.frequency.mean(axis=0)
    return SingleUnits(found.concepts, layers, rotated, everywhere, prior, cap(known), found.remarks, left_out)


def unit_concepts(layer: str, counted: JointCounts, testable: np.ndarray) -> UnitConcepts:
    """One layer's answers, worked out a few units at a time."""
    n_units, n_concepts, n_null = counted.counts.shape[1], counted.labelled.n_concepts, counted.labelled.n_null
    together = max(1, WORKING // max(1, counted.counts[0, 0].size))
    spans = [slice(at, min(at + together, n_units)) for at in range(0, n_units, together)]
    parts = [_measured(counted, span) for span in spans]
    wrong = np.empty((n_null, n_units, n_concepts), np.float32)
    for null in range(n_null):
        for span in spans:
            at, measure, _ = _best(counted, span, null + 1)
            wrong[null, span] = measure.at(at).score[:, 0]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    top = AtTop(*(joined.pop(f"top_{name}") for name in ("iou", "low", "high", "area")))
    said = tested(joined.pop("score"), wrong, testable)
    totals = counted.totals[MEASURE]
    frequency = ratio(
        totals[:n_concepts].astype(float), totals[counted.labelled.totals][counted.labelled.groups].astype(float)
    )
    n_images = (int(counted.n_images[CHOOSE]), int(counted.n_images[MEASURE]))
    return UnitConcepts(
        layer, n_images, top, **joined, frequency=frequency, z=said.z.astype(np.float32), p_values=said.p_values
    )


def _best(counted: JointCounts, span: slice, null: int) -> tuple[np.ndarray, Tails, np.ndarray]:
    """The thresholds that are best on one half (numbers `unit 1 concept`), all of them in the other half, the IoU in the first."""
    choose, measure = (
        tails(counted.counts[half, span], counted.totals[half], counted.labelled, null) for half in (CHOOSE, MEASURE)
    )
    at = choose.iou.argmax(axis=1)[:, None]
    return at, measure, np.take_along_axis(choose.iou, at, 1)


def _measured(counted: JointCounts, span: slice) -> dict[str, np.ndarray]:
    at, measure, chosen = _best(counted, span, 0)
    here = measure.at(at)
    summed = counted.counts[:, span].sum(axis=0, dtype=np.uint32)
    both = tails(summed, counted.totals.sum(axis=0), counted.labelled)
    top = at_top(both, counted.neurons[span], counted.levels.tied[span])
    iou = here.iou
    found = {
        **{f"top_{name}": value[:, None] for name, value in vars(top).items()},
        "iou": iou,
        "chosen": chosen,
        "error": np.sqrt(ratio(iou * (1 - iou), here.labelled + here.area - here.joint)),
        "area": here.area / np.maximum(here.known, 1),
        "chance": here.chance,
        "average_precision": average_precision(measure)[:, None],
        "score": here.score,
    }
    single = {name: value[:, 0].astype(np.float32) for name, value in found.items()}
    return {**single, "threshold": np.take_along_axis(counted.levels.thresholds[span], at[:, 0], 1)}


def rotation(n_units: int, n_axes: int, seed: int) -> np.ndarray:
    """Some rows of a random rotation of a layer's space (of Haar's measure), float32 `axis unit`; at most as many as units."""
    drawn = np.random.default_rng(seed).standard_normal((n_units, min(n_axes, n_units)))
    basis, triangle = np.linalg.qr(drawn)
    return np.ascontiguousarray((basis * np.sign(np.diag(triangle))).T, np.float32)


def _layers(network: Network, layers: Sequence[str] | None) -> dict[str, tuple[int, int, int]]:
    """Name and shape of the layers."""
    names = [layer.name for layer in network.layers.of_kind("conv")] if layers is None else list(layers)
    shapes = {}
    for name in names:
        shape = network.layers[name].shape
        if len(shape) != 3:
            raise UsageError(
                f"Overlap was asked for of the layer '{name}'.",
                "It has no maps.",
                "Name layers with maps, before the pooling.",
            )
        shapes[name] = (shape[0], shape[1], shape[2])
    return shapes


def _pilot(
    network: Network, found: Collected, wanted: dict[str, tuple[int, int, int]], axes: dict[str, np.ndarray]
) -> Gauges:
    """Gauges that keep a few values of each unit and direction."""
    size = found.labelled.pixels.size
    pixels = Pixels(size, max(N_PILOT_PIXELS, found.labelled.pixels.n))
    gauges: Gauges = {}
    for layer, (n_units, *shape) in wanted.items():
        anchor = anchor_of(network.layers[layer].receptive_field, (shape[0], shape[1]), size)
        own: dict[str, Gauge] = {UNITS: Values(n_units, pixels, anchor)}
        if layer in axes:
            own[ROTATED] = Values(n_units, pixels, anchor, axes[layer])
        gauges[layer] = own
    return gauges
