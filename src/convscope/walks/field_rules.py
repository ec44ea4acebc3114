"""How does each operation pass on what its inputs see?  One rule per operation, for the receptive-field walk."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.errors import MissingRuleError
from convscope.graph import ops
from convscope.graph.axes import reduced_dims
from convscope.graph.graph import Ref, Step
from convscope.graph.layout import Layout, X, Y
from convscope.walks.axis_field import AxisField, union
from convscope.walks.picks import PICKS

Axes = dict[str, AxisField]  # what is seen along y and along x
Kernel = tuple[int, ...]  # extent of a convolution, empty for other operations


@dataclass(frozen=True)
class Seen:
    """One input of a step: what its positions see, and what its dimensions mean."""

    fields: Axes
    layouts: tuple[Layout | None, ...]  # one for each value, where the input is a list of values

    @property
    def layout(self) -> Layout:
        layout = self.layouts[0]
        return layout if layout is not None else Layout(())

    def mixed(self, dims: Iterable[int], gone: bool = False) -> Axes:
        """Every position sees what all positions along these dimensions see; `gone` leaves one position of them."""
        fields = dict(self.fields)
        for atom in sorted((a for i in dims for a in self.layout.dims[i]), key=lambda a: -a.stride):
            if atom.axis in fields:
                fields[atom.axis] = fields[atom.axis].mixed(atom)
                if gone:
                    fields[atom.axis] = fields[atom.axis].without(atom)
        return fields

    def attended(self, dims: Iterable[int]) -> Axes:
        """Mixed along these dimensions, and one position for a whole axis among them: whoever looks there sees all of it."""
        fields = self.mixed(dims)
        for atom in (a for i in dims for a in self.layout.dims[i]):
            if atom.axis in fields and atom.size == len(fields[atom.axis]):
                fields[atom.axis] = fields[atom.axis].without(atom)
        return fields

    def axis(self, dim: int) -> str | None:
        """Whether a dimension is the whole of y, or of x."""
        atoms = self.layout.dims[dim]
        return atoms[0].axis if len(atoms) == 1 and atoms[0].axis in (Y, X) else None


Rule = Callable[[Step, Mapping[str, Seen], Kernel], Axes]
_RULES: dict[str, Rule] = {}
_POINTWISE_KINDS = ("activation", "sum", "product", "pointwise")


def rule_for(step: Step) -> Rule:
    """The rule for the operation of a step. Raises MissingRuleError."""
    if step.op in _RULES:
        return _RULES[step.op]
    if ops.kind(step.op) in _POINTWISE_KINDS:
        return _pointwise
    raise no_rule(step)


def no_rule(step: Step) -> MissingRuleError:
    return MissingRuleError(
        "The receptive field of every layer was asked for.",
        f"There is no rule for the operation '{step.op}' in layer '{step.name}' ({step.where}).",
        "The layers below it have theirs; values, costs and gradients are not affected.",
    )


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def enter(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, function))
        return function

    return enter


def _joined(parts: Iterable[Axes]) -> Axes:
    parts = list(parts)
    return {axis: union([part[axis] for part in parts]) for axis in (Y, X)}


def _only(step: Step, seen: Mapping[str, Seen]) -> Seen:
    """The first input, which the operation is about."""
    first = step.args[0]
    if not isinstance(first, Ref) or first.step not in seen:
        raise no_rule(step)
    return seen[first.step]


@_rule("stack", "reshape", "flatten", "unflatten", "permute", "transpose", "squeeze", "unsqueeze")
@_rule("split", "chunk", "unbind", "to", "zeros_like", "ones_like", "full_like", "local_response_norm")
def _pointwise(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    """Each position sees what the same position of the inputs sees."""
    return _joined(each.fields for each in seen.values())


@_rule("cat")
def _concatenated(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    """Along units, as a sum; along y or x, one after the other."""
    inputs = [seen[ref.step] for ref in step.args[0] if isinstance(ref, Ref) and ref.step in seen]
    dim = step.argument(1, "dim", 0)
    axis = inputs[0].axis(dim)
    if axis is None:
        return _joined(each.fields for each in inputs)
    if len(inputs) < len(step.args[0]):
        raise no_rule(step)
    across = X if axis == Y else Y
    parts = [each.fields[axis] for each in inputs]
    along = AxisField(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.last for part in parts]),
        parts[0].size_px,
        parts[0].stride_px,
        parts[0].start_px,
        any(part.is_global for part in parts),
    )
    return {axis: along, across: union([each.fields[across] for each in inputs])}


@_rule("conv1d", "conv2d", "conv3d")
def _conv(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    entering = _only(step, seen)
    n_dims = len(entering.layout.dims) - 2
    if len(kernel) != n_dims:
        raise no_rule(step)
    stride = _each(step.argument(3, "stride", 1), n_dims)
    padding = step.argument(4, "padding", 0)
    dilation = _each(step.argument(5, "dilation", 1), n_dims)
    if isinstance(padding, str):
        before = [d * (k - 1) // 2 if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
    else:
        before = _each(padding, n_dims)
    return _windows(step, entering, kernel, stride, before, dilation)


@_rule("max_pool2d", "avg_pool2d", "lp_pool2d")
def _pool(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    first = 2 if step.op == "lp_pool2d" else 1
    window = _each(step.args[first], 2)
    stride = _each(step.argument(first + 1, "stride", None) or window, 2)
    padding = _each(step.argument(first + 2, "padding", 0) if step.op != "lp_pool2d" else 0, 2)
    dilation = _each(step.argument(4, "dilation", 1) if step.op == "max_pool2d" else 1, 2)
    return _windows(step, _only(step, seen), window, stride, padding, dilation)


def _windows(step: Step, entering: Seen, kernel: Any, stride: Any, before: Any, dilation: Any) -> Axes:
    fields = dict(entering.fields)
    n_dims = len(kernel)
    for i in range(n_dims):
        axis = entering.axis(i - n_dims)
        extent = dilation[i] * (kernel[i] - 1) + 1
        if axis is None:
            if kernel[i] > 1 and any(atom.axis in (Y, X) for atom in entering.layout.dims[i - n_dims]):
                raise no_rule(step)
            continue
        n = _n(step, axis)
        fields[axis] = fields[axis].windows(np.arange(n) * stride[i] - before[i], extent, dilation[i])
    return fields


@_rule("conv_transpose2d")
def _conv_transpose(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    entering = _only(step, seen)
    stride, padding = _each(step.argument(3, "stride", 1), 2), _each(step.argument(4, "padding", 0), 2)
    dilation = _each(step.argument(7, "dilation", 1), 2)
    fields = {}
    for i, axis in enumerate((Y, X)):
        reach = dilation[i] * (kernel[i] - 1)
        positions = np.arange(_n(step, axis)) + padding[i]
        first, last = -((reach - positions) // stride[i]), positions // stride[i]
        fields[axis] = entering.fields[axis].spans(first, last, 1 / stride[i])
    return fields


@_rule("adaptive_avg_pool2d", "adaptive_max_pool2d")
def _adaptive_pool(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    entering = _only(step, seen)
    fields = {}
    for axis in (Y, X):
        n_in, n_out = len(entering.fields[axis]), _n(step, axis)
        positions = np.arange(n_out)
        first, last = positions * n_in // n_out, -(-(positions + 1) * n_in // n_out) - 1
        pooled = entering.fields[axis].spans(first, last, n_in / n_out)
        fields[axis] = pooled.everywhere() if n_out == 1 else pooled
    return fields


@_rule("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d")
def _upsample(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    entering = _only(step, seen)
    if step.op != "upsample_nearest2d" and step.args[2]:  # aligned corners
        raise no_rule(step)
    factors = step.args[-1] if isinstance(step.args[-1], (list, tuple)) and len(step.args) > 2 else None
    fields = {}
    for i, axis in enumerate((Y, X)):
        n_in, n_out = len(entering.fields[axis]), _n(step, axis)
        scale = 1 / factors[i] if factors else n_in / n_out
        if step.op == "upsample_nearest2d":
            first = last = np.floor(np.arange(n_out) * scale).astype(int)
        else:
            reach = 1 if step.op == "upsample_bilinear2d" else 2
            center = np.floor((np.arange(n_out) + 0.5) * scale - 0.5).astype(int)
            first, last = center - reach + 1, center + reach
        fields[axis] = entering.fields[axis].spans(np.clip(first, 0, n_in - 1), np.clip(last, 0, n_in - 1), scale)
    return fields


@_rule("linear", "addmm", "mm")
def _linear(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    """Mixes whatever positions the last dimension holds."""
    return _joined(each.mixed([-1], gone=_lost(step, -1)) for each in seen.values())


@_rule("matmul", "bmm")
def _matmul(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    """Each row of the left with each column of the right; positions that are summed over are mixed."""
    left, right = (seen.get(arg.step) if isinstance(arg, Ref) else None for arg in step.args[:2])
    parts = []
    if left:
        parts.append(left.mixed([-1], gone=True))
    if right:
        kept = left is None or not _shares(left, right)
        parts.append(right.attended([-2] if kept else [-2, -1]))
    return _joined(parts)


def _shares(left: Seen, right: Seen) -> bool:
    """Whether rows of the left and columns of the right are the same positions: then each row sees all columns."""
    axes = ({a.axis for a in left.layout.dims[-2]}, {a.axis for a in right.layout.dims[-1]})
    return bool(axes[0] & axes[1] & {Y, X})


@_rule("scaled_dot_product_attention")
def _attention(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    """Every position of the query sees all positions of keys and values."""
    query, key, value = (seen.get(arg.step) if isinstance(arg, Ref) else None for arg in step.args[:3])
    parts = [query.fields] if query else []
    parts += [each.attended([-2]) for each in (key, value) if each]
    return _joined(parts)


@_rule("batch_norm")
def _batch_norm(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    """Pointwise, unless it takes its statistics from the batch."""
    entering = _only(step, seen)
    takes_statistics = bool(step.args[5])
    return entering.mixed(range(2, len(entering.layout.dims))) if takes_statistics else dict(entering.fields)


@_rule("subsample", "average", "identity")
def _swapped(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    """What a pooling was replaced by (see swap.py)."""
    entering, window = _only(step, seen), step.kwargs["window"]
    if step.op == "average":
        return _windows(step, entering, window.kernel, window.stride, window.padding, (1, 1))
    if step.op == "identity":
        return dict(entering.fields)
    fields = {}
    for i, axis in enumerate((Y, X)):
        middle = np.arange(_n(step, axis)) * window.stride[i] - window.padding[i] + (window.kernel[i] - 1) // 2
        fields[axis] = entering.fields[axis].take(np.clip(middle, 0, len(entering.fields[axis]) - 1))
    return fields


@_rule("layer_norm", "rms_norm")
def _layer_norm(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    return _only(step, seen).mixed(range(-len(step.args[1]), 0))


@_rule("group_norm", "instance_norm")
def _group_norm(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    entering = _only(step, seen)
    return entering.mixed(range(2, len(entering.layout.dims)))


@_rule("softmax", "log_softmax", "cumsum")
def _along(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    return _only(step, seen).mixed([step.args[1]])


@_rule("mean", "sum", "amax", "amin", "var", "std", "linalg_vector_norm", "norm")
def _reduce(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    entering = _only(step, seen)
    return entering.mixed(
        reduced_dims([None, *step.args[1:], *step.kwargs.values()], len(entering.layout.dims)), gone=True
    )


@_rule("expand")
def _expand(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    """The same for every position there is now; of a value it is only shaped like, nothing is seen."""
    entering = _only(step, seen)
    return {axis: entering.fields[axis].stretched(_n(step, axis)) for axis in (Y, X)}


@_rule("getitem")
def _getitem(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    """One of several values: the same positions, or a stretch of them where y or x was cut."""
    entering = _only(step, seen)
    fields = dict(entering.fields)
    for axis in (Y, X):
        sizes = [layout.size(axis) for layout in entering.layouts if layout is not None]
        if sum(sizes) == len(fields[axis]) and len(sizes) > 1:
            begin = sum(sizes[: step.args[1]])
            fields[axis] = fields[axis].take(np.arange(begin, begin + sizes[step.args[1]]))
    return fields


@_rule("slice", "select", "narrow", "flip", "roll", "pad")
def _picked(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    entering = _only(step, seen)
    fields = dict(entering.fields)
    for dim, indices in PICKS[step.op](step, entering.layout.shape):
        axis = entering.axis(dim)
        if axis:
            fields[axis] = fields[axis].take(indices)
        elif (
            any(atom.axis in (Y, X) for atom in entering.layout.dims[dim])
            and len(indices) != entering.layout.shape[dim]
        ):
            raise no_rule(step)
    return fields


@_rule("pixel_shuffle")
def _pixel_shuffle(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    entering, factor = _only(step, seen), step.args[1]
    return {axis: entering.fields[axis].take(np.arange(_n(step, axis)) // factor) for axis in (Y, X)}


@_rule("pixel_unshuffle")
def _pixel_unshuffle(step: Step, seen: Mapping[str, Seen], kernel: Kernel) -> Axes:
    entering, factor = _only(step, seen), step.args[1]
    return _windows(step, entering, [factor] * 2, [factor] * 2, [0, 0], [1, 1])


def _lost(step: Step, dim: int) -> bool:
    """Whether a dimension no longer holds positions in the result."""
    layout = step.layout[0]
    return layout is None or not any(atom.axis in (Y, X) for atom in layout.dims[dim])


def _n(step: Step, axis: str) -> int:
    layout = step.layout[0]
    return layout.size(axis) if layout is not None else 1


def _each(value: Any, n: int) -> list[int]:
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    return values * n if len(values) == 1 else values
