"""`isotherm grant …` and `isotherm mount …`: buckets of one tenant, used by another. Rows of the operations' table (operation.py)."""

from __future__ import annotations

import typer

from isotherm.cli.operation import FromTable

grant = typer.Typer(
    name="grant", cls=FromTable, help="Let other tenants use a bucket, and take that back.", no_args_is_help=True
)
mount = typer.Typer(
    name="mount",
    cls=FromTable,
    help="Mount what a tenant has been granted as a bucket of its own.",
    no_args_is_help=True,
)


@grant.callback()
def _grant() -> None:
    """Let other tenants use a bucket, and take that back."""


@mount.callback()
def _mount() -> None:
    """Mount what a tenant has been granted as a bucket of its own."""
