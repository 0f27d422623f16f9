"""How compaction finds and rewrites references to extents: the answer of objects to `segments.port.Referrer`.

An extent of a small object names its version (owner kind `o`), any other a part of a manifest (kind `p`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping

from msgspec.structs import replace

from isotherm.meta.port import STAMP_BYTES, Reader, Transaction
from isotherm.objects.layout import (
    live_row,
    parse_object_owner,
    parse_part_owner,
    part_row,
    successor,
    versions_of,
)
from isotherm.objects.model import Part
from isotherm.objects.records import Record, decode_part, decode_record, encode_part, encode_record
from isotherm.segments.port import Extent

_ROWS_A_READ = 256

_Key = tuple[int, int, bytes]
"""Tenant, bucket and key."""
_Version = tuple[bytes, bytes, Record]
"""Row, value, and the value read."""


class VersionReferrer:
    """For owners of kind `o`: the live row of a key, or one of its other versions.

    A key may have more versions than a transaction may read. So `referenced` walks them once for all owners it is asked
    about and remembers in which rows it found them, and `relocate` looks there first. What it remembers is a hint: a row
    counts only if it carries the owner's reference. One mover at a time.
    """

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}

    async def referenced(self, reader: Reader, wanted: Mapping[bytes, Collection[Extent]]) -> dict[bytes, set[Extent]]:
        found: dict[bytes, set[Extent]] = {owner: set() for owner in wanted}
        self._rows = {}
        by_key: dict[_Key, dict[bytes, bytes]] = defaultdict(dict)
        for owner in wanted:
            tenant, bucket, reference, key = parse_object_owner(owner)
            by_key[tenant, bucket, key][reference] = owner
        for place, owners in by_key.items():
            async for row, _, record in _versions(reader, place):
                owner = owners.pop(record.reference, b"")
                if owner:
                    self._rows[owner] = row
                    found[owner] = set(record.extents) & set(wanted[owner])
                if not owners:
                    break
        return found

    async def relocate(self, txn: Transaction, owner: bytes, moves: Mapping[Extent, Extent]) -> set[Extent]:
        found = await self._version(txn, owner)
        if found is None:
            return set()
        row, value, record = found
        replaced = set(record.extents) & set(moves)
        if replaced:
            moved = replace(record, extents=tuple(moves.get(extent, extent) for extent in record.extents))
            txn.put(row, value[:STAMP_BYTES] + encode_record(moved))
        return replaced

    async def _version(self, txn: Transaction, owner: bytes) -> _Version | None:
        tenant, bucket, reference, key = parse_object_owner(owner)
        row = self._rows.get(owner)
        if row is not None and (value := await txn.get(row)) is not None:
            record = decode_record(value)
            if record.reference == reference:
                return row, value, record
        async for version in _versions(txn, (tenant, bucket, key)):
            if version[2].reference == reference:
                return version
        return None


class PartReferrer:
    """For owners of kind `p`: the row of a part, of an upload or of a completed object alike."""

    async def referenced(self, reader: Reader, wanted: Mapping[bytes, Collection[Extent]]) -> dict[bytes, set[Extent]]:
        found: dict[bytes, set[Extent]] = {}
        for owner, extents in wanted.items():
            part = await _part(reader, owner)
            found[owner] = set() if part is None else set(part[1].extents) & set(extents)
        return found

    async def relocate(self, txn: Transaction, owner: bytes, moves: Mapping[Extent, Extent]) -> set[Extent]:
        found = await _part(txn, owner)
        if found is None:
            return set()
        row, part = found
        replaced = set(part.extents) & set(moves)
        if replaced:
            moved = [moves.get(extent, extent) for extent in part.extents]
            digest, _, parts = part.etag.partition("-")
            changed = Part(part.number, part.size, part.modified_ms, part.etag, part.checksum, moved)
            txn.put(row, encode_part(changed, bytes.fromhex(digest), int(parts or 0)))
        return replaced


async def _versions(reader: Reader, place: _Key) -> AsyncIterator[_Version]:
    """The versions of a key, from the newest."""
    row = live_row(*place)
    value = await reader.get(row)
    if value is not None:
        yield row, value, decode_record(value)
    prefix = versions_of(*place)
    start, end = prefix, successor(prefix)
    while True:
        pairs = await reader.range(start, end, _ROWS_A_READ)
        for row, value in pairs:
            yield row, value, decode_record(value)
        if len(pairs) < _ROWS_A_READ:
            return
        start = pairs[-1][0] + b"\0"


async def _part(reader: Reader, owner: bytes) -> tuple[bytes, Part] | None:
    tenant, manifest, number = parse_part_owner(owner)
    row = part_row(tenant, manifest, number)
    value = await reader.get(row)
    return None if value is None else (row, decode_part(value, number))
