"""What is a surface painted with?  Basic colors, textures, and a paint that joins one texture and two colors."""

from dataclasses import dataclass, field, replace

import numpy as np

COLORS: dict[str, tuple[float, float, float]] = {  # red, green, blue, 0-1, in neutral light
    "red": (0.84, 0.12, 0.15),
    "orange": (0.97, 0.52, 0.08),
    "yellow": (0.98, 0.86, 0.20),
    "green": (0.18, 0.60, 0.25),
    "blue": (0.15, 0.38, 0.82),
    "purple": (0.53, 0.22, 0.68),
    "brown": (0.44, 0.26, 0.12),
    "pink": (0.98, 0.62, 0.75),
    "white": (0.97, 0.97, 0.96),
    "grey": (0.55, 0.55, 0.56),
    "black": (0.08, 0.08, 0.09),
}
TEXTURES = ("flat", "stripes", "checks", "dots", "bricks", "grain")
COLOR_NAMES = tuple(COLORS)
PALETTE = np.array(list(COLORS.values()), dtype=np.float32)  # color channel
GRAIN_DARK = 0.55  # a dark grain, as a share of the lightest
NOISE = np.random.Generator(np.random.Philox(20)).random((256, 256), dtype=np.float32)  # a fixed table, tiled


@dataclass(frozen=True)
class Paint:
    """One paint per scene: arrays of shape (batch,)."""

    color: np.ndarray  # index into COLOR_NAMES
    second: np.ndarray | None = None  # the color of the texture's other half
    texture: np.ndarray | None = None  # index into TEXTURES; None: flat
    period: np.ndarray | None = None  # of the texture, in units of the frame
    shade: np.ndarray = field(default_factory=lambda: np.ones(1, np.float32))  # multiplies both colors

    def rows(self, rows: np.ndarray) -> "Paint":
        """The paints of some of the scenes."""
        parts = {name: value[rows] for name, value in vars(self).items() if value is not None and len(value) > 1}
        return replace(self, **parts)

    def is_textured(self) -> bool:
        """Whether any scene is."""
        return self.texture is not None and self.period is not None and bool(self.texture.any())

    def first_rgb(self) -> np.ndarray:
        """Batch channel 1 1."""
        return _planes(PALETTE[self.color], self.shade)

    def second_rgb(self) -> np.ndarray:
        """Batch channel 1 1; the dark half of a grain is a darker shade of the first color."""
        assert self.second is not None
        grainy = self.is_grain()[:, None]
        return _planes(np.where(grainy, GRAIN_DARK * PALETTE[self.color], PALETTE[self.second]), self.shade)

    def second_color(self) -> np.ndarray:
        """The color that the texture's other half counts as."""
        assert self.second is not None
        return np.where(self.is_grain(), self.color, self.second)

    def is_grain(self) -> np.ndarray:
        """Which scenes are painted with grain, whose outlines are no edges."""
        assert self.texture is not None
        return self.texture == TEXTURES.index("grain")


def named(color: str) -> Paint:
    """A flat paint of one basic color, the same in every scene."""
    return Paint(np.array([COLOR_NAMES.index(color)]))


def contrasting(color: np.ndarray, dark: str = "black", light: str = "white") -> Paint:
    """A dark paint for scenes whose color is light, a light one where it is dark."""
    luminance = PALETTE[color] @ np.array([0.3, 0.59, 0.11], dtype=np.float32)
    return Paint(np.where(luminance > 0.4, COLOR_NAMES.index(dark), COLOR_NAMES.index(light)))


def pattern(x: np.ndarray, y: np.ndarray, paint: Paint) -> np.ndarray | None:
    """Where does a texture show its second color?  A field, batch y x: positive there, in units of the frame.

    None where every scene is flat.  A flat scene among others is negative everywhere.
    """
    if not paint.is_textured():
        return None
    assert paint.texture is not None
    assert paint.period is not None
    pattern_field = np.full(x.shape, -1, dtype=np.float32)
    for index, draw in enumerate(_DRAWN, start=1):
        rows = np.flatnonzero(paint.texture == index)
        if len(rows):
            period = paint.period[rows, None, None]
            pattern_field[rows] = draw(x[rows] / period, y[rows] / period) * period
    return pattern_field


def _stripes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _wave(x)


def _checks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    across, along = _wave(x), _wave(y)
    return np.copysign(np.minimum(np.abs(across), np.abs(along)), across * along)


def _dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    cell_x, cell_y = x - np.round(x), y - np.round(y)
    return 0.3 - np.sqrt(cell_x * cell_x + cell_y * cell_y)


def _bricks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    row = np.round(y * 1.5)
    course = x * 0.75 + 0.5 * (row % 2)
    to_joint = np.minimum((0.5 - np.abs(course - np.round(course))) / 0.75, (0.5 - np.abs(y * 1.5 - row)) / 1.5)
    return 0.09 - to_joint


def _grain(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    column, row = np.floor(x * 5).astype(np.int32) & 255, np.floor(y * 5).astype(np.int32) & 255
    return NOISE[row, column] - 0.5


def _wave(x: np.ndarray) -> np.ndarray:
    """A triangle wave of slope 1 and period 1: the distance to the nearest of the lines x = k/2 + 1/4, with sign."""
    return np.abs(x - np.floor(x) - 0.5) - 0.25


def _planes(rgb: np.ndarray, shade: np.ndarray) -> np.ndarray:
    return np.minimum(rgb * shade[:, None], 1)[:, :, None, None].astype(np.float32)


_DRAWN = (_stripes, _checks, _dots, _bricks, _grain)  # in the order of TEXTURES, without "flat"
