"""`isotherm tenant …`: the tree of tenants. Its commands are rows of the operations' table (operation.py)."""

from __future__ import annotations

import typer

from isotherm.cli.operation import FromTable

tenant = typer.Typer(
    name="tenant",
    cls=FromTable,
    help="Make, show, change, suspend, move, delete and erase tenants.",
    no_args_is_help=True,
)


@tenant.callback()
def _tenant() -> None:
    """Make, show, change, suspend, move, delete and erase tenants."""
