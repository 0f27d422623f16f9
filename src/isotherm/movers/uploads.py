"""Multipart uploads that nobody completed: aborted when they are older than an operator allows.

Pure metadata; the parts become garbage in the same transaction and are dismantled by the next sweep. Any process.
"""

from __future__ import annotations

from collections.abc import Sequence

from isotherm.meta.port import Meta, Reader, Transaction
from isotherm.objects.aborting import drop_upload
from isotherm.objects.context import counts
from isotherm.objects.layout import (
    bucket_name_row,
    bucket_of_upload,
    bucket_row,
    key_of_upload,
    successor,
    table,
)
from isotherm.objects.model import PARTS_MOST, Bucket
from isotherm.objects.records import decode_bucket, decode_upload
from isotherm.tenancy.quota import Quota
from isotherm.tenancy.usage import Tally

_UPLOADS_A_TRANSACTION = 500


async def expire_uploads(
    meta: Meta, quota: Quota, tenant: int, *, before_ms: int, after: bytes = b"", limit: int = 1_000
) -> tuple[int, bytes]:
    """Abort uploads of a tenant that began before a time, looking at up to `limit` of them.

    Args:
        quota: charges the tenant for them no longer.
        before_ms: wall-clock time, milliseconds since 1970.
        after: where to go on, as the last call said; empty to begin.

    Returns:
        (how many were aborted, where to go on; empty at the end).
    """
    prefix = table(tenant, b"U")
    rows = await meta.range(max(prefix, after + b"\0" if after else prefix), successor(prefix), limit)
    expired = [row for row, value in rows if decode_upload(value, "", "").started_ms < before_ms]
    aborted = 0
    while expired:
        done, taken = await _abort_some(meta, quota, tenant, expired[:_UPLOADS_A_TRANSACTION])
        aborted += done
        del expired[:taken]
    return aborted, rows[-1][0] if len(rows) == limit else b""


async def _abort_some(meta: Meta, quota: Quota, tenant: int, expired: Sequence[bytes]) -> tuple[int, int]:
    """(how many were still there and are no more, how many were looked at)."""

    async def abort(txn: Transaction) -> tuple[int, int]:
        done = parts = 0
        for taken, row in enumerate(expired):
            if parts >= PARTS_MOST:
                return done, taken
            if await txn.get(row) is None:
                continue
            tally = Tally()
            parts += await drop_upload(txn, tenant, row, tally)
            bucket = await _bucket(txn, tenant, bucket_of_upload(row))
            if bucket is None or counts(bucket, key_of_upload(row)):
                await quota.charge(txn, tenant, tally)
            done += 1
        return done, len(expired)

    return (await meta.transact(abort))[0]


async def _bucket(reader: Reader, tenant: int, identity: int) -> Bucket | None:
    """A bucket by its id; None where no name leads there, which only damage explains."""
    name = await reader.get(bucket_name_row(tenant, identity))
    stored = await reader.get(bucket_row(tenant, name.decode())) if name is not None else None
    return decode_bucket(stored, name.decode()) if stored is not None and name is not None else None
