"""Where is a network source, a transform, a method ... of a given name?  One table for all kinds.

Our own items enter through the same decorator as an outside package's. An outside package declares an entry point in the
group `convscope` whose module registers its items when imported.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeVar

from convscope.errors import UnknownNameError

Item = TypeVar("Item")

_items: dict[str, dict[str, Any]] = {}
# The modules that register our own items of a kind; imported when the kind is first asked for.
_homes: dict[str, tuple[str, ...]] = {
    "source": ("convscope.network.sources",),
    "gauge": ("convscope.sweep.gauges",),
    "panel": ("convscope.page.panels",),
    "claim": ("convscope.study.claims",),
    "method": ("convscope.instruments.attribution",),
    "check": ("convscope.instruments.attribution.checks",),
    "concepts": ("convscope.images.concepts",),
}
_opened: set[str] = set()


def register(kind: str, name: str) -> Callable[[Item], Item]:
    """Put an item of a kind into the table under a name; used as a decorator.

    Raises ValueError when another item already has that name.
    """

    def enter(item: Item) -> Item:
        known = _items.setdefault(kind, {})
        if name in known and known[name] is not item:
            raise ValueError(f"{kind} '{name}' is already registered")
        known[name] = item
        return item

    return enter


def lookup(kind: str, name: str) -> Any:
    """The item of that kind and name. Raises UnknownNameError with the nearest names."""
    known = items(kind)
    if name not in known:
        raise UnknownNameError(kind, name, known)
    return known[name]


def items(kind: str) -> dict[str, Any]:
    """All items of a kind by name, ours and those of installed packages."""
    if kind not in _opened:
        _opened.add(kind)
        for home in _homes.get(kind, ()):
            import_module(home)
        for point in entry_points(group="convscope"):
            point.load()
    return dict(_items.get(kind, {}))
