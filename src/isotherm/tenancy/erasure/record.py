"""Erasures and their certificates as rows of the system tenant: pure codec. The format is docs/formats/erasure.md.

A tenant that is being erased has one row `x`, from the transaction that put it into that state to the one that writes its
certificate, a row `z`. Beside them are counters `d`: how many of its bytes lie dead in a segment, for as long as that
segment is there.

Any thread; `read_erasure` on any reader.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from isotherm.errors import Corrupt, Unsupported
from isotherm.meta.port import Reader
from isotherm.tenancy.erasure.certificate import Signed
from isotherm.tenancy.roles import ROOT_TENANT

T = TypeVar("T")

VERSION = 1

_SYSTEM = bytes(4)
ERASURES = _SYSTEM + b"x"
CERTIFICATES = _SYSTEM + b"z"
DEAD = _SYSTEM + b"d"
TABLES = frozenset((b"x", b"z", b"d"))
_ID = struct.Struct(">I")
_PLACE = struct.Struct(">IQ")


class Erasure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The erasure of one tenant, under way. Times in milliseconds since 1970, 0: not yet.

    Args:
        path: of the tenant, when it began.
        above: ids from the root to its parent, then.
        within: the tenant whose erasure brings this one along; 0 where it was asked for itself.
        access_key, by, roles, request, remote: who asked, as the audit log tells it.
        sealed: whether the key store held a secret of it; None: not looked yet.
        key_destroyed_ms: since when the key store holds none.
        cleared_ms: since when no row of it is left, which is not verified yet.
        counts: what has been removed, by kind; each in the transaction that removed it.
    """

    tenant: int
    path: str
    above: tuple[int, ...]
    began_ms: int
    within: int = 0
    access_key: str = ""
    by: int = ROOT_TENANT
    roles: Sequence[str] = ()
    request: str = ""
    remote: str = ""
    sealed: bool | None = None
    key_destroyed_ms: int = 0
    cleared_ms: int = 0
    counts: Mapping[str, int] = {}


class Issued(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of an erasure that has ended. `above`: ids from the root to its parent, who may see it.

    `purge`: that the last segment has gone which held a byte of it; None: not yet.
    """

    tenant: int
    above: tuple[int, ...]
    certificate: Signed
    purge: Signed | None = None


_encode = msgspec.json.Encoder(order="deterministic").encode


def erasure_row(tenant: int) -> bytes:
    return ERASURES + _ID.pack(tenant)


def certificate_row(tenant: int) -> bytes:
    return CERTIFICATES + _ID.pack(tenant)


def dead_row(tenant: int, segment: int) -> bytes:
    """A counter: bytes of a tenant that died in that segment when it was erased."""
    return DEAD + _PLACE.pack(tenant, segment)


def dead_place(row: bytes) -> tuple[int, int]:
    """(tenant, segment) of a row of `dead_row`. Raises Corrupt."""
    if len(row) != len(DEAD) + _PLACE.size:
        raise Corrupt("the key of a counter of dead bytes is damaged")
    tenant, segment = _PLACE.unpack(row[len(DEAD) :])
    return int(tenant), int(segment)


def table_range(table: bytes) -> tuple[bytes, bytes]:
    """The half-open range of a table of these."""
    return table, _after(table)


def dead_of(tenant: int) -> tuple[bytes, bytes]:
    """The half-open range of a tenant's counters of dead bytes."""
    return DEAD + _ID.pack(tenant), _after(DEAD + _ID.pack(tenant))


def rows_of(tenant: int) -> tuple[bytes, bytes]:
    """The half-open range of every row that begins with a tenant's id, whatever it is."""
    return _ID.pack(tenant), _after(_ID.pack(tenant))


def pack(record: Erasure | Issued) -> bytes:
    return bytes((VERSION,)) + _encode(record)


def unpack_erasure(stored: bytes) -> Erasure:
    """Raises Unsupported for a version that this program does not know, Corrupt for no record."""
    return _unpack(stored, Erasure)


def unpack_issued(stored: bytes) -> Issued:
    """Raises as `unpack_erasure`."""
    return _unpack(stored, Issued)


async def read_erasure(reader: Reader, tenant: int) -> Erasure | None:
    """Raises Corrupt, Unsupported."""
    stored = await reader.get(erasure_row(tenant))
    return unpack_erasure(stored) if stored is not None else None


async def read_issued(reader: Reader, tenant: int) -> Issued | None:
    """Raises Corrupt, Unsupported."""
    stored = await reader.get(certificate_row(tenant))
    return unpack_issued(stored) if stored is not None else None


def _unpack(stored: bytes, kind: type[T]) -> T:
    if stored[:1] != bytes((VERSION,)):
        raise Unsupported(f"erasure record of version {stored[0] if stored else 'none'}; this program reads {VERSION}")
    try:
        return msgspec.json.decode(stored[1:], type=kind, strict=True)
    except (msgspec.DecodeError, ValueError) as error:
        raise Corrupt(f"erasure record is damaged: {error}") from error


def _after(prefix: bytes) -> bytes:
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big")
