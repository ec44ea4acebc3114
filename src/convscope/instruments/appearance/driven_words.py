"""What do the checks of an optimised picture say, in words that a newcomer reads?"""

from typing import TYPE_CHECKING

from convscope.words import number

if TYPE_CHECKING:
    from convscope.instruments.appearance.driven import Driven

MOVED = "moved by a pixel in any direction"
ALMOST = 0.999  # of the most a unit can answer: as good as that
_PLACES = ("first", "second", "third", "fourth", "fifth")


def said(found: "Driven") -> str:
    """How far it drives the unit against natural images; how much of it is fine noise; for a class, who recognises it."""
    return " ".join(filter(None, (_driving(found), _recognised(found), _noise(found))))


def _driving(found: "Driven") -> str:
    sign, natural = (-1.0 if found.is_down else 1.0), found.natural
    opens = f"Drives the {found.kind}{' down' if found.is_down else ''} to {number(found.value)}"
    weaker = found.held
    best = f"its {'lowest' if found.is_down else 'best'} natural image"
    if found.silent:
        beside = "" if natural is None else f"; {best} drives it to {number(natural)}"
        return f"Nothing that was tried turns the {found.kind} on{beside}."
    if natural is None:
        return f"{opens}, as bytes and {MOVED} to {number(weaker)}; there is no natural image to compare with."
    if found.reached_ceiling and found.is_beyond:
        return f"{opens}, the most it can answer; {best} does so too."
    if sign * weaker > sign * natural:
        ratio = found.value / natural if sign * natural > 0 else 0
        beyond = f"{ratio:.2g} times {best}" if ratio >= 1.05 else f"more than {best} ({number(natural)})"
        return f"{opens}, {beyond}, also as bytes and {MOVED}."
    if sign * found.value <= sign * natural and not found.reached_ceiling:
        return f"{opens}; {best} to {number(natural)}."
    where = "as bytes" if weaker == found.rendered else MOVED
    return f"{opens}, but {where} to {number(weaker)}; {best} to {number(natural)}."


def _recognised(found: "Driven") -> str:
    if found.rank is None:
        return ""
    own = f"The class is the network's {_place(found.rank)} guess"
    if found.other_rank is None:
        return f"{own}."
    must = f"among its first {found.other_top}" if found.other_top > 1 else "its first"
    is_met = found.other_rank < found.other_top
    return f"{own}, {found.other}'s {_place(found.other_rank)} ({'recognised: ' if is_met else 'not recognised: not '}{must})."


def _noise(found: "Driven") -> str:
    beside = " (raw ascent found nothing)" if found.raw_void else ""
    beside = beside if found.raw_frac is None else f" (raw ascent {found.raw_frac * 100:.0f} %)"
    return f"{found.high_frac * 100:.0f} % of its power is above half Nyquist{beside}."


def _place(rank: int) -> str:
    return _PLACES[rank] if rank < len(_PLACES) else f"number {rank + 1}"
