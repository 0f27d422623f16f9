"""Files kept open for reading: a bounded cache of descriptors, by segment.

Invariants: a descriptor is closed when nobody holds its `Descriptor` any more, so an eviction never pulls it from under
a read on another thread; a number is never reused while somebody may still read through it.

`get` from any thread; it may block on the device where the segment was not open yet.
"""

from __future__ import annotations

from collections.abc import Callable

from isotherm.devices.drive import Drive
from isotherm.segments.files import SegmentFiles


class Descriptor:
    """An open file; closes itself."""

    __slots__ = ("_close", "fd", "used")

    def __init__(self, fd: int, close: Callable[[int], None]) -> None:
        self.fd = fd
        self.used = True
        self._close = close

    def __del__(self) -> None:
        self._close(self.fd)


class Descriptors:
    """Second-chance cache: a hit costs one attribute, an eviction goes round.

    Args:
        most: descriptors kept.
    """

    def __init__(self, files: SegmentFiles, drive: Drive, most: int) -> None:
        self.cached: dict[int, Descriptor] = {}
        self._files = files
        self._drive = drive
        self._most = most

    def get(self, segment: int) -> Descriptor:
        """The descriptor of `segment`; see `SegmentFiles.open` for what it raises."""
        found = self.cached.get(segment)
        if found is not None:
            found.used = True
            return found
        fd, _ = self._files.open(segment)
        made = Descriptor(fd, self._drive.close)
        while len(self.cached) >= self._most:
            self._evict()
        return self.cached.setdefault(segment, made)

    def drop_unlinked(self) -> int:
        """Let go of files that have no name any more, so that their space returns; says how many."""
        gone = [segment for segment, kept in list(self.cached.items()) if not self._drive.links(kept.fd)]
        for segment in gone:
            self.cached.pop(segment, None)
        return len(gone)

    def clear(self) -> None:
        self.cached.clear()

    def _evict(self) -> None:
        for segment, kept in list(self.cached.items()):
            if not kept.used:
                self.cached.pop(segment, None)
                return
            kept.used = False
        for segment in list(self.cached)[:1]:
            self.cached.pop(segment, None)
