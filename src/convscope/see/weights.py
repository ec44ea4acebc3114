"""What is a unit computed from?  Its filter over the image, or its strongest connections to the units below."""

from collections.abc import Mapping, Sequence

import numpy as np

from convscope.errors import ConvscopeError
from convscope.graph.graph import INPUT
from convscope.instruments.appearance.families import Measured, families, measure_filters
from convscope.instruments.appearance.filters import Connection, Filters, Weights, connections, filters, weights_of
from convscope.instruments.appearance.sources import Source
from convscope.network import Network
from convscope.see import tiles
from convscope.see.sheet import Outcome, Section, Tile

FILTER_PX = 64
N_CONNECTIONS = 8
Pictures = Mapping[Source, np.ndarray]


def weights_or_none(network: Network, layer: str) -> Weights | None:
    """The weights of a layer's units, of a pool those of what it pools; None where they have none of their own."""
    try:
        return weights_of(network, layer)
    except ConvscopeError:
        row = network.layers[layer] if layer in network.layers.names else None
        if row is None or row.kind != "pool" or len(row.reads) != 1 or row.reads[0] == INPUT:
            return None
        return weights_or_none(network, row.reads[0])


def measured_filters(network: Network, found: Filters) -> tuple[Measured, ...]:
    """What each filter is tuned to."""
    return measure_filters(found.values, rgb=rgb_of(network))


def filter_section(network: Network, layer: str, unit: int) -> tuple[Section, Measured]:
    """A first-layer unit's filter over the image."""
    found = filters(network, layer)
    one = measured_filters(network, found)[unit]
    pictures = tiles.filter_tiles(found.values[unit], network.preprocess)
    size = f"{found.values.shape[2]} x {found.values.shape[3]}"
    words = (
        f"What the unit multiplies the pixels by, {size} of them; grey is zero. Its family: {one.family}; {one.words}."
        + (f" The batch norm '{found.folded}' is folded in." if found.folded else "")
    )
    return Section("filter", "Its filter", words, (Tile(pictures, one.family),)), one


def family_section(network: Network, layer: str) -> Section:
    """All first-layer filters, family by family."""
    found = filters(network, layer)
    groups = families(measured_filters(network, found))
    words = "Grey is zero, each ends at its own largest weight. Edges by the direction of their bars, counted from horizontal: "
    words += "; ".join(f"{name}: {', '.join(map(str, units))}" for name, units in groups.items()) + "."
    made = [
        Tile(tiles.filter_tiles(found.values[unit], network.preprocess), f"{unit} {name}")
        for name, units in groups.items()
        for unit in units
    ]
    return Section("filters", "Its filters, by family", words, tuple(made), FILTER_PX)


def strongest(found: Weights, unit: int, activity: Mapping[str, Sequence[float]] | None) -> tuple[Connection, ...]:
    """The connections that are shown."""
    return connections(found, unit, N_CONNECTIONS, activity)


def connection_section(
    found: Weights, unit: int, shown: Sequence[Connection], pictures: Pictures, of: str, *, weighed: bool
) -> Section:
    """A unit's strongest connections, each kernel above the picture of the unit that it reads."""
    top = max((float(np.abs(one.kernel).max()) for one in shown), default=0.0)
    n = len({source for source in found.sources_of(unit) if source[0]})
    words = (
        f"Its strongest connections to the {n:,} unit{'s' if n > 1 else ''} that it reads: the kernel (red excites, blue inhibits, "
        f"colours end at {top:.2g})"
        + (f", below it {of}." if pictures else ".")
        + " Under each the share of the squared weights"
        + (", each weighed by how active the unit below is" if weighed else "")
        + ", and the sum of the kernel."
    )
    return Section("weights", "What it reads", words, tuple(_tile(one, top, pictures) for one in shown))


def _tile(one: Connection, top: float, pictures: Pictures) -> Tile:
    layer, unit = one.source
    below = (("the unit below", pictures[one.source]),) if one.source in pictures else ()
    kind = "excites" if one.total > 0 else "inhibits"
    words = f"{layer}:{unit} {kind}: {one.share:.0%} of the squared weights, sum {one.total:+.2g}."
    return Tile(
        (("kernel", tiles.kernel(one.kernel, top)), *below),
        f"{layer}:{unit}  {one.share:.0%}, {one.total:+.2g}",
        Outcome.NONE,
        words,
    )


def rgb_of(network: Network) -> tuple[int, int, int] | None:
    """Which input channels are red, green and blue."""
    if network.preprocess.n_channels != 3:
        return None
    return (2, 1, 0) if network.preprocess.channels == "BGR" else (0, 1, 2)
