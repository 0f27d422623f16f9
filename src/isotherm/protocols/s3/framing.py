"""Where a request's body ends: by its declared length or by HTTP/1.1 chunks. Pure state machines without I/O.

`feed` takes what arrived and returns the payload pieces in it and the bytes after the body's end, None while the body goes
on. The same chunk machine reads aws-chunked, whose framing is that of HTTP with obligatory extensions (chunked.py).
Stricter than RFC 9112 §7.1 allows: CR LF only, no extension unless a subclass takes it, bounded lines and trailers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from isotherm.errors import IsothermError
from isotherm.protocols.s3 import refusals
from isotherm.segments.port import Buffer

SIZE_DIGITS_MOST = 15
LINE_BYTES_MOST = 512
TRAILER_BYTES_MOST = 8_192
TRAILERS_MOST = 16
PIECES_MOST = 8  # of one `feed`, where they are shorter than PIECE_BYTES_LEAST: a view weighs 200 bytes
PIECE_BYTES_LEAST = 2_048

_HEX = frozenset(b"0123456789abcdefABCDEF")
_LINE_END = re.compile(rb"\r\n").match
_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,15})\r\n").match


class LengthFraming:
    """A body of `remaining` bytes."""

    __slots__ = ("remaining",)

    def __init__(self, length: int) -> None:
        self.remaining = length

    def feed(self, data: Buffer) -> tuple[Sequence[Buffer], Buffer | None]:
        size = len(data)
        if size < self.remaining:
            self.remaining -= size
            return (data,), None
        if size == self.remaining:
            self.remaining = 0
            return (data,), b""
        end = self.remaining
        self.remaining = 0
        return (memoryview(data)[:end],), data[end:]


class ChunkFraming:
    """Chunks, a last chunk of size zero, trailers, an empty line. `size` is that of the chunk under way."""

    __slots__ = ("_line", "_remaining", "_state", "_trailer_bytes", "size", "trailers")

    _SIZE, _DATA, _END, _TRAILER, _DONE = range(5)

    def __init__(self) -> None:
        self._line = b""
        self._remaining = 0
        self._state = self._SIZE
        self._trailer_bytes = 0
        self.size = 0
        self.trailers: list[tuple[str, str]] = []

    @property
    def done(self) -> bool:
        return self._state == self._DONE

    def begin(self, size: int, extension: bytes) -> None:
        """A chunk's first line was read. Subclasses may refuse it."""
        if extension:
            raise self.refusal("chunk extensions are not accepted")

    def passed(self, data: memoryview) -> None:
        """A piece of the chunk's data was read."""

    def ended(self) -> None:
        """The chunk's data was read whole. Not called for the last chunk, of size zero."""

    def finished(self) -> None:
        """The trailers were read."""

    def refusal(self, why: str) -> IsothermError:
        return refusals.bad_request(why)

    def feed(self, data: Buffer) -> tuple[Sequence[Buffer], bytes | None]:
        """Pieces are views of `data`, or copies where chunks are so small that views would weigh more than they show.

        Raises what `refusal` makes, or a hook of a subclass.
        """
        pieces: list[Buffer] = []
        view = memoryview(data)
        at, end = 0, len(view)
        while at < end:
            if self._state == self._DATA:
                piece = view[at : at + self._remaining]
                at += len(piece)
                self._remaining -= len(piece)
                self.passed(piece)
                pieces.append(piece)
                if not self._remaining:
                    self.ended()
                    self._state = self._END
            elif self._state == self._DONE:
                break
            elif self._line or self._state == self._TRAILER:
                at = self._take_line(view, at)
            elif self._state == self._END and _LINE_END(view, at):
                at += 2
                self._state = self._SIZE
            elif self._state == self._SIZE and (size := _SIZE_LINE(view, at)) is not None:
                at = size.end()
                self._size_read(size[1])
            else:
                at = self._take_line(view, at)
        if len(pieces) > PIECES_MOST and end < len(pieces) * PIECE_BYTES_LEAST:
            pieces = [b"".join(pieces)]
        if self._state == self._DONE:
            return pieces, bytes(view[at:])
        return pieces, None

    def _take_line(self, view: memoryview, at: int) -> int:
        """Read towards the end of a line; returns the position after what was taken."""
        room = LINE_BYTES_MOST if self._state != self._TRAILER else TRAILER_BYTES_MOST
        taken = bytes(view[at : at + room + 2 - len(self._line)])
        line = self._line + taken
        found = line.find(b"\n")
        if found < 0:
            if len(line) > room or b"\r" in line[:-1]:
                raise self.refusal("a line of the chunked body is too long or holds a bare CR")
            self._line = line
            return at + len(taken)
        at += found + 1 - len(self._line)
        self._line = b""
        if line[found - 1 : found] != b"\r" or b"\r" in line[: found - 1]:
            raise self.refusal("a line of the chunked body does not end with CR LF")
        self._line_read(line[: found - 1])
        return at

    def _line_read(self, line: bytes) -> None:
        if self._state == self._SIZE:
            self._size_read(line)
        elif self._state == self._END:
            if line:
                raise self.refusal("a chunk is longer than its size says")
            self._state = self._SIZE
        elif line:
            self._trailer_read(line)
        else:
            self._state = self._DONE
            self.finished()

    def _size_read(self, line: bytes) -> None:
        digits, semicolon, extension = line.partition(b";")
        if not digits or len(digits) > SIZE_DIGITS_MOST or not _HEX.issuperset(digits):
            raise self.refusal("a chunk's size is not a hexadecimal number")
        self.size = self._remaining = int(digits, 16)
        self.begin(self.size, semicolon + extension)
        self._state = self._DATA if self.size else self._TRAILER

    def _trailer_read(self, line: bytes) -> None:
        self._trailer_bytes += len(line) + 2
        name, colon, value = line.partition(b":")
        if self._trailer_bytes > TRAILER_BYTES_MOST or len(self.trailers) >= TRAILERS_MOST:
            raise self.refusal("the trailers are too long")
        if not colon or not name or name.strip() != name or not name.isascii() or b"\0" in value:
            raise self.refusal("a trailer is malformed")
        self.trailers.append((name.decode().lower(), value.strip(b" \t").decode("latin-1")))
