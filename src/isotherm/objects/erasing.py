"""How everything that objects keep for a tenant is erased: an eraser for each table of layout.py, in the order to follow.

Bucket rows go first: every transaction that adds anything to a tenant reads one (`Context.bucket`, `bucket_still`), so that
after them nothing is added. What versions and parts refer to is discarded in the transaction that removes their rows, so
that live bytes stay exact and what else shares an extent keeps it. Used by the mover, within its transactions.
"""

from __future__ import annotations

from isotherm.errors import Corrupt
from isotherm.meta.port import Transaction
from isotherm.objects.layout import object_owner, part_owner, successor, table, unescape
from isotherm.objects.records import SHARED, decode_part, decode_record
from isotherm.segments.port import Segments
from isotherm.tenancy.erasure.eraser import UNREADABLE, Eraser, Free, Freed

_KEYED = 13
"""Where the key begins in a row: behind tenant, table and bucket."""


def _rows(letter: bytes, tenant: int) -> tuple[bytes, bytes]:
    prefix = table(tenant, letter)
    return prefix, successor(prefix)


async def _live(txn: Transaction, segments: Segments, tenant: int, row: bytes, value: bytes) -> Freed:
    return await _version(txn, segments, tenant, row, row[_KEYED:], value)


async def _older(txn: Transaction, segments: Segments, tenant: int, row: bytes, value: bytes) -> Freed:
    try:
        key, _ = unescape(row[_KEYED:])
    except ValueError:
        return Freed({UNREADABLE: 1})
    return await _version(txn, segments, tenant, row, key, value)


async def _version(txn: Transaction, segments: Segments, tenant: int, row: bytes, key: bytes, value: bytes) -> Freed:
    try:
        record = decode_record(value)
    except Corrupt:
        return Freed({UNREADABLE: 1})
    if record.marker:
        return Freed({"markers": 1})
    owner = object_owner(tenant, int.from_bytes(row[_KEYED - 8 : _KEYED], "big"), record.reference, key)
    died = await segments.discard(txn, record.extents, owner, shared=bool(record.flags & SHARED))
    return Freed({"versions": 1, "bytes": record.size}, died)


async def _part(txn: Transaction, segments: Segments, tenant: int, row: bytes, value: bytes) -> Freed:
    number = int.from_bytes(row[-2:], "big")
    try:
        part = decode_part(value, number)
    except Corrupt:
        return Freed({UNREADABLE: 1})
    return Freed({"parts": 1}, await segments.discard(txn, part.extents, part_owner(tenant, row[5:-2], number)))


def _of(kind: str, letter: bytes, free: Free | None = None, *, counted: bool = False) -> Eraser:
    return Eraser(kind, lambda tenant: _rows(letter, tenant), free, counted)


ERASERS = (
    _of("buckets", b"B", counted=True),
    _of("names of buckets", b"b"),
    _of("uploads", b"U", counted=True),
    _of("versions that are current", b"L", _live),
    _of("other versions", b"V", _older),
    _of("null versions", b"N"),
    _of("parts", b"P", _part),
    _of("manifests", b"M"),
    _of("references to manifests", b"C"),
    _of("tags in sets", b"G"),
    _of("tags", b"I", counted=True),
    _of("garbage", b"X"),
)
