"""`isotherm selftest …`: what an operator may try on a running server. Exit status: 0 refused, 1 something broke out, 2 not all was tried.

Only `isolation` so far: it tries to break out of a tenant, and must be refused. It needs the URLs of both ports and a credential of the
root's admin, in the environment as AWS's tools know it or as options; 75 and 1 as of every command (reporting.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isotherm.cli.reporting import reporting

if TYPE_CHECKING:
    from isotherm.testing.isolation.probe import Report, Tried

selftest = typer.Typer(help="Try on a running server what it must refuse.", no_args_is_help=True)


@selftest.callback()
def _selftest() -> None:
    """Try on a running server what it must refuse."""


@selftest.command()
def isolation(
    credentials: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            envvar="AWS_SHARED_CREDENTIALS_FILE",
            help="The root's credentials, as the first start wrote them (keys/root-credentials).",
        ),
    ],
    s3: Annotated[str, typer.Option("--s3", metavar="URL", help="Where S3 is.")] = "http://127.0.0.1:9000",
    admin: Annotated[
        str, typer.Option("--admin", metavar="URL", help="Where the administrative port is.")
    ] = "http://127.0.0.1:9001",
    domain: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A domain that the server takes hosts for buckets in; may be given again."),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Whose certificates to trust, for https.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Try to break out of a tenant through every protocol, in throw-away tenants, and tell what was refused."""
    import ssl

    from isotherm.clock import SystemClock
    from isotherm.errors import Invalid, NotFound
    from isotherm.ids import SystemIds
    from isotherm.server.root_credentials import read
    from isotherm.testing.isolation.calling import Pair, Target
    from isotherm.testing.isolation.probe import run
    from isotherm.testing.isolation.registry import all_probes
    from isotherm.testing.isolation.stage import staged

    with reporting():
        pair = read(credentials)
        if pair is None:
            raise NotFound(f"there is no file {credentials}")
        if not all(url.startswith(("http://", "https://")) for url in (s3, admin)):
            raise Invalid("a URL begins with http:// or https://")
        tls = ssl.create_default_context(cafile=ca_file)
        target = Target(s3.rstrip("/"), admin.rstrip("/"), SystemClock(), tuple(domain or ()), tls)
        with staged(target, Pair(pair.access_key, pair.secret), SystemIds()) as stage:
            report = run(stage, all_probes(), (lambda tried: None) if as_json else _print_one)
    _print_end(report, as_json)
    raise typer.Exit(report.exit_code)


def _print_one(tried: Tried) -> None:
    from isotherm.testing.isolation.probe import Outcome

    colour = {Outcome.REFUSED: typer.colors.GREEN, Outcome.BROKE_OUT: typer.colors.RED}.get(tried.outcome)
    typer.echo(f"{typer.style(f'{tried.outcome:<10}', fg=colour or typer.colors.YELLOW)}{tried.name:<32}{tried.tried}")
    for line in tried.got:
        typer.echo("".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in f"            {line}"))


def _print_end(report: Report, as_json: bool) -> None:
    from isotherm.testing.isolation.probe import Outcome

    if as_json:
        typer.echo(report.to_json().decode())
        return
    counts = ", ".join(f"{report.number(outcome)} {outcome}" for outcome in Outcome if report.number(outcome))
    typer.echo(f"\n{len(report.probes)} probes: {counts}\n\n{report.not_covered}")
