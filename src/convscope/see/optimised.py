"""What picture drives a unit most?  Optimised up (and differently), down, and by raw ascent, the control; each with its check."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from convscope.instruments.appearance.driven import MOST_OF_RAW, Driven, driven
from convscope.instruments.appearance.objective import objective
from convscope.instruments.appearance.optimise import RAW, Optimise, Optimised
from convscope.instruments.appearance.own_picture import OwnPicture, own_picture
from convscope.network import Network
from convscope.see import tiles
from convscope.see.sheet import WIDE_TILE_PX, Checked, Outcome, Section, Tile
from convscope.words import number

N_DIVERSE = 3
DIVERSE_SHARE = 0.5  # of the steps, for pictures that only show what else there is
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Pictures:
    """The optimised pictures of one unit, neuron or class, and what was checked of each."""

    up: Optimised
    diverse: Optimised | None
    down: Optimised | None
    raw: Optimised | None
    checked: tuple[Driven, ...]  # of `up`
    checked_diverse: tuple[Driven, ...]
    checked_raw: tuple[Driven, ...]
    own: OwnPicture | None

    @property
    def complete(self) -> bool:
        return all(one is not None and not one.interrupted for one in (self.up, self.raw, self.diverse, self.down))


def pictures(
    network: Network,
    asked: str | int,
    *,
    n_steps: int,
    natural: float | None,
    naturals: np.ndarray | None,
    other: Network | None,
    seed: int,
    progress: Progress,
) -> Pictures:
    """Optimises everything that is on a card; Ctrl-C ends it with what is there.

    `natural` is the unit's highest response to a natural image, `naturals` that of all units of the layer.
    """
    up, down = objective(network, asked), objective(network, asked, negative=True)
    method = Optimise(n_steps=n_steps, seed=seed)
    half = max(1, round(DIVERSE_SHARE * n_steps))
    plan = (
        (method, up),
        (replace(RAW, n_steps=n_steps, seed=seed), up),
        (replace(method, n_steps=half, n_diverse=N_DIVERSE, n_restarts=1), up),
        (replace(method, n_steps=half, n_restarts=1), down),
    )
    total = sum(one.n_steps for one, _ in plan)
    found: list[Optimised | None] = [None] * len(plan)
    done = 0
    for i, (way, what) in enumerate(plan):
        told = lambda n, of, before=done, way=way: progress(before + round(way.n_steps * n / max(of, 1)), total)  # noqa: E731
        (one,) = way(network, what, progress=told)
        found[i] = one
        if one.interrupted:
            break
        done += way.n_steps
    best, raw, diverse, lowest = found
    assert best is not None
    return Pictures(
        up=best,
        diverse=diverse,
        down=lowest,
        raw=raw,
        checked=driven(best, natural=natural, other=other, raw=raw),
        checked_diverse=() if diverse is None else driven(diverse, natural=natural, other=other, raw=raw),
        checked_raw=() if raw is None else driven(raw, natural=natural, other=other),
        own=None if naturals is None else own_picture(best, naturals),
    )


def optimised_section(network: Network, found: Pictures) -> Section:
    """The pictures, the control last."""
    size = " x ".join(map(str, found.up.shown.shape[:2]))
    steps = f"{found.up.n_steps}" + ("" if found.complete else f" of {found.up.method.n_steps}")
    how = f"{found.up.method.parameterization.title}; {steps} steps"
    also = [
        *([f"{len(found.checked_diverse)} that differ from one another"] if found.diverse is not None else []),
        *(["one that drives it down"] if found.down is not None else []),
        *(["raw ascent on the pixels, the control"] if found.raw is not None else []),
    ]
    words = f"A picture of {size} px that drives it most, found by gradient ascent ({how})"
    words += f"; beside it {', '.join(also)}" if also else ""
    made = [_tile(network, found.up, 0, "optimised", found.checked[0])]
    if found.diverse is not None:
        for i, one in enumerate(found.checked_diverse):
            made.append(_tile(network, found.diverse, i, "another", one))
    if found.down is not None:
        made.append(_tile(network, found.down, 0, "drives it down", None))
    if found.raw is not None:
        made.append(_tile(network, found.raw, 0, "raw ascent", None, found.checked_raw[0].words))
    return Section(
        "optimised", "What would drive it most", f"{words}. Under each the response.", tuple(made), WIDE_TILE_PX
    )


def _tile(network: Network, found: Optimised, i: int, role: str, checked: Driven | None, words: str = "") -> Tile:
    shown = tiles.pixels_rgb(found.pixels[i][found.canvas.seen], network.preprocess)
    outcome = Outcome.NONE if checked is None else Outcome(checked.outcome)
    value = number(float(found.values[i]))
    if found.objective.driven != found.objective.layer and found.objective.negative and len(found.curve):
        value += f" ({number(float(found.curve[-1, i]))} before the activation)"
    return Tile(
        ((role, shown),), f"{role}: {value}", outcome, words or (checked.words if checked else f"Drives it to {value}.")
    )


def checks_of(found: Pictures, *, with_images: bool) -> tuple[Checked, ...]:
    """What was checked of the picture that drives it most."""
    one = found.checked[0]
    rows = [_beyond(found, with_images=with_images), _frequencies(found)]
    if found.own is not None:
        outcome = Outcome.PASSES if found.own.is_own else Outcome.CARE
        rows.append(Checked("Its own picture, not the layer's", outcome, found.own.words))
    if one.rank is not None:
        own = Outcome.PASSES if one.rank == 0 else Outcome.FAILS
        rows.append(Checked("Classified as its class", own, f"It is the network's guess number {one.rank + 1}."))
        rows.append(_recognised(one))
    return tuple(rows)


def _beyond(found: Pictures, *, with_images: bool) -> Checked:
    title, one = "Beyond the best natural image", found.checked[0]
    if one.natural is None:
        return Checked(title, Outcome.NOT_RUN, "No image gave a value." if with_images else "No images were given.")
    if found.up.silent:
        return Checked(title, Outcome.FAILS, "Nothing that was tried turns the unit on.")
    if one.reached_ceiling:
        return Checked(title, Outcome.PASSES, f"Both reach {number(one.natural)}, the most the unit can answer.")
    words = (
        f"As bytes, and moved by a pixel in any direction, it drives the unit to {number(one.held)} or further; the best natural "
        f"image to {number(one.natural)}."
    )
    return Checked(title, Outcome.PASSES if one.held > one.natural else Outcome.FAILS, words)


def _frequencies(found: Pictures) -> Checked:
    title, one = "Fewer high frequencies than raw ascent", found.checked[0]
    if one.frac_of_raw is None or one.raw_frac is None:
        words = "Raw ascent found nothing." if found.raw is not None else "Raw ascent was not reached."
        return Checked(title, Outcome.NOT_RUN, words)
    words = (
        f"{one.high_frac:.0%} of its power lies above half the Nyquist frequency; of raw ascent's {one.raw_frac:.0%}."
    )
    return Checked(title, Outcome.PASSES if one.frac_of_raw <= MOST_OF_RAW else Outcome.FAILS, words)


def _recognised(one: Driven) -> Checked:
    title = "Recognised by another network"
    if one.other_rank is None:
        words = "No other network was given." if not one.other else f"{one.other} has no such class."
        return Checked(title, Outcome.NOT_RUN, words)
    words = f"{one.other}'s guess number {one.other_rank + 1}; the first {one.other_top} count."
    return Checked(title, Outcome.PASSES if one.other_rank < one.other_top else Outcome.FAILS, words)
