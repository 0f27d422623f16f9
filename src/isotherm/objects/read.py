"""GET and HEAD: find a version, open its bytes.

A small object's bytes are one look-up and one read away. Larger ones lie under a manifest whose parts are read as they
are needed, and are held until the reading is closed: what is overwritten or removed meanwhile is read to its end. When a
segment is gone (compaction moved its extents), the same version is resolved again and reading goes on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from itertools import accumulate

from isotherm.errors import Corrupt, Invalid, NoSpace, NotFound, Unavailable
from isotherm.objects.conditions import check_read
from isotherm.objects.context import Context
from isotherm.objects.layout import manifest_row, part_row
from isotherm.objects.locate import locate, locate_newest
from isotherm.objects.model import PARTS_MOST, Part, ReadCondition, Version
from isotherm.objects.records import as_version, decode_index, decode_part, decode_record, sole_extent
from isotherm.segments.port import Extent, Hold

_RESOLVE_TRIES = 5


async def head(context: Context, bucket: str, key: str, version: str | None) -> Version:
    if version is None:
        row, live = await locate_newest(context, bucket, key)
    else:  # several rows tell where a version lies; it may move between them while they are read
        with context.meta.snapshot() as snapshot:
            row, live = await locate(context, snapshot, bucket, key, version)
    return as_version(decode_record(row), key, latest=live)


async def open_version(
    context: Context, bucket: str, key: str, version: str | None, condition: ReadCondition | None
) -> Reading:
    found = await head(context, bucket, key, version)
    if condition is not None:
        check_read(condition, found)
    if not found.manifest:
        return Reading(context, bucket, found, None)
    # what takes long to read is held before it is resolved for good
    try:
        hold = await context.segments.hold()
    except NoSpace:  # a full medium takes no note of a reader: it reads, but may be cut short by a removal
        hold = None
    try:
        found = await head(context, bucket, key, version)
        if condition is not None:
            check_read(condition, found)
        reading = Reading(context, bucket, found, hold)
        if found.manifest:
            await reading.load()
    except BaseException:
        if hold is not None:
            hold.release()
        raise
    return reading


async def read_newest(context: Context, bucket: str, key: str, offset: int, length: int | None) -> bytes:
    """See `Space.read`. Most objects are one small extent, whose bytes are in memory: no version is made of its row."""
    row, _ = await locate_newest(context, bucket, key)
    extent = sole_extent(row)
    if extent is not None:
        try:
            ready = context.segments.read_now(extent, *clipped(extent.length, offset, length))
        except NotFound:
            ready = None
        if ready is not None:
            return ready
    with await open_version(context, bucket, key, None, None) as reading:
        return await reading.read(*clipped(reading.version.size, offset, length))


def clipped(size: int, offset: int, length: int | None) -> tuple[int, int]:
    """What of a range lies within `size` bytes; None is all the rest."""
    if length is None and not offset:
        return 0, size
    offset = min(offset, size)
    return offset, size - offset if length is None else min(length, size - offset)


class _Held:
    """Gives its hold back when it is dropped: a reader that was forgotten must not hold its bytes for ever."""

    __slots__ = ("release",)

    def __init__(self, hold: Hold) -> None:
        self.release = hold.release

    def __del__(self) -> None:
        self.release()


class Reading:
    """An opened version. Offsets and lengths must lie within `version.size`. Close it (a context manager).

    Used from one coroutine or thread at a time.
    """

    __slots__ = ("_bucket", "_context", "_hold", "_index", "_parts", "_starts", "version")

    def __init__(self, context: Context, bucket: str, version: Version, hold: Hold | None) -> None:
        self._hold = _Held(hold) if hold is not None else None
        self._context = context
        self._bucket = bucket
        self.version = version
        self._index: list[tuple[int, int]] = []
        self._starts: list[int] = []
        self._parts: dict[int, Sequence[Extent]] = {}

    async def load(self) -> None:
        """Read the manifest's index, and the only part of one that has a single part."""
        self._index = await manifest_index(self._context, self.version.manifest)
        self._starts = [0, *accumulate(size for _, size in self._index)][:-1]
        if len(self._index) == 1:
            await self._part(0)

    def now(self, offset: int, length: int) -> bytes | None:
        """Verified bytes if they are in memory; None where reading would block. Up to 1 MiB."""
        if not length:
            return b""
        span = self._single(offset, length)
        if span is None:
            return None
        try:
            return self._context.segments.read_now(*span)
        except NotFound:
            return None

    def sendable(self, offset: int, length: int) -> tuple[int, int] | None:
        """(descriptor, file offset) if the range lies in one extent that was verified lately; see segments/port.py."""
        span = self._single(offset, length) if length else None
        if span is None:
            return None
        try:
            return self._context.segments.sendable(*span)
        except NotFound:
            return None

    async def read(self, offset: int, length: int) -> bytes:
        """Verified bytes, in one piece. Meant for up to a few MiB."""
        ready = self.now(offset, length)
        if ready is not None:
            return ready
        return b"".join([piece async for piece in self.chunks(offset, length)])

    async def chunks(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """Verified bytes in pieces of at most 1 MiB.

        Raises:
            Unavailable: the version was removed for good, or overwritten, while it was being read.
        """
        end, tries = offset + length, 0
        while offset < end:
            extent, inner, size = await self._span(offset, end - offset)
            try:
                async for piece in self._context.segments.chunks(extent, inner, size):
                    offset, tries = offset + len(piece), 0
                    yield piece
            except NotFound:
                tries += 1
                if tries == _RESOLVE_TRIES:
                    raise Corrupt(f"segment {extent.segment:016x} of {self.version.key!r} is missing") from None
                await self._resolve_again()

    def close(self) -> None:
        """Let go of a large object's bytes. Twice does no harm."""
        if self._hold is not None:
            self._hold.release()

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _single(self, offset: int, length: int) -> tuple[Extent, int, int] | None:
        """The extent that holds the whole range, when it is known without reading."""
        extents = self.version.extents
        if self._index:
            position = bisect_right(self._starts, offset) - 1
            extents = self._parts.get(position, ())
            offset -= self._starts[position]
        for extent in extents:
            if offset < extent.length:
                return (extent, offset, length) if offset + length <= extent.length else None
            offset -= extent.length
        return None

    async def _span(self, offset: int, length: int) -> tuple[Extent, int, int]:
        """(extent, offset within it, bytes from there) of the first bytes of a range."""
        extents = self.version.extents
        if self._index:
            position = bisect_right(self._starts, offset) - 1
            extents = await self._part(position)
            offset -= self._starts[position]
        for extent in extents:
            if offset < extent.length:
                return extent, offset, min(length, extent.length - offset)
            offset -= extent.length
        raise Corrupt(f"{self.version.key!r} ends before its size")

    async def _part(self, position: int) -> Sequence[Extent]:
        extents = self._parts.get(position)
        if extents is None:
            number, _ = self._index[position]
            row = await self._context.meta.get(part_row(self._context.tenant, self.version.manifest, number))
            if row is None:
                raise Unavailable(f"{self.version.key!r} was removed while it was being read")
            extents = decode_part(row, number).extents
            self._parts = {position: extents}
        return extents

    async def _resolve_again(self) -> None:
        self._parts = {}
        if self.version.manifest:
            return
        try:
            found = await head(self._context, self._bucket, self.version.key, self.version.version_id)
        except (NotFound, Invalid):
            found = None
        if found is None or found.stamp != self.version.stamp:  # "null" names whatever was written last
            raise Unavailable(f"{self.version.key!r} was removed or replaced while it was being read")
        self.version = found


async def manifest_index(context: Context, manifest: bytes) -> list[tuple[int, int]]:
    """(part number, size) in order. Raises Unavailable when the manifest has been dismantled meanwhile."""
    row = await context.meta.get(manifest_row(context.tenant, manifest))
    if row is None:
        raise Unavailable("The object was removed while it was being read.")
    return decode_index(row)


async def part_range(context: Context, version: Version, number: int) -> tuple[int, int]:
    """See `Space.part_range`."""
    if not version.parts:
        if number == 1:
            return 0, version.size
        raise _no_such_part(number)
    index = await manifest_index(context, version.manifest)
    if not 1 <= number <= len(index):
        raise _no_such_part(number)
    return sum(size for _, size in index[: number - 1]), index[number - 1][1]


async def part_list(context: Context, version: Version, after: int = 0, limit: int = PARTS_MOST) -> list[Part]:
    """See `Space.part_list`; parts are numbered anew from 1, as they follow each other in the object."""
    if not version.parts:
        return []
    index = (await manifest_index(context, version.manifest))[after : after + limit]
    if not index:
        return []
    first, last = (part_row(context.tenant, version.manifest, index[at][0]) for at in (0, -1))
    rows = await context.meta.range(first, last + b"\0", len(index))
    if len(rows) != len(index):
        raise Unavailable("The object was removed while it was being read.")
    return [decode_part(value, position) for position, (_, value) in enumerate(rows, start=after + 1)]


def _no_such_part(number: int) -> Invalid:
    return Invalid("The requested partnumber is not satisfiable.", code="InvalidPartNumber", PartNumberRequested=number)
