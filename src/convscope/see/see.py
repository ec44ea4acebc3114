"""What does a layer or a unit look for?  One call: a unit's card, or the sheet of a layer; several share one pass of the images."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from convscope.errors import UsageError
from convscope.images import Images
from convscope.images import images as open_images
from convscope.network import Network
from convscope.see import layer as of_layer
from convscope.see import unit as of_unit
from convscope.see.asked import Asked, asked
from convscope.see.sheet import Sheet
from convscope.see.swept import Swept, swept

Progress = Callable[[str, int, int], None]


def see(network: Network, place: str | int, images: Any = None, **settings: Any) -> Sheet:
    """What does this look for?  The card of `LAYER:UNIT`, `LAYER:UNIT@y,x` or a class (by name or index), or the sheet of `LAYER`.

    A card holds the unit's filter or its strongest connections, its `n` strongest patches with deconvnet pictures (Zeiler and
    Fergus 2013), where in whole images it answers, and pictures optimised to drive it (Olah et al. 2017) beside raw ascent;
    each with its check. A neuron (`@y,x`) is looked at in the first n images. A layer's sheet holds its filters where it reads the
    image, the maps of the first image (`sort`: number, response or tuned; `scale`: layer, unit or a value; `mark`: how many are
    framed), and a row for each of `units` (some, by default). `outline` says whose energy is outlined in patches: deconvnet,
    guided or occlusion.

    `images` is anything `convscope.images` opens; without them pictures are optimised only. `n_steps` is that of the ascent, 0
    leaves it out; Ctrl-C ends it with what is there. `other` is a network that should recognise the picture of a class; `seed`
    decides what is drawn at random; `progress` is told stage, done and total. Raises UnknownNameError and UsageError for a place
    that is not there, ImagesError where no image can be read.
    """
    (found,) = sheets(network, [place], images, **settings)
    return found


def sheets(
    network: Network,
    places: Sequence[str | int],
    images: Any = None,
    *,
    other: Network | None = None,
    n: int | None = None,
    n_steps: int | None = None,
    units: Sequence[int] | None = None,
    sort: str = "number",
    scale: str | float = "layer",
    mark: int = of_layer.N_MARKED,
    outline: str = "deconvnet",
    seed: int = 0,
    progress: Progress | None = None,
) -> Iterator[Sheet]:
    """The sheets of several places, each as it is done; the images are swept once for all. See `see`."""
    wanted = [asked(network, place) for place in places]
    _check(n, n_steps, seed)
    shown: Images | None = None if images is None else open_images(images)
    told = progress or _silent
    changed: dict[str, Any] = {name: value for name, value in (("n", n), ("n_steps", n_steps)) if value is not None}
    chosen = None if units is None else tuple(units)
    layer_settings = of_layer.Settings(
        units=chosen, sort=sort, scale=scale, mark=mark, outline=outline, seed=seed, **changed
    )
    unit_settings = of_unit.Settings(seed=seed, outline=outline, **changed)
    found = _swept(network, wanted, shown, max(unit_settings.n, layer_settings.n), told)
    for what in wanted:
        if what.unit is None:
            yield of_layer.layer_sheet(network, what, shown, layer_settings, found, told)
        else:
            yield of_unit.card(network, what, shown, unit_settings, other, found, told)


def _swept(
    network: Network, wanted: Sequence[Asked], images: Images | None, n: int, progress: Progress
) -> Swept | None:
    """One pass of the images for all places."""
    if images is None:
        return None
    layers = dict.fromkeys(layer for what in wanted for layer in of_unit.layers_needed(network, what))
    return swept(network, images, tuple(layers), n, lambda done, total: progress("images", done, total))


def _check(n: int | None, n_steps: int | None, seed: int) -> None:
    if (n is not None and n < 1) or (n_steps is not None and n_steps < 0) or seed < 0:
        found = f"n = {n}, n_steps = {n_steps}, seed = {seed}."
        raise UsageError("Sheets were asked for.", found, "n from 1, n_steps and seed from 0.")


def _silent(stage: str, done: int, total: int) -> None:
    pass
