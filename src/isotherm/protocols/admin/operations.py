"""The table of operations of the administrative API, and what each of them does: a step into tenancy and back.

No rule of the tree is here: tenancy decides within the transaction, and again asks for the roles that a row names.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgspec

from isotherm.protocols.admin import schemas
from isotherm.protocols.admin.erasing import ERASURE_OPERATIONS
from isotherm.protocols.admin.granting import GRANTING
from isotherm.protocols.admin.operation import Administration, Answer, Call, Idempotency, Operation
from isotherm.tenancy.audit.log import Told
from isotherm.tenancy.roles import Need, read_roles, role_words
from isotherm.tenancy.tenants import Seen
from isotherm.tenancy.terms import TERM_NAMES, Terms
from isotherm.tenancy.tree import TenantState
from isotherm.tenancy.usage import warned

Act = Callable[[Administration, Call], Coroutine[Any, Any, Answer]]


async def _create(on: Administration, call: Call) -> Answer:
    body: schemas.NewTenant = call.body
    terms = Terms(**{name: getattr(body, name) for name in TERM_NAMES})
    seen, made = await on.tenants.create(call.caller, call.path["tenant"], body.labels, terms, call.deed)
    return Answer(_tenant(seen), made)


async def _show(on: Administration, call: Call) -> Answer:
    seen, held = await on.tenants.usage(call.caller, call.path["tenant"])
    warnings = warned(seen.node.terms, held.total)
    return Answer(schemas.ShownTenant(**msgspec.structs.asdict(_tenant(seen)), warnings=warnings))


async def _usage(on: Administration, call: Call) -> Answer:
    seen, held = await on.tenants.usage(call.caller, call.path["tenant"])
    return Answer(
        schemas.TenantUsage(
            id=seen.node.id,
            path=seen.path,
            own=schemas.Holding(**asdict(held.own)),
            total=schemas.Holding(**asdict(held.total)),
            capacity_bytes=seen.node.terms.capacity_bytes,
            objects=seen.node.terms.objects,
            warnings=warned(seen.node.terms, held.total),
            counted=await on.all_counted(),
        )
    )


async def _list(on: Administration, call: Call) -> Answer:
    query: schemas.TenantQuery = call.query
    page, more = await on.tenants.page(call.caller, query.under or None, after=query.after, limit=query.limit)
    following = page[-1].node.name if more and page else None
    return Answer(schemas.TenantPage(tenants=[_tenant(seen) for seen in page], next=following))


async def _update(on: Administration, call: Call) -> Answer:
    given = {name: value for name, value in msgspec.structs.asdict(call.body).items() if value is not msgspec.UNSET}
    return Answer(_tenant(await on.tenants.update(call.caller, call.path["tenant"], given, call.deed)))


async def _move(on: Administration, call: Call) -> Answer:
    return Answer(_tenant(await on.tenants.move(call.caller, call.path["tenant"], call.body.to, call.deed)))


def _into(state: TenantState) -> Act:
    async def act(on: Administration, call: Call) -> Answer:
        return Answer(_tenant(await on.tenants.set_state(call.caller, call.path["tenant"], state, call.deed)))

    return act


async def _delete(on: Administration, call: Call) -> Answer:
    await on.tenants.delete(call.caller, call.path["tenant"], call.deed)
    return Answer()


async def _create_key(on: Administration, call: Call) -> Answer:
    body: schemas.NewKey = call.body
    place = on.tenants.place(call.caller, call.path["tenant"])
    made = await on.register.create(body.description, tenant=place, roles=read_roles(body.roles), deed=call.deed)
    pair = schemas.KeyPair(
        access_key=made.access_key, secret_key=made.secret, tenant_id=made.tenant, roles=role_words(made.roles)
    )
    return Answer(pair, made=True)


async def _list_keys(on: Administration, call: Call) -> Answer:
    query: schemas.KeyQuery = call.query
    seen = await on.tenants.show(call.caller, call.path["tenant"])
    page, more = await on.register.page(seen.node.id, after=query.after, limit=query.limit)
    keys = [
        schemas.Key(
            access_key=one.access_key,
            state=one.state.value,
            roles=role_words(one.roles),
            created=_time(one.created_ms),
            ends=_time(one.ends_ms) if one.ends_ms else None,
            description=one.description,
        )
        for one in page
    ]
    return Answer(schemas.KeyPage(keys=keys, next=keys[-1].access_key if more and keys else None))


async def _revoke_key(on: Administration, call: Call) -> Answer:
    access_key = call.path["access_key"]

    await on.register.revoke(access_key, permit=on.tenants.permit(call.caller, access_key), deed=call.deed)
    return Answer()


async def _self(on: Administration, call: Call) -> Answer:
    seen = await on.tenants.own(call.caller)
    return Answer(
        schemas.Identity(
            tenant=seen.path, tenant_id=seen.node.id, standing=seen.standing, roles=role_words(call.caller.roles)
        )
    )


async def _list_audit(on: Administration, call: Call) -> Answer:
    query: schemas.AuditQuery = call.query
    page, following = await on.audit.page(
        call.caller,
        call.path["tenant"],
        after=query.after,
        limit=query.limit,
        since_ms=_ms(query.since),
        until_ms=_ms(query.until),
    )
    return Answer(schemas.AuditPage(records=[_told(one) for one in page], next=following))


async def _audit_head(on: Administration, call: Call) -> Answer:
    tenant, head = await on.audit.head(call.caller, call.path["tenant"])
    return Answer(schemas.AuditHead(tenant_id=tenant, sequence=head.sequence, hash=head.hash.hex()))


def _told(one: Told) -> schemas.AuditRecord:
    record = one.record
    return schemas.AuditRecord(
        cursor=one.stamp.hex(),
        tenant_id=one.tenant,
        sequence=one.sequence,
        hash=one.hash.hex(),
        time=_time(record.time_ms),
        who=None if one.hidden else record.access_key or OWNER_NAME,
        caller_id=record.tenant,
        roles=list(record.roles),
        operation=record.operation,
        target_id=record.target or None,
        path=record.path,
        key=record.key,
        outcome=record.outcome,
        changed={name: list(change) for name, change in record.changed.items()},
        request=record.request,
        remote=record.remote,
        unrecorded=record.unrecorded,
    )


def _ms(time: datetime | None) -> int | None:
    return int(time.timestamp() * 1_000) if time is not None else None


def _tenant(seen: Seen) -> schemas.Tenant:
    node = seen.node
    return schemas.Tenant(
        id=node.id,
        path=seen.path,
        state=node.state,
        standing=seen.standing,
        created=_time(node.created_ms),
        labels=dict(node.labels),
        promised=dict(node.promised),
        **msgspec.structs.asdict(node.terms),
    )


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_TENANT = "/v1/tenants/{tenant}"
OWNER_NAME = "owner"
"""Who a record names where no access key was used: whoever opened the store's directory."""

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="self.show",
        method="GET",
        path="/v1/self",
        summary="Who you are: your tenant and roles.",
        need=Need.SELF,
        audited=False,
        idempotency=Idempotency.SAFE,
        act=_self,
        response=schemas.Identity,
    ),
    Operation(
        name="tenant.list",
        method="GET",
        path="/v1/tenants",
        summary="List the tenants right below one.",
        need=Need.LOOK,
        audited=False,
        idempotency=Idempotency.SAFE,
        act=_list,
        query=schemas.TenantQuery,
        response=schemas.TenantPage,
        columns=("path", "id", "standing", "capacity_bytes", "labels"),
        command="list",
    ),
    Operation(
        name="tenant.create",
        method="PUT",
        path=_TENANT,
        summary="Make a tenant at a path.",
        need=Need.TEND,
        audited=True,
        idempotency=Idempotency.NAMED,
        act=_create,
        body=schemas.NewTenant,
        response=schemas.Tenant,
        command="create",
    ),
    Operation(
        name="tenant.show",
        method="GET",
        path=_TENANT,
        summary="Show a tenant, with its terms, what it has promised, and of which terms much is used.",
        need=Need.LOOK,
        audited=False,
        idempotency=Idempotency.SAFE,
        act=_show,
        response=schemas.ShownTenant,
        command="show",
    ),
    Operation(
        name="tenant.usage",
        method="GET",
        path=f"{_TENANT}/usage",
        summary="Show what a tenant holds, by itself and with all below it.",
        need=Need.LOOK,
        audited=False,
        idempotency=Idempotency.SAFE,
        act=_usage,
        response=schemas.TenantUsage,
        command="usage",
    ),
    Operation(
        name="tenant.update",
        method="PATCH",
        path=_TENANT,
        summary="Change terms and labels of a tenant.",
        need=Need.GOVERN,
        audited=True,
        idempotency=Idempotency.SAME,
        act=_update,
        body=schemas.TenantChanges,
        response=schemas.Tenant,
        command="update",
    ),
    Operation(
        name="tenant.move",
        method="PUT",
        path=f"{_TENANT}/path",
        summary="Give a tenant another name or place; all below it moves along.",
        need=Need.GOVERN,
        audited=True,
        idempotency=Idempotency.ONCE,
        act=_move,
        body=schemas.NewPath,
        response=schemas.Tenant,
        command="move",
    ),
    Operation(
        name="tenant.suspend",
        method="PUT",
        path=f"{_TENANT}/state/suspended",
        summary="Serve no credential of a tenant and of those below it, from within a second on.",
        need=Need.GOVERN,
        audited=True,
        idempotency=Idempotency.SAME,
        act=_into(TenantState.SUSPENDED),
        response=schemas.Tenant,
        command="suspend",
    ),
    Operation(
        name="tenant.drain",
        method="PUT",
        path=f"{_TENANT}/state/draining",
        summary="Make nothing new in a tenant and those below it: no tenants, keys and buckets.",
        need=Need.GOVERN,
        audited=True,
        idempotency=Idempotency.SAME,
        act=_into(TenantState.DRAINING),
        response=schemas.Tenant,
        command="drain",
    ),
    Operation(
        name="tenant.resume",
        method="PUT",
        path=f"{_TENANT}/state/active",
        summary="Serve a tenant again that was suspended or drained.",
        need=Need.GOVERN,
        audited=True,
        idempotency=Idempotency.SAME,
        act=_into(TenantState.ACTIVE),
        response=schemas.Tenant,
        command="resume",
    ),
    Operation(
        name="tenant.delete",
        method="DELETE",
        path=_TENANT,
        summary="Delete a tenant that has nothing below it, no buckets and no access keys.",
        need=Need.GOVERN,
        audited=True,
        idempotency=Idempotency.ONCE,
        act=_delete,
        response=None,
        command="delete",
    ),
    Operation(
        name="key.create",
        method="POST",
        path=f"{_TENANT}/keys",
        summary="Make an access key for a tenant.",
        need=Need.TEND,
        audited=True,
        idempotency=Idempotency.ANEW,
        act=_create_key,
        body=schemas.NewKey,
        response=schemas.KeyPair,
    ),
    Operation(
        name="key.list",
        method="GET",
        path=f"{_TENANT}/keys",
        summary="List the access keys of a tenant that have not been revoked.",
        need=Need.LOOK,
        audited=False,
        idempotency=Idempotency.SAFE,
        act=_list_keys,
        query=schemas.KeyQuery,
        response=schemas.KeyPage,
    ),
    Operation(
        name="key.revoke",
        method="DELETE",
        path="/v1/keys/{access_key}",
        summary="End an access key; it is refused within a second.",
        need=Need.TEND,
        audited=True,
        idempotency=Idempotency.SAME,
        act=_revoke_key,
        response=None,
    ),
    Operation(
        name="audit.list",
        method="GET",
        path=f"{_TENANT}/audit",
        summary="List what was done, or refused, in a tenant and those below it.",
        need=Need.LOOK,
        audited=False,
        idempotency=Idempotency.SAFE,
        act=_list_audit,
        query=schemas.AuditQuery,
        response=schemas.AuditPage,
        columns=("time", "who", "operation", "path", "key", "outcome", "changed"),
        command="list",
    ),
    Operation(
        name="audit.head",
        method="GET",
        path=f"{_TENANT}/audit/head",
        summary="Show how far a tenant's chain of records has come, to be kept elsewhere.",
        need=Need.LOOK,
        audited=False,
        idempotency=Idempotency.SAFE,
        act=_audit_head,
        response=schemas.AuditHead,
        command="head",
    ),
    *ERASURE_OPERATIONS,
    *GRANTING,
)
