"""How much does each input of a step add to what its value changes by?  The rules of DeepLIFT, one for each form of step.

A rule gets a step as it was computed for the image and for the baseline, and the multipliers at its value. It gives multipliers m
at its inputs such that the sum of m x (input - input0) is the sum of multiplier x (value - value0): the change is passed on whole.
Each is exact, not a quadrature: with a bar for the mean of image and baseline, and D for their difference,

    elementwise    m = Df / Dx                                  Shrikumar et al. 2017 (arXiv:1704.02685), eq. 4 (rescale)
    product        D(ab) = b̄ Da + ā Db
    quotient       D(n/d) = r̄ Dn + n̄ Dr, r = 1/d, Dr = -r r0 Dd
    maximum        max(a, b) = b + relu(a - b)
    norm           c s with c = x - mean(x), s = 1/√(mean(c²) + eps): a product, a square, and Ds = -(s s0)²/(s + s0) Dv
    softmax p      Dp = L (Dx - sum(L Dx) / sum(L)), L = Dp / D log(p)
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from convscope.errors import MissingRuleError
from convscope.walks.backward import Call, Signal

Passed = Sequence[Signal | None]
PairRule = Callable[
    [Call, Call, Any], Passed
]  # the step for the image, the same for the baseline, the multipliers above

_CLOSE = 1e-5  # inputs nearer than this part of their size: the derivative between them
_NODES = 16  # of the Gauss-Legendre sum, where a step is taken as a whole


def linear(call: Call, base: Call, signal: Any) -> Passed:
    """The gradient; where a weight depends on the image as well, the product rule."""
    return call.gradient(signal) if len(call.inputs) < 2 else quadratic(call, base, signal)


def quadratic(call: Call, base: Call, signal: Any) -> Passed:
    """The gradient in the middle between both: exact for products and squares."""
    return _mean_gradient(call, base, signal, 1)


def rescale(call: Call, base: Call, signal: Any) -> Passed:
    """D value / D input, element by element; the derivative where the inputs are the same."""
    if len(call.inputs) != 1 or call.value.shape != call.inputs[0].shape:
        return whole(call, base, signal)
    (values,), (others,) = call.inputs, base.inputs
    (between,) = _mean_gradient(call, base, signal, 1)
    return [_slope(call.value - base.value, values - others, _size(values, others), signal, between)]


def largest(call: Call, base: Call, signal: Any) -> Passed:
    """What the image's largest value rises above the baseline's goes to it, what it stays below to the baseline's largest.

    Where the baseline has several largest values, the image's is taken if it is among them; where windows overlap, the parts of
    one input are added up. So multipliers are between 0 and 1 for a window, and the change is passed on whole.
    """
    if len(call.args) > 1 and isinstance(call.args[1], torch.Tensor):  # max(a, b)
        return maximum(call, base, signal)
    value, other, signal = _first(call.value), _first(base.value), _first(signal)
    if signal is None:
        return [None]
    picks = torch.minimum if call.step.op in ("amin", "min") else torch.maximum
    (values,), (others,) = call.inputs, base.inputs
    tied = _picked(value, values, others) == other
    between = torch.where(tied, value, picks(value, other)).detach()
    up = torch.autograd.grad(value, values, signal * (between - other), retain_graph=True)[0]
    down = torch.autograd.grad(other, others, signal * (value - between), retain_graph=True)[0]
    plain = torch.autograd.grad(value, values, signal, retain_graph=True)[0]
    change = values - others
    return [torch.where(change == 0, plain, (up + down) / torch.where(change == 0, 1.0, change)).detach()]


def maximum(call: Call, base: Call, signal: Any) -> Passed:
    """max(a, b) = b + relu(a - b), and the same for the minimum."""
    sign = -1 if call.step.op in ("minimum", "min") else 1
    (a, b), (a0, b0) = (tuple(torch.as_tensor(one) for one in each.args[:2]) for each in (call, base))
    gap, gap0 = sign * (a - b), sign * (a0 - b0)
    flat = (gap > 0).to(signal.dtype)
    share = _slope(gap.clamp(min=0) - gap0.clamp(min=0), gap - gap0, _size(gap, gap0), torch.ones_like(signal), flat)
    parts = {id(a): signal * share, id(b): signal * (1 - share)}
    return [parts[id(leaf)].sum_to_size(leaf.shape).detach() for leaf in call.inputs]


def quotient(call: Call, base: Call, signal: Any) -> Passed:
    """n times 1/d, a product with an elementwise function."""
    below, below0 = call.args[1], base.args[1]
    if not any(leaf is below for leaf in call.inputs):
        return call.gradient(signal)
    r, r0 = below.reciprocal(), below0.reciprocal()
    above = (torch.as_tensor(call.args[0]) + torch.as_tensor(base.args[0])) / 2
    parts = {id(call.args[0]): signal * (r + r0) / 2, id(below): -signal * above * r * r0}
    return [parts[id(leaf)].sum_to_size(leaf.shape).detach() for leaf in call.inputs]


def root(call: Call, base: Call, signal: Any) -> Passed:
    """Standard deviation and Euclidean length: the root of a quadratic form, (q - q0) = (√q + √q0)(√q - √q0)."""
    order = call.argument(1, "ord", 2) if call.step.op == "linalg_vector_norm" else call.argument(1, "p", 2)
    if call.step.op != "std" and order not in (2, None):
        return whole(call, base, signal)
    middle = [(x.detach() + x0.detach()) / 2 for x, x0 in zip(call.inputs, base.inputs, strict=True)]
    with torch.no_grad():
        factor = 2 * call.again(*middle) / (call.value + base.value).clamp_min(torch.finfo(signal.dtype).tiny)
    return quadratic(call, base, signal * factor)


def norm(call: Call, base: Call, signal: Any) -> Passed:
    """Layer, group, instance and root-mean-square norm."""
    if len(call.inputs) != 1:
        return whole(call, base, signal)
    values, others = call.inputs[0].detach(), base.inputs[0].detach()
    weight, eps, form = _norm_settings(call, values)
    if form is None:  # with kept statistics, as a batch norm
        return call.gradient(signal)
    signal = signal if weight is None else signal * weight
    x, x0, signal = values.reshape(form), others.reshape(form), signal.reshape(form)
    centred = call.step.op != "rms_norm"
    c, c0 = (x - x.mean(-1, keepdim=True), x0 - x0.mean(-1, keepdim=True)) if centred else (x, x0)
    s, s0 = ((each.square().mean(-1, keepdim=True) + eps).rsqrt() for each in (c, c0))
    middle = (c + c0) / 2
    by_scale = (signal * middle).sum(-1, keepdim=True) * -((s * s0) ** 2) / (s + s0)
    passed = signal * (s + s0) / 2 + by_scale * 2 * middle / c.shape[-1]
    return [(passed - passed.mean(-1, keepdim=True) if centred else passed).reshape(values.shape)]


def softmax(call: Call, base: Call, signal: Any) -> Passed:
    """Softmax, and its logarithm."""
    dim = call.argument(1, "dim")
    x, x0 = call.inputs[0].detach(), base.inputs[0].detach()
    return [_softmax(x, x0, signal, dim, logarithm=call.step.op == "log_softmax")]


def attention(call: Call, base: Call, signal: Any) -> Passed:
    """Two products, with a softmax between them."""
    if call.argument(5, "is_causal", False) or call.argument(6, "enable_gqa", False):
        raise MissingRuleError(
            f"DeepLIFT was to pass '{call.step.name}'.",
            "It is a causal or grouped attention.",
            "Use integrated gradients.",
        )
    (q, k, v), (q0, k0, v0) = ([one.detach() for one in each.args[:3]] for each in (call, base))
    mask, scale = call.argument(3, "attn_mask"), call.kwargs.get("scale") or q.shape[-1] ** -0.5

    def scores(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        found = queries @ keys.mT * scale
        if mask is None:
            return found
        return found.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else found + mask

    a, a0 = scores(q, k), scores(q0, k0)
    by_score = _softmax(a, a0, signal @ ((v + v0) / 2).mT, -1) * scale
    middle = (a.softmax(-1) + a0.softmax(-1)) / 2
    parts = {
        id(call.args[0]): by_score @ ((k + k0) / 2),
        id(call.args[1]): by_score.mT @ ((q + q0) / 2),
        id(call.args[2]): middle.mT @ signal,
    }
    return [parts[id(leaf)].sum_to_size(leaf.shape) for leaf in call.inputs]


def whole(call: Call, base: Call, signal: Any) -> Passed:
    """The mean gradient on the straight line between the baseline's inputs and the image's."""
    return _mean_gradient(call, base, signal, _NODES)


def _softmax(
    x: torch.Tensor, x0: torch.Tensor, signal: torch.Tensor, dim: int, *, logarithm: bool = False
) -> torch.Tensor:
    """p = exp(x - log sum exp x); by how much that sum changes follows from the p adding up to 1 both times."""
    p, p0, change = x.softmax(dim), x0.softmax(dim), x.log_softmax(dim) - x0.log_softmax(dim)
    change = change.nan_to_num(nan=0)  # where a mask holds both at nothing
    between = _slope(p - p0, change, 1.0, torch.ones_like(p), (p + p0) / 2)
    total = between.sum(dim, keepdim=True)
    if logarithm:
        return signal - signal.sum(dim, keepdim=True) * between / total
    return between * (signal - (signal * between).sum(dim, keepdim=True) / total)


def _slope(
    change: torch.Tensor, by: torch.Tensor, size: "torch.Tensor | float", signal: torch.Tensor, between: Any
) -> torch.Tensor:
    """signal x change / by; `between` where `by` is lost in rounding."""
    close = by.abs() <= _CLOSE * size
    return torch.where(close, between, signal * change / torch.where(close, 1.0, by)).detach()


def _size(values: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return torch.maximum(values.abs(), others.abs()).detach()


def _picked(value: torch.Tensor, values: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """The other values at the places that were picked: the transpose of the gradient, which is linear."""
    signal = torch.zeros_like(value, requires_grad=True)
    with torch.enable_grad():
        (passed,) = torch.autograd.grad(value, values, signal, create_graph=True)
    return torch.autograd.grad(passed, signal, others.detach())[0]


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, (tuple, list)) else value


def _mean_gradient(call: Call, base: Call, signal: Any, n_nodes: int) -> list[Signal | None]:
    """The signal times the mean of the gradient on the straight line between both inputs, by Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    total: list[Signal | None] = [None] * len(call.inputs)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        points = [(x0 + float(node) * (x - x0)).detach() for x, x0 in zip(call.inputs, base.inputs, strict=True)]
        with torch.enable_grad():
            value = call.again(*(point.requires_grad_() for point in points))
        found = torch.autograd.grad(value, points, signal, allow_unused=True)
        for i, one in enumerate(found):
            if one is not None:
                before = total[i]
                total[i] = one * float(weight) + (0 if before is None else before)
    return total


def _norm_settings(call: Call, values: torch.Tensor) -> tuple[torch.Tensor | None, float, tuple[int, ...] | None]:
    """Its weight in the shape of the values, what is added to the variance, and the form whose last dimension is one group."""
    op, shape = call.step.op, values.shape
    if op in ("layer_norm", "rms_norm"):
        n_dims = len(call.argument(1, "normalized_shape"))
        eps = call.argument(4, "eps", 1e-5) if op == "layer_norm" else call.argument(3, "eps")
        eps = torch.finfo(values.dtype).eps if eps is None else eps
        return call.argument(2, "weight"), eps, (*shape[:-n_dims], -1)
    weight = call.argument(2 if op == "group_norm" else 1, "weight")
    weight = None if weight is None else weight.reshape(-1, *[1] * (len(shape) - 2))
    if op == "group_norm":
        return weight, call.argument(4, "eps", 1e-5), (shape[0], call.argument(1, "num_groups"), -1)
    eps = call.argument(7, "eps", 1e-5)
    return weight, eps, (*shape[:2], -1) if call.argument(5, "use_input_stats", True) else None
