"""A segment that this process may append to.

Invariants: bytes before `end` are durable and never change; bytes behind it were never acknowledged. A full medium leaves
`end` where it was and writing may go on later, over what lies behind it. After any other device error, and after a failed
sync of any kind, `broken` is set and the file is never written again: what its tail holds is unknown (the kernel reports a
lost write once, and marks the page clean). The lock on the file is held until `close`.

One user at a time, on any thread; every method but the properties may block on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from isotherm.devices.drive import FULL, Buffer, Drive, explain, write_all
from isotherm.devices.locks import KeptLock
from isotherm.errors import Unavailable
from isotherm.segments.format import FILE_HEADER_BYTES
from isotherm.segments.port import Media


class OpenSegment:
    """See the module. Made by `SegmentFiles.create`, ended by `SegmentFiles.seal`."""

    __slots__ = ("_allocated", "_drive", "_lock", "broken", "end", "extents", "media", "path", "payload", "segment")

    def __init__(self, segment: int, media: Media, path: Path, lock: KeptLock, drive: Drive) -> None:
        self.segment = segment
        self.media = media
        self.path = path
        self.end = FILE_HEADER_BYTES
        self.payload = 0
        self.extents = 0
        self.broken = False
        self._allocated = 0
        self._lock = lock
        self._drive = drive

    def write(self, buffers: Sequence[Buffer], offset: int) -> int:
        """Write behind `end`; returns how many bytes. Not durable yet.

        Raises:
            NoSpace: the medium is full. Unavailable: the segment is broken now.
        """
        self._check()
        try:
            return write_all(self._drive, self._lock.fd, buffers, offset)
        except OSError as error:
            if error.errno not in FULL:
                self.broken = True
            raise explain(error, "cannot write a segment") from error

    def allocate(self, end: int, step: int) -> None:
        """Have room up to `end` at least, by `step` bytes at once. A hint: what is wrong, a write will tell."""
        if end <= self._allocated or self.broken:
            return
        start = max(self._allocated, self.end)
        self._allocated = max(end, start + step)
        with suppress(OSError):
            self._drive.allocate(self._lock.fd, start, self._allocated - start)

    def write_back(self, start: int, end: int) -> None:
        """Let the device begin with what was written there. A hint."""
        if not self.broken:
            with suppress(OSError):
                self._drive.write_back(self._lock.fd, start, end - start)

    def sync(self) -> None:
        """Make all that was written durable.

        Raises:
            NoSpace, Unavailable: it may not be; the segment is broken now.
        """
        self._check()
        try:
            self._drive.fdatasync(self._lock.fd)
        except OSError as error:
            self.broken = True
            raise explain(error, "cannot sync a segment") from error

    def advance(self, end: int, payload: int, extents: int) -> None:
        """What lies before `end` is durable: `extents` more of together `payload` bytes."""
        assert end > self.end
        self.end = end
        self.payload += payload
        self.extents += extents

    def cut(self) -> None:
        """Give back the space behind `end`, where possible."""
        if self.broken:
            return
        try:
            if self.size() > self.end or self._allocated > self.end:
                self._drive.truncate(self._lock.fd, self.end)
                self._allocated = 0
        except OSError:
            self.broken = True

    def size(self) -> int:
        """Of the file, bytes. Raises `OSError`."""
        return self._drive.size(self._lock.fd)

    def close(self) -> None:
        """Let go of the lock. Idempotent."""
        self.broken = True
        self._lock.close()

    def _check(self) -> None:
        if self.broken:
            raise Unavailable("the segment took a device error and is not written any more", segment=self.segment)
