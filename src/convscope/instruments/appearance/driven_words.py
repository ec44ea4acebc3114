"""What do the checks of an optimised picture say, in words that a newcomer reads?"""

from typing import TYPE_CHECKING

from convscope.words import number

if TYPE_CHECKING:
    from convscope.instruments.appearance.driven import Driven

ALMOST = 0.999  # of the most a unit can answer: as good as that
_PLACES = ("first", "second", "third", "fourth", "fifth")


def said(found: "Driven") -> str:
    """How far it drives the unit against natural images; how much of it is fine noise; for a class, who recognises it."""
    return " ".join(filter(None, (_driving(found), _recognised(found), _noise(found))))


def _driving(found: "Driven") -> str:
    sign, natural = (-1.0 if found.is_down else 1.0), found.natural
    opens = f"Drives the {found.kind}{' down' if found.is_down else ''} to {number(found.value)}"
    weaker = min(found.rendered, found.shifted, key=lambda value: sign * value)
    if natural is None:
        return f"{opens}, as bytes and moved by a pixel to {number(weaker)}; there is no natural image to compare with."
    best = f"its {'lowest' if found.is_down else 'best'} natural image"
    if found.reached_ceiling and sign * (found.rendered - found.shifted) <= (1 - ALMOST) * abs(found.rendered):
        return f"{opens}, the most it can answer; {best} does so too."
    if sign * weaker > sign * natural:
        ratio = found.value / natural if sign * natural > 0 else 0
        beyond = f"{ratio:.2g} times {best}" if ratio >= 1.05 else f"more than {best} ({number(natural)})"
        return f"{opens}, {beyond}, also as bytes and moved by a pixel."
    if sign * found.value <= sign * natural and not found.reached_ceiling:
        return f"{opens}; {best} to {number(natural)}."
    where = "as bytes" if weaker == found.rendered else "moved by a pixel"
    return f"{opens}, but {where} to {number(weaker)}; {best} to {number(natural)}."


def _recognised(found: "Driven") -> str:
    if found.rank is None:
        return ""
    own = f"The class is the network's {_place(found.rank)} guess"
    return f"{own}, {found.other}'s {_place(found.other_rank)}." if found.other_rank is not None else f"{own}."


def _noise(found: "Driven") -> str:
    beside = "" if found.raw_frac is None else f" (raw ascent {found.raw_frac * 100:.0f} %)"
    return f"{found.high_frac * 100:.0f} % of its power is above half Nyquist{beside}."


def _place(rank: int) -> str:
    return _PLACES[rank] if rank < len(_PLACES) else f"number {rank + 1}"
