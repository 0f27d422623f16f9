"""Walking a segment file: every extent, every gap, byte for byte.

A walk starts behind the file header and goes from extent to extent. Where no intact header lies it looks for the next
one, and reports what lies between as a gap: at the end of a file what a crash left behind, in the middle damage. Payload
may imitate headers, so within a gap one counts only if its payload fits its checksum; even then it is dead, as nothing
refers to it.

    file size = file header + Σ (extent headers with owners and padding + payload + trailers) + Σ gaps

Blocks on the device; any thread. One user at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from isotherm.devices.drive import Drive
from isotherm.devices.locks import locked_elsewhere
from isotherm.errors import Corrupt, Unavailable, Unsupported
from isotherm.segments.format import (
    EXTENT_MAGIC,
    FILE_HEADER_BYTES,
    HEAD_BYTES_MOST,
    ExtentHeader,
    crc32c,
    decode_extent_header,
    trailer_bytes,
    unpack_trailer,
)
from isotherm.segments.port import BLOCK_BYTES, Extent

_WINDOW_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of the file that belong to no extent."""

    at: int
    length: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of a walk: `end` lies behind the last extent."""

    payload: int
    extents: int
    end: int
    gaps: int


class Source(Protocol):
    """The bytes of a segment, wherever they lie. Blocks; one user at a time."""

    def size(self) -> int:
        """In bytes. Raises `Unavailable`."""
        ...

    def pread(self, length: int, at: int) -> bytes:
        """Bytes at `at`, fewer than `length` only where the segment ends. Raises `Unavailable`."""
        ...

    def locked(self) -> bool:
        """Whether a process may be writing to it."""
        ...

    def close(self) -> None:
        """Idempotent."""
        ...


class FileSource:
    """A segment file.

    Args:
        fd: of the file; closed by `close`.
    """

    def __init__(self, fd: int, path: Path, drive: Drive) -> None:
        self.fd = fd
        self.path = path
        self._drive = drive

    def size(self) -> int:
        try:
            return self._drive.size(self.fd)
        except OSError as error:
            raise Unavailable(f"cannot look at {self.path.name}: {error.strerror}") from error

    def pread(self, length: int, at: int) -> bytes:
        try:
            data = self._drive.pread(self.fd, length, at)
            while len(data) < length and (more := self._drive.pread(self.fd, length - len(data), at + len(data))):
                data += more
        except OSError as error:
            raise Unavailable(f"cannot read segment {self.path.name}: {error.strerror}") from error
        return data

    def locked(self) -> bool:
        return locked_elsewhere(self.fd)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            self._drive.close(fd)


class SegmentScan:
    """A segment opened to be walked.

    Args:
        source: of its bytes; closed by `close`.
        segment: its number.
    """

    def __init__(self, source: Source, segment: int) -> None:
        self.segment = segment
        self._source = source
        self._window = b""
        self._window_at = 0
        try:
            self.size = source.size()
        except BaseException:
            source.close()
            raise

    def __enter__(self) -> SegmentScan:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        self._source.close()

    def header(self) -> bytes:
        """The file header. Raises `Unavailable`."""
        return self._source.pread(FILE_HEADER_BYTES, 0)

    def locked(self) -> bool:
        """Whether a process may be writing to the segment."""
        return self._source.locked()

    def walk(self, start: int = FILE_HEADER_BYTES) -> Iterator[ExtentHeader | Gap]:
        """Extents and gaps from `start` (where an extent begins) to where the file ends now.

        Raises:
            Unsupported: an extent of a newer format.
            Unavailable: the device failed.
        """
        self.size = self._source.size()
        self._window = b""
        at = start
        while at < self.size:
            header = self._header(at)
            if header is None:
                beyond = self._resume(at + 1)
                yield Gap(at, beyond - at)
                at = beyond
            else:
                yield header
                at = header.end

    def totals(self) -> Totals:
        """Walk it all. Raises as `walk`."""
        payload = extents = gaps = 0
        end = FILE_HEADER_BYTES
        for found in self.walk():
            if isinstance(found, Gap):
                gaps += found.length
            else:
                payload += found.length
                extents += 1
                end = found.end
        return Totals(payload, extents, end, gaps)

    def verified(self, extent: Extent, take: Callable[[bytes], None] | None = None) -> bytes:
        """Compare a whole payload with its checksums, from the file; returns its trailer. Of a sealed one that is ciphertext.

        Args:
            take: gets the payload in verified pieces of at most 1 MiB.

        Raises:
            Corrupt: it is not what was written.
            Unavailable: the device failed.
        """
        trailer = self._exactly(extent.offset + extent.length, trailer_bytes(extent.length, extent.sealed))
        if extent.length > BLOCK_BYTES:
            if crc32c(trailer) != extent.check:
                raise Corrupt("damaged block checksums", segment=self.segment, offset=extent.offset)
            checks, tag = unpack_trailer(trailer, extent.length), b""
        else:
            checks, tag = (extent.check,), trailer
        for at in range(0, extent.length, _WINDOW_BYTES):
            piece = self._exactly(extent.offset + at, min(_WINDOW_BYTES, extent.length - at))
            view = memoryview(piece)
            for start in range(0, len(piece), BLOCK_BYTES):
                block = (at + start) // BLOCK_BYTES
                found = crc32c(view[start : start + BLOCK_BYTES])
                if (crc32c(tag, found) if tag else found) != checks[block]:
                    raise Corrupt("damaged payload", segment=self.segment, offset=extent.offset, block=block)
            if take is not None:
                take(piece)
        return trailer

    def _header(self, at: int) -> ExtentHeader | None:
        header = decode_extent_header(self._look(at, HEAD_BYTES_MOST), at)
        return header if header is not None and header.end <= self.size else None

    def _resume(self, at: int) -> int:
        """Where the next extent begins at or after `at`, or the end of the file."""
        while at < self.size:
            window = self._source.pread(_WINDOW_BYTES, at)
            found = window.find(EXTENT_MAGIC)
            while found >= 0:
                if self._is_extent(at + found):
                    return at + found
                found = window.find(EXTENT_MAGIC, found + 1)
            at += max(len(window) - len(EXTENT_MAGIC) + 1, 1)
        return self.size

    def _is_extent(self, at: int) -> bool:
        """Whether what looks like a header at `at` has an intact payload behind it."""
        try:
            header = self._header(at)
            if header is not None:
                self.verified(header.extent(self.segment))
        except (Corrupt, Unsupported):
            return False
        return header is not None

    def _look(self, at: int, length: int) -> bytes:
        """Up to `length` bytes at `at`, from a window that is read ahead: small extents lie close together."""
        start = at - self._window_at
        if start < 0 or start + length > len(self._window):
            self._window_at, self._window = at, self._source.pread(_WINDOW_BYTES, at)
            start = 0
        return self._window[start : start + length]

    def _exactly(self, at: int, length: int) -> bytes:
        data = self._source.pread(length, at)
        if len(data) != length:
            raise Corrupt("the segment is shorter than its extent", segment=self.segment, offset=at)
        return data
