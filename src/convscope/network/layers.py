"""What layers does a network have?  One row each: name, kind, shape, receptive field, parameters, MACs, what it reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from convscope.errors import UnknownNameError
from convscope.graph.graph import INPUT, Graph, Step
from convscope.walks.cost import Cost, costs, total
from convscope.walks.receptive_field import ReceptiveField, receptive_fields


@dataclass(frozen=True)
class Layer:
    """One named point of a network."""

    name: str
    op: str  # the operation: conv2d, relu, max_pool2d ...
    kind: str  # its family: conv, activation, pool ...
    shape: tuple[int, ...]  # `unit y x`, or `unit`
    receptive_field: ReceptiveField | None  # None above an operation whose rule is missing
    n_parameters: int
    n_macs: int
    reads: tuple[str, ...]  # the layers it takes its values from
    where: str  # file, line and code

    @property
    def n_units(self) -> int:
        return self.shape[0]

    @property
    def map_shape(self) -> tuple[int, int] | None:
        """(y, x) of its maps; None for a vector."""
        return (self.shape[1], self.shape[2]) if len(self.shape) == 3 else None

    def as_dict(self) -> dict[str, Any]:
        """The row, fit for JSON; sizes in pixels of the input."""
        field = self.receptive_field
        seen = None
        if field is not None:
            seen = {
                "global": field.is_global,
                "size_px": list(field.size_px),
                "stride_px": list(field.stride_px),
                "offset_px": list(field.offset_px),
            }
        return {
            "name": self.name,
            "op": self.op,
            "kind": self.kind,
            "shape": list(self.shape),
            "receptive_field": seen,
            "parameters": self.n_parameters,
            "macs": self.n_macs,
            "reads": list(self.reads),
            "where": self.where,
        }


class Layers(Sequence[Layer]):
    """The table of layers, in the order they are computed; a row is found by number or by name."""

    def __init__(self, graph: Graph) -> None:
        missing: list[Step] = []
        fields = receptive_fields(graph, missing)
        found = costs(graph)
        reads = _reads(graph)
        self.total: Cost = total(found)
        self.without_field = tuple(missing)  # steps the receptive-field walk has no rule for
        self._rows = tuple(_row(step, fields, found, reads) for step in graph.layers)
        self._by_name = {row.name: row for row in self._rows}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)

    @overload
    def __getitem__(self, key: int | str) -> Layer: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Layer, ...]: ...
    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return self._rows[key]
        if key not in self._by_name:
            raise UnknownNameError("layer", key, self.names)
        return self._by_name[key]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._rows)

    def of_kind(self, *kinds: str) -> tuple[Layer, ...]:
        """The layers of these families, `layers.of_kind("conv")`."""
        return tuple(row for row in self._rows if row.kind in kinds)

    def as_dicts(self) -> list[dict[str, Any]]:
        """All rows, fit for JSON."""
        return [row.as_dict() for row in self._rows]

    def __str__(self) -> str:
        rows = [HEADER, *(cells(row) for row in self._rows)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
        return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)

    __repr__ = __str__


HEADER = ("layer", "operation", "unit y x", "field px", "stride", "parameters", "MACs", "reads")


def cells(row: Layer) -> tuple[str, ...]:
    """A row as short text, in the order of HEADER."""
    field = row.receptive_field
    size, stride = "?", "?"
    if field is not None:
        size = "global" if field.is_global else _pair(field.size_px)
        stride = "" if field.is_global else _pair(field.stride_px)
    shape = " x ".join(map(str, row.shape))
    reads = ", ".join(row.reads)
    return row.name, row.op, shape, size, stride, count(row.n_parameters), count(row.n_macs), reads


def count(n: int) -> str:
    """A number of things, short: 12, 3.4 k, 1.8 M, 4.1 G; nothing for 0."""
    for unit, factor in ((" G", 1e9), (" M", 1e6), (" k", 1e3)):
        if n >= 0.9995 * factor:
            return f"{n / factor:.3g}{unit}"
    return str(n) if n else ""


def _pair(sizes: tuple[float, float]) -> str:
    y, x = (f"{size:g}" for size in sizes)
    return y if y == x else f"{y} x {x}"


def _row(
    step: Step, fields: dict[str, ReceptiveField], found: dict[str, Cost], reads: dict[str, tuple[str, ...]]
) -> Layer:
    layout = step.layout[0]
    assert layout is not None
    return Layer(
        name=step.name,
        op=step.op,
        kind=step.kind,
        shape=layout.map_shape,
        receptive_field=fields.get(step.name),
        n_parameters=found[step.name].n_parameters,
        n_macs=found[step.name].n_macs,
        reads=reads[step.name],
        where=step.where,
    )


def _reads(graph: Graph) -> dict[str, tuple[str, ...]]:
    """For each step, the layers (or the input) it reads, through whatever only moves values about."""
    sources: dict[str, tuple[str, ...]] = {INPUT: (INPUT,)}
    reads: dict[str, tuple[str, ...]] = {}
    for step in graph.steps:
        found = tuple(dict.fromkeys(source for name in step.inputs for source in sources[name]))
        reads[step.name] = found
        sources[step.name] = (step.name,) if step.is_layer else found
    return reads
