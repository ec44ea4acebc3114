"""What does each operation do to the axes?  One rule per operation, from the layouts of its inputs to those of its values.

A rule that cannot tell gives None; the reader then guesses from the shape alone (`guess`).
"""

from collections.abc import Callable, Sequence
from typing import Any

from convscope.graph.layout import BATCH, OTHER, UNIT, Atom, Dimension, Layout, X, Y, regroup, tidy

Shape = tuple[int, ...]
Dims = tuple[Dimension, ...]
# arguments (tensors replaced by their Layout, or by None where they have none), shapes of the values -> layouts of the values
Rule = Callable[[Sequence[Any], Sequence[Shape]], list[Layout | None]]

_RULES: dict[str, Rule] = {}


def layouts(op: str, args: Sequence[Any], shapes: Sequence[Shape], n_batch: int) -> tuple[Layout | None, ...]:
    """The layout of each value of an operation, given its arguments in order; None for one without a batch axis."""
    rule = _RULES.get(op, _elementwise)
    try:
        found = rule(args, shapes)
    except (LookupError, TypeError, ValueError, AttributeError):  # an argument form the rule does not know
        found = [None] * len(shapes)
    return tuple(
        layout if layout is not None and layout.shape == shape and layout.has(BATCH) else guess(shape, n_batch)
        for layout, shape in zip(found, shapes, strict=True)
    )


def guess(shape: Shape, n_batch: int) -> Layout | None:
    """The usual meaning of a shape: four dimensions are `batch unit y x`, two are `batch unit`."""
    if shape[:1] != (n_batch,):
        return None
    if len(shape) == 4:
        return _fresh(shape)
    return tidy(((Atom(BATCH, shape[0]),), (Atom(UNIT, shape[1]),))) if len(shape) == 2 else None


def _rule(*ops: str) -> Callable[[Rule], Rule]:
    def enter(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(ops, rule))
        return rule

    return enter


def _fresh(shape: Shape) -> Layout:
    batch, unit, y, x = shape
    return tidy(((Atom(BATCH, batch),), (Atom(UNIT, unit),), (Atom(Y, y),), (Atom(X, x),)))


def _elementwise(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    """Broadcasting, from the right: a dimension means what it means in the first input that has it."""
    inputs = [arg for arg in _flat(args) if isinstance(arg, Layout)]
    if not inputs:
        return [None] * len(shapes)
    return [tidy(_broadcast(inputs, len(shape))) for shape in shapes]


def _broadcast(inputs: list[Layout], n_dims: int) -> Dims:
    dims: list[Dimension] = []
    for i in range(1, n_dims + 1):
        candidates = [layout.dims[-i] for layout in inputs if len(layout.dims) >= i and layout.dims[-i]]
        candidates.sort(key=lambda dim: any(atom.axis == OTHER for atom in dim))  # stable: known axes first
        dims.append(candidates[0] if candidates else ())
    return tuple(reversed(dims))


def _flat(args: Any) -> list[Any]:
    if isinstance(args, (tuple, list)):
        return [leaf for arg in args for leaf in _flat(arg)]
    return [args]


@_rule("conv2d", "conv_transpose2d")
def _conv(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    (shape,) = shapes
    kept = []  # an image that was turned on its side stays so
    for dim, usual, size in zip(args[0].dims[2:], (Y, X), shape[2:], strict=True):
        known = len(dim) == 1 and dim[0].axis in (Y, X)
        kept.append((Atom(dim[0].axis if known else usual, size),))
    return [tidy((args[0].dims[0], (Atom(UNIT, shape[1]),), *kept))]


@_rule("conv1d", "conv3d")
def _conv_along(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    """A convolution along other axes than y and x (over units, say): they keep their meaning if they keep their size."""
    (shape,) = shapes
    units = (Atom(UNIT, shape[1]),) if not any(a.axis == UNIT for dim in args[0].dims[2:] for a in dim) else ()
    kept = [
        dim if before == size else (Atom(OTHER, size),)
        for dim, before, size in zip(args[0].dims[2:], args[0].shape[2:], shape[2:], strict=True)
    ]
    return [tidy((args[0].dims[0], units, *kept))]


@_rule("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "lp_pool2d")
@_rule("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d")
def _resized(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    """New sizes for y and x; units as they were."""
    found: list[Layout | None] = []
    for shape in shapes:
        if len(shape) == 4 and all(len(dim) <= 1 for dim in args[0].dims):
            found.append(tidy((*args[0].dims[:-2], (Atom(Y, shape[-2]),), (Atom(X, shape[-1]),))))
        else:
            found.append(None)
    return found


@_rule("linear", "addmm", "mm")
def _linear(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    (shape,) = shapes
    entering = next(arg for arg in args if isinstance(arg, Layout))
    *others, last = entering.dims
    has_units = any(atom.axis == UNIT for dim in others for atom in dim)
    if not has_units:
        return [tidy((*others, (Atom(UNIT, shape[-1]),)))]
    same = entering.shape[-1] == shape[-1]
    return [tidy((*others, last if same else (Atom(OTHER, shape[-1]),)))]


@_rule("matmul", "bmm")
def _matmul(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    (shape,) = shapes
    left, right = args[0], args[1]
    if right is None:  # a constant matrix: as a linear layer
        return _linear((left,), shapes)
    if left is None:
        return [tidy((*right.dims[:-2], (Atom(OTHER, shape[-2]),), right.dims[-1]))]
    # Heads are parts of the units: their strides are right where the rest of the units is, not in a table of weights.
    first, second = (right, left) if any(atom.axis == UNIT for atom in right.dims[-1]) else (left, right)
    heads = _broadcast([Layout(first.dims[:-2]), Layout(second.dims[:-2])], len(shape) - 2)
    return [tidy((*heads, left.dims[-2], right.dims[-1]))]


@_rule("scaled_dot_product_attention")
def _attention(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    query, _, value = args[:3]
    return [tidy((*query.dims[:-1], value.dims[-1]))]


@_rule("reshape", "flatten", "unflatten", "squeeze", "unsqueeze")
def _reshape(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    (shape,) = shapes
    dims = regroup(args[0].dims, shape)
    return [tidy(dims) if dims is not None else None]


@_rule("permute")
def _permute(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    return [tidy(tuple(args[0].dims[i] for i in args[1]))]


@_rule("transpose")
def _transpose(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    dims = list(args[0].dims)
    i, j = args[1:3] if len(args) >= 3 else (0, 1)
    dims[i], dims[j] = dims[j], dims[i]
    return [tidy(tuple(dims))]


@_rule("mean", "sum", "amax", "amin", "var", "std", "linalg_vector_norm", "norm")
def _reduce(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    (shape,) = shapes
    n_dims = len(args[0].dims)
    gone = reduced_dims(args, n_dims)
    if len(shape) == n_dims:
        return [tidy(tuple(() if i in gone else dim for i, dim in enumerate(args[0].dims)))]
    return [tidy(tuple(dim for i, dim in enumerate(args[0].dims) if i not in gone))]


def reduced_dims(args: Sequence[Any], n_dims: int) -> set[int]:
    """Which dimensions a reduction takes away, whatever the form of its arguments."""
    given: Sequence[int] | None = next((arg for arg in args[1:] if isinstance(arg, (list, tuple))), None)
    if given is None:
        numbers = [arg for arg in args[1:2] if isinstance(arg, int) and not isinstance(arg, bool)]
        given = numbers or list(range(n_dims))
    return {i % n_dims for i in given}


@_rule("softmax", "log_softmax", "cumsum")
def _along(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    return [args[0]]


@_rule("cat")
def _cat(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    (shape,) = shapes
    inputs = [layout for layout in args[0] if isinstance(layout, Layout)]
    dim = (args[1] if len(args) > 1 else 0) % len(shape)
    axes = {atom.axis for layout in inputs for atom in layout.dims[dim]}
    joined = (Atom(axes.pop(), shape[dim]),) if len(axes) == 1 and len(inputs) == len(args[0]) else None
    if joined is None:
        joined = (Atom(OTHER, shape[dim]),)
    return [tidy(tuple(joined if i == dim else kept for i, kept in enumerate(_broadcast(inputs, len(shape)))))]


@_rule("stack")
def _stack(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    """The stacked values count as further units."""
    (shape,) = shapes
    inputs = [layout for layout in args[0] if isinstance(layout, Layout)]
    dim = (args[1] if len(args) > 1 else 0) % len(shape)
    dims = list(_broadcast(inputs, len(shape) - 1))
    dims.insert(dim, (Atom(UNIT, shape[dim], stride=max(inputs[0].size(UNIT), 1)),))
    return [tidy(tuple(dims))]


@_rule("expand")
def _expand(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    """Like another value, or to given sizes: then the last two of four dimensions become y and x, as everywhere."""
    if len(args) > 1 and isinstance(args[1], Layout):
        return _elementwise(args, shapes)
    (shape,) = shapes
    dims = list(_sized(args[0], shape))
    for i, axis in ((2, Y), (3, X)):
        if len(dims) == 4 and not args[0].has(axis) and all(atom.axis == OTHER for atom in dims[i]):
            dims[i] = (Atom(axis, shape[i]),)
    return [tidy(tuple(dims))]


@_rule("slice", "split", "chunk", "pad", "narrow", "repeat", "roll", "flip", "index_select")
def _cropped(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    """Some dimensions get another size: a whole axis stays that axis, a part of a cut one loses its meaning."""
    return [tidy(_sized(args[0], shape)) for shape in shapes]


def _sized(layout: Layout, shape: Shape) -> Dims:
    dims: Dims = ((),) * (len(shape) - len(layout.dims)) + layout.dims
    return tuple(_sized_dim(layout, dim, size) for dim, size in zip(dims, shape, strict=True))


def _sized_dim(layout: Layout, dim: Dimension, size: int) -> Dimension:
    before = 1
    for atom in dim:
        before *= atom.size
    if before == size:
        return dim
    axes = {atom.axis for atom in dim}
    if axes == {UNIT} or (len(dim) == 1 and dim[0].size == layout.size(dim[0].axis)):
        return (Atom(dim[0].axis, size),)
    return (Atom(OTHER, size),)


@_rule("select", "unbind")
def _select(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    dim = (args[1] if len(args) > 1 else 0) % len(args[0].dims)
    return [tidy(tuple(kept for i, kept in enumerate(args[0].dims) if i != dim))] * len(shapes)


@_rule("pixel_shuffle", "pixel_unshuffle")
def _shuffled(args: Sequence[Any], shapes: Sequence[Shape]) -> list[Layout | None]:
    return [_fresh(shape) for shape in shapes]
