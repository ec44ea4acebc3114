"""How are the pictures made that a claim judges?  For single units and for classes, each beside its controls, a row at a time."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch

from convscope.errors import ConvscopeError
from convscope.instruments.appearance import RAW, Direction, Fourier, Optimise, Optimised, canvas, driven
from convscope.instruments.appearance.driven import n_top
from convscope.network import Network
from convscope.study.claim import TRAINED, Measured, Networks, Question
from convscope.study.drawn import drawn, n_affordable, spread
from convscope.study.observers import Observer, known_classes, observer, recognises_images
from convscope.study.samples import Row, Sample, of_things

N_STEPS = 64  # a quarter of the default: the measurement needs no beauty
OF_UNITS = Optimise(n_steps=N_STEPS)
OF_CLASSES = Optimise(parameterization=Fourier(rate=0.1), n_steps=N_STEPS, n_restarts=1)
RAW_ASCENT = replace(RAW, n_steps=N_STEPS)
KINDS = {"trained": "optimised", "raw": "raw ascent", "fresh": "fresh weights", "direction": "random directions"}
OBSERVER = "observer"
PASSES = 4 * 3 * N_STEPS  # of the network for a class: four pictures, forward and back
BUDGET = 4.5e12  # multiplications for the classes: a minute or two on two cores
FEWEST_CLASSES, FEWEST_PICTURES = 8, 48
MOST_AT_ONCE = 10  # classes whose pictures are made together


def patterns(measured: Measured, networks: Networks, what: str, n_units: int, n_classes: int) -> Sample:
    """The observer, then the units, then the classes, a few at a time."""
    who = cache(lambda: observer(measured, networks))
    things: dict[str, Callable[[], Row]] = {OBSERVER: lambda: _asked(measured, who())}
    fresh = {which: _by_layer(drawn(measured, which, n_units, what)) for which in measured.draws}
    for layer, units in _by_layer(drawn(measured, TRAINED, n_units, what)).items():
        weights, best = directions(measured, layer, n_units), measured.result(TRAINED, layer, "directions").values
        for number, unit in enumerate(units):
            which = _in_turn(measured.draws, len(things))
            beside = fresh[which].get(layer, []) if which else []
            control = (which, beside[number]) if number < len(beside) else None
            things[f"{layer}:{unit}"] = partial(
                _of_unit, measured, networks, layer, unit, (weights[number], float(best[number, 0])), control
            )
    for places, seed in _groups(measured, n_classes):
        which = _in_turn(measured.draws, len(things))
        name = f"classes {', '.join(map(str, places))}, picture {seed}"
        things[name] = partial(_of_classes, measured, networks, who, places, seed, which)
    return of_things(things, lambda make: make())


def directions(question: Question, layer: str, n_units: int) -> np.ndarray:
    """Random directions in the space of a layer's units, as many as units of it are drawn: float32 `direction unit`."""
    shape = (spread(question, n_units)[layer], question.network.layers[layer].n_units)
    drawn_ = question.rng(f"directions {layer}").normal(size=shape)
    return (drawn_ / np.linalg.norm(drawn_, axis=1, keepdims=True)).astype(np.float32)


def _in_turn(draws: Sequence[str], place: int) -> str:
    return draws[place % len(draws)] if draws else ""


def _by_layer(found: list[tuple[str, int]]) -> dict[str, list[int]]:
    units: dict[str, list[int]] = {}
    for layer, unit in found:
        units.setdefault(layer, []).append(unit)
    return units


def _groups(question: Question, most: int) -> list[tuple[tuple[int, ...], int]]:
    """Classes that the observer knows, drawn by the seed, a few together; where all are, and few, several pictures of each."""
    known = known_classes(question)
    n = min(n_affordable(question, PASSES, BUDGET, most, min(most, FEWEST_CLASSES)), len(known))
    if n < 2:
        return []
    chosen = np.sort(question.rng("classes with pictures").permutation(known)[:n])
    together = _at_once(question.network)
    groups = [tuple(map(int, chosen[at : at + together])) for at in range(0, n, together)]
    n_each = -(-min(FEWEST_PICTURES, 4 * most) // n) if n == len(known) else 1
    return [(group, seed) for seed in range(n_each) for group in groups]


def _at_once(network: Network) -> int:
    """Of how many classes pictures are made together, and as many of directions."""
    try:
        return max(1, min(MOST_AT_ONCE, canvas(network, network.output).n_at_once // 2))
    except ConvscopeError:  # the pictures will say why
        return MOST_AT_ONCE


def _asked(question: Question, who: Observer | None) -> Row:
    """What the observer is, and whether it is one."""
    row: Row = {"what": OBSERVER}
    if who is None:
        other = question.other
        if other is not None:
            return row | {"refused": f"{other.name} has none of the network's classes, or takes other images."}
        return row | {"refused": "For a witness there are too few labelled images of the network's classes."}
    n_right, n = who.natural
    enough = recognises_images(n_right, n, len(who.known))
    return row | {
        **{"name": who.name, "n_right": n_right, "n": n, "enough": enough},
        **{"n_classes": len(who.known), "n_top": n_top(len(who.known))},
    }


def _of_unit(
    measured: Measured,
    networks: Networks,
    layer: str,
    unit: int,
    along: tuple[np.ndarray, float],
    control: tuple[str, int] | None,
) -> Row:
    """How far pictures drive a unit, a fresh one beside it, and a random direction, over their best natural image."""
    row: Row = {"what": "unit", "layer": layer, "unit": unit, "times": {}, "passes": {}}
    network = networks(TRAINED)
    own = float(measured.result(TRAINED, layer, "exemplars").values[unit, 0])
    direction = Direction(layer, torch.from_numpy(along[0]))
    name = f"{layer}:{unit}"
    asked: list[tuple[str, Optimise, Network, str | Direction, float]] = [
        ("trained", OF_UNITS, network, name, own),
        ("raw", RAW_ASCENT, network, name, own),
        ("direction", OF_UNITS, network, direction, along[1]),
    ]
    if control is not None:
        which, fresh_unit = control
        best = float(measured.result(which, layer, "exemplars").values[fresh_unit, 0])
        asked.append(("fresh", OF_UNITS, networks(which), f"{layer}:{fresh_unit}", best))
    for kind, method, on, what, natural in asked:
        if natural <= 0:
            continue
        try:
            (found,) = _made(method, on, [what], measured.seed)
        except ConvscopeError as error:
            if kind == "trained":
                return row | {"refused": error.found}
            continue
        check = driven(found, natural=natural)[0]
        row["times"][kind] = check.held / natural
        row["passes"][kind] = bool(check.is_beyond)
    return row


def _of_classes(
    measured: Measured,
    networks: Networks,
    who: Callable[[], Observer | None],
    places: Sequence[int],
    seed: int,
    which: str,
) -> Row:
    """Where the observer ranks the class in pictures of each kind."""
    row: Row = {"what": "classes", "classes": list(places), "picture": seed}
    asked = who()
    if asked is None or not recognises_images(*asked.natural, len(asked.known)):
        return row | {"refused": "There is no observer."}
    network, n = networks(TRAINED), len(places)
    rng = measured.rng(f"directions of classes {places} {seed}")
    weights, raised = zip(*(_of_no_class(rng, asked.known, network.n_classes) for _ in places), strict=True)
    along = [Direction(network.output, torch.from_numpy(one)) for one in weights]
    try:
        found = _made(OF_CLASSES, network, [*places, *along], measured.seed + seed)
        made = {"trained": found[:n], "raw": _made(RAW_ASCENT, network, places, measured.seed + seed)}
        if which:
            made["fresh"] = _made(OF_CLASSES, networks(which), places, measured.seed + seed)
        made["direction"] = found[n:]
    except ConvscopeError as error:
        return row | {"refused": error.found}
    targets = {kind: list(places) for kind in made} | {"direction": list(raised)}
    ranks = {
        kind: asked.ranks(torch.cat([one.images for one in pictures]).mul(255).round() / 255, targets[kind])
        for kind, pictures in made.items()
    }
    return row | {"ranks": ranks, "n_top": n_top(len(asked.known))}


def _of_no_class(rng: np.random.Generator, known: np.ndarray, n_classes: int) -> tuple[np.ndarray, int]:
    """A direction among the classes that prefers none: half of them raised, half lowered; and one of those raised."""
    order = rng.permutation(known)
    weights = np.zeros(n_classes, np.float32)
    weights[order] = -1
    weights[order[: len(order) // 2]] = 1
    return weights, int(order[0])


def _made(
    method: Optimise, network: Network, asked: Sequence[str | int | Direction], seed: int
) -> tuple[Optimised, ...]:
    """The pictures; Ctrl-C, after which the optimiser gives what it has, ends the study here."""
    found = replace(method, seed=seed)(network, list(asked))
    if len(found) < len(asked) or any(one.interrupted for one in found):
        raise KeyboardInterrupt
    return found
