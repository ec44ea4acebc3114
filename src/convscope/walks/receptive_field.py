"""Which pixels can a neuron see?  The theoretical receptive field of every layer, exactly, position by position.

For each axis and each position of a layer the walk keeps the first and the last pixel that can change the neuron there: through
convolutions and pooling of any stride, dilation and padding, sums and concatenations of branches, slices, resampling, and
across the whole image where an operation mixes all positions (squeeze-excitation, attention, dense layers). Beside them go the
size, stride and start that hold away from the borders (Araujo, Norris and Sim 2019, doi:10.23915/distill.00021, eq. 1 to 3).
"""

from dataclasses import dataclass

from convscope.errors import MissingRuleError
from convscope.graph.graph import INPUT, Graph, Step
from convscope.graph.layout import X, Y
from convscope.walks.axis_field import AxisField, pixels
from convscope.walks.field_rules import Axes, Seen, no_rule, rule_for


@dataclass(frozen=True)
class ReceptiveField:
    """What the neurons of one layer see of the image."""

    y: AxisField
    x: AxisField

    @property
    def size_px(self) -> tuple[float, float]:
        """Height and width away from the borders."""
        return self.y.size_px, self.x.size_px

    @property
    def stride_px(self) -> tuple[float, float]:
        """How far the field moves between neighbouring neurons."""
        return self.y.stride_px, self.x.stride_px

    @property
    def offset_px(self) -> tuple[float, float]:
        """Centre of the field of the neuron at (0, 0), pixel centres at half integers; may lie outside the image."""
        return self.y.center_px, self.x.center_px

    @property
    def is_global(self) -> bool:
        """Whether every neuron sees the whole image because some operation mixes all positions."""
        return self.y.is_global and self.x.is_global

    def region(self, y: int, x: int) -> tuple[slice, slice]:
        """The pixels the neuron at (y, x) can see, cut at the border of the image."""
        return self.y.span(y), self.x.span(x)


def receptive_fields(graph: Graph, missing: list[Step] | None = None) -> dict[str, ReceptiveField]:
    """The receptive field of every step that depends on the image; where branches differ, of the rectangle round them.

    An operation without a rule raises MissingRuleError; given a list, its step is put there instead, and the steps above it are
    left out.
    """
    rows, columns = graph.input_shape[1:]
    fields: dict[str, Axes] = {INPUT: {Y: pixels(rows), X: pixels(columns)}}
    dependent = graph.above([INPUT])
    for step in graph.steps:
        inputs = [name for name in step.inputs if name in dependent]
        if step.name not in dependent or any(name not in fields for name in inputs):
            continue
        try:
            fields[step.name] = _field(graph, step, {name: fields[name] for name in inputs})
        except MissingRuleError:
            if missing is None:
                raise
            missing.append(step)
    return {name: ReceptiveField(field[Y], field[X]) for name, field in fields.items() if name != INPUT}


def _field(graph: Graph, step: Step, inputs: dict[str, Axes]) -> Axes:
    layouts = {name: (graph.input_layout,) if name == INPUT else graph[name].layout for name in inputs}
    seen = {name: Seen(fields, layouts[name]) for name, fields in inputs.items()}
    kernel = tuple(graph.tensors[step.params[0]].shape[2:]) if step.kind == "conv" and step.params else ()
    try:
        found = rule_for(step)(step, seen, kernel)
        _check(step, found)
        return found
    except (ValueError, IndexError, TypeError) as error:  # a form of the operation the rule does not know
        raise no_rule(step) from error


def _check(step: Step, found: Axes) -> None:
    """Raises ValueError if the rule has lost positions: then it does not know this form of the operation."""
    layout = step.layout[0]
    if layout is None or step.shape is None:
        return
    for axis, field in found.items():
        if len(field) not in (1, layout.size(axis)):
            raise ValueError(f"{len(field)} positions along {axis}, the layer has {layout.size(axis)}")
