"""What does a card say in a few sentences?  What the unit answers to, and how sure that is."""

from convscope.images import Images
from convscope.instruments.appearance.exemplars import UnitExemplars
from convscope.instruments.appearance.own_picture import OwnPicture
from convscope.network import Network
from convscope.see import optimised, patches
from convscope.see.asked import Asked
from convscope.see.swept import OfLayer
from convscope.words import number


def title(network: Network, what: Asked) -> str:
    """What stands at the top of a card."""
    if what.target is not None and network.classes is not None:
        return f"{what.text}, class '{network.classes[what.target]}'"
    return what.text


def sentence(
    images: Images | None,
    said: str,
    shown: UnitExemplars | None,
    own: OfLayer | None,
    unit: int,
    made: optimised.Pictures | None,
) -> str:
    """What it answers to, and how sure that is, in a few sentences."""
    parts = [said]
    if shown is not None and images is not None:
        if not shown.patches:
            is_dead = own is not None and (own.moments is None or bool(own.moments.dead[unit]))
            dead = ": it is dead, as far as these can tell" if is_dead else ""
            parts.append(f"It is above zero in none of {shown.n_images:,} images{dead}.")
        else:
            parts.append(patches.classes_said(images, shown))
            n, of = shown.confirmed
            parts.append(f"Covering confirms {n} of {of} of its deconvnet pictures." if of else "")
    if made is not None:
        parts.append(_driven_said(made))
    return " ".join(filter(None, parts))


def _driven_said(made: optimised.Pictures) -> str:
    one, own = made.checked[0], made.own
    if made.up.silent:
        return "Nothing that was tried turns it on."
    held = one.held
    if one.natural is None:
        return f"Its optimised picture drives it to {number(held)}."
    text = f"Its optimised picture drives it to {number(held)}"
    if one.reached_ceiling:
        text += ", as its best image does: more it cannot answer"
    elif one.natural > 0 and held >= one.natural:
        text += f", {held / one.natural:.2g} times its best image"
    else:
        text += f", no further than its best image ({number(one.natural)})"
    return text + _rank_said(own) + "."


def _rank_said(own: OwnPicture | None) -> str:
    if own is None or own.rank <= own.most_before:
        return ""
    return f", but {own.rank:,} of {own.n_units:,} units of its layer answer to it more than this one"
