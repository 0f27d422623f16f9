"""How what a tenant has granted and mounted is erased. What others have granted it stays theirs to take back."""

from __future__ import annotations

from msgspec.structs import replace

from isotherm.errors import Corrupt, Unsupported
from isotherm.meta.port import Transaction
from isotherm.segments.port import Segments
from isotherm.tenancy import grant_record as record
from isotherm.tenancy.erasure.eraser import UNREADABLE, Eraser, Freed
from isotherm.tenancy.grant_removal import remove

GRANTS = "grants"
MOUNTS = "mounts"


async def _given(txn: Transaction, segments: Segments, tenant: int, row: bytes, value: bytes) -> Freed:
    try:
        remove(txn, record.unpack(value))
    except (Corrupt, Unsupported):
        return Freed({UNREADABLE: 1})
    return Freed({GRANTS: 1})


async def _mounted(txn: Transaction, segments: Segments, tenant: int, row: bytes, value: bytes) -> Freed:
    try:
        grant = record.unpack(value)
    except (Corrupt, Unsupported):
        return Freed({UNREADABLE: 1})
    txn.put(record.grant_row(grant.owner, grant.name), record.pack(replace(grant, alias="")))
    return Freed({MOUNTS: 1})


ERASERS = (Eraser(GRANTS, record.grants_of, _given), Eraser(MOUNTS, record.mounts_in, _mounted))
