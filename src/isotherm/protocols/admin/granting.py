"""Rows of the table of operations (operations.py) that concern grants: buckets of one tenant, mounted in another.

A grant is its owner's, a mount the receiver's; who may what stands in tenancy/grants.py. Pure but for the step into it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from isotherm.errors import Invalid
from isotherm.protocols.admin import schemas
from isotherm.protocols.admin.operation import Administration, Answer, Call, Idempotency, Operation
from isotherm.tenancy.grant_record import Access, Grant
from isotherm.tenancy.grants import Wanted
from isotherm.tenancy.roles import Need

_GRANTS = "/v1/tenants/{tenant}/grants"
_MOUNTS = "/v1/tenants/{tenant}/mounts"


async def _create(on: Administration, call: Call) -> Answer:
    body: schemas.NewGrant = call.body
    wanted = Wanted(body.bucket, body.to, Access(body.access), body.prefix, body.alias)
    grant, made = await on.grants.create(call.caller, call.path["tenant"], call.path["grant"], wanted, call.deed)
    return Answer(_shown(grant), made)


async def _given(on: Administration, call: Call) -> Answer:
    query: schemas.GrantQuery = call.query
    page, more = await on.grants.given(call.caller, call.path["tenant"], after=query.after, limit=query.limit)
    following = page[-1].name if more and page else None
    return Answer(schemas.GrantPage(grants=[_shown(grant) for grant in page], next=following))


async def _revoke(on: Administration, call: Call) -> Answer:
    await on.grants.revoke(call.caller, call.path["tenant"], call.path["grant"], call.deed)
    return Answer()


async def _mount(on: Administration, call: Call) -> Answer:
    body: schemas.NewMount = call.body
    tenant, alias = call.path["tenant"], call.path["alias"]
    grant, made = await on.grants.mount(call.caller, tenant, alias, body.owner, body.grant, call.deed)
    return Answer(_shown(grant), made)


async def _received(on: Administration, call: Call) -> Answer:
    query: schemas.GrantQuery = call.query
    after = _place(query.after) if query.after else None
    page, more = await on.grants.received(call.caller, call.path["tenant"], after=after, limit=query.limit)
    following = f"@{page[-1].owner}/{page[-1].name}" if more and page else None
    return Answer(schemas.GrantPage(grants=[_shown(grant) for grant in page], next=following))


async def _unmount(on: Administration, call: Call) -> Answer:
    await on.grants.unmount(call.caller, call.path["tenant"], call.path["alias"], call.deed)
    return Answer()


def _place(text: str) -> tuple[int, str]:
    """`@17/name` as (17, name). Raises Invalid."""
    owner, slash, name = text.removeprefix("@").partition("/")
    if not (slash and owner.isascii() and owner.isdigit() and 0 < int(owner[:11]) <= 0xFFFFFFFF):
        raise Invalid("what to go on after is written @17/name")
    return int(owner), name


def _shown(grant: Grant) -> schemas.Grant:
    return schemas.Grant(
        name=grant.name,
        owner_id=grant.owner,
        bucket=grant.bucket_name,
        to_id=grant.to,
        access=grant.access.value,
        prefix=grant.prefix,
        alias=grant.alias or None,
        created=datetime.fromtimestamp(grant.created_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


_COLUMNS = ("name", "owner_id", "bucket", "to_id", "access", "prefix", "alias")
GRANTING: tuple[Operation, ...] = (
    Operation(
        name="grant.create",
        method="PUT",
        path=f"{_GRANTS}/{{grant}}",
        summary="Let another tenant use a bucket of this one, which keeps it and pays for what is stored in it.",
        need=Need.TEND,
        audited=True,
        idempotency=Idempotency.NAMED,
        act=_create,
        body=schemas.NewGrant,
        response=schemas.Grant,
        command="create",
    ),
    Operation(
        name="grant.list",
        method="GET",
        path=_GRANTS,
        summary="List what a tenant has granted to others.",
        need=Need.LOOK,
        audited=False,
        idempotency=Idempotency.SAFE,
        act=_given,
        query=schemas.GrantQuery,
        response=schemas.GrantPage,
        columns=_COLUMNS,
        command="list",
    ),
    Operation(
        name="grant.revoke",
        method="DELETE",
        path=f"{_GRANTS}/{{grant}}",
        summary="Take a grant back; from then on it serves nobody.",
        need=Need.TEND,
        audited=True,
        idempotency=Idempotency.ONCE,
        act=_revoke,
        response=None,
        command="revoke",
    ),
    Operation(
        name="mount.create",
        method="PUT",
        path=f"{_MOUNTS}/{{alias}}",
        summary="Mount what a tenant has been granted, as a bucket of this name.",
        need=Need.TEND,
        audited=True,
        idempotency=Idempotency.NAMED,
        act=_mount,
        body=schemas.NewMount,
        response=schemas.Grant,
        command="create",
    ),
    Operation(
        name="mount.list",
        method="GET",
        path=_MOUNTS,
        summary="List what a tenant has been granted, mounted or not.",
        need=Need.LOOK,
        audited=False,
        idempotency=Idempotency.SAFE,
        act=_received,
        query=schemas.GrantQuery,
        response=schemas.GrantPage,
        columns=_COLUMNS,
        command="list",
    ),
    Operation(
        name="mount.remove",
        method="DELETE",
        path=f"{_MOUNTS}/{{alias}}",
        summary="Give an alias back; the grant stays, and may be mounted again.",
        need=Need.TEND,
        audited=True,
        idempotency=Idempotency.ONCE,
        act=_unmount,
        response=None,
        command="remove",
    ),
)
"""In the table after all others."""
