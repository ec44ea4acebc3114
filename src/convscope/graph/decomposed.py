"""What is an operation that torch has already taken apart?  The plain one it came from, with its arguments in their usual order.

Programs that were saved after `run_decompositions`, and a few operations of models themselves, give several values of which
only the first is the layer's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

aten = torch.ops.aten


@dataclass(frozen=True)
class ValueOf:
    """One of the values of an operation that gives several."""

    function: Callable[..., Any]
    index: int

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)[self.index]


def plain_form(function: Any, args: tuple) -> tuple[Any, tuple]:
    """The plain operation and its arguments; the same ones if it has not been taken apart."""
    if function is aten.convolution.default:
        return _convolution(*args)
    new, arguments = _FORMS.get(function, (function, _same))
    return new, arguments(*args)


def _batch_norm(x: Any, weight: Any, bias: Any, mean: Any, var: Any, momentum: float, eps: float) -> tuple:
    return x, weight, bias, mean, var, False, momentum, eps, False


def _layer_norm(x: Any, shape: Any, weight: Any, bias: Any, eps: float) -> tuple:
    return x, shape, weight, bias, eps


def _group_norm(x: Any, weight: Any, bias: Any, n: Any, c: Any, size: Any, groups: int, eps: float) -> tuple:
    return x, groups, weight, bias, eps


def _softmax(x: Any, dim: int, half_to_float: bool) -> tuple:
    return x, dim


def _same(*args: Any) -> tuple:
    return args


_FORMS: dict[Any, tuple[Any, Callable[..., tuple]]] = {
    aten._native_batch_norm_legit_no_training.default: (aten.batch_norm.default, _batch_norm),
    aten.native_layer_norm.default: (aten.layer_norm.default, _layer_norm),
    aten.native_group_norm.default: (aten.group_norm.default, _group_norm),
    aten.max_pool2d_with_indices.default: (aten.max_pool2d.default, _same),
    aten._adaptive_avg_pool2d.default: (aten.adaptive_avg_pool2d.default, _same),
    aten._softmax.default: (aten.softmax.int, _softmax),
}


def _convolution(
    x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, extra: Any, groups: int
) -> tuple[Any, tuple]:
    forms = {
        1: (aten.conv1d, aten.conv_transpose1d),
        2: (aten.conv2d, aten.conv_transpose2d),
        3: (aten.conv3d, aten.conv_transpose3d),
    }
    plain, transpose = forms[len(stride)]
    if transposed:
        return transpose.default if len(stride) == 1 else transpose.input, (
            x,
            weight,
            bias,
            stride,
            padding,
            extra,
            groups,
            dilation,
        )
    return plain.default, (x, weight, bias, stride, padding, dilation, groups)
