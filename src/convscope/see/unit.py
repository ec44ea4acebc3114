"""What does one unit look for?  Its card: everything that is known of it on one sheet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.errors import MissingRuleError
from convscope.graph.graph import INPUT
from convscope.images import Images
from convscope.instruments.appearance.exemplars import Exemplar, UnitExemplars, exemplars
from convscope.instruments.appearance.filters import Weights
from convscope.instruments.appearance.optimise import Optimise
from convscope.network import Network
from convscope.see import optimised, patches, tiles, weights
from convscope.see.about import facts_of, network_of, repeat, source_of
from convscope.see.asked import Asked, has_no_place
from convscope.see.said import sentence, title
from convscope.see.sheet import Checked, Section, Sheet
from convscope.see.swept import OfLayer, Swept, at_position, swept

N_PATCHES = 6
N_STEPS, N_STEPS_BELOW = 256, 64
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """How much is put on a card."""

    n: int = N_PATCHES  # patches
    n_steps: int = N_STEPS  # of gradient ascent; 0 for no optimised pictures
    seed: int = 0
    outline: str = "deconvnet"


def card(
    network: Network,
    what: Asked,
    images: Images | None,
    settings: Settings,
    other: Network | None,
    found: Swept | None,
    progress: Progress,
) -> Sheet:
    """The card of a unit, a neuron or a class."""
    assert what.unit is not None
    held = weights.weights_or_none(network, what.layer)
    if found is None and images is not None:
        wanted = layers_needed(network, what)
        found = swept(network, images, wanted, settings.n, lambda done, total: progress("images", done, total))
    if found is not None and what.position is not None:
        told = lambda done, total: progress("the neuron in the images", done, total)  # noqa: E731
        found = at_position(network, found, what.layer, what.position, settings.n, told)
    notes = [what.note, *(found.notes if found else ())]
    sections: list[Section] = []
    checks: list[Checked] = []
    said = _weights(network, what, held, found, settings, progress, sections, notes)
    shown = _patches(network, what, images, found, settings, progress, notes)
    if shown is not None and shown.patches and images is not None:
        n_images = found.n_images if found else len(images)
        sections.append(patches.patch_section(network, shown, n_images))
        where = patches.where_section(network, images, what.layer, what.unit, shown.patches)
        sections += [where] if where else []
        checks += patches.checks_of([shown])
    notes += [] if shown is None else list(shown.notes)
    made = _optimised(network, what, found, settings, other, progress)
    if made is not None:
        sections.append(optimised.optimised_section(network, made))
        checks += optimised.checks_of(made, with_images=images is not None)
        notes += made.up.notes
        if not made.complete:
            notes.append("The ascent was stopped: pictures are as far as they had got.")
    if shown is not None and shown.patches:
        checks += patches.field_check(shown)
    order = ("filter", "weights", "exemplars", "where", "optimised")
    own = found.layers.get(what.layer) if found else None
    return Sheet(
        layer=what.layer,
        unit=what.unit,
        address=what.text,
        title=title(network, what),
        sentence=sentence(images, said, shown, own, what.unit, made),
        facts=facts_of(network, what, own),
        sections=tuple(sorted(sections, key=lambda one: order.index(one.key))),
        checks=tuple(checks),
        notes=tuple(dict.fromkeys(filter(None, notes))),
        network=network_of(network),
        images=None if images is None else {"source": source_of(images), "n": found.n_images if found else len(images)},
        settings={**vars(settings), "other": "" if other is None else other.name},
        repeat=repeat(network, what.text, images, vars(settings), vars(Settings()), other),
        numbers=_numbers(shown, made),
        stopped=made is not None and not made.complete,
    )


def layers_needed(network: Network, what: Asked) -> tuple[str, ...]:
    """The layers that images are swept at for a card: the unit's own, and those it reads."""
    held = weights.weights_or_none(network, what.layer)
    below = () if held is None or what.unit is None else held.sources_of(what.unit)
    named = [name for name, _ in below if name not in ("", INPUT) and not has_no_place(network, name)]
    return tuple(dict.fromkeys([what.layer, *named]))


def _weights(
    network: Network,
    what: Asked,
    held: Weights | None,
    found: Swept | None,
    settings: Settings,
    progress: Progress,
    sections: list[Section],
    notes: list[str],
) -> str:
    """Adds what the unit is computed from; returns what can be said of its filter."""
    assert what.unit is not None
    if held is None:
        reads = network.layers[what.layer].reads if what.layer in network.layers.names else ()
        notes.append(f"It has no weights of its own: it is computed from {', '.join(reads)}." if reads else "")
        return ""
    if held.reads_pixels:
        section, measured = weights.filter_section(network, held.layer, what.unit)
        sections.append(section)
        return f"Its filter is of the family '{measured.family}' ({measured.words})."
    active = (
        None if found is None else {name: _activity(found.layers[name]) for name in found.layers if name != what.layer}
    )
    shown = weights.strongest(held, what.unit, active)
    pictures, of = _below(network, [one.source for one in shown if one.source[0] != INPUT], found, settings, progress)
    sections.append(weights.connection_section(held, what.unit, shown, pictures, of, weighed=active is not None))
    return ""


def _activity(found: OfLayer) -> Sequence[float]:
    """Root mean square of each unit of a layer below."""
    if found.moments is None:
        return np.ones(len(found.exemplars.values)).tolist()
    return np.sqrt(found.moments.mean**2 + found.moments.std**2).tolist()


def _below(
    network: Network, sources: Sequence[tuple[str, int]], found: Swept | None, settings: Settings, progress: Progress
) -> tuple[dict[tuple[str, int], np.ndarray], str]:
    """A picture of each unit below, and what it is: its strongest patch, or without images what drives it."""
    made = {}
    if found is not None:
        for i, (layer, unit) in enumerate(sources):
            progress("units below", i, len(sources))
            if layer not in found.layers:
                continue
            pixels = patches.strongest_crop(network, found.images, layer, unit, found.layers[layer].exemplars)
            if pixels is not None:
                made[layer, unit] = pixels
        return made, "the patch that drives the unit below most"
    if not settings.n_steps or not sources:
        return made, ""
    told = lambda done, total: progress("units below", done, total)  # noqa: E731
    ascent = Optimise(n_steps=min(N_STEPS_BELOW, settings.n_steps), seed=settings.seed, n_restarts=1)
    named = {f"{layer}:{unit}": (layer, unit) for layer, unit in sources}
    for one in ascent(network, list(named), progress=told):
        made[named[one.objective.words]] = tiles.pixels_rgb(one.pixels[0][one.canvas.seen], network.preprocess)
    return made, "a picture optimised for the unit below"


def _patches(
    network: Network,
    what: Asked,
    images: Images | None,
    found: Swept | None,
    settings: Settings,
    progress: Progress,
    notes: list[str],
) -> UnitExemplars | None:
    """The patches: the unit's strongest, or those of one neuron in the first images."""
    if images is None:
        notes.append("No images were given: no patches, and nothing to hold optimised pictures against.")
        return None
    assert what.unit is not None
    assert found is not None
    try:
        table = found.layers[what.layer].exemplars
        (one,) = exemplars(
            network,
            images,
            what.layer,
            [what.unit],
            settings.n,
            table=table,
            n_images=found.n_images,
            outline=settings.outline,
            seed=settings.seed,
        )
    except MissingRuleError as error:
        notes.append(patches.no_rules(error))
        return None
    progress("patches", 1, 1)
    return one


def _optimised(
    network: Network, what: Asked, found: Swept | None, settings: Settings, other: Network | None, progress: Progress
) -> optimised.Pictures | None:
    if not settings.n_steps:
        return None
    own = found.layers.get(what.layer) if found else None
    naturals = None if own is None else own.highest()
    best = None if naturals is None or what.unit is None else float(naturals[what.unit])
    return optimised.pictures(
        network,
        what.text if what.target is None or what.position is not None else what.target,
        n_steps=settings.n_steps,
        natural=best if best is not None and np.isfinite(best) else None,
        naturals=naturals,
        other=other,
        seed=settings.seed,
        progress=lambda done, total: progress("optimised pictures", done, total),
    )


def _numbers(shown: UnitExemplars | None, made: optimised.Pictures | None) -> dict[str, object]:
    """What was measured, fit for JSON."""
    found: dict[str, object] = {}
    if shown is not None:
        found["patches"] = [
            {
                "id": one.id,
                "value": one.value,
                "position": list(one.place.position or ()),
                "box": list(one.box),
                "covered": None if one.covered is None or not one.covered.ran else _covered(one),
            }
            for one in shown.patches
        ]
    if made is not None:
        one = made.checked[0]
        names = ("value", "rendered", "shifted", "weakest", "natural", "high_frac", "raw_frac", "rank", "other_rank")
        found["optimised"] = {name: getattr(one, name) for name in names}
        found["own_picture"] = None if made.own is None else vars(made.own)
    return found


def _covered(one: Exemplar) -> dict[str, object]:
    assert one.covered is not None
    names = ("share", "top", "random", "shifted", "centre", "confirmed", "beyond_centre")
    return {name: getattr(one.covered, name) for name in names}


def _silent(stage: str, done: int, total: int) -> None:
    pass
