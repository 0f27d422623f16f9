"""`isotherm keys …`: the credentials of a store, whether a server runs on it or not.

With a server, changes go through it; gateways follow within a second.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isotherm.cli.places import Data, Meta, RootKey, Segments
from isotherm.cli.reporting import reporting

if TYPE_CHECKING:
    from isotherm.devices.directory import DataDirectory
    from isotherm.tenancy.audit.recorder import Recorder
    from isotherm.tenancy.identity import Credential, Credentials
    from isotherm.tenancy.tenants import Tenants

keys = typer.Typer(help="Make, list, rotate and revoke access keys.", no_args_is_help=True)

_AccessKey = Annotated[str, typer.Argument(metavar="ACCESS_KEY", help="Its public half, as `keys list` shows it.")]
_COLUMNS = ("access_key", "state", "path", "roles", "created", "ends", "description")
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@keys.command()
def create(
    data: Data = None,
    meta: Meta = None,
    segments: Segments = None,
    root_key: RootKey = None,
    description: Annotated[str, typer.Option(metavar="TEXT", help="What it is for.")] = "",
    tenant: Annotated[
        str, typer.Option(metavar="TENANT", help="Whose: a path, as acme/research, or an id, as @17.")
    ] = "/",
    role: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE", help="data, admin or auditor; more than one may be given.", show_default="data"),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Make a new pair. Its secret is shown once, here."""
    from isotherm.devices.waiting import drive
    from isotherm.tenancy.roles import OWNER, read_roles

    with reporting(), _opened(data, meta, segments, root_key) as (credentials, tenants, recorder, _):
        deed = recorder.begin("key.create", OWNER)

        async def act() -> Credential:
            place = tenants.place(OWNER, tenant)
            return await credentials.create(description, tenant=place, roles=read_roles(role or ["data"]), deed=deed)

        _show(drive(recorder.watch(deed, act(), tenant=tenant)), as_json)


@keys.command("list")
def list_(
    data: Data = None,
    meta: Meta = None,
    segments: Segments = None,
    root_key: RootKey = None,
    as_json: _Json = False,
) -> None:
    """Show all access keys, without secrets."""
    from isotherm.cli.printing import print_table
    from isotherm.devices.waiting import drive
    from isotherm.tenancy.roles import role_words

    with reporting(), _opened(data, meta, segments, root_key) as (credentials, tenants, _, _):
        listed = drive(credentials.list())
        paths = drive(tenants.paths({one.tenant for one in listed}))
        rows: list[dict[str, object]] = [
            {
                "access_key": one.access_key,
                "state": one.state.value,
                "tenant": one.tenant,
                "path": paths[one.tenant],
                "roles": ", ".join(role_words(one.roles)),
                "created": _time(one.created_ms),
                "ends": _time(one.ends_ms),
                "description": one.description,
            }
            for one in listed
        ]
        if as_json:
            typer.echo(json.dumps(rows, indent=2))
            return
        table = [{**row, "roles": role_words(one.roles)} for one, row in zip(listed, rows, strict=True)]
        print_table(table, _COLUMNS, {"path": "tenant"})


@keys.command()
def rotate(
    access_key: _AccessKey,
    data: Data = None,
    meta: Meta = None,
    segments: Segments = None,
    root_key: RootKey = None,
    grace: Annotated[
        float, typer.Option(metavar="SECONDS", help="Seconds for which the old pair goes on working.")
    ] = 0.0,
    as_json: _Json = False,
) -> None:
    """Replace a pair by a new one; the old one ends."""
    from isotherm.devices.waiting import drive
    from isotherm.ids import SystemIds
    from isotherm.server import root_credentials
    from isotherm.tenancy.roles import OWNER

    with reporting(), _opened(data, meta, segments, root_key) as (credentials, _, recorder, directory):
        deed = recorder.begin("key.rotate", OWNER)
        place = directory.root_credentials
        act = root_credentials.rotate(credentials, place, SystemIds(), access_key, grace, deed)
        _show(drive(recorder.watch(deed, act, key=access_key)), as_json)


@keys.command()
def revoke(
    access_key: _AccessKey,
    data: Data = None,
    meta: Meta = None,
    segments: Segments = None,
    root_key: RootKey = None,
) -> None:
    """End a pair. Gateways refuse it within a second."""
    from isotherm.devices.waiting import drive
    from isotherm.tenancy.roles import OWNER

    with reporting(), _opened(data, meta, segments, root_key) as (credentials, _, recorder, _):
        deed = recorder.begin("key.revoke", OWNER)
        drive(recorder.watch(deed, credentials.revoke(access_key, deed=deed), key=access_key))
        typer.echo(f"{access_key} is revoked")


@contextmanager
def _opened(
    data: Path | None, meta: str | None, segments: str | None, root_key: Path | None
) -> Iterator[tuple[Credentials, Tenants, Recorder, DataDirectory]]:
    from isotherm.settings import environment, load
    from isotherm.store import compose
    from isotherm.tenancy.audit.recorder import Recorder
    from isotherm.tenancy.identity import Credentials
    from isotherm.tenancy.tenants import Tenants

    settings = load({"data": data, "meta": meta, "segments": segments, "root_key": root_key}, environment())
    with closing(compose(settings, role="foreign", create=False)) as engines:
        directory = engines.directory
        credentials = Credentials(engines.meta, engines.keys, engines.clock, engines.ids)
        recorder = Recorder(engines.meta, engines.clock, engines.ids)
        yield credentials, Tenants(engines.meta, engines.clock, engines.vault), recorder, directory


def _show(credential: Credential, as_json: bool) -> None:
    pair = {"access_key": credential.access_key, "secret_key": credential.secret}
    if as_json:
        typer.echo(json.dumps(pair))
        return
    typer.echo(f"access key  {pair['access_key']}\nsecret key  {pair['secret_key']}")
    typer.secho("The secret is not shown again.", err=True, dim=True)


def _time(ms: int | None) -> str | None:
    return datetime.fromtimestamp(ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if ms else None
