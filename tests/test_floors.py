"""Do imports point downward only?  A room may import what lies on a lower floor, and itself; each instrument is a room."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "convscope"
FLOORS = (
    ("errors", "documents", "words", "intervals", "drawing"),
    ("registry", "finding", "torchvision_ops"),
    ("graph", "images"),
    ("walks",),
    ("network",),
    ("sweep",),
    ("instruments",),
    ("page",),
    ("answer", "see"),
    ("study",),
    ("cli", "notebook"),
    ("__main__",),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imports(path: Path) -> Iterator[str]:
    """The modules of convscope that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "convscope")
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield "relative"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "convscope":
            below = f"{node.module}." if node.module == "convscope" else node.module
            yield from (f"{below}{alias.name}" if below.endswith(".") else below for alias in node.names)


def room_of(parts: Sequence[str]) -> str:
    """The room that a module lies in: its package, and of the instruments which one."""
    n = 2 if parts[:1] and parts[0] == "instruments" else 1
    return "/".join([*parts, "__init__"][:n])


def floor_name(room: str) -> str:
    return room.split("/")[0]


def upward(source: Path) -> list[str]:
    """Every import that does not point downward, as "file -> module"; the public page itself may import anything."""
    found = set()
    for path in sorted(source.rglob("*.py")):
        room = room_of(path.relative_to(source).with_suffix("").parts)
        if room == "__init__":
            continue
        for module in imports(path):
            other = room_of(module.split(".")[1:])
            is_below = other == room or FLOOR_OF.get(floor_name(other), 99) < FLOOR_OF.get(floor_name(room), -1)
            if not is_below:
                found.add(f"{path.relative_to(source)} -> {module}")
    return sorted(found)


def test_imports_point_downward_only() -> None:
    assert upward(SOURCE) == []


def test_every_room_has_a_floor() -> None:
    rooms = {
        path.name.removesuffix(".py")
        for path in SOURCE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms - {"__init__"} <= FLOOR_OF.keys()


def test_an_import_that_points_upward_is_found(tmp_path: Path) -> None:
    planted = {
        "errors.py": "import convscope.graph.ops\n",
        "graph/read.py": "from convscope.images import Classes\nfrom convscope.errors import UsageError\n",
        "walks/cost.py": "def f():\n    from convscope.network.layers import Layer\n",
        "network/load.py": "from convscope.walks.fold import fold\nfrom convscope.images import Classes\n",
        "images/values.py": "from convscope import load\nfrom . import modes\n",
        "instruments/depth/probe.py": "from convscope.instruments.depth.fit import fit\n"
        "from convscope.instruments.tuning.gabor import gabor\n",
        "cellar.py": "from convscope.errors import UsageError\n",
        "__init__.py": "from convscope.network import load\n",
    }
    for name, text in planted.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert upward(tmp_path) == [
        "cellar.py -> convscope.errors",
        "errors.py -> convscope.graph.ops",
        "graph/read.py -> convscope.images",
        "images/values.py -> convscope.load",
        "images/values.py -> relative",
        "instruments/depth/probe.py -> convscope.instruments.tuning.gabor",
        "walks/cost.py -> convscope.network.layers",
    ]
