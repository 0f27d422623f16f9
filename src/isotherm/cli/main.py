"""`isotherm`: the command line. Thin: it reads options, calls the rooms below, and prints.

Everything heavy is imported inside the command that needs it, so that `--help` is quick.
"""

from __future__ import annotations

from typing import Annotated

import typer

from isotherm import __version__
from isotherm.cli.audit import audit
from isotherm.cli.backup import backup, restore
from isotherm.cli.epoch import epoch
from isotherm.cli.erasure import certificate, erasure
from isotherm.cli.find import find
from isotherm.cli.fsck import fsck
from isotherm.cli.grant import grant, mount
from isotherm.cli.keys import keys
from isotherm.cli.selftest import selftest
from isotherm.cli.serve import serve
from isotherm.cli.tenant import tenant

_EPILOG = "Every option of [bold]serve[/bold] may also be given as an environment variable: --admin-port as ISOTHERM_ADMIN_PORT."

app = typer.Typer(
    name="isotherm",
    help="One store for an agent's data, spoken to in open protocols.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(keys, name="keys")
app.add_typer(tenant, name="tenant")
app.add_typer(audit, name="audit")
app.add_typer(erasure, name="erasure")
app.add_typer(certificate, name="certificate")
app.add_typer(grant, name="grant")
app.add_typer(mount, name="mount")
app.add_typer(selftest, name="selftest")
for command in (serve, find, epoch, fsck, backup, restore):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """One store for an agent's data, spoken to in open protocols."""


@app.command()
def version() -> None:
    """Print the version of Isotherm."""
    typer.echo(f"isotherm {__version__}")
