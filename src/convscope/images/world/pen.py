"""Where is this point, seen from the thing being drawn?  A pen draws shapes in a frame of its own on a sheet."""

from dataclasses import dataclass, replace

import numpy as np

from convscope.images.world.concepts import number_of
from convscope.images.world.paint import Paint
from convscope.images.world.shapes import Field, Number
from convscope.images.world.sheet import Sheet


@dataclass(frozen=True)
class Pen:
    """Draws in a frame whose x runs right and y down, -1 to 1 over the thing being drawn."""

    sheet: Sheet
    x: Field  # batch y x: coordinates of every pixel in this frame
    y: Field
    unit_px: np.ndarray  # (batch, 1, 1): pixels per unit of this frame
    object_number: int = 0  # what is drawn belongs to this object; 0: to none

    def at(self, x: Number, y: Number, size: Number = 1.0) -> "Pen":
        """The pen for a part centred at x, y whose own unit is `size` of this frame's."""
        moved_x, moved_y = self.x - x, self.y - y
        if isinstance(size, float) and size == 1.0:
            return replace(self, x=moved_x, y=moved_y)
        return replace(self, x=moved_x / size, y=moved_y / size, unit_px=self.unit_px * np.float32(size))

    def folded(self) -> "Pen":
        """What is drawn on the right appears on the left as well."""
        return replace(self, x=np.abs(self.x))

    def fill(self, field: Field, paint: Paint, part: str = "") -> None:
        """Paint the inside of a shape given in this frame; it counts as that part, or as none."""
        numbers = {"part": number_of("part", part) if part else 0, "object": self.object_number}
        self.sheet.paint(field * self.unit_px, (self.x, self.y, self.unit_px), paint, numbers)


def placed(sheet: Sheet, center_px: tuple[np.ndarray, np.ndarray], unit_px: np.ndarray, angle_deg: np.ndarray) -> Pen:
    """A pen whose frame sits at (y, x) pixels, turned counter-clockwise; one value per scene, shape (batch,)."""
    angle = np.radians(angle_deg)[:, None, None]
    cosine, sine = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    unit = unit_px[:, None, None].astype(np.float32)
    right = sheet.x - center_px[1][:, None, None].astype(np.float32)
    below = sheet.y - center_px[0][:, None, None].astype(np.float32)
    right, below = right / unit, below / unit
    return Pen(sheet, right * cosine - below * sine, right * sine + below * cosine, unit)
