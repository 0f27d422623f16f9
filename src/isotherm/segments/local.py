"""The local engine of the `segments` port: files in directories of this machine.

Composition only; the rules are in the modules it is made of. Every process that opens the same directories owns the
segments it writes, and reads all of them.

Any thread or coroutine of the process that opened it; in a forked child every call raises `ForkedHandle`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

from isotherm.clock import Clock
from isotherm.devices.drive import Drive, explain
from isotherm.devices.fork import ForkGuard
from isotherm.devices.locks import KeptLock, try_lock
from isotherm.devices.waiting import offload
from isotherm.errors import Closed, Invalid
from isotherm.ids import Ids
from isotherm.meta.port import Meta, Prerequisite, Transaction
from isotherm.segments import accounting
from isotherm.segments.copying import copy_extents
from isotherm.segments.descriptors import Descriptors
from isotherm.segments.epochs import ReaderEpochs
from isotherm.segments.files import SegmentFiles, file_name
from isotherm.segments.format import ExtentHeader, check_owner
from isotherm.segments.lanes import Lanes, Sink
from isotherm.segments.port import BLOCK_BYTES, Extent, ExtentStream, Hold, Media, Payload, Seal, Sealing, Witness
from isotherm.segments.reader import ExtentReader
from isotherm.segments.reclaim import Reclaim, empty
from isotherm.segments.recovery import Recovery
from isotherm.segments.scan import SegmentScan
from isotherm.segments.sealed_reader import SealedReader
from isotherm.segments.settings import SegmentSettings
from isotherm.segments.stream import LaneStream
from isotherm.segments.upkeep import Copied, Recovered
from isotherm.segments.writer import SharedWriter

_CHUNK_BYTES = 1 << 20
_ON_LOOP_BYTES = 4 * BLOCK_BYTES


class LocalSegments:
    """See `Segments`. Made by `open`."""

    def __init__(
        self,
        files: SegmentFiles,
        epochs: ReaderEpochs,
        meta: Meta,
        *,
        drive: Drive,
        clock: Clock,
        settings: SegmentSettings,
    ) -> None:
        self._files = files
        self._meta = meta
        self._epochs = epochs
        self._drive = drive
        self._settings = settings
        self._descriptors = Descriptors(files, drive, settings.descriptors)
        self._reader = ExtentReader(self._descriptors, drive, clock, settings)
        self._sealed = SealedReader(self._reader)
        self._writers = {media: SharedWriter(media, files, settings) for media in Media}
        self._lanes = Lanes(files, settings)
        self._recovery = Recovery(files, meta, drive, clock)
        self._reclaim = Reclaim(files, epochs, meta)
        self._executor = ThreadPoolExecutor(settings.stream_threads, "segments-stream")
        self._guard = ForkGuard("segments")
        self._closed = False

    @classmethod
    def open(
        cls,
        directories: Mapping[Media, Sequence[Path]],
        meta: Meta,
        *,
        clock: Clock,
        ids: Ids,
        drive: Drive,
        settings: SegmentSettings | None = None,
    ) -> LocalSegments:
        """Open the store of `directories`, which are made where they are missing.

        Args:
            meta: stays the caller's; close it after this.

        Raises:
            OSError: a directory cannot be made.
        """
        for paths in directories.values():
            for path in paths:
                drive.make_directory(path)
        settings = settings or SegmentSettings()
        reserve_bytes = settings.reserve_bytes
        files = SegmentFiles(directories, meta, clock=clock, ids=ids, drive=drive, reserve_bytes=reserve_bytes)
        epochs = ReaderEpochs(files.first_directory / "readers", meta, drive)
        return cls(files, epochs, meta, drive=drive, clock=clock, settings=settings)

    @property
    def segment_bytes(self) -> int:
        """A segment at least this long is sealed."""
        return self._settings.segment_bytes

    async def append(self, owner: bytes, data: Payload, media: Media = Media.PERFORMANCE) -> Extent:
        return await self._writers[media].append(owner, self._checked(owner, data))

    def place(
        self, owner: bytes, data: Payload, media: Media = Media.PERFORMANCE
    ) -> Coroutine[Any, Any, tuple[Extent, Prerequisite]]:
        return self._writers[media].place(owner, self._checked(owner, data))

    def _checked(self, owner: bytes, data: Payload) -> Payload:
        self._check()
        check_owner(owner)
        if isinstance(data, memoryview):
            data = data.cast("B")
        if not 0 < len(data) <= self._settings.append_bytes_most:
            raise Invalid(f"an append is 1 to {self._settings.append_bytes_most} bytes, not {len(data)}")
        return data

    def stream(
        self,
        owner: bytes,
        media: Media = Media.PERFORMANCE,
        witness: Witness | None = None,
        seal: Sealing | None = None,
    ) -> ExtentStream:
        self._check()
        check_owner(owner)
        sink = Sink(owner, media, self._lanes, self._settings, witness, seal)
        return LaneStream(sink, self._settings.stream_piece_bytes, self._executor)

    def read_now(self, extent: Extent, offset: int, length: int, seal: Seal | None = None) -> bytes | None:
        self._guard.check()
        if extent.sealed:
            return self._sealed.read_now(extent, offset, length, seal)
        return self._reader.read_now(extent, offset, length)

    async def read(self, extent: Extent, offset: int, length: int, seal: Seal | None = None) -> bytes:
        if length <= _ON_LOOP_BYTES:
            data = self.read_now(extent, offset, length, seal)
            if data is not None:
                return data
        self._guard.check()
        if extent.sealed:
            return await offload(self._sealed.read, extent, offset, length, seal)
        return await offload(self._reader.read, extent, offset, length)

    async def chunks(self, extent: Extent, offset: int, length: int, seal: Seal | None = None) -> AsyncIterator[bytes]:
        end = offset + length
        while offset < end:
            # Cut where blocks end, so that none is read and verified twice.
            upto = min(end, offset - offset % BLOCK_BYTES + _CHUNK_BYTES)
            yield await self.read(extent, offset, upto - offset, seal)
            offset = upto

    def sendable(self, extent: Extent, offset: int, length: int) -> tuple[int, int] | None:
        self._guard.check()
        return None if extent.sealed else self._reader.sendable(extent, offset, length)

    def reading(self) -> AbstractAsyncContextManager[None]:
        self._guard.check()
        return self._epochs.reading()

    async def hold(self) -> Hold:
        self._guard.check()
        return await self._epochs.hold()

    async def settled(self, stamp: bytes) -> bool:
        oldest = await offload(self._epochs.oldest)
        return oldest is None or oldest >= stamp

    def refer(self, txn: Transaction, extents: Collection[Extent]) -> Coroutine[Any, Any, None]:
        return accounting.refer(txn, extents, accounting.OPEN_ROW)

    async def share(self, txn: Transaction, extents: Collection[Extent], owner: bytes, also: bytes) -> None:
        await accounting.share(txn, extents, owner, also)

    async def discard(
        self, txn: Transaction, extents: Collection[Extent], owner: bytes, *, shared: bool = True
    ) -> list[Extent]:
        return await accounting.discard(txn, extents, owner, shared=shared)

    async def recover(self) -> Recovered:
        """Seal what dead processes left open; see `Recovery.recover`."""
        self._check()
        return await self._recovery.recover()

    async def empty(self, segment: int) -> bool:
        """Give up a sealed segment to which nothing refers; see `reclaim.empty`."""
        self._check()
        return await empty(self._meta, segment)

    async def unlink_emptied(self) -> tuple[list[int], int]:
        """Remove emptied segments that no reader can hold; see `Reclaim.unlink_emptied`."""
        self._check()
        removed = await self._reclaim.unlink_emptied()
        self.sweep()
        return removed

    def scan(self, segment: int) -> SegmentScan:
        """The segment's file, to be walked and verified; close it. Blocks. Raises as `read`."""
        self._guard.check()
        return self._files.scan(segment)

    def name(self, segment: int) -> str:
        """Of its file."""
        return file_name(segment)

    def remove(self, segment: int) -> bool:
        """Remove the file of a segment that nobody knows. Blocks."""
        self._check()
        there = any(segment == other for other, _ in self._files.listed())
        self._files.remove(segment)
        return there

    def listed(self) -> Iterator[tuple[int, int]]:
        """(segment, bytes) of every file that is named as one. Blocks."""
        self._guard.check()
        for segment, path in self._files.listed():
            with suppress(FileNotFoundError):
                yield segment, path.stat().st_size

    def copy(self, found: Iterable[tuple[SegmentScan, ExtentHeader]], media: Media) -> Copied:
        """Copy extents for compaction; see `copy_extents`. Blocks."""
        self._check()
        return copy_extents(found, self._lanes, media)

    def spare_bytes(self, media: Media) -> int:
        """How much room there is for copies of extents; see `SegmentFiles.spare_bytes`. Blocks."""
        self._check()
        return self._files.spare_bytes(media)

    def lease(self, work: str) -> KeptLock | None:
        """The right to do some background work alone among the processes of this store; None when another has it.

        Close it to give it back; a process that dies gives it back too. Blocks.

        Raises:
            NoSpace, Unavailable: the device failed.
        """
        self._check()
        try:
            held = KeptLock(
                self._drive.open(self._files.first_directory / f"{work}.lease", os.O_RDWR | os.O_CREAT),
                self._drive.close,
            )
        except OSError as error:
            raise explain(error, f"cannot lease {work}") from error
        if try_lock(held.fd):
            return held
        held.close()
        return None

    async def reachable(self) -> None:
        """Nothing lies elsewhere."""
        self._check()

    def sweep(self) -> int:
        """Let go of files that other processes have unlinked, so that their space returns; says how many.

        Every process calls it now and then. At most one fstat a cached descriptor.
        """
        self._guard.check()
        return self._descriptors.drop_unlinked()

    def close(self) -> None:
        if self._guard.forked or self._closed:
            return
        self._closed = True
        # On a thread of its own: sealing waits for the metadata, which must not happen where an event loop runs.
        with ThreadPoolExecutor(1, "segments-close") as thread:
            thread.submit(self._seal_all).result()

    def _seal_all(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._lanes.close()
        self._descriptors.clear()
        self._epochs.close()

    def _check(self) -> None:
        self._guard.check()
        if self._closed:
            raise Closed("segments are closed")
