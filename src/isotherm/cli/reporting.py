"""How a command tells that it failed: one line on standard error, and an exit status that says whether to try again.

1: the request, the rights of whoever runs it, or the state of the store; mend that. 75: try again later (EX_TEMPFAIL).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from isotherm.errors import IsothermError, NotPermitted, Retry

EXIT_MEND = 1
EXIT_AGAIN = 75


@contextmanager
def reporting() -> Iterator[None]:
    """Turn errors of the platform into a line and an exit status; others keep their traceback."""
    try:
        yield
    except IsothermError as error:
        typer.secho(f"isotherm: {error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(EXIT_AGAIN if is_passing(error) else EXIT_MEND) from error


def is_passing(error: IsothermError) -> bool:
    """Whether the same command may work later, without anybody's doing."""
    return isinstance(error, Retry) and not isinstance(error, NotPermitted)
