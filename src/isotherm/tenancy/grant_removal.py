"""Taking rows of grants away: of one, and of all that a tenant gave or mounted. Within a transaction; coroutines, any loop."""

from __future__ import annotations

from contextlib import suppress

from msgspec.structs import replace

from isotherm.errors import Corrupt, Unsupported
from isotherm.meta.port import Transaction
from isotherm.tenancy import grant_record as record
from isotherm.tenancy.generation import changed
from isotherm.tenancy.grant_record import Grant

GRANTS_MOST = 1_000
"""That a tenant may have given at a time."""
MOUNTS_MOST = 1_000
"""That a tenant may have at a time."""


def remove(txn: Transaction, grant: Grant) -> None:
    """Every row of a grant."""
    txn.delete(record.grant_row(grant.owner, grant.name))
    txn.delete(record.received_row(grant.to, grant.owner, grant.name))
    if grant.alias:
        txn.delete(record.mount_row(grant.to, grant.alias))
        changed(txn)


async def forget(txn: Transaction, tenant: int) -> None:
    """A tenant goes: what it has granted ends, and what it has mounted is mounted no more. What others have granted it stays
    theirs to take back; nobody is left to mount it."""
    for row, stored in await txn.range(*record.grants_of(tenant), GRANTS_MOST):
        txn.delete(row)
        with suppress(Corrupt, Unsupported):  # what cannot be read leads nowhere, and fsck tells of what is left
            remove(txn, record.unpack(stored))
    for row, stored in await txn.range(*record.mounts_in(tenant), MOUNTS_MOST):
        txn.delete(row)
        with suppress(Corrupt, Unsupported):
            grant = record.unpack(stored)
            txn.put(record.grant_row(grant.owner, grant.name), record.pack(replace(grant, alias="")))
