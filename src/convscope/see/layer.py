"""What do the units of a layer look for?  Its sheet: filters in families, the maps of an image, and some units' patches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.errors import ImagesError, MissingRuleError, UsageError
from convscope.images import Images
from convscope.instruments.appearance.colour import image_rgb
from convscope.instruments.appearance.driven import driven
from convscope.instruments.appearance.exemplars import UnitExemplars, exemplars
from convscope.instruments.appearance.maps import Maps, maps_of
from convscope.instruments.appearance.mosaic import mosaic
from convscope.instruments.appearance.optimise import Optimise
from convscope.network import Network
from convscope.see import patches, tiles, weights
from convscope.see.about import facts_of, network_of, repeat, source_of
from convscope.see.asked import Asked
from convscope.see.sheet import Checked, Outcome, Section, Sheet, Tile
from convscope.see.swept import Swept, swept
from convscope.see.tuned import tuned_order
from convscope.words import number

N_UNITS, N_PATCHES = 12, 5
N_MARKED = 5
UNIT_PX = 88
MOST_NAMED = 40  # units whose order is written out
ORDERS = ("number", "response", "tuned")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """What is put on the sheet of a layer."""

    units: tuple[int, ...] | None = None  # shown with patches; None: some, spread evenly over their numbers
    n: int = N_PATCHES
    n_steps: int = 128  # of gradient ascent; 0 for no optimised pictures
    sort: str = "number"  # of the maps: number, response, or what the units are tuned to (first layers)
    scale: str | float = "layer"  # of the maps: layer, unit, or where all colours end
    mark: int = N_MARKED  # how many of the strongest maps are framed
    outline: str = "deconvnet"
    seed: int = 0


def layer_sheet(
    network: Network,
    what: Asked,
    images: Images | None,
    settings: Settings,
    found: Swept | None,
    progress: Progress,
) -> Sheet:
    """The sheet of a layer; `found` is what a sweep of the images found at it, if there was one.

    Raises UsageError for units or settings that are not there, ImagesError where no image can be read.
    """
    layout = network.graph[what.layer].layout[0]
    assert layout is not None
    n_units = layout.map_shape[0]
    units = _chosen(settings.units, n_units, what.layer)
    held = weights.weights_or_none(network, what.layer)
    first = held is not None and held.reads_pixels
    _check_sort(settings.sort, what.layer, known=first or images is not None)
    sections = [weights.family_section(network, held.layer)] if held is not None and first else []
    notes = (
        []
        if images is not None
        else ["No images were given: no patches, and nothing to hold optimised pictures against."]
    )
    shown: tuple[UnitExemplars, ...] = ()
    if images is not None:
        if found is None:
            found = swept(
                network, images, [what.layer], settings.n, lambda done, total: progress("images", done, total)
            )
        maps_section = _maps(network, what.layer, found, settings, progress, notes)
        sections += [maps_section] if maps_section else []
        notes += found.notes
        shown = _patches(network, what.layer, units, found, settings, progress, notes)
    made, stopped = _optimised(network, what.layer, units, found, settings, progress)
    notes += ["The ascent was stopped: pictures are as far as they had got."] if stopped else []
    sections += [_unit(network, what.layer, unit, _of(shown, unit), made.get(unit)) for unit in units]
    return Sheet(
        layer=what.layer,
        unit=None,
        address=what.layer,
        title=what.layer,
        sentence=_sentence(n_units, units, found, what.layer, shown),
        facts=facts_of(network, what, None),
        sections=tuple(one for one in sections if one.tiles),
        checks=_checks(shown, made),
        notes=tuple(dict.fromkeys(filter(None, notes))),
        network=network_of(network),
        images=None if images is None or found is None else {"source": source_of(images), "n": found.n_images},
        settings={**vars(settings), "units": list(units)},
        repeat=repeat(network, what.layer, images, vars(settings), vars(Settings())),
        stopped=stopped,
        numbers={"units": [_numbers(unit, _of(shown, unit)) for unit in units]},
    )


def spread(n_units: int, most: int) -> tuple[int, ...]:
    """Some units, spread evenly over their numbers, so that nobody has picked the beautiful ones."""
    return tuple(int(unit) for unit in np.unique(np.linspace(0, n_units - 1, min(n_units, most)).round().astype(int)))


def _chosen(units: Sequence[int] | None, n_units: int, layer: str) -> tuple[int, ...]:
    if units is None:
        return spread(n_units, N_UNITS)
    wrong = [unit for unit in units if not 0 <= unit < n_units]
    if wrong:
        raise UsageError(f"Unit {wrong[0]} of '{layer}' was to be seen.", f"It has {n_units:,} units.", "Count from 0.")
    return tuple(dict.fromkeys(units))


def _check_sort(sort: str, layer: str, *, known: bool) -> None:
    if sort not in ORDERS:
        raise UsageError(f"Maps were to be sorted by '{sort}'.", "", f"Use {', '.join(ORDERS)}.")
    if sort == "tuned" and not known:
        raise UsageError(
            f"The units of '{layer}' were to be sorted by what they are tuned to.",
            "Without images that is known of filters over the image only.",
            "Give images.",
        )


def _maps(
    network: Network, layer: str, found: Swept, settings: Settings, progress: Progress, notes: list[str]
) -> Section | None:
    """The mosaic of the first image's maps."""
    for index in range(len(found.images)):
        try:
            picture = found.images[index]
            inputs = network.preprocess(picture)
            break
        except ImagesError as error:
            notes.append(f"An image could not be read: {error.found}")
    else:
        return None
    maps = maps_of(network, inputs, layer)
    order: str | Sequence[int] = settings.sort
    if settings.sort == "tuned":
        try:
            order = tuned_order(network, layer, found, lambda done, total: progress("tuning", done, total))
        except MissingRuleError as error:
            notes.append(f"{patches.no_rules(error)} The maps stand in the order of their numbers.")
            order = "number"
    drawn = mosaic(maps, order, settings.scale, settings.mark)
    framed = ", ".join(map(str, drawn.marked)) or "none"
    legend = " ... ".join(drawn.legend)
    words = f"{picture.id}: {drawn.words} Sorted by {_SORTED[settings.sort]}; the strongest are framed: {framed}."
    words += f" Colours: {legend}."
    if order != "number":
        named = ", ".join(map(str, drawn.units[:MOST_NAMED]))
        words += f" In order: {named}{' ...' if len(drawn.units) > MOST_NAMED else ''}."
    whole = Tile((("image", image_rgb(inputs, network.preprocess)),), picture.id)
    mosaic_tile = Tile((("maps", np.asarray(drawn.image.convert("RGB"))),), "", Outcome.NONE, _described(maps))
    return Section("maps", "The maps of an image", words, (whole, mosaic_tile), 0)


_SORTED = {"number": "number", "response": "response", "tuned": "what they are tuned to, family by family"}


def _described(maps: Maps) -> str:
    top = maps.strongest(3)
    peaks = ", ".join(f"unit {unit} ({number(maps.highest[unit])})" for unit in top)
    return f"The strongest: {peaks}." if peaks else "No unit is above zero."


def _patches(
    network: Network,
    layer: str,
    units: Sequence[int],
    found: Swept,
    settings: Settings,
    progress: Progress,
    notes: list[str],
) -> tuple[UnitExemplars, ...]:
    try:
        return exemplars(
            network,
            found.images,
            layer,
            units,
            settings.n,
            table=found.layers[layer].exemplars,
            n_images=found.n_images,
            outline=settings.outline,
            seed=settings.seed,
            progress=lambda done, total: progress("patches", done, total),
        )
    except MissingRuleError as error:
        notes.append(patches.no_rules(error))
        return ()


def _optimised(
    network: Network, layer: str, units: Sequence[int], found: Swept | None, settings: Settings, progress: Progress
) -> tuple[dict[int, Tile], bool]:
    """The picture that drives each unit, by unit, and whether Ctrl-C ended it; all are made together."""
    if not settings.n_steps:
        return {}, False
    ascent = Optimise(n_steps=settings.n_steps, seed=settings.seed)
    told = lambda done, total: progress("optimised pictures", done, total)  # noqa: E731
    asked = {f"{layer}:{unit}": unit for unit in units}
    made = {}
    results = ascent(network, list(asked), progress=told)
    for one in results:
        unit = asked[one.objective.words]
        natural = None if found is None else float(found.layers[layer].highest()[unit])
        (checked,) = driven(one, natural=natural if natural is not None and np.isfinite(natural) else None)
        shown = tiles.pixels_rgb(one.pixels[0][one.canvas.seen], network.preprocess)
        caption = f"optimised: {number(float(one.values[0]))}"
        made[unit] = Tile((("optimised", shown),), caption, Outcome(checked.outcome), checked.words)
    return made, len(results) < len(units) or any(one.interrupted for one in results)


def _of(shown: Sequence[UnitExemplars], unit: int) -> UnitExemplars | None:
    return next((one for one in shown if one.unit == unit), None)


def _unit(network: Network, layer: str, unit: int, found: UnitExemplars | None, made: Tile | None) -> Section:
    """A unit's row: its patches, and the picture that drives it."""
    own = [] if made is None else [made]
    if found is not None:
        own = [*patches.patch_tiles(network, found), *own]
    words = "" if found is None else found.words.partition(": ")[2] or found.words
    return Section(f"unit {unit}", f"{layer}:{unit}", words, tuple(own), UNIT_PX)


def _sentence(
    n_units: int, units: Sequence[int], found: Swept | None, layer: str, shown: Sequence[UnitExemplars]
) -> str:
    some = (
        f"{len(units)} of {n_units:,} units are shown" if len(units) < n_units else f"All {n_units:,} units are shown"
    )
    if found is None:
        return f"{some}."
    moments = found.layers[layer].moments
    n_dead = 0 if moments is None else int(moments.dead.sum())
    dead = (
        f" {n_dead:,} of the layer's units {'is' if n_dead == 1 else 'are'} never moved by these images."
        if n_dead
        else ""
    )
    return f"{some}, with their strongest patches of {found.n_images:,} images.{dead}"


def _checks(shown: Sequence[UnitExemplars], made: dict[int, Tile]) -> tuple[Checked, ...]:
    """What the checks of all units come to."""
    rows = [*patches.checks_of(shown)]
    ran = {unit: tile.outcome for unit, tile in made.items() if tile.outcome in (Outcome.PASSES, Outcome.FAILS)}
    if ran:
        failed = [unit for unit, outcome in ran.items() if outcome == Outcome.FAILS]
        words = f"{len(ran) - len(failed)} of {len(ran)} pictures drive their unit beyond its best image, moved by a pixel too"
        words += f"; not those of {', '.join(map(str, failed))}." if failed else "."
        rows.append(Checked("Beyond the best natural image", Outcome.FAILS if failed else Outcome.PASSES, words))
    return tuple(rows)


def _numbers(unit: int, found: UnitExemplars | None) -> dict[str, object]:
    if found is None:
        return {"unit": unit}
    ids, values = [one.id for one in found.patches], [one.value for one in found.patches]
    return {"unit": unit, "ids": ids, "values": values, "confirmed": list(found.confirmed)}
