"""Small payloads of many callers into one open segment, sharing its fsync (group commit).

A payload is given its place at once and in memory, in the *batch* that is being filled; whoever commits the reference to it
settles the batch first: one write and one fdatasync for everything placed until then. So bytes and metadata of many callers
become durable one after the other on one thread, without a hand-over between them.

Invariants: a batch settles as a whole or fails as a whole; batches of a segment are written in the order of their places,
since at most one is being filled and one written; when a batch fails, the one filled behind it fails too, and its places are
given out again.

`append` and `place` from any thread or coroutine; `Batch.settle` from any thread that may block. Segments are made and sealed on
the writer's own thread, since that waits for the metadata, whose committer settles batches.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress

from isotherm.devices.batching import Batcher
from isotherm.errors import IsothermError, NoSpace, Unavailable
from isotherm.segments.files import SegmentFiles
from isotherm.segments.format import FILE_HEADER_BYTES, checked, encode_extent_header
from isotherm.segments.open_segment import OpenSegment
from isotherm.segments.port import Buffer, Extent, Media, Payload, Sealed
from isotherm.segments.settings import SegmentSettings

_BATCH_BYTES = 32 << 20
_TRIES = 1_000  # to place a payload where others fill what was made for it


class Batch:
    """Payloads that have their places in a segment and are written together. A `meta.port.Prerequisite`."""

    __slots__ = ("_writer", "buffers", "end", "error", "extents", "opened", "payload", "settled", "start")

    def __init__(self, writer: SharedWriter, opened: OpenSegment, start: int) -> None:
        self._writer = writer
        self.opened = opened
        self.start = self.end = start
        self.buffers: list[Buffer] = []
        self.payload = 0
        self.extents = 0
        self.error: BaseException | None = None
        self.settled = False  # written last: whoever sees it does not ask for the lock

    def end_with(self, error: BaseException | None) -> None:
        """It is settled: durable, or failed for good."""
        self.buffers = []
        self.error = error
        self.settled = True

    def settle(self) -> None:
        """Make it durable, if it is not yet. Blocks.

        Raises:
            NoSpace, Unavailable: none of it is, or ever will be.
        """
        if not self.settled:
            self._writer.settle(self)
        if self.error is not None:
            raise self.error


class SharedWriter:
    """The writer of one media class of one process."""

    def __init__(self, media: Media, files: SegmentFiles, settings: SegmentSettings) -> None:
        self._media = media
        self._files = files
        self._settings = settings
        self._open: OpenSegment | None = None  # of the writer's thread
        self._batch: Batch | None = None
        self._filling = threading.Lock()  # of `_batch` and what it holds; held for microseconds
        self._writing = threading.Lock()  # held while the device works; taken before `_filling`
        self._work: Batcher[Batch | None, None] = Batcher(self._perform, name=f"segments-{media.value}")

    async def append(self, owner: bytes, data: Payload) -> Extent:
        """Durable on return."""
        extent, batch = await self.place(owner, data)
        await self._work.submit(batch)
        return extent

    async def place(self, owner: bytes, data: Payload) -> tuple[Extent, Batch]:
        """Where the payload will lie once the batch has settled. Suspends only where a segment must be made first.

        Raises:
            NoSpace, Unavailable, Closed.
        """
        salt = tags = b""
        payload: Buffer
        if isinstance(data, bytes):
            payload = data
        elif isinstance(data, Sealed):
            salt, payload, tags = data.salt, data.payload, data.tags
        else:
            payload = bytes(data)  # the caller's to change as soon as this returns
        length = len(payload)
        check, trailer = checked(payload, tags)
        head = encode_extent_header(owner, length, check, 0, salt)
        for _ in range(_TRIES):
            with self._filling:
                batch = self._batch
                if batch is not None and self._takes(batch):
                    at = batch.end + len(head)
                    batch.buffers += (head, payload, trailer) if trailer else (head, payload)
                    batch.end = at + length + len(trailer)
                    batch.payload += length
                    batch.extents += 1
                    return Extent(batch.opened.segment, at, length, check, salt != b""), batch
            await self._work.submit(None)
        raise Unavailable("others took every place that was made")

    def settle(self, batch: Batch) -> None:
        """See `Batch.settle`, which raises what this leaves in the batch."""
        with self._writing:
            if batch.settled:
                return
            with self._filling:
                if self._batch is batch:
                    self._batch = Batch(self, batch.opened, batch.end)
            if batch.extents:
                self._write(batch)
            else:
                batch.end_with(None)

    def close(self) -> None:
        """Write what has been placed, then seal. Idempotent; blocks; not on a thread that runs an event loop."""
        self._work.close()
        self._retire()

    def _takes(self, batch: Batch) -> bool:
        if batch.extents:
            return batch.payload < _BATCH_BYTES
        return not self._full(batch) and self._files.room(batch.opened.path.parent) > 0  # looked at once a batch

    def _full(self, batch: Batch) -> bool:
        """Whether the segment ends before this batch. One that is new takes something, however long it may become."""
        return batch.start >= self._settings.segment_bytes and batch.start > FILE_HEADER_BYTES

    def _write(self, batch: Batch) -> None:
        opened = batch.opened
        try:
            if opened.end != batch.start:
                raise Unavailable("what was to be written before it was not", segment=opened.segment)
            opened.write(batch.buffers, batch.start)
            opened.sync()
        except BaseException as error:
            opened.broken = opened.broken or not isinstance(error, IsothermError)
            self._give_up(batch, error)
            if not isinstance(error, IsothermError):
                raise
        else:
            opened.advance(batch.end, batch.payload, batch.extents)
            batch.end_with(None)

    def _give_up(self, batch: Batch, error: BaseException) -> None:
        opened = batch.opened
        opened.cut()
        with self._filling:
            behind = self._batch
            if behind is not None and behind.opened is opened:
                self._batch = None if opened.broken else Batch(self, opened, opened.end)
                behind.end_with(error)
            batch.end_with(error)

    def _perform(self, work: Sequence[Batch | None]) -> Sequence[BaseException | None]:
        outcomes: list[BaseException | None] = []
        for batch in work:
            try:
                if batch is None:
                    self._make_room()
                else:
                    batch.settle()
            except (IsothermError, OSError) as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
        return outcomes

    def _make_room(self) -> None:
        """See to it that there is a batch that takes payloads."""
        try:
            places = self._files.with_room(self._media)
        except NoSpace:
            self._retire()  # so that compaction may take what is dead in it
            raise
        batch = self._batch
        if batch is not None and batch.payload >= _BATCH_BYTES:
            with suppress(IsothermError):  # told to those who wait for it
                batch.settle()
            batch = self._batch
        if batch is None or self._full(batch) or batch.opened.path.parent not in places:
            self._retire()
            opened = self._open = self._files.create(self._media, places)
            with self._filling:
                self._batch = Batch(self, opened, opened.end)

    def _retire(self) -> None:
        with self._filling:
            batch, self._batch = self._batch, None
        if batch is not None:
            with suppress(IsothermError):
                batch.settle()
        opened, self._open = self._open, None
        if opened is not None:
            with self._writing:
                pass  # one who settles may still be at it
            self._files.seal(opened)
