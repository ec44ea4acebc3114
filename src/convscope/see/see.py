"""What does a layer or a unit look for?  One call: a unit's card, or the sheet of a layer; several share one pass of the images."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from convscope.errors import UsageError
from convscope.images import Images
from convscope.images import images as open_images
from convscope.instruments.appearance.maps import SCALES
from convscope.network import Network
from convscope.see import layer as of_layer
from convscope.see import unit as of_unit
from convscope.see.asked import Asked, asked, has_no_place
from convscope.see.sheet import Sheet
from convscope.see.swept import Swept, swept

MOST_SEED = 2**31
Progress = Callable[[str, int, int], None]


def see(
    network: Network,
    place: str | int,
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
) -> Sheet:
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
    settings = {"sort": sort, "scale": scale, "mark": mark, "outline": outline, "seed": seed, "progress": progress}
    (found,) = sheets(network, [place], images, other=other, n=n, n_steps=n_steps, units=units, **settings)  # type: ignore[arg-type]
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
    """The sheets of several places, each once, as it is done; the images are swept once for all. See `see`.

    After one that Ctrl-C has ended there are no more.
    """
    wanted = list({what.text: what for what in (asked(network, place) for place in places)}.values())
    _check(n, n_steps, seed, mark, scale)
    _check_other(network, other, wanted)
    if images is not None:
        _check_places(network, wanted)
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
            sheet = of_layer.layer_sheet(network, what, shown, layer_settings, found, told)
        else:
            sheet = of_unit.card(network, what, shown, unit_settings, other, found, told)
        yield sheet
        if sheet.stopped:
            return


def _swept(
    network: Network, wanted: Sequence[Asked], images: Images | None, n: int, progress: Progress
) -> Swept | None:
    """One pass of the images for all places."""
    if images is None:
        return None
    layers = dict.fromkeys(layer for what in wanted for layer in of_unit.layers_needed(network, what))
    return swept(network, images, tuple(layers), n, lambda done, total: progress("images", done, total))


def _check(n: int | None, n_steps: int | None, seed: int, mark: int, scale: str | float) -> None:
    if (n is not None and n < 1) or (n_steps is not None and n_steps < 0) or not 0 <= seed < MOST_SEED or mark < 0:
        found = f"n = {n}, n_steps = {n_steps}, seed = {seed}, mark = {mark}."
        would = f"n from 1, n_steps and mark from 0, seed from 0 to {MOST_SEED - 1}."
        raise UsageError("Sheets were asked for.", found, would)
    if isinstance(scale, str) and scale not in SCALES:
        raise UsageError(
            f"Colours that end per '{scale}' were asked for.", "", f"Use {', '.join(SCALES)}, or a number."
        )


def _check_other(network: Network, other: Network | None, wanted: Sequence[Asked]) -> None:
    if other is None:
        return
    if other.fingerprint == network.fingerprint:
        raise UsageError("Another network was to recognise pictures.", "It is the same network.", "Give another.")
    if all(what.target is None for what in wanted):
        raise UsageError(
            "Another network was to recognise pictures.", "No class is asked for.", "Ask for a class, or leave it out."
        )


def _check_places(network: Network, wanted: Sequence[Asked]) -> None:
    for what in wanted:
        if has_no_place(network, what.layer):
            raise UsageError(
                f"'{what.text}' was to be seen in images.",
                "Its values are tokens, which stand at no place of the image.",
                "Without images its optimised picture can be seen; or name a layer with maps.",
            )


def _silent(stage: str, done: int, total: int) -> None:
    pass
