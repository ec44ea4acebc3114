"""What do the parts look like that several objects share, and that also lie about loose?

Each is drawn in its own frame, -1 to 1.
"""

import numpy as np

from convscope.images.world import shapes
from convscope.images.world.paint import Paint, named
from convscope.images.world.pen import Pen
from convscope.images.world.shapes import Number


def eye(pen: Pen, iris: Paint | None = None, part: str = "eye") -> None:
    """A white almond with a dark pupil."""
    pen.fill(shapes.ellipse(pen.x, pen.y, 1.0, 0.78), named("white"), part)
    if iris is not None:
        pen.fill(shapes.disc(pen.x, pen.y, 0.66), iris, part)
    pen.fill(shapes.disc(pen.x, pen.y, 0.45), named("black"), part)


def wheel(pen: Pen, hub: Paint) -> None:
    """A black tyre with a hub."""
    pen.fill(shapes.disc(pen.x, pen.y, 1.0), named("black"), "wheel")
    pen.fill(shapes.disc(pen.x, pen.y, 0.5), hub, "wheel")


def spoked_wheel(pen: Pen, tyre: Paint) -> None:
    """A thin tyre with spokes that one can look through."""
    folded_x, folded_y = shapes.spokes(pen.x, pen.y, 8)
    spoke = shapes.box(folded_x - 0.5, folded_y, 0.5, 0.025)
    hub = shapes.disc(pen.x, pen.y, 0.14)
    rim = shapes.ring(shapes.disc(pen.x, pen.y, 0.88), 0.12)
    pen.fill(shapes.union(spoke, hub, rim), tyre, "wheel")


def window(pen: Pen, frame: Paint, pane: Paint) -> None:
    """Panes behind a frame with a cross."""
    pen.fill(shapes.box(pen.x, pen.y, 1.0, 1.0), frame, "window")
    pen.fill(shapes.box(np.abs(pen.x) - 0.46, np.abs(pen.y) - 0.46, 0.36, 0.36), pane, "window")


def pane(pen: Pen, glass: Paint, half_x: Number, half_y: Number) -> None:
    """A sheet of glass with round corners."""
    pen.fill(shapes.rounded_box(pen.x, pen.y, half_x, half_y, 0.04), glass, "window")


def porthole(pen: Pen, frame: Paint, glass: Paint) -> None:
    """A round window in a frame."""
    pen.fill(shapes.disc(pen.x, pen.y, 1.0), frame, "window")
    pen.fill(shapes.disc(pen.x, pen.y, 0.65), glass, "window")


def door(pen: Pen, paint: Paint, knob: Paint) -> None:
    """An upright door with a knob."""
    pen.fill(shapes.box(pen.x, pen.y, 0.55, 1.0), paint, "door")
    pen.fill(shapes.disc(pen.x - 0.3, pen.y, 0.13), knob, "door")


def leaf(pen: Pen, paint: Paint) -> None:
    """A pointed leaf along x."""
    lens = np.maximum(shapes.disc(pen.x, pen.y - 0.85, 1.31), shapes.disc(pen.x, pen.y + 0.85, 1.31))
    pen.fill(lens, paint, "leaf")
