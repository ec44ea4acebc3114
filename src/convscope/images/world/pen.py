"""Where is this point, seen from the thing being drawn?  A pen draws shapes in a frame of its own on a sheet."""

from dataclasses import dataclass, replace

import numpy as np

from convscope.images.world.concepts import number_of
from convscope.images.world.paint import Paint
from convscope.images.world.shapes import Field, Number
from convscope.images.world.sheet import Window, surroundings, windows

COARSE_PX = 4  # of every so many pixels along y and x, one is asked where a part lies
MARGIN_PX = 5  # round a part, for soft outlines and their slopes


@dataclass(frozen=True)
class Pen:
    """Draws in a frame whose x runs right and y down, -1 to 1 over the thing being drawn."""

    window: Window
    x: Field  # batch y x: coordinates of every pixel of the window in this frame
    y: Field
    unit_px: np.ndarray  # (batch, 1, 1): pixels per unit of this frame
    step: np.ndarray  # (batch, 1, 1): units from a pixel to the next, at most
    object_number: int = 0  # what is drawn belongs to this object; 0: to none

    def at(self, x: Number, y: Number, size: Number = 1.0, reach: tuple[Number, Number] | None = None) -> "Pen":
        """The pen for a part centred at x, y whose own unit is `size` of this frame's.

        With a size or a reach, it draws only in a window round what lies within `reach` (along x and y, in this
        frame's units; else within `size`) of there.
        """
        if isinstance(size, float) and size == 1.0:
            near = self if reach is None else self.near(x, y, *reach)
            return replace(near, x=near.x - x, y=near.y - y)
        near = self.near(x, y, *(reach or (size, size)))
        unit_px = near.unit_px * np.float32(size)
        return replace(near, x=(near.x - x) / size, y=(near.y - y) / size, unit_px=unit_px, step=near.step / size)

    def near(self, x: Number, y: Number, reach_x: Number, reach_y: Number) -> "Pen":
        """The same frame in a window round what lies within `reach` of x, y: less to draw."""
        margin = (MARGIN_PX + COARSE_PX) * self.step
        samples = (slice(None), *[slice(COARSE_PX // 2, None, COARSE_PX)] * 2)
        touched = np.abs(self.x[samples] - x) < reach_x + margin
        touched &= np.abs(self.y[samples] - y) < reach_y + margin
        top, left, size = surroundings(touched, COARSE_PX // 2, self.window.size, COARSE_PX)
        corners = np.arange(len(top)), top, left
        cut_x, cut_y = windows(self.x, size)[corners], windows(self.y, size)[corners]
        return replace(self, window=self.window.part(top, left, size), x=cut_x, y=cut_y)

    def folded(self) -> "Pen":
        """What is drawn on the right appears on the left as well."""
        return replace(self, x=np.abs(self.x))

    def fill(self, field: Field, paint: Paint, part: str = "") -> None:
        """Paint the inside of a shape given in this frame; it counts as that part, or as none."""
        numbers = {"part": number_of("part", part) if part else 0, "object": self.object_number}
        self.window.paint(field * self.unit_px, (self.x, self.y, self.unit_px), paint, numbers)


def placed(window: Window, center_px: tuple[np.ndarray, np.ndarray], unit_px: np.ndarray, angle_deg: np.ndarray) -> Pen:
    """A pen whose frame sits at (y, x) pixels, turned counter-clockwise; one value per scene, shape (batch,)."""
    angle = np.radians(angle_deg)[:, None, None]
    cosine, sine = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    unit = unit_px[:, None, None].astype(np.float32)
    right = (window.x() - center_px[1][:, None, None].astype(np.float32)) / unit
    below = (window.y() - center_px[0][:, None, None].astype(np.float32)) / unit
    return Pen(window, right * cosine - below * sine, right * sine + below * cosine, unit, 1 / unit)
