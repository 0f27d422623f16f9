"""How compaction finds and rewrites references to extents: the answer of objects to `segments.port.Referrer`.

An extent of a small object names its version (owner kind `o`), any other a part of a manifest (kind `p`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

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
from isotherm.objects.records import decode_part, decode_record, encode_part, encode_record
from isotherm.segments.port import Extent

_ROWS_A_READ = 256


class VersionReferrer:
    """For owners of kind `o`: the live row of a key, or one of its other versions."""

    async def referenced(self, reader: Reader, owner: bytes, extents: Collection[Extent]) -> set[Extent]:
        found = await _version_row(reader, owner)
        return set() if found is None else set(decode_record(found[1]).extents) & set(extents)

    async def relocate(self, txn: Transaction, owner: bytes, moves: Mapping[Extent, Extent]) -> set[Extent]:
        found = await _version_row(txn, owner)
        if found is None:
            return set()
        row, value = found
        record = decode_record(value)
        replaced = set(record.extents) & set(moves)
        if replaced:
            moved = replace(record, extents=tuple(moves.get(extent, extent) for extent in record.extents))
            txn.put(row, value[:STAMP_BYTES] + encode_record(moved))
        return replaced


class PartReferrer:
    """For owners of kind `p`: the row of a part, of an upload or of a completed object alike."""

    async def referenced(self, reader: Reader, owner: bytes, extents: Collection[Extent]) -> set[Extent]:
        found = await _part(reader, owner)
        return set() if found is None else set(found[1].extents) & set(extents)

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


async def _version_row(reader: Reader, owner: bytes) -> tuple[bytes, bytes] | None:
    """(row, value) of the version that carries the owner's reference."""
    tenant, bucket, reference, key = parse_object_owner(owner)
    row = live_row(tenant, bucket, key)
    value = await reader.get(row)
    if value is not None and decode_record(value).reference == reference:
        return row, value
    prefix = versions_of(tenant, bucket, key)
    start, end = prefix, successor(prefix)
    while True:
        pairs = await reader.range(start, end, _ROWS_A_READ)
        for row, value in pairs:
            if decode_record(value).reference == reference:
                return row, value
        if len(pairs) < _ROWS_A_READ:
            return None
        start = pairs[-1][0] + b"\0"


async def _part(reader: Reader, owner: bytes) -> tuple[bytes, Part] | None:
    tenant, manifest, number = parse_part_owner(owner)
    row = part_row(tenant, manifest, number)
    value = await reader.get(row)
    return None if value is None else (row, decode_part(value, number))
