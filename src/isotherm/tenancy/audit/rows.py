"""Rows of the audit log in the system tenant: pure codec. The format is docs/formats/audit.md.

Below each tenant lie the links of its chain, by number, and the head of it; below each node that a record may be seen from,
an index in the feed's order; and how far the follower has come.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from isotherm.errors import Corrupt, Unsupported
from isotherm.meta.port import STAMP_BYTES, Reader
from isotherm.tenancy.audit.chain import HASH_BYTES, Head

VERSION = 1

_SYSTEM = bytes(4)
LINKS = _SYSTEM + b"J"
HEADS = _SYSTEM + b"Y"
INDEX = _SYSTEM + b"Q"
CURSOR = _SYSTEM + b"F"
TABLES = frozenset((b"J", b"Y", b"Q", b"F"))
_ID = struct.Struct(">I")
_LINK = struct.Struct(">IQ")
_HEAD = struct.Struct(f">BQ{HASH_BYTES}s")
_ENTRY = struct.Struct(">IQQ")
_LEAST = 1 + HASH_BYTES + STAMP_BYTES


@dataclass(frozen=True, slots=True)
class Link:
    """A record in its chain. `entry` is what is hashed: the feed's stamp, then the record."""

    hash: bytes
    entry: bytes

    @property
    def stamp(self) -> bytes:
        return self.entry[:STAMP_BYTES]

    @property
    def record(self) -> bytes:
        return self.entry[STAMP_BYTES:]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a record lies that the index leads to."""

    tenant: int
    sequence: int
    time_ms: int

    def pack(self) -> bytes:
        return _ENTRY.pack(self.tenant, self.sequence, self.time_ms)


def link_row(tenant: int, sequence: int) -> bytes:
    return LINKS + _LINK.pack(tenant, sequence)


def links_of(tenant: int) -> tuple[bytes, bytes]:
    """The half-open range of a chain."""
    return _range(LINKS + _ID.pack(tenant))


def place_of(row: bytes) -> tuple[int, int]:
    """(tenant, number) of a link's row. Raises Corrupt."""
    if len(row) != len(LINKS) + _LINK.size:
        raise Corrupt("the key of an audit record is damaged")
    tenant, sequence = _LINK.unpack(row[len(LINKS) :])
    return int(tenant), int(sequence)


def head_row(tenant: int) -> bytes:
    return HEADS + _ID.pack(tenant)


def index_row(node: int, stamp: bytes) -> bytes:
    return INDEX + _ID.pack(node) + stamp


def index_of(node: int) -> tuple[bytes, bytes]:
    """The half-open range of what may be seen from a node."""
    return _range(INDEX + _ID.pack(node))


def node_and_stamp(row: bytes) -> tuple[int, bytes]:
    """The inverse of `index_row`. Raises Corrupt."""
    if len(row) != len(INDEX) + _ID.size + STAMP_BYTES:
        raise Corrupt("the key of an audit record's index is damaged")
    return int.from_bytes(row[len(INDEX) : -STAMP_BYTES], "big"), row[-STAMP_BYTES:]


def pack_link(link: Link) -> bytes:
    return bytes((VERSION,)) + link.hash + link.entry


def unpack_link(stored: bytes) -> Link:
    """Raises Unsupported, Corrupt."""
    _demand_version(stored)
    if len(stored) < _LEAST:
        raise Corrupt("the row of an audit record is too short")
    return Link(stored[1 : 1 + HASH_BYTES], stored[1 + HASH_BYTES :])


def pack_head(head: Head) -> bytes:
    return _HEAD.pack(VERSION, *head)


def unpack_head(stored: bytes) -> Head:
    """Raises Unsupported, Corrupt."""
    _demand_version(stored)
    if len(stored) != _HEAD.size:
        raise Corrupt("the head of an audit chain is damaged")
    _, sequence, hash_ = _HEAD.unpack(stored)
    return Head(sequence, hash_)


def unpack_entry(stored: bytes) -> Entry:
    """Raises Corrupt."""
    if len(stored) != _ENTRY.size:
        raise Corrupt("a row of the audit index is damaged")
    return Entry(*_ENTRY.unpack(stored))


async def read_head(reader: Reader, tenant: int) -> Head | None:
    """What a chain's own row says; None before its first record. Raises Unsupported, Corrupt."""
    stored = await reader.get(head_row(tenant))
    return unpack_head(stored) if stored is not None else None


async def chained_tenants(reader: Reader) -> list[int]:
    """Every tenant that has a chain, or what is left of one."""
    found = set()
    for table in (LINKS, HEADS):
        at, end = _range(table)
        while page := await reader.range(at, end, 1):
            tenant = int.from_bytes(page[0][0][len(table) : len(table) + _ID.size], "big")
            found.add(tenant)
            at = _range(table + _ID.pack(tenant))[1]
    return sorted(found)


def _demand_version(stored: bytes) -> None:
    if stored[:1] != bytes((VERSION,)):
        raise Unsupported(f"audit row of version {stored[0] if stored else 'none'}; this program reads {VERSION}")


def _range(prefix: bytes) -> tuple[bytes, bytes]:
    return prefix, (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big")
