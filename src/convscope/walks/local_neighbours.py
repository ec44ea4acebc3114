"""What do operations that look at neighbours make of windows?  Convolution, pooling, padding, cutting, repeating, global means."""

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np
import torch

from convscope.walks.fuse import conv_relu
from convscope.walks.local_place import Local, NotLocal, Pair, Place, Values, crop_of, rule
from convscope.walks.window import Window

ATEN = torch.ops.aten


def _pair(value: Any) -> Pair:
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    return (values * 2)[0], (values * 2)[1]


def _plain(place: Place, *functions: Any) -> tuple[str, Window]:
    """The changed input of one of these functions, `batch unit y x`."""
    name, own = place.first()
    if place.step.function not in functions:
        raise NotLocal(f"'{place.step.op}' is written in a form without a local rule")
    if own.axes != (2, 3) or len(place.unchanged.shape(name)) != 4:
        raise NotLocal(f"'{place.step.op}' does not see rows and columns as rows and columns")
    return name, own


def _windowed(
    place: Place,
    operation: Callable[[torch.Tensor, Window], torch.Tensor],
    kernel: Pair,
    stride: Pair = (1, 1),
    before: Pair = (0, 0),
    dilation: Pair = (1, 1),
    fill: float = 0.0,
) -> Local:
    """An operation that looks at neighbours: done without padding on a crop of the padded map with the change pasted in."""
    name, own = place.first()
    reached, crops, over, padding = [], [], [], []
    for i, span in enumerate((own.y, own.x)):
        n_out = place.unchanged.shape(place.step.name)[own.axes[i]]
        out = span.reached(kernel[i], stride[i], before[i], dilation[i], n_out)
        seen = out.needed(kernel[i], stride[i], dilation[i])
        left = max(0, before[i])
        padding += [left, max(0, seen.size - before[i] - span.size)]
        reached.append(out)
        crops.append(seen.moved(left - before[i], left + span.size + padding[-1]))
        over.append(span.moved(left, crops[-1].size))
    window, crop = Window(reached[0], reached[1], own.axes), Window(crops[0], crops[1], own.axes)
    changed = Window(over[0], over[1], own.axes)
    if crop.is_at(changed):
        return Local(window, lambda values: operation(values[name], window))
    unchanged, around = place.unchanged, (padding[0], padding[1], padding[2], padding[3])

    def compute(values: Values) -> torch.Tensor:
        return operation(crop_of(unchanged.rows(name, around, fill), crop, values[name], changed), window)

    return Local(window, compute)


@rule("conv2d")
def _conv(place: Place) -> Local:
    step = place.step
    _plain(place, ATEN.conv2d.default, ATEN.conv2d.padding, conv_relu)
    weight, bias = (place.unchanged.known(step.argument(i, key)) for i, key in ((1, "weight"), (2, "bias")))
    stride, dilation = _pair(step.argument(3, "stride", 1)), _pair(step.argument(5, "dilation", 1))
    padding, groups = step.argument(4, "padding", 0), step.argument(6, "groups", 1)
    kernel = (weight.shape[2], weight.shape[3])
    if isinstance(padding, str):
        before = tuple(d * (k - 1) // 2 if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True))
    else:
        before = _pair(padding)
    function = conv_relu if step.function is conv_relu else torch.conv2d

    def operation(crop: torch.Tensor, window: Window) -> torch.Tensor:
        return function(crop, weight, bias, list(stride), [0, 0], list(dilation), groups)

    return _windowed(place, operation, kernel, stride, (before[0], before[1]), dilation)


@rule("max_pool2d")
def _max_pool(place: Place) -> Local:
    step = place.step
    _plain(place, ATEN.max_pool2d.default)
    kernel, dilation = _pair(step.args[1]), _pair(step.argument(4, "dilation", 1))
    stride, before = _pair(step.argument(2, "stride") or kernel), _pair(step.argument(3, "padding", 0))

    def operation(crop: torch.Tensor, window: Window) -> torch.Tensor:
        return torch.max_pool2d(crop, kernel, stride, 0, dilation)

    return _windowed(place, operation, kernel, stride, before, dilation, fill=-inf)


@rule("avg_pool2d")
def _avg_pool(place: Place) -> Local:
    step = place.step
    _, own = _plain(place, ATEN.avg_pool2d.default)
    kernel = _pair(step.args[1])
    stride, before = _pair(step.argument(2, "stride") or kernel), _pair(step.argument(3, "padding", 0))
    with_padding, divisor = step.argument(5, "count_include_pad", True), step.argument(6, "divisor_override")
    size = (own.y.size, own.x.size)
    if kernel == size and before == (0, 0) and divisor is None:
        return global_mean(place)
    n_out = place.unchanged.shape(step.name)[2:]
    counts = [_counts(n_out[i], kernel[i], stride[i], before[i], size[i], with_padding) for i in range(2)]
    if divisor is not None or all((count == kernel[i]).all() for i, count in enumerate(counts)):
        divided = divisor or kernel[0] * kernel[1]
        return _windowed(place, lambda crop, window: _sum_pool(crop, kernel, stride, divided), kernel, stride, before)

    def operation(crop: torch.Tensor, window: Window) -> torch.Tensor:
        ys, xs = (
            count[span.starts[:, None] + np.arange(span.extent)]
            for count, span in zip(counts, (window.y, window.x), strict=True)
        )
        n = torch.from_numpy(ys[:, None, :, None] * xs[:, None, None, :]).to(crop)
        return _sum_pool(crop, kernel, stride, 1) / n

    return _windowed(place, operation, kernel, stride, before)


def _sum_pool(crop: torch.Tensor, kernel: Pair, stride: Pair, divisor: int) -> torch.Tensor:
    return ATEN.avg_pool2d.default(crop, kernel, stride, [0, 0], False, True, divisor)


def _counts(n_out: int, kernel: int, stride: int, before: int, size: int, with_padding: bool) -> np.ndarray:
    """How many positions each output along an axis is the mean of."""
    begin = np.arange(n_out) * stride - before
    end = np.minimum(begin + kernel, size + before)
    return end - begin if with_padding else np.minimum(end, size) - np.maximum(begin, 0)


@rule("adaptive_avg_pool2d")
def _adaptive_pool(place: Place) -> Local:
    _, own = _plain(place, ATEN.adaptive_avg_pool2d.default)
    size, n_out = (own.y.size, own.x.size), place.unchanged.shape(place.step.name)[2:]
    if n_out == (1, 1):
        return global_mean(place)
    if any(before % after for before, after in zip(size, n_out, strict=True)):
        raise NotLocal("'adaptive_avg_pool2d' looks at stretches of unequal size")
    kernel = size[0] // n_out[0], size[1] // n_out[1]
    if kernel == (1, 1):
        return _windowed(place, lambda crop, window: crop, kernel)
    divisor = kernel[0] * kernel[1]
    return _windowed(place, lambda crop, window: _sum_pool(crop, kernel, kernel, divisor), kernel, stride=kernel)


def global_mean(place: Place) -> Local:
    """The mean of all positions: corrected by the change of its sum, in double precision."""
    name, own = place.first()
    sums, shape = place.unchanged.sums(name), place.unchanged.shape(place.step.name)
    if not bool(torch.isfinite(sums[-1, -1]).all()):
        raise NotLocal("a mean that is not finite cannot be corrected")
    top, left = (torch.from_numpy(span.starts).to(sums.device) for span in (own.y, own.x))
    bottom, right = top + own.y.extent, left + own.x.extent
    outside = sums[-1, -1] - (sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])

    def compute(values: Values) -> torch.Tensor:
        value = values[name]
        mean = (outside + value.movedim(own.axes, (1, 2)).double().sum((1, 2))) / (own.y.size * own.x.size)
        return mean.to(value.dtype).reshape(own.n, *shape[1:])

    return Local(None, compute)


@rule("pad")
def _padded(place: Place) -> Local:
    """Constant padding moves rows and columns, or cuts them off; other dimensions are padded in every window alike."""
    step = place.step
    name, own = place.first()
    axes, mode = place.axes(), step.argument(2, "mode")
    if (isinstance(mode, str) and mode != "constant") or axes != own.axes:
        raise NotLocal(f"'pad' has no local rule for the mode {mode}")
    value = step.argument(3 if isinstance(mode, str) else 2, "value") or 0
    sides, n_dims = list(step.args[1]), len(place.unchanged.shape(name))
    before = [0, 0]
    for i, axis in enumerate(axes):
        at = 2 * (n_dims - 1 - axis)
        if at < len(sides):
            before[i], sides[at], sides[at + 1] = sides[at], 0, 0
    function, other = ATEN.constant_pad_nd.default, any(sides)

    def operation(crop: torch.Tensor, window: Window) -> torch.Tensor:
        return function(crop, sides, value) if other else crop

    return _windowed(place, operation, (1, 1), before=(before[0], before[1]), fill=value)


@rule("slice")
def _sliced(place: Place) -> Local:
    step = place.step
    name, own = place.first()
    shape = place.unchanged.shape(name)
    dim = step.argument(1, "dim", 0) % len(shape)
    if dim == 0 and step.argument(2, "start") in (None, 0) and (step.argument(3, "end") or 2**63) >= 2**62:
        return Local(own, lambda values: values[name])
    if dim == 0:
        raise NotLocal("'slice' picks images")
    if dim not in own.axes:
        return Local(Window(own.y, own.x, place.whole_axes()), place.call())
    cut = slice(*(step.argument(i, key) for i, key in ((2, "start"), (3, "end"), (4, "step"))))
    begin, _, stride = cut.indices(shape[dim])
    along = own.axes.index(dim)
    strides, before = [1, 1], [0, 0]
    strides[along], before[along] = stride, -begin
    picked = [slice(None)] * len(shape)
    picked[dim] = slice(None, None, stride)
    stride_yx, before_yx = (strides[0], strides[1]), (before[0], before[1])
    return _windowed(place, lambda crop, window: crop[tuple(picked)], (1, 1), stride_yx, before_yx)


@rule("upsample_nearest2d")
def _upsample(place: Place) -> Local:
    """Each position many times over."""
    name, own = _plain(place, ATEN.upsample_nearest2d.default, ATEN.upsample_nearest2d.vec)
    size = place.unchanged.size(place.step.name)
    factors = size[0] // own.y.size, size[1] // own.x.size
    if size != (factors[0] * own.y.size, factors[1] * own.x.size):
        raise NotLocal("'upsample_nearest2d' repeats positions unequally")
    spans = [span.times(factor) for span, factor in zip((own.y, own.x), factors, strict=True)]

    def compute(values: Values) -> torch.Tensor:
        return values[name].repeat_interleave(factors[0], 2).repeat_interleave(factors[1], 3)

    return Local(Window(spans[0], spans[1], place.axes()), compute)
