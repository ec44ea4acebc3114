"""What is each step called?  By the module path its owner knows; more than one operation, or use, gets a suffix."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.fx import Node

from convscope.graph.graph import INPUT, Ref

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in .*\n\s*(?P<code>.*)')


class Naming:
    """Names for the operations of one exported program.

    A module that does one thing gives it its own path (`layer3.0.conv1`). An operation written out in the forward of a larger
    module is called after both (`layer3.0.add`). A second use gets `#2`.
    """

    def __init__(self, nodes: Sequence[Node], is_computing: Callable[[Node], bool]) -> None:
        self._nodes = nodes
        computing = [node for node in nodes if is_computing(node)]
        own = Counter(_innermost(node) for node in computing)
        above = {key for node in computing for key in list(_stack(node))[:-1]}
        self._alone = {key for key, n in own.items() if n == 1 and key not in above}
        self._computing = set(computing)
        self._taken: Counter[str] = Counter([INPUT])  # that name is the images'

    def name(self, node: Node, op: str) -> str:
        """A name no other step has."""
        path = self.path(node)
        whole = node in self._computing and _innermost(node) in self._alone and path
        base = path if whole else f"{path}.{op}" if path else op
        self._taken[base] += 1
        return base if self._taken[base] == 1 else f"{base}#{self._taken[base]}"

    def path(self, node: Node) -> str:
        """The path of the module an operation was written in."""
        stack = _stack(node)
        return next(reversed(stack.values()))[0] if stack else ""

    def where(self, node: Node) -> str:
        """File, line and code of an operation: the last frame that is not inside torch itself."""
        frames = list(_FRAME.finditer(node.meta.get("stack_trace") or ""))
        own = [frame for frame in frames if "/torch/nn/" not in frame["file"]] or frames
        if not own:
            return ""
        file = own[-1]["file"].replace("\\", "/").rsplit("/", 1)[-1]
        return f"{file}:{own[-1]['line']} {own[-1]['code'].strip()}"

    def modules(self, became: Mapping[Node, Any]) -> dict[str, str]:
        """The step that gives the output of each module, by path (`#2` for a module's second call)."""
        last: dict[str, Node] = {}
        for node in self._nodes:
            for key in _stack(node):
                last[key] = node
        found: dict[str, str] = {}
        calls: Counter[str] = Counter()
        first_seen = {key: (path, node) for node in self._nodes for key, (path, _) in _stack(node).items()}
        for key, (path, _) in first_seen.items():
            calls[path] += 1
            value = became.get(last[key])
            if path not in ("", INPUT) and isinstance(value, Ref):
                found[path if calls[path] == 1 else f"{path}#{calls[path]}"] = value.step
        return found


def _stack(node: Node) -> dict[str, tuple[str, str]]:
    """The modules an operation was called from, outermost first; the model itself has the path ''."""
    return dict(node.meta.get("nn_module_stack") or {})


def _innermost(node: Node) -> str:
    stack = _stack(node)
    return next(reversed(stack)) if stack else ""
