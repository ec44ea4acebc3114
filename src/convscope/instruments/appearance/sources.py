"""Which units below does each input channel of a convolution or dense layer hold?  Each unit's number is sent along, and read.

Between two layers there may be steps that only move values about: slices, shuffles, concatenations with zeros, reshapes. They are
carried out on maps that hold, in place of responses, the number of their unit (and once more, of their position).
"""

from dataclasses import dataclass
from math import prod

import torch

from convscope.errors import UsageError
from convscope.graph.graph import INPUT, Graph, Ref, Step
from convscope.walks.forward import plan

Source = tuple[str, int]  # a layer below and one of its units
NOTHING: Source = ("", -1)  # of a channel that holds zeros


@dataclass(frozen=True, eq=False)
class Held:
    """What the input channels (or features) of a step hold."""

    sources: tuple[Source, ...]  # for each channel
    positions: tuple[int, ...] | None  # for a flattened map, where in the map each feature stands; else None
    size: tuple[int, int]  # (y, x) of the maps that were flattened; (1, 1) where none were


def held_by(graph: Graph, step: Step, reads: tuple[str, ...]) -> Held:
    """What a convolution's or dense layer's input channels hold, of the layers it `reads`.

    Raises UsageError where one channel holds different units at different positions.
    """
    first = step.argument(0, "input")
    assert isinstance(first, Ref)
    of_code: list[Source] = [NOTHING]
    units: dict[str, torch.Tensor] = {}
    places: dict[str, torch.Tensor] = {}
    size = (1, 1)
    for name in reads:
        layout = graph.input_layout if name == INPUT else graph[name].layout[0]
        assert layout is not None
        n, *extent = layout.map_shape
        size = (extent[0], extent[1]) if len(extent) == 2 else (1, prod(extent))
        codes = torch.arange(len(of_code), len(of_code) + n).reshape(1, n, *[1] * len(extent))
        place = torch.arange(prod(extent)).reshape(1, 1, *extent)
        units[name], places[name] = (
            layout.from_map(numbers.float().expand(1, n, *extent).contiguous()) for numbers in (codes, place)
        )
        of_code += [(name, unit) for unit in range(n)]
    codes, where = (_by_channel(_sent(graph, first.step, values), step) for values in (units, places))
    highest, lowest = codes.amax(1), torch.where(codes > 0, codes, torch.inf).amin(1)
    if bool(((highest > 0) & (highest != lowest)).any()):
        raise UsageError(
            f"The weights of '{step.name}' were asked for.",
            "Its input channels each hold several units of the layers below.",
            "Ask for those of another layer.",
        )
    sources = tuple(of_code[int(code)] for code in highest)
    flattened = step.op == "linear" and codes.shape[1] == 1 and size != (1, 1)
    return Held(sources, tuple(int(p) for p in where[:, 0]) if flattened else None, size if flattened else (1, 1))


def _sent(graph: Graph, wanted: str, values: dict[str, torch.Tensor]) -> torch.Tensor:
    """What arrives at a step when the layers below it hold these values."""
    if wanted in values:
        return values[wanted]
    sent: torch.Tensor = plan(graph, [wanted], given=tuple(values))(values, (1, *graph.input_shape[1:]))[wanted]
    return sent


def _by_channel(value: torch.Tensor, step: Step) -> torch.Tensor:
    """`channel place`: of a convolution the channels come second, of a dense layer last."""
    first = value[0] if step.op == "conv2d" else value.movedim(-1, 0)
    return first.reshape(first.shape[0], -1)
