"""`isotherm erasure …` and `isotherm certificate …`: what was erased, and whether a certificate of it is good.

The former are rows of the operations' table (operation.py). `certificate verify` needs no store: a file and the public key. Its exit
status: 0 good, 2 not what was signed by that key, 1 no certificate at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from isotherm.cli.operation import FromTable
from isotherm.cli.reporting import EXIT_MEND

if TYPE_CHECKING:
    from collections.abc import Mapping

EXIT_BAD = 2

erasure = typer.Typer(
    name="erasure", cls=FromTable, help="Show erased tenants and their certificates.", no_args_is_help=True
)
certificate = typer.Typer(name="certificate", help="Verify certificates of erasure.", no_args_is_help=True)


@erasure.callback()
def _erasure() -> None:
    """Show erased tenants and their certificates."""


@certificate.callback()
def _certificate() -> None:
    """Verify certificates of erasure."""


@certificate.command()
def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `isotherm erasure show --json` printed, or a part of it.")
    ],
    public_key: Annotated[
        str,
        typer.Option(
            metavar="HEX", help="The store's public key, as `isotherm erasure key` shows it; got by another way."
        ),
    ],
) -> None:
    """Verify every signed statement in a file by a public key. Needs no store."""
    import msgspec

    from isotherm.errors import Corrupt, Invalid
    from isotherm.tenancy.erasure.certificate import Signed
    from isotherm.tenancy.erasure.certificate import verify as verify_signed

    try:
        told = msgspec.json.decode(file.read_bytes())
        parts = [msgspec.convert(part, Signed) for part in _parts(told)]
        key = bytes.fromhex(public_key)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        _end(f"{file}: {error}", EXIT_MEND)
    if not parts:
        _end(f"{file} holds no certificate", EXIT_MEND)
    for part in parts:
        try:
            verify_signed(part, key)
        except Invalid as error:
            _end(str(error), EXIT_MEND)
        except Corrupt as error:
            _end(f"{file}: {error}", EXIT_BAD)
        typer.echo(f"good: {_words(part.statement)}")


def _parts(told: object) -> list[object]:
    """The signed statements in what was printed: itself, or its certificate and purge."""
    if not isinstance(told, dict):
        return []
    if "statement" in told:
        return [told]
    return [told[name] for name in ("certificate", "purge") if told.get(name) is not None]


def _words(statement: Mapping[str, Any]) -> str:
    tenant = statement.get("tenant", {})
    named = f"tenant @{tenant.get('id')} {tenant.get('path', '')}".rstrip()
    time = statement.get("time") or statement.get("verified", {}).get("time")
    what = "purged" if statement.get("type") == "isotherm.purge" else "erased"
    return f"{named} of store {statement.get('store')} was {what}, {time}"


def _end(said: str, status: int) -> NoReturn:
    typer.secho(f"isotherm: {said}", err=True, fg=typer.colors.RED)
    raise typer.Exit(status)
