"""What does a terminal get?  Tables on stdout, progress on stderr, and one form for every JSON document."""

import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

NO_TERMINAL_WIDTH = 200  # a table written to a file or a pipe is not cut to 80 columns


def console(*, stderr: bool = False) -> "Console":
    """Where to print; keeps NO_COLOR, FORCE_COLOR and TERM=dumb."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else NO_TERMINAL_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)


def document(kind: str, body: dict[str, Any]) -> str:
    """The one form of every `--json` output; a number that is none (NaN, infinite) is null, as JSON wants it."""
    return json.dumps({"schema": f"convscope.{kind}", "version": 1, **_finite(body)}, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def progress(what: str, *, shown: bool = True) -> "Iterator[Callable[[int, int], None]]":
    """A bar on stderr with rate and time left; nothing where stderr is not a terminal. Yields what to call with (done, total)."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    screen = console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not (shown and screen.is_terminal)) as bar:
        task = bar.add_task(what, total=None, rate="")

        def update(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield update
