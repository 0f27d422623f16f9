"""How an upload ends that is not completed: asked for, with its bucket, or for its age."""

from __future__ import annotations

from contextlib import suppress

from isotherm.errors import Corrupt
from isotherm.meta.port import Transaction
from isotherm.objects.layout import STAMP_TAIL, garbage_row, parts_of
from isotherm.objects.model import PARTS_MOST
from isotherm.objects.records import decode_part
from isotherm.tenancy.usage import Tally


async def drop_upload(txn: Transaction, tenant: int, row: bytes, tally: Tally) -> int:
    """Within a transaction: an upload goes by its row; its parts become garbage. How many there are.

    What was counted for a part that cannot be read is not known: `fsck --repair` mends it.
    """
    manifest = row[STAMP_TAIL]
    prefix = parts_of(tenant, manifest)
    parts = await txn.range(prefix, prefix + b"\xff\xff\xff", PARTS_MOST)
    size_bytes = 0
    for _, value in parts:
        with suppress(Corrupt):
            size_bytes += decode_part(value, 0).size
    tally.ended(size_bytes)
    txn.delete(row)
    txn.put(garbage_row(tenant, b"m", manifest), b"", stamp=txn.stamp())
    return len(parts)
