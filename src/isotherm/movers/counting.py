"""Counts what lies in buckets that were made by a version of this program which did not count.

A bucket tells how far it is counted (`Bucket.counted`), and every writer has read that. A step counts the next keys and moves
that mark in one transaction; so each version is counted once, by a writer or by a step, whatever else is written meanwhile,
and a step that is killed has done nothing. When no bucket is left, a row says so, and nobody looks again.

Limits act at once; what a step finds is never refused. A coroutine for any loop, or none; under the mover's lease.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from isotherm.errors import Corrupt, Invalid, IsothermError
from isotherm.meta.port import Meta, Pairs, Reader, Transaction
from isotherm.movers.everyone import tenants
from isotherm.objects.layout import (
    STAMP_TAIL,
    bucket_row,
    key_of_upload,
    live_table,
    parts_of,
    successor,
    table,
    unescape,
    uploads_table,
    versions_table,
)
from isotherm.objects.model import PARTS_MOST, Bucket
from isotherm.objects.records import decode_bucket, decode_part, decode_record, encode_bucket
from isotherm.tenancy.quota import Quota
from isotherm.tenancy.usage import ALL_COUNTED, Tally

KEYS_A_STEP = 1_000
_VERSIONS_A_KEY = 5
_KEYS_AN_UPLOAD = 10
_LONGER = 10
"""Times as many are read where one key alone has so many."""
_KEYED_BYTES = 13
_BUCKETS_A_PAGE = 1_000


class Counted(NamedTuple):
    """`steps` taken; `more`: some are left."""

    steps: int
    more: bool


async def count_old_buckets(meta: Meta, quota: Quota, *, steps: int, keys: int = KEYS_A_STEP) -> Counted:
    """Take up to `steps` steps, of about so many keys each.

    Raises (when all others are counted):
        Corrupt: a bucket cannot be read.
        Invalid: a key has more versions or uploads than a step counts; `fsck --repair` counts its bucket.
    """
    if await meta.get(ALL_COUNTED) is not None:
        return Counted(0, False)
    taken = 0
    failure: IsothermError | None = None
    async for tenant, name in _left(meta):
        more = True
        while more:
            if taken >= steps:
                return Counted(taken, True)
            taken += 1
            try:
                more = await _step(meta, quota, tenant, name, keys)
            except (Corrupt, Invalid) as error:
                failure, more = error, False
    if failure is not None:
        raise failure

    async def say_so(txn: Transaction) -> None:
        txn.put(ALL_COUNTED, b"\1")

    await meta.transact(say_so)
    return Counted(taken, False)


async def all_counted(meta: Meta) -> bool:
    """Whether nothing is left to be counted."""
    if await meta.get(ALL_COUNTED) is not None:
        return True
    async for _ in _left(meta):
        return False
    return True


async def _left(meta: Meta) -> AsyncIterator[tuple[int, str]]:
    """(tenant, name) of the buckets that are not counted yet, and of those of which that cannot be read."""
    for tenant in await tenants(meta):
        after = prefix = table(tenant, b"B")
        while rows := await meta.range(after, successor(prefix), _BUCKETS_A_PAGE):
            for row, value in rows:
                name = row[len(prefix) :].decode()
                try:
                    counted = decode_bucket(value, name).counted
                except Corrupt:
                    counted = b""
                if counted is not None:
                    yield tenant, name
            after = rows[-1][0] + b"\0"


async def _step(meta: Meta, quota: Quota, tenant: int, name: str, keys: int) -> bool:
    """Count some keys of a bucket; whether more are left."""

    async def count(txn: Transaction) -> bool:
        stored = await txn.get(bucket_row(tenant, name))
        bucket = decode_bucket(stored, name) if stored is not None else None
        if bucket is None or bucket.counted is None:
            return False
        tally, upto = await _tallied(txn, tenant, bucket, bucket.counted, keys)
        await quota.charge(txn, tenant, tally, bounded=False)
        txn.put(bucket_row(tenant, name), encode_bucket(replace(bucket, counted=upto)))
        return upto is not None

    return (await meta.transact(count))[0]


async def _tallied(reader: Reader, tenant: int, bucket: Bucket, after: bytes, keys: int) -> tuple[Tally, bytes | None]:
    """What lies behind a key, and up to which key that is; None: to the end."""
    pages: list[tuple[list[tuple[bytes, bytes, bytes]], bool]] = []
    for prefix, limit, key_of in (
        (live_table(tenant, bucket.id), keys, _whole_key),
        (versions_table(tenant, bucket.id), _VERSIONS_A_KEY * keys, _escaped_key),
        (uploads_table(tenant, bucket.id), max(keys // _KEYS_AN_UPLOAD, 2), key_of_upload),
    ):
        beyond = after + b"\0" if key_of is _whole_key else after.replace(b"\0", b"\0\xff") + b"\0\1"
        start = prefix + beyond if after else prefix
        found = await reader.range(start, successor(prefix), limit)
        if len(found) == limit and key_of(found[0][0]) == key_of(found[-1][0]):
            limit *= _LONGER
            found = await reader.range(start, successor(prefix), limit)
        pages.append(([(key_of(row), row, value) for row, value in found], len(found) == limit))
    upto = min((_last_whole(rows) for rows, cut in pages if cut), default=None)
    tally = Tally()
    live, older, uploads = (
        [(row, value) for key, row, value in rows if upto is None or key <= upto] for rows, _ in pages
    )
    for _, value in live:
        _add_version(tally, value, older=False)
    for _, value in older:
        _add_version(tally, value, older=True)
    for row, _ in uploads:
        prefix = parts_of(tenant, row[STAMP_TAIL])
        tally.begun()
        tally.part(parts_bytes(await reader.range(prefix, prefix + b"\xff\xff\xff", PARTS_MOST)))
    return tally, upto


def _last_whole(rows: Sequence[tuple[bytes, bytes, bytes]]) -> bytes:
    """The last key of a page that was cut, of which more cannot follow. Raises Invalid where that is none."""
    last = rows[-1][0]
    if rows[0][0] == last and len(rows) > 1:
        raise Invalid("a key has more versions or uploads than are counted at once")
    return max((key for key, _, _ in rows if key != last), default=last)


def _add_version(tally: Tally, row: bytes, *, older: bool) -> None:
    """One that cannot be read is counted by nobody."""
    try:
        record = decode_record(row)
    except IsothermError:
        return
    tally.came(record.size, marker=record.marker, older=older)


def parts_bytes(rows: Pairs) -> int:
    """The sizes of an upload's parts, of those that can be read."""
    size_bytes = 0
    for _, value in rows:
        try:
            size_bytes += decode_part(value, 0).size
        except IsothermError:
            continue
    return size_bytes


def _whole_key(row: bytes) -> bytes:
    return row[_KEYED_BYTES:]


def _escaped_key(row: bytes) -> bytes:
    return unescape(row[_KEYED_BYTES:])[0]
