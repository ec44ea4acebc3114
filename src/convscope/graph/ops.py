"""Which operations are there, and what family is each of?

A step's `op` is the name of the ATen operation without its overload, after the few renamings below. The families decide how a
walk treats a step it has no special rule for, and which steps are layers.
"""

KINDS: dict[str, frozenset[str]] = {
    "conv": frozenset({"conv1d", "conv2d", "conv3d", "conv_transpose2d"}),
    "linear": frozenset({"linear", "addmm", "mm"}),
    "norm": frozenset({"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm"}),
    "activation": frozenset(
        {"relu", "relu6", "leaky_relu", "prelu", "elu", "celu", "selu", "gelu", "silu", "mish", "hardtanh"}
        | {
            "hardswish",
            "hardsigmoid",
            "sigmoid",
            "tanh",
            "softplus",
            "softsign",
            "log_sigmoid",
            "softmax",
            "log_softmax",
        }
    ),
    "pool": frozenset({"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "lp_pool2d"}),
    "reduce": frozenset({"mean", "sum", "amax", "amin", "max", "min", "var", "std", "norm", "linalg_vector_norm"}),
    "sum": frozenset({"add", "sub", "rsub", "addcmul", "lerp"}),
    "product": frozenset({"mul", "div"}),
    "concat": frozenset({"cat", "stack"}),
    "attention": frozenset({"scaled_dot_product_attention", "matmul", "bmm", "baddbmm", "einsum"}),
    "resample": frozenset({"upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "grid_sampler"}),
    "pointwise": frozenset(
        {"pow", "square", "sqrt", "rsqrt", "exp", "log", "abs", "neg", "reciprocal", "clamp", "clamp_min", "clamp_max"}
        | {"maximum", "minimum", "where", "sin", "cos", "erf", "sign", "floor", "round"}
    ),
}

# They move values about, or leave them alone; they have no units of their own.
PLUMBING: frozenset[str] = frozenset(
    {"reshape", "flatten", "unflatten", "permute", "transpose", "squeeze", "unsqueeze", "expand", "slice", "select"}
    | {"getitem", "split", "chunk", "unbind", "pad", "roll", "flip", "repeat", "index", "narrow", "pixel_shuffle"}
    | {"pixel_unshuffle", "unfold", "channel_shuffle", "movedim", "to", "zeros", "ones", "full", "arange", "new_zeros"}
    | {"zeros_like", "ones_like", "full_like", "slice_scatter", "select_scatter", "index_put", "index_select", "gather"}
    | {"as_strided", "alias"}
)

# Operations whose value is their first argument when a network is not being trained, or that only copy it.
IDENTITIES: frozenset[str] = frozenset(
    {"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "clone", "contiguous", "detach", "alias"}
    | {"lift_fresh_copy", "lift_fresh", "detach_copy"}
)

# One name for operations that ATen has under several.
RENAMED: dict[str, str] = {
    "view": "reshape",
    "_unsafe_view": "reshape",
    "reshape_as": "reshape",
    "view_as": "reshape",
    "expand_as": "expand",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "t": "transpose",
    "split_with_sizes": "split",
    "tensor_split": "split",
    "concat": "cat",
    "concatenate": "cat",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "subtract": "sub",
    "constant_pad_nd": "pad",
    "_to_copy": "to",
    "_softmax": "softmax",
    "convolution": "conv2d",
    "max_pool2d_with_indices": "max_pool2d",
    "_adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "_native_batch_norm_legit_no_training": "batch_norm",
    "native_layer_norm": "layer_norm",
    "native_group_norm": "group_norm",
}

_KIND_OF = {op: kind for kind, names in KINDS.items() for op in names} | dict.fromkeys(PLUMBING, "plumbing")


def kind(op: str) -> str:
    """The family of an operation; "other" for one that is in none."""
    return _KIND_OF.get(op, "other")
