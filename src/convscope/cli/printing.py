"""What does a terminal get?  Tables on stdout, progress on stderr, and one form for every JSON document."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convscope.documents import document as document

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


@contextmanager
def stages(*, shown: bool = True) -> "Iterator[Callable[[str, int, int], None]]":
    """A bar on stderr for each stage of the work, with rate and time left; nothing where stderr is not a terminal.

    Yields what to call with (stage, done, total).
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    screen = console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not (shown and screen.is_terminal)) as bar:
        tasks: dict[str, TaskID] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total, rate="")
            speed = bar.tasks[tasks[stage]].speed
            bar.update(tasks[stage], completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield update


@contextmanager
def progress(what: str, *, shown: bool = True) -> "Iterator[Callable[[int, int], None]]":
    """The same for work of one stage. Yields what to call with (done, total)."""
    with stages(shown=shown) as update:
        yield lambda done, total: update(what, done, total)
