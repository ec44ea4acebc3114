"""What do the images do to some layers?  One sweep: each unit's strongest patches, how often it is on, and how strongly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from convscope.errors import UsageError
from convscope.images import Images
from convscope.network import Network
from convscope.sweep.engine import gauges_for, keys_of, sweep
from convscope.sweep.gauges import Distribution, Exemplars, Moments
from convscope.sweep.gauges.distribution import UnitDistribution
from convscope.sweep.gauges.exemplars import SATURATING, ExemplarTable
from convscope.sweep.gauges.moments import UnitMoments


@dataclass(frozen=True, eq=False)
class OfLayer:
    """What the images do to the units of one layer."""

    exemplars: ExemplarTable
    moments: UnitMoments | None = None
    distribution: UnitDistribution | None = None

    def highest(self) -> np.ndarray:
        """The strongest response of each unit to any image, float32."""
        return self.exemplars.values[:, 0]


@dataclass(frozen=True, eq=False)
class Swept:
    """What the images do to some layers."""

    images: Images
    layers: dict[str, OfLayer]
    n_images: int  # that could be read
    notes: tuple[str, ...] = ()


def swept(
    network: Network,
    images: Images,
    layers: Sequence[str],
    n: int,
    progress: Callable[[int, int], None] | None = None,
) -> Swept:
    """One pass of the images; the n strongest patches of every unit of these layers are kept.

    Raises ImagesError where no image can be read.
    """
    gauges = gauges_for(network, layers, lambda n_units: [])
    for layer in layers:
        n_units = network.graph[layer].layout[0].map_shape[0]  # type: ignore[union-attr]
        saturates = network.graph[layer].op in SATURATING
        own = Exemplars(n_units, n, saturates), Moments(n_units), Distribution(n_units)
        gauges[layer] = {gauge.name: gauge for gauge in own}
    found = sweep(network, images, gauges, progress=progress)
    notes = []
    if found.skipped:
        first = found.skipped[0]
        notes.append(
            f"{len(found.skipped):,} of {len(images):,} images could not be read; the first: {first.id}: {first.reason}"
        )
    if found.not_finite:
        layer, id_ = found.not_finite[0]
        n_odd = len({id_ for _, id_ in found.not_finite})
        notes.append(f"Values that are not finite were left out, in {n_odd:,} images; the first: {id_}, in '{layer}'.")
    results = {
        layer: OfLayer(*(own[name].result() for name in ("exemplars", "moments", "distribution")))
        for layer, own in gauges.items()
    }
    return Swept(images, results, found.n_images, tuple(notes))


def at_position(
    network: Network,
    found: Swept,
    layer: str,
    position: tuple[int, int],
    n: int,
    progress: Callable[[int, int], None] | None = None,
) -> Swept:
    """The same, but of the neurons at one position (y, x) of the layer: in which images each of them answers most.

    Raises UsageError where no image is large enough to have it.
    """
    images, (y, x) = found.images, position
    keys, values, own, n_done = keys_of(images), [], [], 0
    for batch in images.stream(network.preprocess.prepare_one):
        n_done += len(batch) + len(batch.skipped)
        maps = network.run(batch.inputs, [layer])[layer]
        if y < maps.shape[2] and x < maps.shape[3]:
            values.append(np.nan_to_num(maps[:, :, y, x].float().cpu().numpy(), nan=-np.inf))
            own += keys[list(batch.indices)].tolist()
        if progress:
            progress(n_done, len(images))
    if not own:
        raise UsageError(
            f"The neuron at {y},{x} of '{layer}' was asked for.",
            "No image is large enough to have it.",
            "Give another.",
        )
    every, shown_by = np.concatenate(values).T, np.array(own)  # unit image
    order = np.argsort(-every, axis=1, kind="stable")[:, :n]
    table = ExemplarTable(
        np.take_along_axis(every, order, 1), shown_by[order], np.full(order.shape, y), np.full(order.shape, x)
    )
    return replace(found, layers={**found.layers, layer: OfLayer(table)}, n_images=len(own))
