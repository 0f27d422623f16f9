"""How a command tells that it failed: one line on standard error, and an exit status that says whether to try again.

1: the request or the state of the store; mend it. 75: try again later (EX_TEMPFAIL).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from isotherm.errors import IsothermError, Retry

EXIT_MEND = 1
EXIT_AGAIN = 75


@contextmanager
def reporting() -> Iterator[None]:
    """Turn errors of the platform into a line and an exit status; others keep their traceback."""
    try:
        yield
    except IsothermError as error:
        typer.secho(f"isotherm: {error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(EXIT_AGAIN if isinstance(error, Retry) else EXIT_MEND) from error
