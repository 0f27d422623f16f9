"""`isotherm audit …`: what was done to tenants and keys, and whether the log of it is whole.

`list` and `head` are rows of the operations' table (operation.py). `verify` reads all of it, on the store itself, and changes
nothing. Its exit status: 0 whole, 2 broken, 1 the request or the store, 75 try again later.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from isotherm.cli.operation import FromTable
from isotherm.cli.places import Data, Meta, RootKey, Segments
from isotherm.cli.reporting import reporting

if TYPE_CHECKING:
    from isotherm.store import Engines
    from isotherm.tenancy.audit.chain import Head
    from isotherm.tenancy.audit.verify import Verdict

EXIT_BROKEN = 2

audit = typer.Typer(
    name="audit",
    cls=FromTable,
    help="What was done to tenants and keys, by whom, and whether the log of it is whole.",
    no_args_is_help=True,
)


@audit.callback()
def _audit() -> None:
    """What was done to tenants and keys, by whom, and whether the log of it is whole."""


@audit.command()
def verify(
    tenant: Annotated[
        str | None,
        typer.Argument(metavar="TENANT", help="Whose chain: a path, or an id, as @17; all of them unless given."),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(metavar="SEQ:HASH", help="A head of that chain that was kept elsewhere; may be given again."),
    ] = None,
    data: Data = None,
    meta: Meta = None,
    segments: Segments = None,
    root_key: RootKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Recompute chains, and say where one is broken. Exit status 2 if one is."""
    from isotherm.devices.waiting import drive
    from isotherm.errors import Invalid
    from isotherm.settings import environment, load
    from isotherm.store import compose
    from isotherm.tenancy.audit.chain import read_head
    from isotherm.tenancy.audit.verify import waiting

    with reporting():
        if expect and tenant is None:
            raise Invalid("a head belongs to one chain: name its TENANT")
        expected = [read_head(text) for text in expect or ()]
        settings = load({"data": data, "meta": meta, "segments": segments, "root_key": root_key}, environment())
        with closing(compose(settings, role="foreign", create=False)) as engines:
            verdicts = drive(_verdicts(engines, tenant, expected))
            unchained = drive(waiting(engines.meta))
    broken = any(verdict.breaks for verdict in verdicts)
    if as_json:
        typer.echo(json.dumps({"chains": [_plain(one) for one in verdicts], "unchained": unchained}, indent=2))
    else:
        _print(verdicts, unchained)
    raise typer.Exit(EXIT_BROKEN if broken else 0)


async def _verdicts(engines: Engines, tenant: str | None, expected: list[Head]) -> list[Verdict]:
    from isotherm.tenancy.audit.log import AuditLog
    from isotherm.tenancy.audit.rows import chained_tenants
    from isotherm.tenancy.audit.verify import verify as recompute
    from isotherm.tenancy.roles import OWNER

    if tenant is None:
        return [await recompute(engines.meta, one) for one in await chained_tenants(engines.meta)]
    node = await AuditLog(engines.meta).place(OWNER, tenant)
    return [await recompute(engines.meta, node, expected)]


def _plain(verdict: Verdict) -> dict[str, object]:
    return {
        "tenant_id": verdict.tenant,
        "sequence": verdict.at.sequence,
        "hash": verdict.at.hash.hex(),
        "breaks": [{"how": one.how.value, "first": one.first, "last": one.last} for one in verdict.breaks],
    }


def _print(verdicts: list[Verdict], unchained: int) -> None:
    for verdict in verdicts:
        for one in verdict.breaks:
            typer.secho(f"@{verdict.tenant} {one}", fg=typer.colors.RED)
        if not verdict.breaks:
            typer.echo(f"@{verdict.tenant} whole  {verdict.at.sequence}:{verdict.at.hash.hex()}")
    typer.echo(f"{unchained:,} records are not chained yet")
