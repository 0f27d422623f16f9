"""The remote engine of the `segments` port: objects of a bucket; payloads of up to 16 KiB in the metadata itself.

Composition only; the rules are in the modules it is made of. Every process on every machine that opens the same metadata and
the same bucket writes segments of its own and reads all of them. None keeps anything that another would miss.

Any thread or coroutine of the process that opened it; in a forked child every call raises `ForkedHandle`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, suppress

from isotherm.clock import Clock
from isotherm.devices import waiting
from isotherm.devices.fork import ForkGuard
from isotherm.errors import Closed, Invalid, IsothermError
from isotherm.ids import Ids
from isotherm.meta.port import Meta, Prerequisite, Transaction
from isotherm.segments import accounting
from isotherm.segments.format import ExtentHeader, check_owner
from isotherm.segments.port import Extent, ExtentStream, Hold, Media, Payload, Seal, Sealing, Witness
from isotherm.segments.reclaim import empty
from isotherm.segments.remote import inline
from isotherm.segments.remote.anchor import MARK, anchor
from isotherm.segments.remote.bucket import Bucket
from isotherm.segments.remote.copying import copy_into_object
from isotherm.segments.remote.fetching import ExtentFetcher, check_range
from isotherm.segments.remote.group import GroupWriter
from isotherm.segments.remote.horizon import LongReaders
from isotherm.segments.remote.leases import Held, Leases
from isotherm.segments.remote.objects import SegmentObjects, object_name
from isotherm.segments.remote.reclaim import RemoteReclaim
from isotherm.segments.remote.recovery import RemoteRecovery
from isotherm.segments.remote.settings import RemoteSettings
from isotherm.segments.remote.upload import RemoteSink
from isotherm.segments.scan import SegmentScan
from isotherm.segments.sealed_blocks import demand_seal, open_stored
from isotherm.segments.stream import LaneStream
from isotherm.segments.upkeep import Copied, Recovered

_CHUNK_BYTES = 1 << 20
_PIECE_BYTES = 1 << 20


class RemoteSegments:
    """See `Upkeep`. Made by `open`."""

    def __init__(self, bucket: Bucket, meta: Meta, *, clock: Clock, ids: Ids, settings: RemoteSettings) -> None:
        session = ids.token(16)
        self._bucket = bucket
        self._meta = meta
        self._ids = ids
        self._settings = settings
        self._objects = SegmentObjects(bucket, meta, clock, ids)
        self._fetcher = ExtentFetcher(bucket, clock, settings)
        self._writers = {media: GroupWriter(media, self._objects, clock, settings) for media in Media}
        self._readers = LongReaders(meta, clock, session, settings.grace_s)
        self._leases = Leases(meta, clock, session, settings.lease_s)
        self._recovery = RemoteRecovery(self._objects, meta, clock, settings)
        self._reclaim = RemoteReclaim(self._objects, meta, self._readers, clock, settings)
        self._executor = ThreadPoolExecutor(settings.uploads, "segments-stream")
        self._guard = ForkGuard("segments")
        self._closed = False

    @classmethod
    async def open(
        cls, bucket: Bucket, meta: Meta, *, clock: Clock, ids: Ids, settings: RemoteSettings | None = None
    ) -> RemoteSegments:
        """Open the segments of a store in a bucket, which is marked as its own the first time.

        Args:
            meta: stays the caller's; close it after this.

        Raises:
            Invalid, VersionMismatch, Unavailable: see `anchor`.
        """
        await anchor(bucket, meta, ids)
        return cls(bucket, meta, clock=clock, ids=ids, settings=settings or RemoteSettings())

    @property
    def segment_bytes(self) -> int:
        """A segment at least this long is sealed."""
        return self._settings.segment_bytes

    async def append(self, owner: bytes, data: Payload, media: Media = Media.PERFORMANCE) -> Extent:
        """See `Segments.append`. Up to `inline_bytes` it is the transaction that refers to it that writes it."""
        self._check()
        check_owner(owner)
        if isinstance(data, memoryview):
            data = data.cast("B")
        if not 0 < len(data) <= self._settings.append_bytes_most:
            raise Invalid(f"an append is 1 to {self._settings.append_bytes_most} bytes, not {len(data)}")
        if len(data) <= self._settings.inline_bytes:
            return inline.inline(data, self._ids)
        return await self._writers[media].append(owner, data)

    async def place(
        self, owner: bytes, data: Payload, media: Media = Media.PERFORMANCE
    ) -> tuple[Extent, Prerequisite | None]:
        """See `Segments.place`: durable on return, or with the transaction that refers to it."""
        return await self.append(owner, data, media), None

    def stream(
        self,
        owner: bytes,
        media: Media = Media.PERFORMANCE,
        witness: Witness | None = None,
        seal: Sealing | None = None,
    ) -> ExtentStream:
        self._check()
        check_owner(owner)
        sink = RemoteSink(owner, media, self._objects, self._settings, witness, seal)
        return LaneStream(sink, _PIECE_BYTES, self._executor)

    def read_now(self, extent: Extent, offset: int, length: int, seal: Seal | None = None) -> bytes | None:
        self._guard.check()
        check_range(extent, offset, length)
        return self._fetcher.cached(extent, offset, length, seal) if length else b""

    async def read(self, extent: Extent, offset: int, length: int, seal: Seal | None = None) -> bytes:
        data = self.read_now(extent, offset, length, seal)
        if data is not None:
            return data
        if not inline.is_inline(extent):
            return await self._fetcher.read(extent, offset, length, seal)
        # Nobody has referred yet to one that carries its payload.
        stored = extent.payload if isinstance(extent, inline.InlineExtent) else await inline.read(self._meta, extent)
        if extent.sealed:
            stored = open_stored(demand_seal(extent, seal), extent, memoryview(stored))
        return stored[offset : offset + length]

    async def chunks(self, extent: Extent, offset: int, length: int, seal: Seal | None = None) -> AsyncIterator[bytes]:
        """See `Segments.chunks`. On an event loop the next piece is on its way while one is handed out."""
        self._guard.check()
        step = self._settings.read_bytes
        end = offset + length
        spans = [
            (at, min(at - at % step + step, end)) for at in [offset, *range(offset - offset % step + step, end, step)]
        ]
        ahead: asyncio.Task[bytes] | None = None
        try:
            for number, (at, upto) in enumerate(spans if length else []):
                data = await (ahead or self.read(extent, at, upto - at, seal))
                ahead = None
                if number + 1 < len(spans) and _on_loop():
                    later, until = spans[number + 1]
                    ahead = asyncio.ensure_future(self.read(extent, later, until - later, seal))
                for start in range(0, len(data), _CHUNK_BYTES):
                    yield data[start : start + _CHUNK_BYTES]
        finally:
            if ahead is not None:
                ahead.cancel()
                ahead.add_done_callback(_forget)

    def sendable(self, extent: Extent, offset: int, length: int) -> tuple[int, int] | None:
        """Never: there is no descriptor."""
        self._guard.check()
        check_range(extent, offset, length)
        return None

    def reading(self) -> AbstractAsyncContextManager[None]:
        self._guard.check()
        return self._readers.reading()

    async def hold(self) -> Hold:
        return await self._readers.hold()

    async def settled(self, stamp: bytes) -> bool:
        return await self._reclaim.settled(stamp)

    async def refer(self, txn: Transaction, extents: Collection[Extent]) -> None:
        await inline.refer(txn, extents)

    async def share(self, txn: Transaction, extents: Collection[Extent], owner: bytes, also: bytes) -> None:
        await accounting.share(txn, extents, owner, also)

    async def discard(
        self, txn: Transaction, extents: Collection[Extent], owner: bytes, *, shared: bool = True
    ) -> list[Extent]:
        return await inline.discard(txn, extents, owner, shared=shared)

    async def recover(self) -> Recovered:
        self._check()
        return await self._recovery.recover()

    async def empty(self, segment: int) -> bool:
        self._check()
        return await empty(self._meta, segment)

    async def unlink_emptied(self) -> tuple[list[int], int]:
        self._check()
        return await self._reclaim.remove()

    def scan(self, segment: int) -> SegmentScan:
        self._guard.check()
        return self._objects.scan(segment)

    def name(self, segment: int) -> str:
        return object_name(segment)

    def remove(self, segment: int) -> bool:
        self._check()
        self._objects.remove([segment])
        return True

    def listed(self) -> Iterator[tuple[int, int]]:
        self._guard.check()
        for page in self._objects.listed():
            yield from page

    def copy(self, found: Iterable[tuple[SegmentScan, ExtentHeader]], media: Media) -> Copied:
        self._check()
        return copy_into_object(found, self._objects, media)

    def spare_bytes(self, media: Media) -> int:
        """A bucket has no end that could be asked for."""
        return sys.maxsize

    def lease(self, work: str) -> Held | None:
        self._check()
        return waiting.drive(self._leases.take(work))

    async def reachable(self) -> None:
        self._check()
        await self._bucket.get(MARK, [(0, 1)])

    def sweep(self) -> int:
        """Nothing is kept open."""
        self._guard.check()
        return 0

    def close(self) -> None:
        """Whoever waits for an upload that has not begun is told so; nothing acknowledged is under way. Never blocks."""
        if self._guard.forked or self._closed:
            return
        self._closed = True
        for writer in self._writers.values():
            writer.close()
        self._readers.close()

    def _check(self) -> None:
        self._guard.check()
        if self._closed:
            raise Closed("segments are closed")


def _on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _forget(task: asyncio.Task[bytes]) -> None:
    with suppress(asyncio.CancelledError, IsothermError):
        task.result()
