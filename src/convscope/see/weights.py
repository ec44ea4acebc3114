"""What is a unit computed from?  Its filter over the image, or its strongest connections to the units below."""

from collections.abc import Mapping, Sequence

import numpy as np

from convscope.errors import ConvscopeError
from convscope.instruments.appearance.families import Measured, families, measure_filters
from convscope.instruments.appearance.filters import Connection, Filters, Weights, connections, filters, weights_of
from convscope.instruments.appearance.sources import Source
from convscope.network import Network
from convscope.see import tiles
from convscope.see.sheet import Outcome, Section, Tile

FILTER_PX = 44
N_CONNECTIONS = 8
Pictures = Mapping[Source, np.ndarray]


def weights_or_none(network: Network, layer: str) -> Weights | None:
    """The weights of a layer's units; None where they have none of their own."""
    try:
        return weights_of(network, layer)
    except ConvscopeError:
        return None


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


def family_sections(network: Network, layer: str) -> tuple[Section, ...]:
    """All first-layer filters, a section for each family."""
    found = filters(network, layer)
    measured = measured_filters(network, found)
    sections = []
    for name, units in families(measured).items():
        own = tuple(Tile(tiles.filter_tiles(found.values[unit], network.preprocess), str(unit)) for unit in units)
        n = f"{len(units)} filter{'s' if units[1:] else ''}"
        sections.append(Section(f"family {name}", name, n, own, FILTER_PX))
    return tuple(sections)


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
