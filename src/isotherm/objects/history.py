"""What becomes of the versions of a key when one is added or removed: the heart of versioning.

Invariants, all kept inside one transaction:
- `live` holds a key's newest version, unless that is a delete marker; then the key has no live row.
- `versions` holds all other versions and markers under the stamp of the commit that made them, newest first.
- The null version is marked in its record; while it is not live, the key's null row holds its stamp.
- Removing a reference to bytes accounts them in the same transaction.
- What comes and goes is told in `tally`, for its transaction to charge.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from msgspec.structs import replace

from isotherm.errors import Corrupt
from isotherm.meta.port import STAMP_BYTES, Ordinal, Reader, Transaction
from isotherm.objects.layout import (
    garbage_row,
    live_row,
    manifest_references,
    null_row,
    object_owner,
    successor,
    tag_index,
    tag_position,
    version_row,
    versions_of,
)
from isotherm.objects.model import Bucket, Versioning
from isotherm.objects.records import MARKER, NULL, SHARED, Record, decode_record, encode_record, is_marker, is_null
from isotherm.segments.port import Segments
from isotherm.tenancy.usage import Tally


async def version_at(
    reader: Reader, tenant: int, bucket: int, key: bytes, stamp: bytes | None
) -> tuple[bytes, bool] | None:
    """The row of one version of a key (None: its null version) and whether it is live."""
    live = await reader.get(live_row(tenant, bucket, key))
    if stamp is None:
        if live is not None and is_null(live):
            return live, True
        stamp = await reader.get(null_row(tenant, bucket, key))
        if stamp is None:
            return None
    elif live is not None and live[:STAMP_BYTES] == stamp:
        return None if is_null(live) else (live, True)
    elif stamp == await reader.get(null_row(tenant, bucket, key)):
        return None  # the null version answers to "null" alone
    row = await reader.get(version_row(tenant, bucket, key, stamp))
    return None if row is None else (row, False)


async def newest_not_live(reader: Reader, tenant: int, bucket: int, key: bytes) -> bytes | None:
    """The newest row of a key outside `live`."""
    prefix = versions_of(tenant, bucket, key)
    rows = await reader.range(prefix, successor(prefix), 1)
    return rows[0][1] if rows else None


class History:
    """The versions of one key, within one transaction. `tally`: what its changes add to what the tenant holds."""

    __slots__ = ("_bucket", "_key", "_live_row", "_segments", "_tenant", "_txn", "tally")

    def __init__(self, txn: Transaction, segments: Segments, tenant: int, bucket: Bucket, key: bytes) -> None:
        self._txn = txn
        self._segments = segments
        self._tenant = tenant
        self._bucket = bucket
        self._key = key
        self._live_row = live_row(tenant, bucket.id, key)
        self.tally = Tally()

    def live(self) -> Coroutine[Any, Any, bytes | None]:
        return self._txn.get(self._live_row)

    async def at(self, stamp: bytes | None) -> tuple[bytes, bool] | None:
        """The row of a version (None: the null version) and whether it is live."""
        return await version_at(self._txn, self._tenant, self._bucket.id, self._key, stamp)

    async def add(self, record: Record, stamp: Ordinal, live: bytes | None) -> Record:
        """Make `record` the newest version; `live` is the live row as read. Returns the record as stored."""
        keeps_null = self._bucket.versioning is not Versioning.ENABLED
        if keeps_null:
            record = replace(record, flags=record.flags | NULL)
        if live is not None:
            if keeps_null and is_null(live):
                await self._release(live, older=False)
            else:
                self._demote(live)
        if self._bucket.versioning is Versioning.SUSPENDED:
            await self._drop_null_not_live()
        body = encode_record(record)
        self.tally.came(record.size, marker=record.marker, older=False)
        if record.flags & MARKER:
            if live is not None:
                self._txn.delete(self._live_row)
            self._txn.put_at(versions_of(self._tenant, self._bucket.id, self._key), stamp, body)
            if keeps_null:
                self._txn.put(null_row(self._tenant, self._bucket.id, self._key), b"", stamp=stamp)
        else:
            self._txn.put(self._live_row, body, stamp=stamp)
        return record

    async def remove_live(self, live: bytes) -> None:
        """In an unversioned bucket: the live version goes, and nothing takes its place."""
        await self._release(live, older=False)
        self._txn.delete(self._live_row)

    async def remove(self, row: bytes, *, live: bool) -> None:
        """Remove one version for good; when it was the newest, its predecessor takes its place."""
        await self._release(row, older=not live)
        if live:
            self._txn.delete(self._live_row)
        else:
            self._txn.delete(version_row(self._tenant, self._bucket.id, self._key, row[:STAMP_BYTES]))
            if is_null(row):
                self._txn.delete(null_row(self._tenant, self._bucket.id, self._key))
            if await self.live() is not None:
                return
        heir = await newest_not_live(self._txn, self._tenant, self._bucket.id, self._key)
        if heir is not None and not is_marker(heir):
            self._txn.delete(version_row(self._tenant, self._bucket.id, self._key, heir[:STAMP_BYTES]))
            if is_null(heir):
                self._txn.delete(null_row(self._tenant, self._bucket.id, self._key))
            self._txn.put(self._live_row, heir)
            self.tally.older -= 1

    def rewrite(self, record: Record, *, live: bool) -> None:
        """Store changed attributes of an existing version."""
        row = self._live_row if live else version_row(self._tenant, self._bucket.id, self._key, record.stamp)
        self._txn.put(row, record.stamp + encode_record(record))

    async def _release(self, row: bytes, *, older: bool) -> None:
        """The bytes, the manifest and the tags of a version that goes.

        What a damaged record refers to is left for `fsck --repair` to free: its owner can replace or delete it all the same.
        Nor is it known what it was counted as.
        """
        try:
            record = decode_record(row)
        except Corrupt:
            return
        self.tally.went(record.size, marker=record.marker, older=older)
        if record.extents:
            owner = object_owner(self._tenant, self._bucket.id, record.reference, self._key)
            await self._segments.discard(self._txn, record.extents, owner, shared=bool(record.flags & SHARED))
        if record.manifest:
            await self._release_manifest(record)
        if record.tag_set:
            position = tag_position(self._bucket.id, self._key, record.stamp)
            self._txn.put(garbage_row(self._tenant, b"g", record.tag_set), position, stamp=self._txn.stamp())
        for name, value in record.tags.items():
            position = tag_position(self._bucket.id, self._key, record.stamp)
            self._txn.delete(tag_index(self._tenant, name, value) + position)

    async def _release_manifest(self, record: Record) -> None:
        if record.flags & SHARED:
            prefix = manifest_references(self._tenant, record.manifest)
            rows = await self._txn.range(prefix, successor(prefix), 2)
            self._txn.delete(prefix + record.reference)
            if any(row != prefix + record.reference for row, _ in rows):
                return
        self._txn.put(garbage_row(self._tenant, b"m", record.manifest), b"", stamp=self._txn.stamp())

    def _demote(self, live: bytes) -> None:
        stamp = live[:STAMP_BYTES]
        self.tally.older += 1
        self._txn.put(version_row(self._tenant, self._bucket.id, self._key, stamp), live)
        if is_null(live):
            self._txn.put(null_row(self._tenant, self._bucket.id, self._key), stamp)

    async def _drop_null_not_live(self) -> None:
        pointer = null_row(self._tenant, self._bucket.id, self._key)
        stamp = await self._txn.get(pointer)
        if stamp is None:
            return
        row = await self._txn.get(version_row(self._tenant, self._bucket.id, self._key, stamp))
        if row is not None:
            await self._release(row, older=True)
            self._txn.delete(version_row(self._tenant, self._bucket.id, self._key, stamp))
        self._txn.delete(pointer)
