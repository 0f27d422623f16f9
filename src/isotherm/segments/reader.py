"""Verified reads of extents.

Nothing is returned whose checksum was not compared in this call. A payload of at most one block is read whole and
compared with the extent's `check`. Of a longer one the touched blocks are read whole and compared with the trailer,
which is itself compared with `check` and kept in memory.

`read_now` is the product's hottest path: it never blocks and belongs on the event loop. The rest blocks and runs where
blocking is allowed. Any thread may call anything.
"""

from __future__ import annotations

from awscrt.checksums import crc32c

from isotherm.clock import Clock
from isotherm.devices.drive import NOWAIT, Drive
from isotherm.errors import Corrupt, Invalid, Unavailable
from isotherm.segments.descriptors import Descriptor, Descriptors
from isotherm.segments.format import SALT_BYTES, trailer_bytes
from isotherm.segments.known import KnownExtent, KnownExtents
from isotherm.segments.port import BLOCK_BYTES, EXTENT_BYTES_MOST, Extent
from isotherm.segments.scratch import SCRATCH_BYTES, Scratch
from isotherm.segments.settings import SegmentSettings


class ExtentReader:
    """Reads what `Extent`s describe. See `Segments` for the errors. Blocks of sealed ones are given as they lie."""

    def __init__(self, descriptors: Descriptors, drive: Drive, clock: Clock, settings: SegmentSettings) -> None:
        self.descriptors = descriptors
        self.cached = descriptors.cached
        self._drive = drive
        self.preadv = drive.preadv
        self.scratch = Scratch()
        self._known = KnownExtents(clock, settings.known_bytes, settings.verified_s)
        self.entries = self._known.entries

    def read_now(self, extent: Extent, offset: int, length: int) -> bytes | None:
        """See `Segments.read_now`."""
        whole = extent.length
        if offset < 0 or length < 0 or offset + length > whole:
            raise outside(extent, offset, length)
        descriptor = self.cached.get(extent.segment)
        if descriptor is None or length == 0:
            return b"" if length == 0 else None
        descriptor.used = True
        if whole > BLOCK_BYTES:
            return self.blocks_now(descriptor, extent, offset, length)
        view = self.scratch.view[:whole]
        try:
            if self.preadv(descriptor.fd, (view,), extent.offset, NOWAIT) != whole:
                return None
        except OSError:  # would block, or this file system cannot say
            return None
        if crc32c(view) != extent.check:
            raise damaged(extent, 0)
        return bytes(view) if length == whole else bytes(view[offset : offset + length])

    def blocks_now(self, descriptor: Descriptor, extent: Extent, offset: int, length: int) -> bytes | None:
        known = self.entries.get(extent)
        first = offset // BLOCK_BYTES
        start = first * BLOCK_BYTES
        end = min(-(-(offset + length) // BLOCK_BYTES) * BLOCK_BYTES, extent.length)
        if known is None or end - start > SCRATCH_BYTES:
            return None
        view = self.scratch.view[: end - start]
        try:
            if self.preadv(descriptor.fd, (view,), extent.offset + start, NOWAIT) != end - start:
                return None
        except OSError:
            return None
        self._compare(extent, known, first, view)
        return bytes(view[offset - start : offset - start + length])

    def read(self, extent: Extent, offset: int, length: int) -> bytes:
        """Verified bytes; blocks on the device."""
        if offset < 0 or length < 0 or offset + length > extent.length:
            raise outside(extent, offset, length)
        if length == 0:
            return b""
        descriptor = self.descriptors.get(extent.segment)
        if extent.length <= BLOCK_BYTES:
            data = self.pread(descriptor, extent, extent.length, 0)
            if crc32c(data) != extent.check:
                raise damaged(extent, 0)
            return data if length == extent.length else data[offset : offset + length]
        known = self.entries.get(extent) or self.learn(descriptor, extent)
        first = offset // BLOCK_BYTES
        start = first * BLOCK_BYTES
        end = min(-(-(offset + length) // BLOCK_BYTES) * BLOCK_BYTES, extent.length)
        data = self.pread(descriptor, extent, end - start, start)
        self._compare(extent, known, first, memoryview(data))
        return data if length == end - start else data[offset - start : offset - start + length]

    def sendable(self, extent: Extent, offset: int, length: int) -> tuple[int, int] | None:
        """See `Segments.sendable`."""
        if offset < 0 or length <= 0 or offset + length > extent.length:
            raise outside(extent, offset, length)
        descriptor = self.cached.get(extent.segment)
        known = self.entries.get(extent)
        if descriptor is None or known is None:
            return None
        if not self._known.covers(known, offset // BLOCK_BYTES, -(-(offset + length) // BLOCK_BYTES)):
            return None
        descriptor.used = True
        self.scratch.lent = descriptor
        return descriptor.fd, extent.offset + offset

    def learn(self, descriptor: Descriptor, extent: Extent) -> KnownExtent:
        if extent.length > EXTENT_BYTES_MOST:  # a damaged reference must not ask for memory that nobody has
            raise Corrupt("no extent is that long", segment=extent.segment, offset=extent.offset)
        trailer = self.pread(descriptor, extent, trailer_bytes(extent.length, extent.sealed), extent.length)
        if crc32c(trailer) != extent.check:
            raise Corrupt("damaged block checksums", segment=extent.segment, offset=extent.offset)
        salt = self.pread(descriptor, extent, SALT_BYTES, -SALT_BYTES) if extent.sealed else b""
        return self._known.add(extent, trailer, salt)

    def _compare(self, extent: Extent, known: KnownExtent, first: int, view: memoryview) -> None:
        checks = known.checks
        block = first
        for at in range(0, len(view), BLOCK_BYTES):
            if crc32c(view[at : at + BLOCK_BYTES]) != checks[block]:
                raise damaged(extent, block)
            block += 1
        self._known.mark(known, first, block)

    def pread(self, descriptor: Descriptor, extent: Extent, length: int, offset: int) -> bytes:
        try:
            data = self._drive.pread(descriptor.fd, length, extent.offset + offset)
            while len(data) < length:
                more = self._drive.pread(descriptor.fd, length - len(data), extent.offset + offset + len(data))
                if not more:
                    raise Corrupt(
                        "the segment is shorter than the extent", segment=extent.segment, offset=extent.offset
                    )
                data += more
        except OSError as error:
            raise Unavailable(f"cannot read segment {extent.segment:016x}: {error.strerror}") from error
        return data


def outside(extent: Extent, offset: int, length: int) -> Invalid:
    return Invalid(f"bytes {offset}+{length} are not within an extent of {extent.length}")


def damaged(extent: Extent, block: int) -> Corrupt:
    return Corrupt("stored bytes fail their checksum", segment=extent.segment, offset=extent.offset, block=block)
