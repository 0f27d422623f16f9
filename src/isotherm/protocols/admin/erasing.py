"""The rows of the table of operations that erase tenants and tell of it, and what each does: a step into tenancy and back."""

from __future__ import annotations

from isotherm.errors import Invalid
from isotherm.protocols.admin import schemas
from isotherm.protocols.admin.operation import Administration, Answer, Call, Idempotency, Operation
from isotherm.tenancy.erasure.certificate import Signed, moment
from isotherm.tenancy.erasure.record import Erasure, Issued
from isotherm.tenancy.roles import Need


async def _erase(on: Administration, call: Call) -> Answer:
    body: schemas.Confirmation = call.body
    told = await on.erasures.begin(call.caller, call.path["tenant"], body.confirm, below=body.subtree, deed=call.deed)
    return Answer(_told(told))


async def _show(on: Administration, call: Call) -> Answer:
    return Answer(_told(await on.erasures.show(call.caller, call.path["tenant"])))


async def _list(on: Administration, call: Call) -> Answer:
    query: schemas.ErasureQuery = call.query
    if query.after and not (query.after.isascii() and query.after.isdigit() and len(query.after) <= 10):
        raise Invalid("after is `next` of the page before")
    page, following = await on.erasures.page(
        call.caller, query.under or None, after=int(query.after or 0), limit=query.limit
    )
    return Answer(
        schemas.ErasurePage(erasures=[_told(one) for one in page], next=str(following) if following else None)
    )


async def _key(on: Administration, call: Call) -> Answer:
    return Answer(schemas.PublicKey(algorithm="Ed25519", public_key=(await on.erasures.public_key()).hex()))


def _told(one: Erasure | Issued) -> schemas.Erasure:
    if isinstance(one, Erasure):
        stage = "removing" if not one.cleared_ms else "verifying" if one.key_destroyed_ms else "destroying its key"
        return schemas.Erasure(
            tenant_id=one.tenant,
            path=one.path,
            stage=stage,
            within=one.within or None,
            began=moment(one.began_ms),
            key_destroyed=moment(one.key_destroyed_ms) if one.key_destroyed_ms else None,
            removed=dict(one.counts),
            certificate=None,
            purge=None,
        )
    said = one.certificate.statement
    return schemas.Erasure(
        tenant_id=one.tenant,
        path=said["tenant"]["path"],
        stage="purged" if one.purge else "erased",
        within=said["tenant"]["within"],
        began=said["asked"]["time"],
        key_destroyed=said["key"]["destroyed"],
        removed=said["removed"],
        certificate=_signed(one.certificate),
        purge=_signed(one.purge) if one.purge else None,
    )


def _signed(one: Signed) -> schemas.SignedStatement:
    return schemas.SignedStatement(statement=dict(one.statement), public_key=one.public_key, signature=one.signature)


ERASURE_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="tenant.erase",
        method="PUT",
        path="/v1/tenants/{tenant}/state/erasing",
        summary="Erase a tenant for good, with all it holds: nothing takes that back.",
        need=Need.GOVERN,
        audited=True,
        idempotency=Idempotency.SAME,
        act=_erase,
        body=schemas.Confirmation,
        response=schemas.Erasure,
        command="erase",
    ),
    Operation(
        name="erasure.list",
        method="GET",
        path="/v1/erasures",
        summary="List tenants that have been erased below one, or are being erased.",
        need=Need.LOOK,
        audited=False,
        idempotency=Idempotency.SAFE,
        act=_list,
        query=schemas.ErasureQuery,
        response=schemas.ErasurePage,
        columns=("tenant_id", "path", "stage", "began", "key_destroyed"),
        command="list",
    ),
    Operation(
        name="erasure.show",
        method="GET",
        path="/v1/erasures/{tenant}",
        summary="Show how far the erasure of a tenant has come, or its certificate; of one that is gone by its id.",
        need=Need.LOOK,
        audited=False,
        idempotency=Idempotency.SAFE,
        act=_show,
        response=schemas.Erasure,
        command="show",
    ),
    Operation(
        name="erasure.key",
        method="GET",
        path="/v1/erasure-key",
        summary="Show the public key by which certificates of this store are verified.",
        need=Need.LOOK,
        audited=False,
        idempotency=Idempotency.SAFE,
        act=_key,
        response=schemas.PublicKey,
        command="key",
    ),
)
