"""How long readers hold what they resolved: one slot per process in a shared file, so that no mover pulls a segment away.

A reader *publishes* a stamp up to which every commit is visible to it, before it resolves references. A segment emptied
by a commit up to that stamp cannot have been resolved by it. So a segment may be unlinked when every published stamp of
every living process is at or after the commit that emptied it. A reader that publishes later resolves later, and finds the
moved references.

A slot is `stamp 16 ‖ active u8 ‖ zeros ‖ crc32c u32`, 32 bytes, and belongs to the process that holds an OFD lock on
its bytes (a pid would lie across namespaces and after reuse). It shows the oldest reader of that process. A slot that
cannot be read whole counts as infinitely old.

Any thread. Publishing costs one small write to the page cache; nothing is synced, as no reader survives its machine.
"""

from __future__ import annotations

import os
import struct
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from isotherm.devices.drive import Drive, explain, write_all
from isotherm.devices.fork import ForkGuard
from isotherm.devices.locks import KeptLock, locked_elsewhere, try_lock
from isotherm.errors import Closed, IsothermError, Unavailable
from isotherm.meta.port import NO_STAMP, Meta
from isotherm.segments.format import crc32c

_SLOT = struct.Struct(">16sB11xI")
_SLOTS_MOST = 4_096
_READS = 3


class Hold:
    """See `segments.port.Hold`."""

    __slots__ = ("_epochs",)

    def __init__(self, epochs: ReaderEpochs) -> None:
        self._epochs = epochs

    def release(self) -> None:
        self._epochs.release(self)


class ReaderEpochs:
    """The readers of this process, and a view of everybody's.

    Args:
        path: of the shared file; made when first used.
    """

    def __init__(self, path: Path, meta: Meta, drive: Drive) -> None:
        self._path = path
        self._meta = meta
        self._drive = drive
        self._lock = threading.Lock()
        self._held: KeptLock | None = None
        self._slot = 0
        self._readers: dict[object, bytes] = {}
        self._released: deque[object] = deque()
        self._published: bytes | None = None
        self._guard = ForkGuard("a reader's hold")
        self._closed = False

    async def hold(self) -> Hold:
        """See `Segments.hold`."""
        stamp = await self._meta.readable_since()
        held = Hold(self)
        with self._lock:
            if self._closed:
                raise Closed("segments are closed")
            self._readers[held] = stamp
            try:
                self._publish()
            except BaseException:
                del self._readers[held]
                raise
        self._settle()
        return held

    def release(self, held: Hold) -> None:
        """End a hold; a second time, after `close` and in a forked child it does nothing. Finalizers may call it."""
        self._released.append(held)
        self._settle()

    def _settle(self) -> None:
        """Who finds the lock taken leaves the work to its owner, who looks again after letting go of it.

        Waiting would be a deadlock where a finalizer runs in the middle of its own thread's work here.
        """
        while self._released and not self._guard.forked and self._lock.acquire(blocking=False):
            try:
                gone = False
                while self._released:
                    gone |= self._readers.pop(self._released.popleft(), None) is not None
                if gone and not self._closed:
                    # what cannot be written goes on showing an older reader: movers wait, and the next change tries again
                    with suppress(IsothermError):
                        self._publish()
            finally:
                self._lock.release()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """See `Segments.reading`."""
        held = await self.hold()
        try:
            yield
        finally:
            held.release()

    def oldest(self) -> bytes | None:
        """The oldest stamp any living process has published; None when nobody reads.

        Raises:
            Unavailable: the file cannot be read.
        """
        try:
            fd = self._drive.open(self._path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise explain(error, "cannot open the readers' file") from error
        try:
            stamps = [
                stamp
                for slot in range(self._drive.size(fd) // _SLOT.size)
                if (stamp := self._read(fd, slot)) is not None
                # Through a description of its own, so that this process's slot shows as locked too.
                and locked_elsewhere(fd, slot * _SLOT.size, _SLOT.size)
            ]
        except OSError as error:
            raise Unavailable(f"cannot read the readers' file: {error.strerror}") from error
        finally:
            self._drive.close(fd)
        return min(stamps, default=None)

    def close(self) -> None:
        """Give the slot back. Idempotent."""
        with self._lock:
            self._closed = True
            held, self._held = self._held, None
        if held is not None:
            held.close()

    def _read(self, fd: int, slot: int) -> bytes | None:
        for _ in range(_READS):  # a torn read is possible: another process writes while this one looks
            packed = self._drive.pread(fd, _SLOT.size, slot * _SLOT.size)
            if len(packed) < _SLOT.size:
                return None
            stamp, active, crc = _SLOT.unpack(packed)
            if crc == crc32c(packed[:-4]):
                return bytes(stamp) if active else None
        return NO_STAMP

    def _publish(self) -> None:
        oldest = min(self._readers.values(), default=None)
        if oldest == self._published:
            return
        try:
            held = self._held or self._claim()
            write_all(self._drive, held.fd, [_pack(oldest)], self._slot * _SLOT.size)
        except OSError as error:
            raise explain(error, "cannot publish a reader") from error
        self._published = oldest

    def _claim(self) -> KeptLock:
        held = KeptLock(self._drive.open(self._path, os.O_RDWR | os.O_CREAT), self._drive.close)
        for slot in range(_SLOTS_MOST):
            if try_lock(held.fd, slot * _SLOT.size, _SLOT.size):
                self._slot = slot
                self._held = held
                return held
        held.close()
        raise Unavailable("too many processes read this store")


def _pack(stamp: bytes | None) -> bytes:
    packed = _SLOT.pack(stamp or NO_STAMP, stamp is not None, 0)[:-4]
    return packed + crc32c(packed).to_bytes(4, "big")
