"""`isotherm`: the command line. Thin: it reads options, calls the rooms below, and prints.

Everything heavy is imported inside the command that needs it, so that `--help` is quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isotherm import __version__
from isotherm.cli.backup import backup, restore
from isotherm.cli.fsck import fsck
from isotherm.cli.keys import keys
from isotherm.cli.reporting import reporting

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
for command in (fsck, backup, restore):
    app.command()(command)

_LISTEN = "Where it listens"
_SECURITY = "Security"
_RUNNING = "How it runs"


@app.command()
def serve(
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Directory of the store; made if missing.", show_default="ISOTHERM_DATA"),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Address to listen on.", rich_help_panel=_LISTEN, show_default="127.0.0.1"
        ),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            metavar="PORT", help="Port of S3; 0 chooses a free one.", rich_help_panel=_LISTEN, show_default="9000"
        ),
    ] = None,
    admin_port: Annotated[
        str | None,
        typer.Option(
            metavar="PORT", help="Port of health, metrics and feed.", rich_help_panel=_LISTEN, show_default="9001"
        ),
    ] = None,
    domain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Host name under which buckets are sub-domains; repeatable.", rich_help_panel=_LISTEN
        ),
    ] = None,
    tls_cert: Annotated[
        str | None, typer.Option(metavar="FILE", help="PEM file: certificate and chain.", rich_help_panel=_SECURITY)
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option(metavar="FILE", help="PEM file: private key.", rich_help_panel=_SECURITY)
    ] = None,
    gateways: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Processes that serve S3.", rich_help_panel=_RUNNING, show_default="one per core"
        ),
    ] = None,
    performance: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR", help="Further directory for hot data; repeatable.", rich_help_panel=_RUNNING),
    ] = None,
    capacity: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR", help="Further directory for cold data; repeatable.", rich_help_panel=_RUNNING),
    ] = None,
    drain_s: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS",
            help="Seconds that requests may take to end on SIGTERM.",
            rich_help_panel=_RUNNING,
            show_default="30",
        ),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL", help="debug, info, warning or error.", rich_help_panel=_RUNNING, show_default="info"
        ),
    ] = None,
    access_log: Annotated[
        bool | None,
        typer.Option(
            "--access-log/--no-access-log", help="Write log/access.log.", rich_help_panel=_RUNNING, show_default="on"
        ),
    ] = None,
) -> None:
    """Serve a store over S3, in the foreground, until Ctrl-C or SIGTERM."""
    with reporting():
        from isotherm.server.serve import serve as run
        from isotherm.settings import environment, load

        given = {
            "data": data,
            "host": host,
            "port": port,
            "admin_port": admin_port,
            "domain": domain,
            "tls_cert": tls_cert,
            "tls_key": tls_key,
            "gateways": gateways,
            "performance": performance,
            "capacity": capacity,
            "drain_s": drain_s,
            "log": log,
            "access_log": access_log,
        }
        raise typer.Exit(run(load(given, environment()), __version__))


@app.command()
def version() -> None:
    """Print the version of Isotherm."""
    typer.echo(f"isotherm {__version__}")
