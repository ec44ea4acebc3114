"""What does a node of an exported program do?  Its operation, whether it writes or shows memory, and what is inside it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Node

from convscope.errors import ExportError
from convscope.graph import ops

# When a network is not being trained these return their first argument itself ...
SAME = frozenset({"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "detach", "alias"})
# Further operations that may show their first argument's memory.
_MAY_SHOW = SAME | {"reshape", "flatten", "contiguous", "to", "chunk", "split", "unbind", "lift_fresh"}


def op_name(node: Node) -> str:
    """The name of an operation, under the one spelling used here."""
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        name = target._schema.name.split("::")[1]
        if writes(node):
            name = name.removesuffix("_")
        if name == "hardtanh" and tuple(node.args[1:3]) == (0.0, 6.0):
            return "relu6"
        return ops.RENAMED.get(name, name)
    return getattr(target, "__name__", str(target))


def is_computing(node: Node) -> bool:
    op = op_name(node)
    return ops.kind(op) != "plumbing" and op not in ops.IDENTITIES and not is_check(node)


def is_check(node: Node) -> bool:
    return node.meta.get("val") is None or "assert" in str(node.target)


def writes(node: Node) -> bool:
    target = node.target
    return (
        isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable and not target.name().endswith(".out")
    )


def _shows_first(node: Node) -> bool:
    """Whether a node shows its first argument's memory, or part of it."""
    target = node.target
    if node.op != "call_function" or not isinstance(target, torch._ops.OpOverload):
        return getattr(target, "__name__", "") == "getitem"
    returns = target._schema.returns
    is_alias = bool(returns) and returns[0].alias_info is not None
    return is_alias or op_name(node) in _MAY_SHOW


def _is_same(node: Node) -> bool:
    """Whether a node is its first argument, under another name."""
    return node.op == "call_function" and (writes(node) or op_name(node) in SAME)


def same_value(node: Node) -> set[Node]:
    """All names of the very same value."""
    return _names(node, _is_same)


def same_memory(node: Node) -> set[Node]:
    """All names of values that show some of the same memory."""
    return _names(node, _shows_first)


def _names(node: Node, is_name: Callable[[Node], bool]) -> set[Node]:
    """A node, what it is another name of, and all that is another name of that."""
    while is_name(node) and isinstance(node.args[0], Node):
        node = node.args[0]
    found, waiting = {node}, [node]
    while waiting:
        for user in waiting.pop().users:
            if user not in found and user.args and user.args[0] in found and is_name(user):
                found.add(user)
                waiting.append(user)
    return found


def numbers(shape: Sequence[Any]) -> tuple[int, ...]:
    """A shape with numbers for the sizes of the example. Raises ExportError for one that depends on what images show."""
    return tuple(_number(size) for size in shape)


def _number(size: Any) -> int:
    if not isinstance(size, torch.SymInt):
        return int(size)
    if size.node.hint is None:
        raise ExportError(
            "The size of every value must follow from the size of the images.",
            "One depends on what the images show.",
            "Networks that select among positions by their content cannot be analysed.",
        )
    return int(size.node.hint)


# Regions of a model that run under another setting: a module inside, after so many arguments of the setting itself.
_REGIONS = {"wrap_with_autocast": 4, "wrap_with_set_grad_enabled": 1}


def region(node: Node) -> tuple[GraphModule, tuple[Any, ...]] | None:
    """The operations inside a `with torch.autocast` or `torch.no_grad` of the model, and what they are given.

    None for a plain operation, and for an autocast that is switched on, which changes precisions.
    """
    n_settings = _REGIONS.get(getattr(node.target, "__name__", "")) if node.op == "call_function" else None
    if n_settings is None or (n_settings == 4 and node.args[2]):
        return None
    inside, *given = node.args[n_settings:]
    assert isinstance(inside, Node)
    module = getattr(inside.graph.owning_module, str(inside.target))
    assert isinstance(module, GraphModule)
    return module, tuple(given)


def flattened(nodes: Sequence[Node]) -> Iterator[Node]:
    """All nodes in order, those inside regions in place of the region."""
    for node in nodes:
        found = region(node)
        if found is None:
            yield node
        else:
            yield from flattened(list(found[0].graph.nodes))
