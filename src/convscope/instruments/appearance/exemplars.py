"""Which patches drive a unit most, and which part of each does it?  Crops of what the neuron sees, the part outlined, and checked.

Zeiler and Fergus 2013, section 2.1: the images with the highest peaks of a unit, one patch an image, cut to the receptive field
of the neuron at the peak (position by position, cut off at the image's border). The outline is drawn round the pixels that hold
half of the energy of its deconvnet picture, or of occlusion, smoothed a little; whether they drive the unit is checked by
covering them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from convscope.errors import ImagesError, UsageError
from convscope.images import Images
from convscope.instruments.appearance.colour import channels_of, image_rgb
from convscope.instruments.appearance.covering import Covered, cover, occlusion_energy, walk_for
from convscope.instruments.appearance.deconvnet_picture import Projection, project
from convscope.network import Network
from convscope.network.address import Address
from convscope.sweep.engine import gauges_for, keys_of, sweep
from convscope.sweep.gauges import Exemplars
from convscope.sweep.gauges.exemplars import SATURATING, ExemplarTable

OUTLINES = ("deconvnet", "guided", "occlusion")
HALF = 0.5  # of the energy lies in the part that is outlined
SMOOTH_FRAC = 0.02  # standard deviation of the smoothing, in parts of the field's longer side,
SMOOTH_PX, SMALL_FRAC = (
    1.0,
    1 / 16,
)  # but a pixel, where that is no more than this part: pictures of small fields are grainy
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Exemplar:
    """One patch, and what in it drives the unit."""

    place: Address  # the neuron at the peak
    value: float  # its response
    id: str  # the image
    index: int  # its place in the images
    pixels: np.ndarray = field(repr=False)  # uint8 `y x 3`: what the neuron can see, as the network gets it
    part: np.ndarray = field(repr=False)  # truth values `y x` of the patch: what is outlined
    by: str  # "deconvnet", "guided" or "occlusion"
    projection: Projection = field(repr=False)  # the neuron projected back; its `seen` says where the patch lies
    covered: Covered | None = None  # the check; None if it was not asked for

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of the patch in the network's input; the last row and column not included."""
        rows, columns = self.projection.seen.slices
        return rows.start, columns.start, rows.stop, columns.stop


@dataclass(frozen=True, eq=False)
class UnitExemplars:
    """The strongest patches of one unit, strongest first."""

    layer: str
    unit: int
    patches: tuple[Exemplar, ...]
    n_images: int  # looked at; those that could be read, where that is known
    notes: tuple[str, ...] = ()

    @property
    def confirmed(self) -> tuple[int, int]:
        """How many patches the check confirmed, of how many it was run on."""
        ran = [one.covered for one in self.patches if one.covered is not None and one.covered.ran]
        return sum(one.confirmed for one in ran), len(ran)

    @property
    def words(self) -> str:
        """What there is to see, in a sentence or two."""
        name = f"{self.layer}:{self.unit}"
        if not self.patches:
            return f"{name} is above zero in none of {self.n_images:,} images: it has no exemplars. {' '.join(self.notes)}".strip()
        n, of = self.confirmed
        first, last = self.patches[0].value, self.patches[-1].value
        some, responses = f"{len(self.patches)} strongest patches", f"responses {first:.3g} to {last:.3g}"
        if len(self.patches) == 1:
            some, responses = "strongest patch", f"response {first:.3g}"
        says = f"{name}: the {some} of {self.n_images:,} images, {responses}."
        if of:
            says += f" In {n} of {of} covering confirms that what is marked drives the unit."
        return " ".join([says, *self.notes])


def exemplars(
    network: Network,
    images: Images,
    layer: str,
    units: Sequence[int] | None = None,
    n: int = 9,
    *,
    table: ExemplarTable | None = None,
    n_images: int | None = None,
    outline: str = "deconvnet",
    check: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[UnitExemplars, ...]:
    """The n strongest patches of some units of a layer (all, by default), of all images.

    `table` is what a sweep of these images found, if there was one, and `n_images` how many of them it could read; else the images
    are swept. `outline` says whose energy is
    outlined. Patches whose peak is not above zero are left out: a dead unit has none, and says so. Images that cannot be read any
    more are left out and named. Raises UsageError, UnknownNameError, MissingRuleError for an operation a deconvnet has no rule
    for.
    """
    if outline not in OUTLINES:
        raise UsageError(f"Exemplars outlined by '{outline}' were asked for.", "", f"Use {', '.join(OUTLINES)}.")
    if table is None:
        found, n_images = _swept(network, images, layer, n, progress)
    else:
        found, n_images = table, len(images) if n_images is None else n_images
    units = range(len(found.keys)) if units is None else units
    wrong = [unit for unit in units if not 0 <= unit < len(found.keys)]
    if wrong:
        raise UsageError(
            f"Exemplars of unit {wrong[0]} of '{layer}' were asked for.",
            f"It has {len(found.keys)} units.",
            "Count from 0.",
        )
    index_of = np.argsort(keys_of(images))
    reader = _Reader(network, images, layer, outline, check, seed)
    done = []
    for i, unit in enumerate(units):
        ranks = [rank for rank in range(min(n, found.keys.shape[1])) if found.keys[unit, rank] >= 0]
        chosen = [rank for rank in ranks if found.values[unit, rank] > 0]
        patches, notes = [], dict.fromkeys([channels_of(network.preprocess).note] if chosen else [])
        for rank in chosen:
            position = int(found.y[unit, rank]), int(found.x[unit, rank])
            try:
                patches.append(reader(int(index_of[found.keys[unit, rank]]), int(unit), position))
            except ImagesError as error:
                notes[f"{images.ids[int(index_of[found.keys[unit, rank]])]} could not be read again: {error.found}"] = (
                    None
                )
        notes |= dict.fromkeys(note for one in patches for note in (one.projection.seen.note, *one.projection.notes))
        done.append(UnitExemplars(layer, int(unit), tuple(patches), n_images, tuple(filter(None, notes))))
        if progress:
            progress(i + 1, len(units))
    return tuple(done)


def swept(network: Network, images: Images, layer: str, n: int = 9, progress: Progress | None = None) -> ExemplarTable:
    """The highest peaks of each unit of a layer over the images. Raises UsageError for a layer without units."""
    return _swept(network, images, layer, n, progress)[0]


def _swept(
    network: Network, images: Images, layer: str, n: int, progress: Progress | None
) -> tuple[ExemplarTable, int]:
    """The highest peaks, and of how many images: those that could be read."""
    step = network.graph.by_name.get(network.resolve(layer))
    saturates = step is not None and step.op in SATURATING
    gauges = gauges_for(network, [layer], lambda n_units: [Exemplars(n_units, n, saturates)])
    found = sweep(network, images, gauges, progress=progress)
    return gauges[layer]["exemplars"].result(), found.n_images


def driving_part(energy: np.ndarray) -> np.ndarray:
    """The fewest pixels that hold half of the energy (`y x` of a patch), smoothed a little; none where there is no energy."""
    if not energy.size:
        return np.zeros(energy.shape, bool)
    side = max(energy.shape)
    deviation = max(SMOOTH_FRAC * side, min(SMOOTH_PX, SMALL_FRAC * side))
    smooth = gaussian_filter(np.asarray(energy, np.float64), deviation, mode="nearest")
    order = np.argsort(-smooth.ravel(), kind="stable")
    reached = np.cumsum(smooth.ravel()[order])
    part = np.zeros(energy.size, bool)
    if reached[-1] > 0:
        part[order[: int(np.searchsorted(reached, HALF * reached[-1])) + 1]] = True
    return part.reshape(energy.shape)


@dataclass(frozen=True, eq=False)
class _Reader:
    """Reads patches; settings are the same for all."""

    network: Network
    images: Images
    layer: str
    outline: str
    check: bool
    seed: int

    def __call__(self, index: int, unit: int, position: tuple[int, int]) -> Exemplar:
        picture = self.images[index]
        inputs = self.network.preprocess(picture)
        return exemplar(
            self.network,
            inputs,
            self.layer,
            unit,
            position,
            outline=self.outline,
            check=self.check,
            seed=self.seed,
            id=picture.id,
            index=index,
        )


def exemplar(
    network: Network,
    inputs: torch.Tensor,
    layer: str,
    unit: int,
    position: tuple[int, int] | None = None,
    *,
    outline: str = "deconvnet",
    check: bool = True,
    seed: int = 0,
    id: str = "",
    index: int = 0,
) -> Exemplar:
    """The patch that one neuron sees of one image (normalised, `1 channel y x`); without a position, the neuron at the peak."""
    way = "guided" if outline == "guided" else "deconvnet"
    (found,) = project(network, inputs, layer, [unit], [position], way)
    walk = walk_for(network, inputs, layer) if check or outline == "occlusion" else None
    energy = found.energy
    if outline == "occlusion":
        energy = occlusion_energy(network, inputs, found.place, found.seen, walk=walk)
    covered = cover(network, inputs, found.place, found.seen, energy, seed=seed, walk=walk) if check else None
    return Exemplar(
        place=found.place,
        value=found.value,
        id=id,
        index=index,
        pixels=image_rgb(inputs, network.preprocess)[found.seen.slices],
        part=driving_part(energy[found.seen.slices]),
        by=outline,
        projection=found,
        covered=covered,
    )
