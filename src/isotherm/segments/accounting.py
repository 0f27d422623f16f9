"""What the metadata says about segments: their rows, live bytes, and references to shared extents.

Rows belong to the reserved system tenant. A key is `tenant u32 ‖ table ‖ segment u64 ‖ …`, big-endian:

    S ‖ segment                     → `SegmentRow`: from before the first extent until after the file is gone
    L ‖ segment                     → counter: payload bytes that are referred to
    R ‖ segment ‖ offset ‖ owner    → marked length u64 ‖ check u32: one for each owner of an extent that was copied
    E ‖ segment                     → stamp of the commit that emptied it: unlinked when no older reader is left

Invariants: an extent is counted in L exactly while something refers to it. A transaction that refers to an extent has
read its segment's row, and the one that empties a segment writes that row and has read L, so one of the two fails.
L = 0 therefore proves that nothing refers into a segment, whatever its file looks like.

Any thread; the functions run inside the caller's transaction.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import IntEnum

from isotherm.errors import Corrupt, Unavailable, VersionMismatch
from isotherm.meta.port import Reader, Transaction
from isotherm.segments.port import Extent, Media, marked_extent

_SYSTEM_TENANT = bytes(4)
_ROWS = _SYSTEM_TENANT + b"S"
_LIVE = _SYSTEM_TENANT + b"L"
_REFERENCES = _SYSTEM_TENANT + b"R"
_EMPTIED = _SYSTEM_TENANT + b"E"

_ROW = struct.Struct(">BBBxQQQQQ")
_PLACE = struct.Struct(">QQ")
_REFERENCE = struct.Struct(">QI")
_ROW_VERSION = 1
_MEDIA = {Media.PERFORMANCE: 1, Media.CAPACITY: 2}
_MEDIA_OF = {code: media for media, code in _MEDIA.items()}
_PAGE = 1_000


class State(IntEnum):
    """OPEN: a process may append. SEALED: nobody ever will. EMPTIED: nothing refers to it, nothing may."""

    OPEN = 1
    SEALED = 2
    EMPTIED = 3


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """What is known of a segment. All but `media` and `state` are zero while it is OPEN.

    Args:
        payload: sum of the lengths of its extents.
        extents: their number.
        end: file offset behind the last of them; what lies behind was never acknowledged.
        size: of the file.
        sealed_ms: wall-clock time of sealing.
    """

    media: Media
    state: State = State.OPEN
    payload: int = 0
    extents: int = 0
    end: int = 0
    size: int = 0
    sealed_ms: int = 0

    def pack(self) -> bytes:
        counts = (self.payload, self.extents, self.end, self.size, self.sealed_ms)
        return _ROW.pack(_ROW_VERSION, self.state, _MEDIA[self.media], *counts)

    def emptied(self) -> SegmentRow:
        return replace(self, state=State.EMPTIED)


OPEN_ROW = SegmentRow(Media.PERFORMANCE).pack()
"""Of a segment into which objects are being written."""


def unpack_row(value: bytes) -> SegmentRow:
    """Raises `VersionMismatch` for a row of another format version, `Corrupt` for no row at all."""
    if value[:1] != bytes((_ROW_VERSION,)):
        raise VersionMismatch("a segment row of another version")
    try:
        _, state, media, *counts = _ROW.unpack(value)
        return SegmentRow(_MEDIA_OF[media], State(state), *counts)
    except (struct.error, KeyError, ValueError) as error:
        raise Corrupt("a damaged segment row") from error


def _state(value: bytes) -> int:
    """Of a segment's row. Raises as `unpack_row`."""
    if value[0] != _ROW_VERSION or len(value) != _ROW.size:
        unpack_row(value)
    return value[1]


def row_key(segment: int) -> bytes:
    return _ROWS + segment.to_bytes(8, "big")


def live_key(segment: int) -> bytes:
    return _LIVE + segment.to_bytes(8, "big")


def emptied_key(segment: int) -> bytes:
    return _EMPTIED + segment.to_bytes(8, "big")


def reference_key(extent: Extent, owner: bytes) -> bytes:
    return _reference_prefix(extent) + owner


def _reference_prefix(extent: Extent) -> bytes:
    return _REFERENCES + _PLACE.pack(extent.segment, extent.offset)


def _beyond(prefix: bytes) -> bytes:
    """The least key greater than all that start with `prefix`."""
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big")


async def row_of(reader: Reader, segment: int) -> SegmentRow | None:
    value = await reader.get(row_key(segment))
    return None if value is None else unpack_row(value)


async def live_bytes(reader: Reader, segment: int) -> int:
    """Payload bytes of `segment` that something refers to."""
    value = await reader.get(live_key(segment))
    return 0 if value is None else int.from_bytes(value, "little", signed=True)


async def live_bytes_of(reader: Reader, first: int, last: int, limit: int) -> dict[int, int]:
    """The live bytes of the segments from `first` to `last` that have any, of at most `limit` segments."""
    pairs = await reader.range(live_key(first), live_key(last) + b"\0", limit)
    return {
        int.from_bytes(key[len(_LIVE) :], "big"): int.from_bytes(value, "little", signed=True) for key, value in pairs
    }


async def segment_rows(reader: Reader, after: int = -1, limit: int = _PAGE) -> list[tuple[int, SegmentRow]]:
    """Rows of the segments with greater numbers than `after`, in order."""
    if after >= _LAST:
        return []
    pairs = await reader.range(row_key(after + 1), _beyond(_ROWS), limit)
    return [(int.from_bytes(key[len(_ROWS) :], "big"), unpack_row(value)) for key, value in pairs]


async def emptied_segments(reader: Reader, limit: int = _PAGE, after: int = -1) -> list[tuple[int, bytes]]:
    """(segment, stamp of the commit that emptied it) of those with greater numbers that wait to be removed."""
    if after >= _LAST:
        return []
    pairs = await reader.range(emptied_key(after + 1), _beyond(_EMPTIED), limit)
    return [(int.from_bytes(key[len(_EMPTIED) :], "big"), stamp) for key, stamp in pairs]


async def sharers(reader: Reader, extent: Extent, limit: int) -> list[bytes]:
    """Owners of an extent that was copied, at most `limit`; none where its header names the only one."""
    prefix = _reference_prefix(extent)
    pairs = await reader.range(prefix, _beyond(prefix), limit)
    return [key[len(prefix) :] for key, _ in pairs]


async def references(reader: Reader, segment: int, after: bytes | None = None) -> list[tuple[bytes, Extent, bytes]]:
    """A page of (key, extent, owner) of the shared extents of `segment`; ask with the last key for the next page."""
    prefix = _REFERENCES + segment.to_bytes(8, "big")
    start = prefix if after is None else after + b"\0"
    found = []
    for key, value in await reader.range(start, _beyond(prefix), _PAGE):
        place = len(_REFERENCES)
        _, offset = _PLACE.unpack(key[place : place + _PLACE.size])
        length, check = _REFERENCE.unpack(value)
        found.append((key, marked_extent(segment, offset, length, check), key[place + _PLACE.size :]))
    return found


async def shared(reader: Reader, after: bytes = b"", limit: int = _PAGE) -> list[tuple[bytes, Extent, bytes]]:
    """As `references`, of all segments; of a damaged row the extent has no length, and what it is of is nobody's."""
    found = []
    for key, value in await reader.range(after + b"\0" if after else _REFERENCES, _beyond(_REFERENCES), limit):
        segment, offset = _PLACE.unpack(key[len(_REFERENCES) :][: _PLACE.size].ljust(_PLACE.size, b"\0"))
        length, check = _REFERENCE.unpack(value) if len(value) == _REFERENCE.size else (0, 0)
        found.append((key, Extent(segment, offset, length, check), key[len(_REFERENCES) + _PLACE.size :]))
    return found


async def refer(txn: Transaction, extents: Collection[Extent], likely: bytes | None = None) -> None:
    """See `Segments.refer`. `likely`: the row that their segments have, most probably."""
    lengths: dict[int, int] = {}
    for extent in extents if len(extents) == 1 else set(extents):
        lengths[extent.segment] = lengths.get(extent.segment, 0) + extent.length
    for segment, length in lengths.items():
        value = await txn.get(row_key(segment), likely)
        if value is None or _state(value) == State.EMPTIED:
            raise Unavailable("the segment was given up before it was referred to; write again", segment=segment)
        txn.add(live_key(segment), length)


async def share(txn: Transaction, extents: Collection[Extent], owner: bytes, also: bytes) -> None:
    """See `Segments.share`."""
    for extent in extents:
        value = _REFERENCE.pack(extent.marked_length, extent.check)
        txn.put(reference_key(extent, owner), value)
        txn.put(reference_key(extent, also), value)


async def discard(txn: Transaction, extents: Collection[Extent], owner: bytes, *, shared: bool = True) -> list[Extent]:
    """See `Segments.discard`."""
    died = []
    for extent in set(extents):
        owners = await sharers(txn, extent, 2) if shared else ()
        if owners:
            txn.delete(reference_key(extent, owner))
        if not owners or owners == [owner]:
            txn.add(live_key(extent.segment), -extent.length)
            died.append(extent)
    return died


async def move(txn: Transaction, old: Extent, new: Extent, owners: Collection[bytes]) -> None:
    """Within the transaction that makes `owners` refer to `new` instead of its copy `old`.

    Raises:
        Unavailable: as `refer`.
    """
    shared = bool(await sharers(txn, old, 1))
    if not await sharers(txn, new, 1):  # else an earlier transaction moved other owners to it
        await refer(txn, [new])
    for owner in owners:
        if shared:
            txn.put(reference_key(new, owner), _REFERENCE.pack(new.marked_length, new.check))
        await discard(txn, [old], owner)


_LAST = (1 << 64) - 1
