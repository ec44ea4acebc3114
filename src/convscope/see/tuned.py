"""What are the units of a layer tuned to?  The family of each one's filter, or of the deconvnet picture of its strongest patch.

A filter over the image says it by itself. Of a deeper unit the deconvnet picture of the patch that drives it most is what comes
nearest to a filter; it is measured the same way. Units without such a picture come last.
"""

from collections.abc import Callable
from math import nan

import numpy as np

from convscope.errors import ImagesError
from convscope.instruments.appearance.deconvnet_picture import project
from convscope.instruments.appearance.families import Measured, family_order, measure_filters
from convscope.instruments.appearance.filters import filters
from convscope.network import Network
from convscope.see.swept import Swept
from convscope.see.weights import measured_filters, rgb_of, weights_or_none
from convscope.sweep.engine import keys_of


def tuned_order(
    network: Network, layer: str, found: Swept | None, progress: Callable[[int, int], None]
) -> tuple[int, ...]:
    """The units, family by family. Without images (`found`) that is known of filters over the image only: empty for others."""
    held = weights_or_none(network, layer)
    if held is not None and held.reads_pixels:
        return family_order(measured_filters(network, filters(network, layer)))
    return () if found is None else family_order(_by_patches(network, layer, found, progress))


def _by_patches(
    network: Network, layer: str, found: Swept, progress: Callable[[int, int], None]
) -> tuple[Measured, ...]:
    """What the deconvnet picture of each unit's strongest patch is tuned to; images are read once each."""
    table = found.layers[layer].exemplars
    index_of = np.argsort(keys_of(found.images))
    measured = {unit: Measured(unit, 0.0, nan, 0.0, nan, nan, nan, nan, "dead") for unit in range(len(table.keys))}
    live = [unit for unit in measured if table.keys[unit, 0] >= 0 and table.values[unit, 0] > 0]
    by_image: dict[int, list[int]] = {}
    for unit in live:
        by_image.setdefault(int(index_of[table.keys[unit, 0]]), []).append(unit)
    n_done = 0
    for index, units in by_image.items():
        try:
            inputs = network.preprocess(found.images[index])
        except ImagesError:
            continue
        places = [(int(table.y[unit, 0]), int(table.x[unit, 0])) for unit in units]
        has_place = network.graph[layer].layout[0].map_shape[1:] != ()  # type: ignore[union-attr]
        for unit, one in zip(units, project(network, inputs, layer, units, places if has_place else None), strict=True):
            (own,) = measure_filters(one.crop[None], rgb=rgb_of(network))
            measured[unit] = Measured(**{**vars(own), "unit": unit})
            n_done += 1
            progress(n_done, len(live))
    return tuple(measured.values())
