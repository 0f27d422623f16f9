"""`isotherm erasure …` and `isotherm certificate …`: what was erased, and whether a certificate of it is good.

The former are rows of the operations' table (operation.py). `certificate verify` needs no store: a file and public keys. Its exit
status: 0 good, 2 some part is not what was signed by one of them, 1 no certificate at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from isotherm.cli.operation import FromTable
from isotherm.cli.reporting import EXIT_MEND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isotherm.tenancy.erasure.certificate import Signed

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
        list[str],
        typer.Option(
            metavar="HEX",
            help="The store's public key, as `isotherm erasure key` shows it; got by another way. May be repeated.",
        ),
    ],
) -> None:
    """Verify every signed statement in a file by public keys. Needs no store."""
    import msgspec

    from isotherm.tenancy.erasure.certificate import Signed

    keys = [_key(digits) for digits in public_key]
    try:
        told = msgspec.json.decode(file.read_bytes())
        parts = {name: msgspec.convert(part, Signed) for name, part in _parts(told).items()}
    except FileNotFoundError:
        _end(f"there is no file {file}", EXIT_MEND)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        _end(f"{file}: {error}", EXIT_MEND)
    if not parts:
        _end(f"{file} holds no certificate", EXIT_MEND)
    wrong = [_judged(f"{file}: the {name}", part, keys) for name, part in parts.items()]
    if any(wrong):
        _end("\nisotherm: ".join(filter(None, wrong)), EXIT_BAD)


def _key(digits: str) -> bytes:
    from isotherm.tenancy.erasure.certificate import PUBLIC_KEY_BYTES

    try:
        key = bytes.fromhex(digits)
    except ValueError:
        key = b""
    if len(key) != PUBLIC_KEY_BYTES:
        _end(
            f"--public-key is {2 * PUBLIC_KEY_BYTES} hexadecimal digits, as `isotherm erasure key` shows, not {digits[:80]!r}",
            EXIT_MEND,
        )
    return key


def _judged(named: str, part: Signed, keys: list[bytes]) -> str:
    """Tell that a statement is good, or return what is wrong with it."""
    from isotherm.errors import Corrupt
    from isotherm.tenancy.erasure.certificate import verify as verify_signed

    key = next((key for key in keys if key.hex() == part.public_key), None)
    if key is None:
        return f"{named} was signed by another key, which was not given: {part.public_key[:80]}"
    try:
        verify_signed(part, key)
    except Corrupt as error:
        return f"{named}: {error}"
    typer.echo(f"good: {_words(part.statement)}")
    return ""


def _parts(told: object) -> dict[str, object]:
    """The signed statements in what was printed, by what they are: itself, or its certificate and purge."""
    if not isinstance(told, dict):
        return {}
    if "statement" in told:
        return {"statement": told}
    return {name: told[name] for name in ("certificate", "purge") if told.get(name) is not None}


def _words(statement: Mapping[str, Any]) -> str:
    tenant = statement.get("tenant", {})
    named = f"tenant @{tenant.get('id')} {tenant.get('path', '')}".rstrip()
    time = statement.get("time") or statement.get("verified", {}).get("time")
    what = "purged" if statement.get("type") == "isotherm.purge" else "erased"
    return f"{named} of store {statement.get('store')} was {what}, {time}"


def _end(said: str, status: int) -> NoReturn:
    typer.secho(f"isotherm: {said}", err=True, fg=typer.colors.RED)
    raise typer.Exit(status)
