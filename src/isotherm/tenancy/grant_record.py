"""Grants and mounts as rows of the system tenant: pure codec. The format is docs/formats/tenants.md.

A grant lies below the tenant that gives it, by its name; below the one it is for lies an index of those that were given to it.
Where it is mounted, its record lies once more below the tenant it is for, under the alias: that row is what requests act by.
"""

from __future__ import annotations

import struct
from enum import Enum

import msgspec

from isotherm.errors import Corrupt, Unsupported

VERSION = 1

_SYSTEM = bytes(4)
GRANTS = _SYSTEM + b"g"
RECEIVED = _SYSTEM + b"h"
MOUNTS = _SYSTEM + b"m"
TABLES = frozenset((b"g", b"h", b"m"))
_ID = struct.Struct(">I")
_PAIR = struct.Struct(">II")


class Access(Enum):
    """`READ`: objects are read and listed. `WRITE`: that, and whatever else may be done to objects."""

    READ = "read"
    WRITE = "read-write"


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That a tenant may use a bucket of another's.

    Args:
        owner, name: whose grant it is, and what he calls it.
        bucket: the id of the bucket; `bucket_name` is its name, which it keeps as long as it is there.
        to: the tenant it is for.
        prefix: only keys that begin so.
        alias: the name it is mounted under there; empty: it is not mounted.
    """

    owner: int
    name: str
    bucket: int
    bucket_name: str
    to: int
    access: Access
    created_ms: int
    prefix: str = ""
    alias: str = ""


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Grant, strict=True).decode


def grant_row(owner: int, name: str) -> bytes:
    return GRANTS + _ID.pack(owner) + name.encode()


def grants_of(owner: int) -> tuple[bytes, bytes]:
    """The half-open range of what a tenant has granted."""
    return _below(GRANTS, owner)


def received_row(to: int, owner: int, name: str) -> bytes:
    return RECEIVED + _PAIR.pack(to, owner) + name.encode()


def received_by(to: int) -> tuple[bytes, bytes]:
    """The half-open range of what a tenant has been granted."""
    return _below(RECEIVED, to)


def giver_and_name(row: bytes) -> tuple[int, str]:
    """Whose grant a row of the index leads to, and its name. Raises Corrupt."""
    try:
        _, owner = _PAIR.unpack_from(row, len(RECEIVED))
        return owner, row[len(RECEIVED) + _PAIR.size :].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise Corrupt(f"a row of the index of grants is damaged: {error}") from error


def mount_row(to: int, alias: str) -> bytes:
    return MOUNTS + _ID.pack(to) + alias.encode()


def mounts_in(to: int) -> tuple[bytes, bytes]:
    """The half-open range of a tenant's mounts."""
    return _below(MOUNTS, to)


def bucket_row(tenant: int, name: str) -> bytes:
    """The row of a tenant's own bucket (table `B` of objects/layout.py)."""
    return _ID.pack(tenant) + b"B" + name.encode()


def pack(grant: Grant) -> bytes:
    return bytes((VERSION,)) + _encode(grant)


def unpack(stored: bytes) -> Grant:
    """The inverse of `pack`.

    Raises:
        Unsupported: a version this program does not know.
        Corrupt: not a record.
    """
    if stored[:1] != bytes((VERSION,)):
        raise Unsupported(f"grant record of version {stored[0] if stored else 'none'}; this program reads {VERSION}")
    try:
        return _decode(stored[1:])
    except (msgspec.DecodeError, ValueError) as error:
        raise Corrupt(f"grant record is damaged: {error}") from error


def _below(table: bytes, tenant: int) -> tuple[bytes, bytes]:
    start = table + _ID.pack(tenant)
    return start, (int.from_bytes(start, "big") + 1).to_bytes(len(start), "big")
