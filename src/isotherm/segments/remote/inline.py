"""Small payloads that lie in the metadata: an extent like any other to whoever refers to it.

`append` gives an `InlineExtent`, which carries its bytes; the transaction that refers to it writes them. Nothing is left of
one that is never referred to. Its number is random and below `SEGMENTS_FROM`, which no segment's is, and so is its offset:
96 bits tell one from all others.

Rows belong to the reserved system tenant, as those of accounting.py do:

    V ‖ segment u64 ‖ offset u64    → the payload; of a sealed one salt ‖ ciphertext ‖ tag, all of which its check covers
    D ‖ ~stamp                      → stamp ‖ segment ‖ offset: nothing refers to it since that commit

Invariants: a payload has its V row from the transaction that first refers to it. The transaction that drops the last
reference writes its D row; both rows go when no reader can have resolved the reference before. Copies share by the same R
rows as other extents, and compaction never sees any.

Any thread; the functions run inside the caller's transaction.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence

from isotherm.errors import Corrupt, NotFound
from isotherm.ids import Ids
from isotherm.meta.port import STAMP_BYTES, Meta, Reader, Transaction, invert
from isotherm.segments import accounting
from isotherm.segments.format import SALT_BYTES, TAG_BYTES, crc32c
from isotherm.segments.port import Extent, Payload, Sealed

SEGMENTS_FROM = 1 << 32
VALUES = bytes(4) + b"V"
DROPPED = bytes(4) + b"D"

_PLACE = struct.Struct(">QQ")
_DROPPED_A_TRANSACTION = 500


class InlineExtent(Extent, frozen=True, eq=False, kw_only=True):
    """An extent that carries its payload, as it will be stored, until it is referred to. Equal to one that does not."""

    payload: bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extent) and self.pack() == other.pack()

    def __hash__(self) -> int:
        return hash(Extent(self.segment, self.offset, self.length, self.check, self.sealed))


def is_inline(extent: Extent) -> bool:
    return extent.segment < SEGMENTS_FROM


def inline(data: Payload, ids: Ids) -> InlineExtent:
    """A new extent that holds a copy of `data`."""
    sealed = isinstance(data, Sealed)
    payload = b"".join((data.salt, data.payload, data.tags)) if isinstance(data, Sealed) else bytes(data)
    drawn = ids.token(12)
    segment = int.from_bytes(drawn[:4], "big") or 1
    offset = int.from_bytes(drawn[4:], "big")
    return InlineExtent(segment, offset, len(data), crc32c(payload), sealed, payload=payload)


def stored_bytes(extent: Extent) -> int:
    """How long the row of a payload is."""
    return extent.length + (SALT_BYTES + TAG_BYTES if extent.sealed else 0)


def demand_sound(extent: Extent, payload: bytes) -> None:
    """Raises Corrupt where a row is not what was written."""
    if len(payload) != stored_bytes(extent) or crc32c(payload) != extent.check:
        raise Corrupt("stored bytes fail their checksum", segment=extent.segment, offset=extent.offset, block=0)


def value_key(extent: Extent) -> bytes:
    return VALUES + _PLACE.pack(extent.segment, extent.offset)


def unpack_dropped(value: bytes) -> tuple[bytes, bytes]:
    """(stamp, key of the V row) of a D row. Raises `Corrupt`."""
    if len(value) != STAMP_BYTES + _PLACE.size:
        raise Corrupt("a damaged row of a dropped payload")
    return value[:STAMP_BYTES], VALUES + value[STAMP_BYTES:]


async def refer(txn: Transaction, extents: Collection[Extent]) -> None:
    """Within the transaction that first refers to extents of `append`: their payloads, and live bytes of the others."""
    for extent in extents:
        if isinstance(extent, InlineExtent):
            txn.put(value_key(extent), extent.payload)
    await accounting.refer(txn, [extent for extent in extents if not is_inline(extent)])


async def discard(txn: Transaction, extents: Collection[Extent], owner: bytes, *, shared: bool = True) -> list[Extent]:
    """See `Segments.discard`."""
    died = []
    for extent in {extent for extent in extents if is_inline(extent)}:
        owners = await accounting.sharers(txn, extent, 2) if shared else ()
        if owners:
            txn.delete(accounting.reference_key(extent, owner))
        if not owners or owners == [owner]:
            txn.put_at(DROPPED, txn.stamp(), _PLACE.pack(extent.segment, extent.offset))
            died.append(extent)
    rest = [extent for extent in extents if not is_inline(extent)]
    return died + await accounting.discard(txn, rest, owner, shared=shared)


async def read(reader: Reader, extent: Extent) -> bytes:
    """The payload, as it is stored. Raises `NotFound` where it is gone, `Corrupt` where it is not what was written."""
    payload = await reader.get(value_key(extent))
    if payload is None:
        raise NotFound("the payload is gone from the metadata", segment=extent.segment)
    demand_sound(extent, payload)
    return payload


async def dropped(reader: Reader, limit: int, before: bytes | None = None) -> list[tuple[bytes, bytes, bytes]]:
    """(key of the D row, stamp, key of the V row) of dropped payloads from the oldest; ask with the last for more."""
    pairs = await reader.range(DROPPED, before or DROPPED + b"\xff" * STAMP_BYTES, limit, reverse=True)
    return [(key, *unpack_dropped(value)) for key, value in pairs]


async def remove_dropped(meta: Meta, upto: bytes, limit: int) -> tuple[int, bool]:
    """Remove payloads dropped by commits up to the stamp `upto`; (how many, whether some are left that could go)."""
    removed = 0
    while removed < limit:
        found = await dropped(meta, _DROPPED_A_TRANSACTION)
        ripe = [rows for rows in found if rows[1] <= upto]
        if ripe:
            await _remove(meta, ripe)
            removed += len(ripe)
        if len(ripe) < _DROPPED_A_TRANSACTION:
            return removed, False
    return removed, True


async def _remove(meta: Meta, ripe: Sequence[tuple[bytes, bytes, bytes]]) -> None:
    async def delete(txn: Transaction) -> None:
        for key, _, value in ripe:
            txn.delete(key)
            txn.delete(value)

    await meta.transact(delete)


def dropped_key(stamp: bytes) -> bytes:
    """Of the D row that a commit with that stamp wrote."""
    return DROPPED + invert(stamp)
