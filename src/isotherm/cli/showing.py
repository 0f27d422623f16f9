"""How long work is shown: a bar on standard error where that is a terminal, nothing elsewhere; and figures for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")

Shown = Callable[[str, int, int | None], None]
"""(stage, how far, of how many or None)"""


@contextmanager
def showing() -> Iterator[Shown]:
    """A callback that shows how far a work has come; it forgets a stage when the next one begins."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda stage, done, total: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("[dim]{task.fields[far]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, far="")

        def show(stage: str, done: int, total: int | None) -> None:
            counts_bytes = stage in ("bytes", "segments", "verifying")
            far = (size(done) if counts_bytes else f"{done:,}") if done else ""
            bar.update(task, description=stage, completed=done, total=total, far=far)

        yield show


def size(count: int) -> str:
    """Bytes for people: 3 significant digits, decimal units."""
    value = float(count)
    for unit in _UNITS:
        if value < 1_000 or unit == _UNITS[-1]:
            return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1_000
    raise AssertionError("unreachable")
