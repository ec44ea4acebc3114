"""What is counted at each layer, to hold its units against concepts?  Gauges, with thresholds that a few images chose."""

from collections.abc import Sequence

import numpy as np

from convscope.errors import UsageError
from convscope.images import Images
from convscope.instruments.concepts.collect import Collected
from convscope.network import Network
from convscope.sweep.engine import Gauges, sweep
from convscope.sweep.gauges import Gauge, Overlap, Values
from convscope.sweep.gauges.overlap import ALL_IN_MEMORY, IN_MEMORY, n_bytes
from convscope.sweep.gauges.pixels import Anchor, Pixels, anchor_of

N_PILOT, N_PILOT_PIXELS = 24, 144  # images, and pixels of each, from which thresholds are chosen
N_ROTATED = 64  # random directions of each layer, where they are asked for
UNITS, ROTATED = "overlap", "rotated"  # the gauges of a layer: of its units, of random directions in their place

Shapes = dict[str, tuple[int, int, int]]  # layer -> unit y x


def overlap_gauges(
    network: Network,
    images: Images,
    found: Collected,
    wanted: Shapes,
    *,
    n_rotated: int = 0,
    n_bins: int = 24,
    in_memory: int = IN_MEMORY,
    batch_size: int = 32,
    workers: int | None = None,
    seed: int = 0,
) -> Gauges:
    """The gauges that count units of these layers, and `n_rotated` random directions, against pixel concepts.

    A few of the images are swept, to choose thresholds.
    """
    axes = {layer: rotation(n_units, n_rotated, seed) for layer, (n_units, *_) in wanted.items()} if n_rotated else {}
    pilot = images.limited(min(N_PILOT, len(images)), seed)
    values = sweep(network, pilot, _pilot(network, found, wanted, axes), batch_size=batch_size, workers=workers).gauges
    labels = found.labelled
    size = labels.n_concepts, labels.n_null, *labels.labels.shape[:2], n_bins
    n_rows = sum(n_units + len(axes.get(layer, ())) for layer, (n_units, *_) in wanted.items())
    if n_bytes(n_rows, *size) > ALL_IN_MEMORY:
        in_memory = 0  # many layers, none of which is too large alone
    gauges: Gauges = {}
    for layer, (n_units, height, width) in wanted.items():
        gauges[layer] = {
            name: Overlap(
                n_units,
                found.labelled,
                gauge.result().levels(n_bins),
                place_of(network, found, layer),
                (height, width),
                axes.get(layer) if name == ROTATED else None,
                in_memory,
            )
            for name, gauge in values[layer].items()
        }
    return gauges


def place_of(network: Network, found: Collected, layer: str) -> Anchor:
    """Where the neurons of a layer stand in the images that are labelled."""
    _, *size = network.layers[layer].shape
    return anchor_of(network.layers[layer].receptive_field, (size[0], size[1]), found.labelled.pixels.size)


def shapes_of(network: Network, layers: Sequence[str] | None) -> Shapes:
    """The shapes of these layers (default: all convolutions). Raises UsageError for one without maps, UnknownNameError."""
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


def rotation(n_units: int, n_axes: int, seed: int) -> np.ndarray:
    """Some rows of a random rotation of a layer's space (of Haar's measure), float32 `axis unit`; at most as many as units."""
    drawn = np.random.default_rng(seed).standard_normal((n_units, min(n_axes, n_units)))
    basis, triangle = np.linalg.qr(drawn)
    return np.ascontiguousarray((basis * np.sign(np.diag(triangle))).T, np.float32)


def _pilot(network: Network, found: Collected, wanted: Shapes, axes: dict[str, np.ndarray]) -> Gauges:
    """Gauges that keep a few values of each unit and direction."""
    pixels = Pixels(found.labelled.pixels.size, max(N_PILOT_PIXELS, found.labelled.pixels.n))
    gauges: Gauges = {}
    for layer, (n_units, *_) in wanted.items():
        anchor = place_of(network, found, layer)
        own: dict[str, Gauge] = {UNITS: Values(n_units, pixels, anchor)}
        if layer in axes:
            own[ROTATED] = Values(n_units, pixels, anchor, axes[layer])
        gauges[layer] = own
    return gauges
