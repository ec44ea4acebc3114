"""What do a face, a cat and a fish look like?  They share eyes, noses, mouths and ears."""

import numpy as np

from convscope.images.world import parts, shapes
from convscope.images.world.look import Look, only_where
from convscope.images.world.paint import Paint, contrasting
from convscope.images.world.pen import Pen


def face(pen: Pen, look: Look) -> None:
    """Hair, ears, brows, eyes, a nose and a mouth on an upright head."""
    width, eye_x, eye_y = look.trait(0, 0.58, 0.72), look.trait(1, 0.24, 0.32), look.trait(2, -0.16, -0.04)
    hair_line = look.trait(3, -0.56, -0.36)
    ink = contrasting(look.body.color)
    sides = pen.folded()
    long_hair = shapes.rounded_box(pen.x, pen.y - 0.12, width + 0.16, 0.62, 0.3)
    behind = shapes.ellipse(pen.x, pen.y + 0.16, width + 0.14, 0.82)
    is_long = look.chosen(4, 0.45)
    pen.fill(np.minimum(behind, only_where(is_long, long_hair)), look.trim, "hair")
    level = pen.near(0.0, 0.02, width + 0.14, 0.2)
    ear = level.folded().at(width, 0.02)
    level.fill(only_where(~is_long, shapes.ellipse(ear.x, ear.y, 0.14, 0.2)), look.body, "ear")
    head = shapes.ellipse(pen.x, pen.y - 0.06, width, 0.86)
    pen.fill(head, look.body)
    fringe = pen.y - hair_line - look.trait(5, -0.3, 0.3) * pen.x - 0.35 * pen.x * pen.x
    pen.fill(np.maximum(head - 0.015, fringe), look.trim, "hair")
    brow = sides.at(eye_x, eye_y - 0.2, reach=(0.18, 0.12))
    tilt = look.trait(6, -0.07, 0.07)
    brow.fill(shapes.bar(brow.x, brow.y, (-0.13, tilt), (0.13, -tilt), 0.04), look.trim, "brow")
    parts.eye(sides.at(eye_x, eye_y, 0.15), look.detail)
    nose = pen.at(0.0, 0.2, reach=(0.12, 0.23))
    nose.fill(shapes.polygon(nose.x, nose.y, [(0.0, -0.22), (0.11, 0.09), (-0.11, 0.09)]), ink, "nose")
    mouth = pen.at(0.0, 0.52, reach=(0.36, 0.22))
    mouth.fill(
        shapes.smile(mouth.x, mouth.y, look.trait(7, 0.2, 0.32), look.trait(8, -0.5, 1.3), 0.055), _lips(look), "mouth"
    )


def cat(pen: Pen, look: Look) -> None:
    """Pointed ears and whiskers on a broad head."""
    width, eye_x = look.trait(0, 0.72, 0.86), look.trait(1, 0.3, 0.38)
    tip_x, tip_y = look.trait(2, 0.62, 0.84), look.trait(3, -0.98, -0.8)
    ink = contrasting(look.body.color)
    sides = pen.folded()
    outer = [(tip_x, tip_y), (width - 0.02, 0.1), (0.18, -0.42)]
    pen.fill(shapes.polygon(sides.x, sides.y, outer), look.body, "ear")
    inner = [(tip_x - 0.03, tip_y + 0.17), (width - 0.16, -0.15), (0.36, -0.42)]
    pen.fill(shapes.polygon(sides.x, sides.y, inner), look.trim, "ear")
    pen.fill(shapes.ellipse(pen.x, pen.y - 0.15, width, look.trait(4, 0.6, 0.7)), look.body)
    parts.eye(sides.at(eye_x, -0.03, 0.17), look.detail)
    muzzle = sides.at(0.12, 0.42, reach=(0.18, 0.18))
    muzzle.fill(shapes.disc(muzzle.x, muzzle.y, 0.17), look.trim)
    nose = pen.at(0.0, 0.26, reach=(0.13, 0.12))
    nose.fill(shapes.polygon(nose.x, nose.y, [(-0.12, -0.07), (0.12, -0.07), (0.0, 0.1)]), ink, "nose")
    lip = sides.at(0.11, 0.5, reach=(0.16, 0.16))
    lip.fill(shapes.smile(lip.x, lip.y, 0.12, look.trait(5, 3.0, 6.0), 0.035), ink, "mouth")
    spread = look.trait(6, 0.08, 0.16)
    whiskers = [
        shapes.bar(sides.x, sides.y, (0.34, 0.4 + 0.06 * k), (1.0, 0.36 + spread * k), 0.022) for k in (-1, 0, 1)
    ]
    pen.fill(shapes.union(*whiskers), ink, "whisker")


def fish(pen: Pen, look: Look) -> None:
    """A tail, fins, one eye and a mouth, swimming to the right."""
    height = look.trait(0, 0.4, 0.56)
    tail = [(-0.45, 0.0), (-0.98, look.trait(1, 0.34, 0.52)), (-0.84, 0.0), (-0.98, -look.trait(1, 0.34, 0.52))]
    lower = shapes.polygon(pen.x, pen.y, [tail[0], tail[1], tail[2]])
    upper = shapes.polygon(pen.x, pen.y, [tail[0], tail[2], tail[3]])
    pen.fill(shapes.union(lower, upper), look.trim, "tail")
    peak = look.trait(2, -0.3, 0.2)
    back = [(-0.42, -0.15), (peak, -height - 0.26), (0.38, -0.2)]
    belly = [(-0.2, 0.2), (0.25, 0.25), (-0.15, height + 0.2)]
    pen.fill(shapes.polygon(pen.x, pen.y, back), look.trim, "fin")
    pen.fill(shapes.polygon(pen.x, pen.y, belly), look.trim, "fin")
    pen.fill(_lens(pen, height), look.body)
    fin = pen.at(0.05, 0.12, reach=(0.25, 0.18))
    fin.fill(shapes.polygon(fin.x, fin.y, [(0.14, 0.0), (-0.24, 0.17), (-0.2, -0.1)]), look.trim, "fin")
    parts.eye(pen.at(0.56, -0.1, 0.13))
    mouth = pen.at(0.8, 0.1, reach=(0.16, 0.1))
    mouth.fill(shapes.bar(mouth.x, mouth.y, (-0.12, 0.05), (0.1, 0.0), 0.035), _lips(look), "mouth")


def _lens(pen: Pen, height: np.ndarray) -> np.ndarray:
    """Two arcs that meet in points at nose and tail: x from -0.65 to 0.95, half height as given."""
    radius = (0.8 * 0.8 + height * height) / (2 * height)
    along, below = pen.x - 0.15, radius - height
    return np.maximum(shapes.disc(along, pen.y - below, radius), shapes.disc(along, pen.y + below, radius))


def _lips(look: Look) -> Paint:
    return contrasting(look.body.color, dark="red", light="white")
