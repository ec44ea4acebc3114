"""What do a house, a tree and a flower look like?  The house shares windows with vehicles, the plants share leaves."""

from dataclasses import replace
from typing import Any

import numpy as np

from convscope.images.world import parts, shapes
from convscope.images.world.look import Look, only_where
from convscope.images.world.paint import contrasting
from convscope.images.world.pen import Pen


def house(pen: Pen, look: Look) -> None:
    """Walls under a pointed roof with a chimney; a door and two windows."""
    width, eaves = look.trait(0, 0.58, 0.76), look.trait(1, -0.26, -0.04)
    ridge, door_x = look.trait(2, -0.98, -0.8), look.trait(3, -0.12, 0.12)
    stack_x = look.trait(4, 0.3, 0.46)
    above = pen.near(stack_x, -0.66, 0.11, 0.28)
    stack = above.at(stack_x, -0.66)
    above.fill(shapes.box(stack.x, stack.y, 0.11, 0.28), look.body, "chimney")
    half_height = (0.86 - eaves) / 2
    walls = pen.at(0.0, 0.86 - half_height)
    pen.fill(shapes.box(walls.x, walls.y, width, half_height), look.body)
    roof = shapes.polygon(pen.x, pen.y, [(0.0, ridge), (width + 0.2, eaves), (-width - 0.2, eaves)])
    pen.fill(roof, look.trim, "roof")
    parts.door(pen.at(door_x, 0.56, 0.3), look.trim, contrasting(look.trim.color))
    panes = pen.folded().at(width - 0.2, look.trait(5, 0.1, 0.26), look.trait(6, 0.13, 0.17))
    parts.window(panes, contrasting(look.body.color), look.detail)


def tree(pen: Pen, look: Look) -> None:
    """A trunk under a round or a pointed crown."""
    half_trunk, is_pointed = look.trait(0, 0.09, 0.16), look.chosen(1, 0.4)
    base = pen.at(0.0, 0.55, reach=(0.22, 0.43))
    base.fill(shapes.box(base.x, base.y, half_trunk + 0.1 * base.y, 0.43), look.trim, "trunk")
    branch = look.trait(2, 0.25, 0.4)
    arms = shapes.bar(pen.folded().x, pen.y, (0.02, 0.42), (branch, 0.08), 0.05)
    pen.fill(only_where(~is_pointed, arms), look.trim, "trunk")
    lobe, lift = look.trait(3, 0.38, 0.48), look.trait(4, -0.6, -0.46)
    sides = pen.folded().at(0.42, -0.12)
    upper = pen.at(0.0, lift)
    round_crown = shapes.union(
        shapes.disc(sides.x, sides.y, lobe - 0.04),
        shapes.disc(upper.x, upper.y, lobe),
        shapes.disc(pen.x, pen.y + 0.2, 0.4),
    )
    wide = look.trait(5, 0.5, 0.68)
    tiers: list[list[tuple[Any, Any]]] = [
        [(0.0, -0.98 + 0.4 * k), (wide * (0.55 + 0.225 * k), -0.36 + 0.4 * k)] for k in range(3)
    ]
    pointed = shapes.union(*(shapes.polygon(pen.x, pen.y, [t[0], t[1], (-t[1][0], t[1][1])]) for t in tiers))
    pen.fill(np.where(is_pointed, pointed, round_crown), look.body, "crown")


def flower(pen: Pen, look: Look) -> None:
    """Petals around a centre, on a stem with two leaves."""
    head_y, length = look.trait(0, -0.46, -0.34), look.trait(1, 0.46, 0.54)
    lean = look.trait(2, -0.2, 0.2)
    stem = pen.x - lean * (pen.y - head_y) * (pen.y - 0.95) * 1.5
    pen.fill(np.maximum(np.abs(stem) - 0.05, np.abs(pen.y - 0.28) - 0.7), look.trim, "stem")
    leaf_y = look.trait(3, 0.45, 0.65)
    turned = pen.folded().at(0.3, leaf_y, 0.3)
    cosine, sine = 0.85, 0.53
    tilted = replace(turned, x=turned.x * cosine - turned.y * sine, y=turned.x * sine + turned.y * cosine)
    parts.leaf(tilted, look.trim)
    head = pen.at(0.0, head_y)
    is_five = look.chosen(4, 0.5)
    petals = np.where(is_five, _petals(head, 5, length), _petals(head, 8, length))
    pen.fill(petals, look.body, "petal")
    pen.fill(shapes.disc(head.x, head.y, look.trait(5, 0.15, 0.22)), look.detail)


def _petals(pen: Pen, n: int, length: np.ndarray) -> np.ndarray:
    along, across = shapes.spokes(pen.x, pen.y, n)
    return shapes.ellipse(along - 0.55 * length, across, 0.5 * length, 0.95 * length / n)
