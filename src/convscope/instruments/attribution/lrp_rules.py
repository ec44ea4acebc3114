"""What does one operation pass down of the relevance that arrives at it?  The rules of LRP, each with its equation.

z_jk is what input j contributes to value k, and R_k the relevance at that value. Nearly all rules have one form,

    R_j = sum over k of  z_jk / (z_k + epsilon sign(z_k)) R_k,        z_k = sum over j of z_jk, and the bias

and differ in what they call a contribution:

    LRP-0, epsilon   a_j w_jk                               Bach et al. 2015 (doi:10.1371/journal.pone.0130140), eq. 56 and 58
    z+               (a_j w_jk)+                            Montavon et al. 2017 (doi:10.1016/j.patcog.2016.11.008), z+ rule
    alpha-beta       alpha (a_j w_jk)+, and (1 - alpha) (a_j w_jk)-, each by its own sum      Bach et al. 2015, eq. 60
    gamma            a_j w_jk + gamma (a_j w_jk)+ where z_k > 0, with (...)- where z_k < 0
                     Montavon et al. 2019 (doi:10.1007/978-3-030-28954-6_10), sect. 10.2; inputs of both signs: as zennit does
    flat             1                                      Lapuschkin et al. 2019 (arXiv:1902.10178)
    z-box            a_j w_jk - low_j w_jk+ - high_j w_jk-  Montavon et al. 2017, z^B rule

A bias is one more contribution: what it is due stays with it, and is counted. Rules see one operation and its inputs, never the
network.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from convscope.instruments.attribution.lrp_kept import NOTHING, Kept
from convscope.instruments.attribution.lrp_paths import WEIGHTED
from convscope.walks.backward import Call, Rule

Tensor = torch.Tensor
Passed = Sequence[Tensor | None]


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the contributions to a value: those of altered inputs through altered weights."""

    inputs: Tensor
    weight: Tensor
    bias: Tensor | None = None
    sign: int = 1


def divided(relevance: Tensor, value: Tensor, epsilon: float) -> Tensor:
    """R / (z + epsilon sign(z)); without epsilon, nothing where z is zero."""
    if epsilon == 0:
        return torch.where(value == 0, 0, relevance / value)
    away = torch.copysign(value.new_tensor(epsilon), value)
    return torch.div(relevance, away.add_(value), out=away)


def share(call: Call, relevance: Tensor, epsilon: float, kept: Kept = NOTHING) -> Passed:
    """In proportion to a_j w_jk, for whatever is linear in each of its inputs: dense layers, sums, means, resampling."""
    sent = divided(relevance, call.value.detach(), epsilon)
    passed = _times(call, call.gradient(sent))
    if call.step.op in WEIGHTED:
        kept.bias(call, sent, call.argument(2, "bias"))
    else:
        kept.rest(call, sent, passed)
    return passed


def route(call: Call, relevance: Any, kept: Kept = NOTHING) -> Passed:
    """To where each value came from."""
    passed = call.gradient(relevance)
    kept.rest(call, relevance, passed, divided_by_value=False)
    return passed


def through(call: Call, relevance: Tensor) -> Passed:
    """All of it, to each input: for operations on single values, whose other arguments are constant (or held so)."""
    return [relevance if one.shape == relevance.shape else relevance.sum_to_size(one.shape) for one in call.inputs]


def evenly(call: Call, relevance: Tensor, epsilon: float = 1e-6) -> Passed:
    """Evenly to all inputs that a sum or mean reads: the flat rule of whatever has no weights."""
    if call.step.kind == "sum":
        return halves(through)(call, relevance)
    with torch.enable_grad():
        leaves = [torch.ones_like(one).requires_grad_() for one in call.inputs]
        value = call.again(*leaves)
    return torch.autograd.grad(value, leaves, divided(relevance, value.detach(), epsilon))


def first_only(call: Call, relevance: Tensor) -> Passed:
    """All of it, to the first input: activations."""
    return [relevance, *[None] * (len(call.inputs) - 1)]


def halves(rule: Rule) -> Rule:
    """A product of values is due to all its factors alike (Achtibat et al. 2024, arXiv:2402.05602)."""

    def halved(call: Call, relevance: Tensor) -> Passed:
        passed = rule(call, relevance)
        return [one if one is None else one / len(call.inputs) for one in passed] if len(passed) > 1 else passed

    return halved


def hold(rule: Rule, positions: Collection[int]) -> Rule:
    """The rule, with some of the inputs (counted among the values the step reads) held constant: nothing goes to them."""

    def held(call: Call, relevance: Tensor) -> Passed:
        followed = set(call.names)
        places = [i for i, name in enumerate(call.step.inputs) if name in followed]
        passed = rule(call, relevance)
        return [None if place in positions else one for place, one in zip(places, passed, strict=True)]

    return held


def added_product(call: Call, relevance: Tensor, epsilon: float, kept: Kept = NOTHING) -> Passed:
    """a + v b c: in proportion to a and to the product, whose two factors get half each."""
    sent = divided(relevance, call.value.detach(), epsilon)
    passed = list(_times(call, call.gradient(sent)))
    factors = [id(one) for one in call.args[1:3]]
    both = [i for i, one in enumerate(call.inputs) if id(one) in factors]
    if len(both) == 2:
        passed = [one / 2 if i in both and one is not None else one for i, one in enumerate(passed)]
    kept.rest(call, sent, passed)
    return passed


def plus(call: Call, relevance: Tensor, epsilon: float, kept: Kept = NOTHING) -> Passed:
    """z+: in proportion to what is positive in a_j w_jk."""
    inputs, weight, bias = _operands(call)
    parts = _by_sign(Part(inputs, _pos(weight), _alter(_pos, bias)), partial(_neg, weight))
    return _to_first(call, _passed(call, relevance, parts, epsilon, kept))


def alpha_beta(call: Call, relevance: Tensor, alpha: float, epsilon: float, kept: Kept = NOTHING) -> Passed:
    """Positive and negative contributions apart, weighed alpha and 1 - alpha."""
    inputs, weight, bias = _operands(call)
    up = _by_sign(Part(inputs, _pos(weight), _alter(_pos, bias)), partial(_neg, weight))
    found = _passed(call, relevance * alpha, up, epsilon, kept)
    if alpha != 1:
        down = _by_sign(Part(inputs, _neg(weight), _alter(_neg, bias)), partial(_pos, weight))
        found += _passed(call, relevance * (1 - alpha), down, epsilon, kept)
    return _to_first(call, found)


def gamma(call: Call, relevance: Tensor, gamma: float, epsilon: float, kept: Kept = NOTHING) -> Passed:
    """Contributions that push a value further from zero count gamma times more."""
    inputs, weight, bias = _operands(call)
    value = call.value.detach()
    found = torch.zeros_like(inputs)

    def more(of: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda tensor: tensor + gamma * of(tensor)

    for where, towards, against in ((value > 0, more(_pos), more(_neg)), (value < 0, more(_neg), more(_pos))):
        there = relevance * where
        if bool(there.any()):
            parts = _by_sign(Part(inputs, towards(weight), _alter(towards, bias)), partial(against, weight))
            found += _passed(call, there, parts, epsilon, kept)
    return _to_first(call, found)


def box(call: Call, relevance: Tensor, low: Tensor, high: Tensor, epsilon: float) -> Passed:
    """z-box: inputs are pixels between `low` and `high`, and count by how far they are from the end that says the least."""
    inputs, weight, _ = _operands(call)
    low, high = (end.to(inputs).expand_as(inputs) for end in (low, high))
    parts = Part(inputs, weight), Part(low, _pos(weight), None, -1), Part(high, _neg(weight), None, -1)
    return _to_first(call, _passed(call, relevance, parts, epsilon))


def flat(call: Call, relevance: Tensor, epsilon: float, there: Tensor | None = None) -> Passed:
    """Evenly to all inputs that a value reads; `there` (1 or 0) says which inputs count, padding being none.

    Units of a group are all alike: one stands for them.
    """
    inputs, weight, _ = _operands(call)
    ones = torch.ones_like(inputs[:1]) if there is None else there.to(inputs)
    if call.step.op not in ("conv1d", "conv2d", "conv3d"):
        part = Part(ones.expand_as(inputs), torch.ones_like(weight))
        return _to_first(call, _passed(call, relevance, [part], epsilon))
    n_groups = inputs.shape[1] // weight.shape[1]
    ones = ones.unflatten(1, (n_groups, -1))
    relevance = relevance.unflatten(1, (n_groups, -1)).sum(2)
    with torch.enable_grad():
        counted = ones.sum(2).expand(len(inputs), *[-1] * (inputs.dim() - 1)).requires_grad_()
        value = _apply(call, counted, weight.new_ones(n_groups, 1, *weight.shape[2:]), None)
    each = torch.autograd.grad(value, counted, divided(relevance, value.detach(), epsilon))[0]
    return _to_first(call, (each[:, :, None] * ones).flatten(1, 2))


def norm(call: Call, relevance: Tensor, epsilon: float, kept: Kept = NOTHING) -> Passed:
    """Layer, group, instance and RMS norm: linear, once their deviation is held constant (Ali et al. 2022, arXiv:2202.07304)."""
    inputs = call.inputs[0].detach()
    sent = divided(relevance, call.value.detach(), epsilon)
    with torch.enable_grad():
        leaf = inputs.detach().requires_grad_()
        value = _normalised(call, leaf)
    down = torch.autograd.grad(value, leaf, sent)[0]
    passed = first_only(call, inputs * down)
    kept.rest(call, sent, passed)
    return passed


def _normalised(call: Call, inputs: Tensor) -> Tensor:
    """What a norm makes of its input, without the shift, and with a deviation that does not follow the input."""
    op, grouped = call.step.op, inputs
    place, small = {"layer_norm": (2, 4), "rms_norm": (2, 3), "group_norm": (2, 4), "instance_norm": (1, 7)}[op]
    if op in ("layer_norm", "rms_norm"):
        dims = tuple(range(-len(call.argument(1, "normalized_shape")), 0))
    else:
        n_groups = call.argument(1, "num_groups") if op == "group_norm" else inputs.shape[1]
        grouped, dims = inputs.reshape(len(inputs), n_groups, -1), (-1,)
    eps = call.argument(small, "eps", 1e-5)
    eps = torch.finfo(inputs.dtype).eps if eps is None else eps
    centred = grouped if op == "rms_norm" else grouped - grouped.mean(dims, keepdim=True)
    deviation = (centred.detach().square().mean(dims, keepdim=True) + eps).sqrt()
    value = (centred / deviation).reshape(inputs.shape)
    weight = call.argument(place, "weight")
    if weight is not None and op in ("group_norm", "instance_norm"):
        weight = weight.reshape(-1, *[1] * (inputs.dim() - 2))
    return value if weight is None else value * weight


def _times(call: Call, gradients: Passed) -> Passed:
    """Values times what was sent to them."""
    return [None if sent is None else one.detach() * sent for one, sent in zip(call.inputs, gradients, strict=True)]


def _passed(call: Call, relevance: Tensor, parts: Sequence[Part], epsilon: float, kept: Kept = NOTHING) -> Tensor:
    """The common form: relevance in proportion to the contributions of these parts, summed over them."""
    with torch.enable_grad():
        leaves = [part.inputs.detach().requires_grad_() for part in parts]
        values = [
            _apply(call, leaf, part.weight, part.bias) * part.sign for part, leaf in zip(parts, leaves, strict=True)
        ]
        value = sum(values[1:], values[0])
    sent = divided(relevance, value.detach(), epsilon)
    kept.bias(call, sent, parts[0].bias)
    gradients = torch.autograd.grad(value, leaves, sent)
    found = [part.inputs * one for part, one in zip(parts, gradients, strict=True)]
    return sum(found[1:], found[0])


def _apply(call: Call, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution or dense layer of a step with other inputs, weights and bias."""
    args, kwargs = list(call.args), dict(call.kwargs)
    for place, name, value in ((0, "input", inputs), (1, "weight", weight), (2, "bias", bias)):
        if place < len(args):
            args[place] = value
        else:
            kwargs[name] = value
    return call.step.function(*args, **kwargs)


def _operands(call: Call) -> tuple[Tensor, Tensor, Tensor | None]:
    """Inputs, weight and bias of a convolution or dense layer."""
    inputs, weight, bias = (call.argument(*place) for place in ((0, "input"), (1, "weight"), (2, "bias")))
    return inputs.detach(), weight.detach(), None if bias is None else bias.detach()


def _to_first(call: Call, found: Tensor) -> Passed:
    """What goes to the inputs of a layer; weights that are computed, too, are held constant."""
    inputs = call.argument(0, "input")
    return [found if one is inputs else None for one in call.inputs]


def _by_sign(positive: Part, weight_of_negative: Callable[[], Tensor]) -> list[Part]:
    """The part of what is positive in the inputs, and that of what is negative, where anything is; the bias counts once."""
    if float(positive.inputs.min()) >= 0:
        return [positive]
    return [replace(positive, inputs=_pos(positive.inputs)), Part(_neg(positive.inputs), weight_of_negative())]


def _alter(how: Callable[[Tensor], Tensor], bias: Tensor | None) -> Tensor | None:
    return None if bias is None else how(bias)


def _pos(tensor: Tensor) -> Tensor:
    return tensor.clamp(min=0)


def _neg(tensor: Tensor) -> Tensor:
    return tensor.clamp(max=0)
