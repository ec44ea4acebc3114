"""What do a bus, a car, a bicycle and a ship look like?  They share wheels and windows; all face right."""

from dataclasses import replace

import numpy as np

from convscope.images.world import parts, shapes
from convscope.images.world.look import Look, only_where
from convscope.images.world.paint import named
from convscope.images.world.pen import Pen


def bus(pen: Pen, look: Look) -> None:
    """A long box with a row of windows, a door, two wheels and a headlight."""
    height, wheel_x = look.trait(0, 0.4, 0.54), look.trait(1, 0.5, 0.62)
    top = 0.42 - 2 * height
    middle = pen.at(0.0, 0.42 - height)
    pen.fill(shapes.rounded_box(middle.x, middle.y, 0.98, height, 0.12), look.body)
    band = pen.at(0.0, look.trait(2, 0.12, 0.22), reach=(0.98, 0.06))
    band.fill(shapes.box(band.x, band.y, 0.975, 0.05), look.trim)
    glass = pen.at(-0.2, top + 0.3, reach=(0.7, 0.18))
    apart = np.abs(np.abs(glass.x) - 0.36) - 0.18  # four in a row: folded twice
    parts.pane(_with_x(glass, apart), look.detail, 0.14, 0.17)
    entrance = pen.at(0.7, 0.42 - height + 0.06, reach=(0.16, height))
    entrance.fill(shapes.rounded_box(entrance.x, entrance.y, 0.16, height - 0.14, 0.03), look.trim, "door")
    pane = entrance.at(0.0, -0.12)
    pane.fill(shapes.box(pane.x, pane.y, 0.11, height - 0.32), look.detail, "door")
    _lights(pen, 0.92, 0.24)
    parts.wheel(pen.at(-wheel_x, 0.44, 0.21), named("grey"))
    parts.wheel(pen.at(wheel_x - 0.14, 0.44, 0.21), named("grey"))


def car(pen: Pen, look: Look) -> None:
    """A low body with a cabin, two windows, a door, two wheels and a headlight."""
    roof_y, wheel_x = look.trait(0, -0.5, -0.36), look.trait(1, 0.52, 0.6)
    slant = look.trait(2, 0.18, 0.36)
    cabin = [(-0.5, roof_y), (0.28, roof_y), (0.32 + slant, 0.02), (-0.62 - 0.4 * slant, 0.02)]
    hull = pen.at(0.0, 0.18)
    lower = shapes.rounded_box(hull.x, hull.y, 0.98, 0.24, 0.16)
    pen.fill(shapes.union(shapes.polygon(pen.x, pen.y, cabin), lower), look.body)
    glass_top = roof_y + 0.08
    rear = [(-0.43, glass_top), (-0.14, glass_top), (-0.14, -0.04), (-0.54 - 0.2 * slant, -0.04)]
    front = [(-0.04, glass_top), (0.24, glass_top), (0.24 + 0.8 * slant, -0.04), (-0.04, -0.04)]
    cab = pen.near(0.0, -0.22, 0.65, 0.22)
    cab.fill(shapes.polygon(cab.x, cab.y, rear), look.detail, "window")
    cab.fill(shapes.polygon(cab.x, cab.y, front), look.detail, "window")
    panel = pen.at(-0.02, 0.16, reach=(0.27, 0.17))
    panel.fill(shapes.rounded_box(panel.x, panel.y, 0.27, 0.17, 0.03), look.trim, "door")
    bumper = pen.at(0.0, 0.34, reach=(1.03, 0.07))
    bumper.fill(shapes.rounded_box(np.abs(bumper.x) - 0.92, bumper.y, 0.1, 0.06, 0.04), named("grey"), "bumper")
    _lights(pen, 0.86, 0.12)
    parts.wheel(pen.at(-wheel_x, 0.42, 0.25), named("grey"))
    parts.wheel(pen.at(wheel_x, 0.42, 0.25), named("grey"))


def bicycle(pen: Pen, look: Look) -> None:
    """Two spoked wheels, a frame, a saddle and a handlebar."""
    radius, apart = look.trait(0, 0.36, 0.42), look.trait(1, 0.54, 0.6)
    hub_y, bar_y = 0.34, look.trait(2, -0.5, -0.36)
    sides = pen.folded()
    parts.spoked_wheel(sides.at(apart, hub_y, radius), look.trim)
    crank, seat, head = (-0.06, hub_y + 0.04), (-0.22, -0.24), (0.36, -0.26)
    tubes = [
        (seat, crank),
        (crank, head),
        (seat, head),
        (seat, (-apart, hub_y)),
        (crank, (-apart, hub_y)),
        (head, (apart, hub_y)),
    ]
    middle = pen.near(0.0, 0.06, 0.68, 0.38)
    strokes = [shapes.bar(middle.x, middle.y, start, end, 0.05) for start, end in tubes]
    middle.fill(shapes.union(*strokes), look.body, "frame")
    front = pen.near(0.42, -0.44, 0.18, 0.26)
    stem = shapes.bar(front.x, front.y, head, (0.32, bar_y), 0.04)
    grip = shapes.bar(front.x, front.y, (0.32, bar_y), (0.52, bar_y + look.trait(3, -0.12, 0.12)), 0.055)
    front.fill(shapes.union(stem, grip), look.detail, "handlebar")
    rear = pen.near(-0.24, -0.34, 0.22, 0.16)
    pad = shapes.bar(rear.x, rear.y, (-0.36, -0.38), (-0.12, -0.36), 0.075)
    post = shapes.bar(rear.x, rear.y, (-0.25, -0.36), seat, 0.04)
    rear.fill(shapes.union(pad, post), look.detail, "saddle")


def ship(pen: Pen, look: Look) -> None:
    """A hull with portholes; above it either sails on a mast or a cabin with windows and a chimney."""
    deck, steams = look.trait(0, 0.2, 0.34), look.chosen(1, 0.45)
    mast_x, top = look.trait(2, -0.12, 0.08), look.trait(3, -0.98, -0.8)
    rig = pen.near(mast_x, -0.3, 0.05, 0.75)
    mast = shapes.bar(rig.x, rig.y, (mast_x, top), (mast_x, 0.4), 0.04)
    rig.fill(only_where(~steams, mast), named("brown"), "mast")
    main = [(mast_x + 0.07, top + 0.06), (mast_x + look.trait(4, 0.6, 0.78), deck - 0.1), (mast_x + 0.07, deck - 0.1)]
    jib = [(mast_x - 0.07, top + 0.2), (mast_x - 0.07, deck - 0.1), (mast_x - look.trait(5, 0.4, 0.65), deck - 0.1)]
    sails = shapes.union(shapes.polygon(pen.x, pen.y, main), shapes.polygon(pen.x, pen.y, jib))
    pen.fill(only_where(~steams, sails), look.trim, "sail")
    funnel = pen.at(-0.12, -0.36, reach=(0.15, 0.34))
    funnel.fill(only_where(steams, shapes.box(funnel.x, funnel.y, 0.14, 0.34)), look.detail, "chimney")
    funnel.fill(only_where(steams, shapes.box(funnel.x, funnel.y + 0.2, 0.141, 0.08)), named("black"), "chimney")
    cabin = pen.at(-0.06, 0.08, reach=(0.54, 0.24))
    cabin.fill(only_where(steams, shapes.box(cabin.x, cabin.y, 0.54, 0.24)), look.trim)
    glass = only_where(steams, shapes.box(np.abs(np.abs(cabin.x) - 0.24) - 0.12, cabin.y + 0.06, 0.075, 0.09))
    cabin.fill(glass, look.detail, "window")
    hull = shapes.polygon(pen.x, pen.y, [(-0.95, deck), (0.98, deck - 0.06), (0.62, 0.72), (-0.68, 0.72)])
    pen.fill(hull, look.body, "hull")
    row = _with_x(pen.at(0.0, deck + 0.17), np.abs(np.abs(pen.x) - 0.2) - 0.2)
    parts.porthole(row.at(0.0, 0.0, 0.1), named("white"), look.detail)


def _with_x(pen: Pen, x: np.ndarray) -> Pen:
    return replace(pen, x=x)


def _lights(pen: Pen, x: float, y: float) -> None:
    lamp = pen.at(x, y, reach=(0.1, 0.1))
    lamp.fill(shapes.disc(lamp.x, lamp.y, 0.1), named("white"), "headlight")
    lamp.fill(shapes.disc(lamp.x, lamp.y, 0.065), named("yellow"), "headlight")
