"""The segments of a bucket: `segments/{number:016x}.seg`, written whole, never rewritten; and their rows in the metadata.

Invariants: a segment has its row before its object exists and until after it is gone, so an object without a row is one that
nothing can ever refer to. Numbers are drawn at random and used once: an object is created only where there is none, and a
row only where there is none.

Blocks; any thread that runs no event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from isotherm.clock import Clock
from isotherm.devices import waiting
from isotherm.errors import AlreadyExists, Corrupt, IsothermError, NotFound, Unavailable
from isotherm.ids import Ids
from isotherm.meta.port import Meta, Transaction
from isotherm.segments.accounting import SegmentRow, State, row_key, row_of
from isotherm.segments.format import FILE_HEADER_BYTES, decode_file_header
from isotherm.segments.port import Media
from isotherm.segments.remote.bucket import Bucket, Upload
from isotherm.segments.remote.inline import SEGMENTS_FROM
from isotherm.segments.scan import SegmentScan

FOLDER = "segments"
_SUFFIX = ".seg"
_TRIES = 8
_WINDOW_BYTES = 8 << 20


def object_name(segment: int) -> str:
    return f"{FOLDER}/{segment:016x}{_SUFFIX}"


def number_of(name: str) -> int | None:
    """The segment an object of that name holds; None for other names."""
    last = name.rpartition("/")[2]
    if not last.endswith(_SUFFIX) or len(last) != 16 + len(_SUFFIX):
        return None
    try:
        return int(last[:16], 16)
    except ValueError:
        return None


class SegmentObjects:
    def __init__(self, bucket: Bucket, meta: Meta, clock: Clock, ids: Ids) -> None:
        self._bucket = bucket
        self._meta = meta
        self._clock = clock
        self._ids = ids

    def create(self, row: SegmentRow, build: Callable[[int], bytes]) -> int:
        """Put a segment, complete from the start; its number.

        Args:
            row: sealed, but for the time.
            build: its bytes, given its number.

        Raises:
            NoSpace, Unavailable: nothing of it counts.
        """
        for _ in range(_TRIES):
            segment = self._draw(replace(row, sealed_ms=self.now_ms()))
            if segment is None:
                continue
            try:
                self._bucket.create(object_name(segment), build(segment))
            except AlreadyExists:  # or an answer was lost: its row is dead weight that compaction removes
                continue
            return segment
        raise Unavailable("cannot find a free segment number")

    def begin(self, media: Media, part_bytes: int) -> tuple[int, Upload]:
        """A segment that is written piece by piece: (number, where to write it)."""
        for _ in range(_TRIES):
            segment = self._draw(SegmentRow(media))
            if segment is not None:
                return segment, self._bucket.upload(object_name(segment), part_bytes)
        raise Unavailable("cannot find a free segment number")

    def seal(self, segment: int, row: SegmentRow) -> None:
        """What was begun is complete, and its object durable.

        Raises:
            Unavailable: it took so long that it was given up.
        """

        async def close(txn: Transaction) -> bool:
            before = await row_of(txn, segment)
            if before is None or before.state is not State.OPEN:
                return False
            txn.put(row_key(segment), row.pack())
            return True

        if not waiting.drive(self._meta.transact(close))[0]:
            raise Unavailable("the upload took so long that its segment was given up; write again", segment=segment)

    def drop(self, segment: int) -> None:
        """What was begun has come to nothing. Errors are left to recovery."""

        async def delete(txn: Transaction) -> None:
            before = await row_of(txn, segment)
            if before is not None and before.state is State.OPEN:
                txn.delete(row_key(segment))

        try:
            waiting.drive(self._meta.transact(delete))
        except IsothermError:
            return

    def scan(self, segment: int) -> SegmentScan:
        """The segment, to be walked; close it.

        Raises:
            NotFound, Corrupt, Unavailable: it is gone, is no segment, cannot be read.
        """
        source = ObjectSource(self._bucket, object_name(segment))
        scan = SegmentScan(source, segment)
        decode_file_header(source.pread(FILE_HEADER_BYTES, 0), segment)
        return scan

    def listed(self) -> Iterator[list[tuple[int, int]]]:
        """Pages of (segment, bytes) of every object that is named as one. Raises `Unavailable`."""
        for page in self._bucket.listed(FOLDER):
            yield [(segment, size) for name, size in page if (segment := number_of(name)) is not None]

    def remove(self, segments: list[int]) -> None:
        """Raises `Unavailable`: some may be gone."""
        self._bucket.remove([object_name(segment) for segment in segments])

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def _draw(self, row: SegmentRow) -> int | None:
        """A number that no segment has, with its row; None where it was taken."""
        segment = int.from_bytes(self._ids.token(8), "big")
        if segment < SEGMENTS_FROM:
            return None

        async def make(txn: Transaction) -> bool:
            if await txn.get(row_key(segment)) is not None:
                return False
            txn.put(row_key(segment), row.pack())
            return True

        return segment if waiting.drive(self._meta.transact(make))[0] else None


class ObjectSource:
    """See `Source`: an object, read by windows, as a walk goes forward. Immutable, so its size is asked for once."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket = bucket
        self._name = name
        self._size: int | None = None
        self._window = memoryview(b"")
        self._window_at = 0

    def size(self) -> int:
        if self._size is None:
            self._size = self._bucket.size(self._name)
        return self._size

    def pread(self, length: int, at: int) -> bytes:
        end = min(at + length, self.size())
        if end <= at:
            return b""
        if at < self._window_at or end > self._window_at + len(self._window):
            wanted = min(max(end - at, _WINDOW_BYTES), self.size() - at)
            try:
                self._window = memoryview(self._bucket.read(self._name, at, wanted))
            except (NotFound, Corrupt) as error:
                raise Unavailable(f"{self._name} went away while it was being read") from error
            self._window_at = at
        start = at - self._window_at
        return bytes(self._window[start : start + end - at])

    def locked(self) -> bool:
        """An object that exists is complete."""
        return False

    def close(self) -> None:
        self._window = memoryview(b"")
