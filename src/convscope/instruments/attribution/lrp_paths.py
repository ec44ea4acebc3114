"""Where does relevance go?  Which inputs of a step carry it, and which are weights: held constant, passed by.

A product of a value and a gate (squeeze-excitation, split attention, x sigmoid(x)) is a value with a weight, and so is the sum
that attention takes: all relevance goes to the value (Arras et al. 2017, arXiv:1706.07206). What only weights depend on gets none
and needs no rule.
"""

from collections.abc import Collection, Iterator
from math import prod

from convscope.graph.graph import INPUT, Graph, Param, Ref, Step, leaves

WEIGHTED = frozenset({"conv1d", "conv2d", "conv3d", "conv_transpose2d", "linear"})
NORMS = frozenset({"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm"})
GATES = frozenset({"sigmoid", "hardsigmoid", "softmax"})
_BOUNDED = frozenset({"relu6", "hardtanh", "clamp"})  # after the sum with a constant, a hard sigmoid written out
_SHIFTED = frozenset({"add", "sub", "rsub"})
_FACTORS: dict[str, tuple[int, ...]] = {  # the arguments that are multiplied with one another
    **dict.fromkeys(("mul", "matmul", "mm", "bmm"), (0, 1)),
    **dict.fromkeys(("addcmul", "addmm", "baddbmm"), (1, 2)),
    "einsum": (1,),
}
_SHAPED_LIKE = frozenset({"expand", "reshape"})  # they may read a second value, for its shape alone
_ROUTES = frozenset(
    {"cat", "stack", "pad", "where", "maximum", "minimum", "slice_scatter", "select_scatter", "index_put"}
)


def held(graph: Graph, step: Step, followed: Collection[str]) -> frozenset[int]:
    """Which of the values a step reads, by their order, are weights for it."""
    places = list(_places(step))
    if step.op in _FACTORS:
        factors = [i for i, (place, name) in enumerate(places) if name in followed and place in _FACTORS[step.op]]
        return frozenset(_gate(graph, step, factors, [name for _, name in places]))
    if step.op == "scaled_dot_product_attention":
        return frozenset(i for i, (place, _) in enumerate(places) if place not in (2, "value"))
    if step.op == "lerp":
        return frozenset(i for i, (place, _) in enumerate(places) if place not in (0, 1))
    if step.op in WEIGHTED | NORMS | _SHAPED_LIKE | {"div", "grid_sampler", "pow", "prelu"}:
        return frozenset(i for i, (place, _) in enumerate(places) if place != 0)
    return frozenset()


def carrying(graph: Graph, layer: str, target: str) -> tuple[Step, ...]:
    """The steps relevance passes from the target down to the layer, the layer's own left out."""
    followed = graph.above([layer])
    reached = {target}
    found = []
    for step in reversed(graph.steps):
        if step.name in reached and step.name in followed and step.name != layer:
            weights = held(graph, step, followed)
            reached.update(n for i, n in enumerate(step.inputs) if i not in weights and n in followed)
            found.append(step)
    return tuple(found[::-1])


def stuck(graph: Graph, steps: Collection[Step], followed: Collection[str]) -> tuple[str, ...]:
    """Steps all of whose inputs are weights, as "operation in 'layer'": a constant divided by a value, say."""
    return tuple(
        f"{step.op} in '{step.name}'"
        for step in steps
        if all(i in held(graph, step, followed) for i, name in enumerate(step.inputs) if name in followed)
    )


def first_layers(graph: Graph, steps: Collection[Step]) -> tuple[frozenset[str], frozenset[str]]:
    """The convolutions and dense layers that see the image before any other, and the steps that come before them all."""
    above_a_layer: set[str] = set()
    first, before = [], []
    for step in steps:
        below = not above_a_layer.isdisjoint(step.inputs)
        if step.op in WEIGHTED and not below:
            first.append(step.name)
        if step.op in WEIGHTED or below:
            above_a_layer.add(step.name)
        else:
            before.append(step.name)
    return frozenset(first), frozenset(before) & graph.below(first)


def is_dense(graph: Graph, step: Step) -> bool:
    """Whether a weighted step is a dense layer: it sees all there is at once, position for position nothing is left.

    A linear map of each position is a convolution (of 1 x 1), and a convolution as large as its map a dense layer, however written.
    """
    layout = step.layout[0]
    if step.op == "linear":
        return layout is None or not any(layout.has(axis) for axis in ("y", "x", "?"))
    if step.op != "conv2d" or step.shape is None or prod(step.shape[2:]) != 1:  # type: ignore[arg-type]
        return False
    source = step.inputs[0]
    shape = (None, *graph.input_shape) if source == INPUT else graph[source].shape
    kernel = graph.tensors[step.params[0]].shape[2:] if step.params else ()
    padding = step.argument(4, "padding", 0)
    unpadded = padding == "valid" or not any(leaf != 0 for leaf in leaves(padding))
    return shape is not None and tuple(shape[2:]) == tuple(kernel) and unpadded


def adds_constant(graph: Graph, step: Step, followed: Collection[str]) -> bool:
    """Whether a step adds something that no relevance can be passed to: a bias, a constant, a value from beside the place."""
    if step.op in WEIGHTED:
        return not _is_zero(graph, step.argument(2, "bias"))
    if step.op == "batch_norm":
        return not all(_is_zero(graph, step.args[place]) for place in (2, 3))
    if step.op in NORMS:
        place = {"instance_norm": 2, "layer_norm": 3, "group_norm": 3}.get(step.op)
        return place is not None and not _is_zero(graph, step.argument(place, "bias"))
    if step.op in ("addcmul", "addmm", "baddbmm"):
        product = _reads(step.args[1:3], followed)
        return not product or not (_reads(step.args[0], followed) or _is_zero(graph, step.args[0]))
    if step.kind == "sum":
        return not all(_reads(addend, followed) or _is_zero(graph, addend) for addend in step.args[:2])
    beside = any(name not in followed for name in step.inputs) or bool(step.params)
    return step.op in _ROUTES and (step.op == "pad" or beside)


def _gate(graph: Graph, step: Step, factors: list[int], names: list[str]) -> list[int]:
    """The factor of a product that is a weight for the other: it comes from a gate, or is spread over the other's entries."""
    if len(factors) != 2:
        return []
    gates = [i for i in factors if _comes_from_a_gate(graph, names[i])]
    if len(gates) != 1 and step.op in ("mul", "addcmul"):
        gates = [i for i in factors if _size(graph, names[i]) < prod(n or 1 for n in step.shape or ())]
    return gates if len(gates) == 1 else []


def _comes_from_a_gate(graph: Graph, name: str) -> bool:
    """Whether a value is a gate, perhaps moved about, resampled, scaled or shifted by constants."""
    step = graph.by_name.get(name)
    if step is None or step.op in GATES:
        return step is not None
    sources = step.inputs[:1] if step.op in _SHAPED_LIKE else step.inputs
    if len(sources) != 1:
        return False
    if step.op in _BOUNDED:
        below = graph.by_name.get(sources[0])
        return below is not None and below.op in _SHIFTED and len(below.inputs) == 1
    moves = step.kind in ("plumbing", "resample") or step.op in _SHIFTED | {"mul", "div"}
    return moves and _comes_from_a_gate(graph, sources[0])


def _size(graph: Graph, name: str) -> int:
    """Number of entries of a value, for one image."""
    shape = (None, *graph.input_shape) if name == INPUT else graph[name].shape
    return prod(n or 1 for n in shape or ())


def _is_zero(graph: Graph, argument: object) -> bool:
    """Whether a constant adds nothing."""
    if isinstance(argument, Param):
        return not bool(graph.tensors[argument.name].any())
    return argument is None or (isinstance(argument, (int, float)) and argument == 0)


def _reads(argument: object, followed: Collection[str]) -> bool:
    return any(isinstance(leaf, Ref) and leaf.step in followed for leaf in leaves(argument))


def _places(step: Step) -> Iterator[tuple[int | str, str]]:
    """Each value a step reads, with the argument it stands in."""
    arguments: list[tuple[int | str, object]] = [*enumerate(step.args), *step.kwargs.items()]
    for place, argument in arguments:
        yield from ((place, leaf.step) for leaf in leaves(argument) if isinstance(leaf, Ref))
