"""Checks buckets, and the versions of every key: `B`, `b`, `L`, `V`, `N` and `U` of a tenant.

The rows of a key lie in three tables in the same order, so one walk over all three sees each key whole. What versions
refer to (extents, manifests, tags) is left in spills for the parts that follow.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from isotherm.meta.port import STAMP_BYTES, invert
from isotherm.movers.counting import parts_bytes
from isotherm.movers.fsck.findings import Kind, Name
from isotherm.movers.fsck.job import Job, Row, text
from isotherm.movers.fsck.spill import Spill
from isotherm.objects.layout import (
    bucket_name_row,
    bucket_row,
    object_owner,
    parts_of,
    table,
    tag_index,
    tag_position,
    unescape,
    version_id,
)
from isotherm.objects.model import MD5_BYTES_MOST
from isotherm.objects.records import SHARED, Record, decode_bucket, decode_record, decode_upload

_HEAD = 5  # tenant and table
_KEYED = _HEAD + 8  # and bucket
_LIVE, _NULL, _OLDER = range(3)
_PROGRESS_ROWS = 5_000

_USE = struct.Struct(">16sc8sBQH")  # manifest, kind of user, reference, shared, size, parts
_NAMED = struct.Struct(">16sBI")  # tag set, whether garbage, count
UPLOAD, VERSION = b"u", b"v"


@dataclass(frozen=True, slots=True)
class Use:
    """That an upload or a version uses a manifest; `name` tells which: bucket ‖ stamp ‖ key."""

    manifest: bytes
    kind: bytes
    reference: bytes
    shared: bool
    size: int
    parts: int
    name: bytes

    @classmethod
    def unpack(cls, entry: bytes) -> Use:
        manifest, kind, reference, shared, size, parts = _USE.unpack_from(entry)
        return cls(manifest, kind, reference, bool(shared), size, parts, entry[_USE.size :])

    def pack(self) -> bytes:
        fixed = _USE.pack(self.manifest, self.kind, self.reference, self.shared, self.size, self.parts)
        return fixed + self.name

    def named(self, job: Job, tenant: int) -> Name:
        bucket, stamp, key = self.name[:8], self.name[8:24], self.name[24:]
        of = job.bucket_name(tenant, int.from_bytes(bucket, "big"))
        return Name(of, text(key), stamp.hex() if self.kind == VERSION else "")


@dataclass(frozen=True, slots=True)
class NamedTagSet:
    """That the version (or garbage row) at `position` names a tag set."""

    identity: bytes
    garbage: bool
    count: int
    position: bytes

    @classmethod
    def unpack(cls, entry: bytes) -> NamedTagSet:
        identity, garbage, count = _NAMED.unpack_from(entry)
        return cls(identity, bool(garbage), count, entry[_NAMED.size :])

    def pack(self) -> bytes:
        return _NAMED.pack(self.identity, self.garbage, self.count) + self.position


@dataclass(slots=True)
class Left:
    """What the versions of a tenant refer to: `manifests` (`Use`), `tag_sets` (`NamedTagSet`), `index` (row keys)."""

    manifests: Spill
    tag_sets: Spill
    index: Spill


@dataclass(slots=True)
class _Key:
    """The rows of one key, as far as they have been seen."""

    place: bytes
    live: Record | None = None
    has_live: bool = False
    null_row: Row | None = None
    older: int = 0
    newest: Record | None = None
    last_stamp: bytes = b""
    nulls: list[bytes] = field(default_factory=list)


class Versions:
    """The check of one tenant."""

    def __init__(self, job: Job, tenant: int, left: Left) -> None:
        self._job = job
        self._tenant = tenant
        self._left = left
        self._missing: set[int] = set()

    def run(self) -> None:
        self._buckets()
        key: _Key | None = None
        seen = 0
        for place, rank, row, value in heapq.merge(self._rows(b"L"), self._rows(b"N"), self._older()):
            if key is None or place != key.place:
                if key is not None:
                    self._finish(key)
                key = _Key(place)
                seen += 1
                if seen % _PROGRESS_ROWS == 0:
                    self._job.progress("objects", seen, None)
            self._take(key, rank, (row, value))
        if key is not None:
            self._finish(key)
        self._job.progress("objects", seen, seen)
        self._uploads()

    def _buckets(self) -> None:
        job, tenant = self._job, self._tenant
        named: set[int] = set()
        for row, value in job.rows(table(tenant, b"B")):
            name = text(row[_HEAD:])
            bucket = job.decoded(f"bucket {name!r}", (row, value), partial(decode_bucket, name=name))
            if bucket is None:
                continue
            job.objects.buckets += 1
            job.buckets[tenant, bucket.id] = bucket
            named.add(bucket.id)
            leads = bucket_name_row(tenant, bucket.id)
            if (led := job.get(leads)) != row[_HEAD:]:
                said = f"no row leads from the id of bucket {name!r} to its name: finding by tag misses it"
                job.findings.add(Kind.BUCKET_NAME_MISSING, said, of=Name(name), repairable=True)
                job.repairs.protect(leads, led, row[_HEAD:])
        for row, value in job.rows(table(tenant, b"b")):
            if int.from_bytes(row[_HEAD:], "big") not in named and job.get(bucket_row(tenant, text(value))) is None:
                said = f"a row names bucket {text(value)!r}, which is not there"
                job.findings.add(Kind.BUCKET_NAME_STALE, said, size=len(row) + len(value), repairable=True)
                job.repairs.drop(row, value)

    def _rows(self, letter: bytes) -> Iterator[tuple[bytes, int, bytes, bytes]]:
        rank = _LIVE if letter == b"L" else _NULL
        for row, value in self._job.rows(table(self._tenant, letter)):
            yield row[_HEAD:], rank, row, value

    def _older(self) -> Iterator[tuple[bytes, int, bytes, bytes]]:
        for row, value in self._job.rows(table(self._tenant, b"V")):
            try:
                key, end = unescape(row[_KEYED:])
                good = len(row) == _KEYED + end + STAMP_BYTES
            except ValueError:
                good = False
            if good:
                yield row[_HEAD:_KEYED] + key, _OLDER, row, value
            else:
                self._job.findings.add(Kind.ROW_DAMAGED, f"the key of a version cannot be read: {row.hex()}")

    def _take(self, key: _Key, rank: int, row: Row) -> None:
        if rank == _NULL:
            key.null_row = row
            return
        job = self._job
        record = job.decoded(f"a version of {text(key.place[8:])!r}", row, decode_record)
        if rank == _LIVE:
            key.has_live, key.live = True, record
            job.objects.live += 1
        else:
            key.older += 1
            stamp = invert(row[0][-STAMP_BYTES:])
            if record is not None and record.stamp != stamp:
                self._say(key, record, Kind.HISTORY_BROKEN, "its row lies under another stamp")
            if key.older == 1:
                key.newest = record
            if record is not None and record.null:
                key.nulls.append(stamp)
            job.objects.older += 1
        if record is None:
            self._say(key, None, Kind.OBJECT_DAMAGED, "its record cannot be read")
            return
        bucket = int.from_bytes(key.place[:8], "big")
        tally = job.tally(self._tenant, bucket, key.place[8:])
        tally.came(record.size, marker=record.marker, older=rank != _LIVE)
        job.objects.markers += record.marker
        self._refer(key, record)

    def _refer(self, key: _Key, record: Record) -> None:
        """Check one version by itself, and leave behind what it refers to."""
        job, tenant = self._job, self._tenant
        bucket, raw_key = int.from_bytes(key.place[:8], "big"), key.place[8:]
        if (tenant, bucket) not in job.buckets and bucket not in self._missing:
            self._missing.add(bucket)
            said = f"versions of keys in bucket {bucket:016x}, which is not there"
            job.findings.add(Kind.BUCKET_MISSING, said, of=Name(key=text(raw_key)))
        if record.stamp > job.newest:
            self._say(key, record, Kind.STAMP_AHEAD, "its stamp is later than the newest commit")
        job.objects.logical_bytes += record.size
        if record.manifest:
            use = Use(
                record.manifest,
                VERSION,
                record.reference,
                bool(record.flags & SHARED),
                record.size,
                record.parts,
                key.place[:8] + record.stamp + raw_key,
            )
            self._left.manifests.add(use.pack())
        if record.extents or not record.manifest:
            held = sum(extent.length for extent in record.extents)
            if held != record.size or record.manifest or (record.marker and held):
                self._say(
                    key, record, Kind.SIZE_DIFFERS, f"says {record.size} bytes, and refers to {held}", record.size
                )
        if record.extents:
            owner = object_owner(tenant, bucket, record.reference, raw_key)
            whole = len(record.extents) == 1 and not record.etag_parts and record.size <= MD5_BYTES_MOST
            for extent in record.extents:
                job.refer(tenant, extent, owner, record.etag if whole else None)
        self._refer_tags(key, record, bucket, raw_key)

    def _refer_tags(self, key: _Key, record: Record, bucket: int, raw_key: bytes) -> None:
        if record.tag_set:
            position = tag_position(bucket, raw_key, record.stamp)
            self._left.tag_sets.add(NamedTagSet(record.tag_set, False, record.tag_count, position).pack())
            return
        if record.tags:
            position = tag_position(bucket, raw_key, record.stamp)
            for name, value in record.tags.items():
                self._left.index.add(tag_index(self._tenant, name, value) + position)
            self._job.objects.tags += len(record.tags)
        if len(record.tags) != record.tag_count:
            said = f"says {record.tag_count} tags, and has {len(record.tags)}"
            self._say(key, record, Kind.TAGS_DIFFER, said)

    def _finish(self, key: _Key) -> None:
        """Check the versions of a key against each other: the invariants of objects/history.py."""
        live, newest = key.live, key.newest
        if live is not None and live.marker:
            self._say(key, live, Kind.HISTORY_BROKEN, "a delete marker is current")
        if live is not None and newest is not None and newest.stamp >= live.stamp:
            self._say(key, live, Kind.HISTORY_BROKEN, "an older version is current")
        if not key.has_live and newest is not None and not newest.marker:
            self._say(key, newest, Kind.HISTORY_BROKEN, "its newest version is not current")
        if len(key.nulls) + bool(live is not None and live.null) > 1:
            self._say(key, live or newest, Kind.HISTORY_BROKEN, "it has more than one null version")
        self._check_null(key)

    def _check_null(self, key: _Key) -> None:
        repairs = self._job.repairs
        pointed = key.null_row[1] if key.null_row else None
        if pointed is not None and pointed not in key.nulls and key.null_row is not None:
            said = f"a null row of {text(key.place[8:])!r} points to no version"
            self._job.findings.add(Kind.NULL_STALE, said, of=Name(key=text(key.place[8:])), repairable=not key.nulls)
            if not key.nulls:
                repairs.drop(*key.null_row)
        if key.nulls and pointed not in key.nulls:
            said = f"no row points to the null version of {text(key.place[8:])!r}: it cannot be read by its id"
            alone = len(key.nulls) == 1
            self._job.findings.add(Kind.NULL_MISSING, said, of=Name(key=text(key.place[8:])), repairable=alone)
            if alone:
                repairs.protect(table(self._tenant, b"N") + key.place, pointed, key.nulls[0])

    def _say(self, key: _Key, record: Record | None, kind: Kind, what: str, size: int = 0) -> None:
        bucket = self._job.bucket_name(self._tenant, int.from_bytes(key.place[:8], "big"))
        name = text(key.place[8:])
        version = version_id(record.stamp, record.null) if record else ""
        of = Name(bucket, name, version)
        self._job.findings.add(kind, f"{of}: {what}", of=of, size=size)

    def _uploads(self) -> None:
        job, tenant = self._job, self._tenant
        for row, value in job.rows(table(tenant, b"U")):
            upload, bucket = row[-16:], int.from_bytes(row[_HEAD:_KEYED], "big")
            unescaped = job.decoded("the key of an upload", (row, row[_KEYED:]), unescape)
            if unescaped is None:
                continue
            raw_key = unescaped[0]
            job.objects.uploads += 1
            job.decoded("an upload", (row, value), partial(decode_upload, upload_id="", key=""))
            if (tenant, bucket) not in job.buckets and bucket not in self._missing:
                self._missing.add(bucket)
                said = f"uploads in bucket {bucket:016x}, which is not there"
                job.findings.add(Kind.BUCKET_MISSING, said, of=Name(key=text(raw_key)))
            tally = job.tally(tenant, bucket, raw_key)
            tally.begun()
            tally.part(parts_bytes(list(job.rows(parts_of(tenant, upload)))))
            use = Use(upload, UPLOAD, bytes(8), False, 0, 0, row[_HEAD:_KEYED] + bytes(16) + raw_key)
            self._left.manifests.add(use.pack())
