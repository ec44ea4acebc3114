"""What does a card say in a few sentences?  What the unit answers to, and how sure that is."""

from convscope.images import Images
from convscope.instruments.appearance.exemplars import UnitExemplars
from convscope.instruments.appearance.own_picture import OwnPicture
from convscope.network import Network
from convscope.see import optimised, patches
from convscope.see.asked import Asked
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
    made: optimised.Pictures | None,
) -> str:
    """What it answers to, and how sure that is, in a few sentences."""
    parts = [said]
    if shown is not None and images is not None:
        if not shown.patches:
            parts.append(
                f"It is above zero in none of {shown.n_images:,} images: it is dead, as far as these can tell."
            )
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
    if one.natural is None:
        return f"Its optimised picture drives it to {number(one.value)}."
    if one.natural > 0 and not one.reached_ceiling:
        text = f"Its optimised picture drives it to {number(one.value)}, {one.value / one.natural:.2g} times its best image"
    else:
        text = f"Its optimised picture drives it to {number(one.value)}, its best image to {number(one.natural)}"
    return text + _rank_said(own) + "."


def _rank_said(own: OwnPicture | None) -> str:
    if own is None:
        return ""
    if own.is_own:
        return ""
    return f", but {own.rank:,} of {own.n_units:,} units of its layer answer to it more than this one"
