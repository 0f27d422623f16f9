"""Multipart uploads that nobody completed: aborted when they are older than an operator allows.

Pure metadata; the parts become garbage in the same transaction and are dismantled by the next sweep. Any process.
"""

from __future__ import annotations

from isotherm.meta.port import Meta, Transaction
from isotherm.objects.layout import STAMP_TAIL, garbage_row, successor, table
from isotherm.objects.records import decode_upload


async def expire_uploads(
    meta: Meta, tenant: int, *, before_ms: int, after: bytes = b"", limit: int = 1_000
) -> tuple[int, bytes]:
    """Abort uploads of a tenant that began before a time, looking at up to `limit` of them.

    Args:
        before_ms: wall-clock time, milliseconds since 1970.
        after: where to go on, as the last call said; empty to begin.

    Returns:
        (how many were aborted, where to go on; empty at the end).
    """
    prefix = table(tenant, b"U")
    rows = await meta.range(max(prefix, after + b"\0" if after else prefix), successor(prefix), limit)
    expired = [row for row, value in rows if decode_upload(value, "", "").started_ms < before_ms]

    async def abort(txn: Transaction) -> int:
        there = [row for row in expired if await txn.get(row) is not None]
        for row in there:
            txn.delete(row)
            txn.put(garbage_row(tenant, b"m", row[STAMP_TAIL]), b"", stamp=txn.stamp())
        return len(there)

    aborted, _ = await meta.transact(abort) if expired else (0, None)
    return aborted, rows[-1][0] if len(rows) == limit else b""
