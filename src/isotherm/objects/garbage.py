"""What deletes leave for later: manifests to dismantle, tag sets to remove. Done piece by piece by a mover.

A garbage row is written in the transaction that made its subject unreachable, and goes in the one that removes the
subject's last row: killed at any point, the work is found again. It begins with the stamp of that commit: as long as a
reader may have opened the subject before, the work waits.
"""

from __future__ import annotations

from isotherm.errors import Corrupt
from isotherm.meta.port import STAMP_BYTES, Meta, Transaction
from isotherm.objects.layout import (
    STAMP_TAIL,
    garbage_row,
    manifest_row,
    part_owner,
    part_row,
    parts_of,
    successor,
    table,
    tag_index,
    tag_set,
)
from isotherm.objects.records import decode_part, decode_tag
from isotherm.segments.port import Segments

_ROWS_A_TRANSACTION = 500


async def sweep(meta: Meta, segments: Segments, tenant: int, *, limit: int = 100) -> int:
    """Work on up to `limit` garbage rows of a tenant, one transaction each. Returns how many it worked on.

    Zero means that nothing is left but what waits for readers.

    Raises:
        Corrupt: some row cannot be read, whose garbage stays; all other work has been done.
    """
    prefix = table(tenant, b"X")
    start, done = prefix, 0
    waiting: bytes | None = None  # a stamp that has not settled; nor have any later ones
    damage: Corrupt | None = None
    while rows := await meta.range(start, successor(prefix), limit - done):
        for row, value in rows:
            stamp = value[:STAMP_BYTES]
            if waiting is not None and stamp >= waiting:
                continue
            if not await segments.settled(stamp):
                waiting = stamp
                continue
            kind, identity = row[len(prefix) : len(prefix) + 1], row[STAMP_TAIL]
            try:
                if kind == b"m":
                    await _dismantle(meta, segments, tenant, identity)
                else:
                    await _remove_tag_set(meta, tenant, identity, value[STAMP_BYTES:])
            except Corrupt as error:
                damage = error
            else:
                done += 1
        start = rows[-1][0] + b"\0"
    if damage is not None:
        raise damage
    return done


async def _dismantle(meta: Meta, segments: Segments, tenant: int, manifest: bytes) -> None:
    async def some(txn: Transaction) -> None:
        prefix = parts_of(tenant, manifest)
        rows = await txn.range(prefix, prefix + b"\xff\xff\xff", _ROWS_A_TRANSACTION)
        for row, value in rows:
            number = int.from_bytes(row[-2:], "big")
            owner = part_owner(tenant, manifest, number)
            await segments.discard(txn, decode_part(value, number).extents, owner)
            txn.delete(part_row(tenant, manifest, number))
        if len(rows) < _ROWS_A_TRANSACTION:
            txn.delete(manifest_row(tenant, manifest))
            txn.delete(garbage_row(tenant, b"m", manifest))

    await meta.transact(some)


async def _remove_tag_set(meta: Meta, tenant: int, identity: bytes, position: bytes) -> None:
    async def some(txn: Transaction) -> None:
        prefix = tag_set(tenant, identity)
        rows = await txn.range(prefix, successor(prefix), _ROWS_A_TRANSACTION)
        for row, value in rows:
            name, tag = decode_tag(value)
            txn.delete(tag_index(tenant, name, tag) + position)
            txn.delete(row)
        if len(rows) < _ROWS_A_TRANSACTION:
            txn.delete(garbage_row(tenant, b"g", identity))

    await meta.transact(some)
