"""Where in a network?  A layer, one of its units, or one neuron: `LAYER`, `LAYER:UNIT`, `LAYER:UNIT@y,x`."""

import re
from dataclasses import dataclass

from convscope.errors import UsageError

_FORM = re.compile(r"(?P<layer>[^:@]+)(?::(?P<unit>\d+)(?:@(?P<y>\d+),(?P<x>\d+))?)?")


@dataclass(frozen=True)
class Address:
    """A layer, and perhaps one unit of it, and perhaps one position (y, x) of its map."""

    layer: str
    unit: int | None = None
    position: tuple[int, int] | None = None

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Reads `layer3.0.conv1:17@4,9`. Raises UsageError for anything else."""
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise UsageError(
                f"'{text}' was given as a place in the network.",
                "That cannot be read.",
                "Write LAYER, LAYER:UNIT or LAYER:UNIT@y,x, as in layer3.0.conv1:17@4,9.",
            )
        unit = None if match["unit"] is None else int(match["unit"])
        position = None if match["y"] is None else (int(match["y"]), int(match["x"]))
        return cls(match["layer"], unit, position)

    def __str__(self) -> str:
        unit = "" if self.unit is None else f":{self.unit}"
        position = "" if self.position is None else f"@{self.position[0]},{self.position[1]}"
        return f"{self.layer}{unit}{position}"
