"""What in the images drives a unit?  Its strongest patches with their deconvnet pictures, and where in whole images it answers."""

from collections.abc import Sequence
from math import prod

import numpy as np
import torch

from convscope.errors import ImagesError, MissingRuleError
from convscope.images import Images
from convscope.instruments.appearance.colour import image_rgb
from convscope.instruments.appearance.exemplars import Exemplar, UnitExemplars
from convscope.instruments.appearance.maps import maps_of
from convscope.instruments.appearance.seen import Seen
from convscope.network import Network
from convscope.see import tiles
from convscope.see.sheet import WIDE_TILE_PX, Checked, Outcome, Section, Tile
from convscope.sweep.engine import keys_of
from convscope.sweep.gauges.exemplars import ExemplarTable
from convscope.words import number

N_WHERE, A_HALF = 3, 0.5
TINY = 1e-6  # of the energy may be rounding
NAME_LETTERS = 24
FEWEST_NEURONS = 2  # of a map that says where
_BY = {
    "deconvnet": "the energy of the deconvnet picture below",
    "guided": "the energy of the picture of guided backpropagation below",
    "occlusion": "what occlusion finds (the drop where they are covered)",
}


def patch_section(network: Network, found: UnitExemplars, n_images: int) -> Section:
    """Patches, each above its deconvnet picture; what covering says of it."""
    by = found.patches[0].by
    words = (
        f"The patches of {n_images:,} images that it answers to most, cut to what the neuron sees; a yellow line is round the "
        f"pixels that hold half of {_BY[by]}. Under them the response, and whether covering the "
        "tenth of the pixels that the picture marks, with the image blurred, lowers the unit at least twice as much as random ones."
    )
    return Section("exemplars", "What drives it in images", words, patch_tiles(network, found), WIDE_TILE_PX)


def patch_tiles(network: Network, found: UnitExemplars) -> tuple[Tile, ...]:
    """A tile for each patch."""
    return tuple(_tile(network, one) for one in found.patches if one.pixels.size)  # none where padding alone is seen


def _tile(network: Network, one: Exemplar) -> Tile:
    pictures = (
        ("patch", tiles.patch(one)),
        (f"{one.projection.way} picture", tiles.deconvnet(one, network.preprocess)),
    )
    covered = one.covered
    says = f"{one.id}, response {number(one.value)}." + (f" {covered.words}" if covered else "")
    return Tile(pictures, f"{number(one.value)}  {_short(one.id)}", tiles.verdict_of(covered), says)


def _short(id_: str) -> str:
    """An image's name as there is room for under a picture."""
    name = id_.rpartition("/")[2]
    return name if len(name) <= NAME_LETTERS else name[: NAME_LETTERS - 3] + "..."


def where_section(network: Network, images: Images, layer: str, unit: int, found: Sequence[Exemplar]) -> Section | None:
    """Where in whole images the unit answers: the image with the neuron's field, above the unit's map."""
    layout, shown = network.graph[layer].layout[0], []
    if layout is None or prod(layout.map_shape[1:]) < FEWEST_NEURONS:
        return None
    for one in found[:N_WHERE]:
        try:
            inputs = network.preprocess(images[one.index])
        except ImagesError:
            continue
        shown.append(_whole(network, inputs, layer, unit, one))
    if not shown:
        return None
    words = (
        "Whole images as the network gets them, what the neuron sees framed in yellow; below, the unit's map, its colours over the "
        "values under it."
    )
    return Section("where", "Where it answers", words, tuple(shown), WIDE_TILE_PX)


def _whole(network: Network, inputs: torch.Tensor, layer: str, unit: int, one: Exemplar) -> Tile:
    maps = maps_of(network, inputs, layer).values[unit]
    top = float(np.abs(maps[np.isfinite(maps)]).max(initial=0.0))
    low = float(np.nanmin(maps))
    whole = image_rgb(inputs, network.preprocess)
    ends = f"0 to {number(top)}" if low >= 0 else f"-{number(top)} to {number(top)}"
    pictures = (("image", tiles.in_place(whole, one.box)), ("map", tiles.map_of(maps, top)))
    on = float((maps > 0).mean())
    return Tile(
        pictures,
        ends,
        Outcome.NONE,
        f"{one.id}: above zero at {on:.0%} of {maps.size:,} positions, peak {number(one.value)}.",
    )


def strongest_crop(network: Network, images: Images, layer: str, unit: int, table: ExemplarTable) -> np.ndarray | None:
    """What the neuron sees that answers most of all: uint8 `y x 3`; None where none is above zero, or its image cannot be read."""
    if table.keys[unit, 0] < 0 or not table.values[unit, 0] > 0:
        return None
    try:
        inputs = network.preprocess(images[int(np.flatnonzero(keys_of(images) == table.keys[unit, 0])[0])])
    except ImagesError:
        return None
    position = (int(table.y[unit, 0]), int(table.x[unit, 0]))
    return image_rgb(inputs, network.preprocess)[Seen(network, inputs).from_neuron(layer, position).slices]


def checks_of(shown: Sequence[UnitExemplars]) -> tuple[Checked, ...]:
    """What covering says of the patches of one unit, or of several, all together."""
    ran = [one.covered for unit in shown for one in unit.patches if one.covered is not None and one.covered.ran]
    title = "Deconvnet pictures confirmed by covering"
    if not ran:
        return (
            (Checked(title, Outcome.NOT_RUN, "No patch could be checked."),)
            if any(one.patches for one in shown)
            else ()
        )
    n, of = sum(one.confirmed for one in ran), len(ran)
    beyond = sum(one.confirmed and one.beyond_centre for one in ran)
    words = f"In {n} of {of} patches covering what the picture marks lowers the unit at least twice as much as random pixels do"
    words += f"; in {beyond} also more than covering a disc in the middle of what it sees."
    outcome = Outcome.FAILS if 2 * n <= of else Outcome.PASSES if 2 * beyond > of else Outcome.CARE
    return (Checked(f"{title}: {n} of {of}", outcome, words),)


def field_check(found: UnitExemplars) -> tuple[Checked, ...]:
    """Whether the deconvnet pictures lie in what the neurons can see."""
    inside = [one.projection.inside_frac for one in found.patches if np.isfinite(one.projection.inside_frac)]
    if not inside:
        return ()
    outcome = Outcome.PASSES if min(inside) > 1 - TINY else Outcome.FAILS
    words = f"{min(inside):.0%} of their energy, at least, lies in what the neuron can see."
    return (Checked("Deconvnet pictures lie in the field", outcome, words),)


def classes_said(images: Images, found: UnitExemplars) -> str:
    """Which class the strongest images are of, beside how frequent it is; nothing where labels are few or none agree."""
    names = images.label_names
    labels = [int(images.labels[one.index]) for one in found.patches]
    known = [label for label in labels if label >= 0]
    if len(known) < 4:
        return ""
    top = max(dict.fromkeys(known), key=known.count)
    n = known.count(top)
    if n < 2 or 2 * n < len(known):
        return ""
    share = float((images.labels == top).mean())
    name = names[top] if names is not None else f"class {top}"
    if share >= A_HALF:
        return ""
    return f"{n} of its {len(known)} strongest images are of '{name}' ({100 * share:.2g} % of all are)."


def no_rules(error: MissingRuleError) -> str:
    """Why there are patches without deconvnet pictures."""
    return f"No deconvnet pictures: {error.found}"
