"""What the demonstration shows: numbered sections, plain sentences, progress bars, one table at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table


class Bar:
    """One progress bar; safe to advance from any thread."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, steps: int = 1) -> None:
        self._progress.advance(self._task, steps)

    def reach(self, done: int) -> None:
        self._progress.update(self._task, completed=done)

    def relabel(self, label: str) -> None:
        self._progress.update(self._task, description=label)


class Screen:
    """Writes to the terminal, or plain lines to a file."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._sections = 0

    @property
    def columns(self) -> int:
        """Room for a program's own output, which `say` indents."""
        return self._console.width - 3

    def title(self, text: str, below: str) -> None:
        self._console.print(f"\n[bold]{escape(text)}[/bold]\n{escape(below)}")

    def section(self, text: str) -> None:
        self._sections += 1
        self._console.print(f"\n[bold cyan]{self._sections}  {escape(text)}[/bold cyan]")

    def say(self, text: str) -> None:
        self._console.print(f"   {escape(text)}", soft_wrap=True)

    def proof(self, text: str) -> None:
        """A sentence that has just been checked."""
        self._console.print(f"   [green]✓[/green] {escape(text)}", soft_wrap=True)

    def alarm(self, text: str) -> None:
        self._console.print(f"   [bold red]{escape(text)}[/bold red]", soft_wrap=True)

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        with self._console.status(f"{escape(text)} …"):
            yield

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Bar]:
        columns = (TextColumn("   {task.description}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console) as progress:
            yield Bar(progress, progress.add_task(label, total=total))

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(title=title, title_justify="left", title_style="bold")
        for index, name in enumerate(header):
            table.add_column(name, justify="right" if index == 1 else "left", no_wrap=True)
        for row in rows:
            table.add_row(*map(escape, row))
        self._console.print()
        self._console.print(table)
