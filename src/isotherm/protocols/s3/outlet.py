"""The replies of one connection on their way to the socket, with the transport's back-pressure. On one loop's thread.

Everything that the connection sends passes through here, in order: a whole reply is held until the turn's end (turn.py), and
goes out before anything that is written after it.

A long range asks at the gate for each piece (`passage`), and holds nothing there while the client is waited for.

`begun` tells whether bytes of the reply under way have been handed over: until then an error can still be told as one.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator

from isotherm.protocols.s3.sendfile import Sendfile
from isotherm.protocols.s3.turn import Turn
from isotherm.protocols.s3.wire import Ranged
from isotherm.tenancy.passage import Passage

WHOLE_BYTES_MOST = 64 << 10  # a range up to here is sent as one piece with its head: sendfile costs more
SPAN_BYTES = 4 << 20  # what is asked for at once: the whole of a longer range seldom lies in one extent
PIECE_BYTES = 1 << 20
_HELD_BYTES_MOST = 64 << 10


class Outlet:
    """Writes whole replies and streams.

    `sent` counts payload bytes handed over. A stream raises ConnectionError when the connection is lost.
    """

    __slots__ = (
        "_bytes_ahead",
        "_drained",
        "_held",
        "_paused",
        "_secure",
        "_sending",
        "_transport",
        "_turn",
        "begun",
        "lost",
        "passage",
        "sent",
    )

    def __init__(self, transport: asyncio.Transport, bytes_ahead: int, turn: Turn) -> None:
        transport.set_write_buffer_limits(high=bytes_ahead)
        self._bytes_ahead = bytes_ahead
        self._turn = turn
        self._held = b""
        self._transport = transport
        self._secure = transport.get_extra_info("sslcontext") is not None
        self._paused = False
        self._sending = False
        self._drained: asyncio.Future[None] | None = None
        self.begun = False
        self.lost = False
        self.passage: Passage | None = None
        self.sent = 0

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def unsent(self) -> bool:
        """Something waits for the client to read."""
        return self._sending or bool(self._held) or self._transport.get_write_buffer_size() > 0

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._wake()

    def lose(self) -> None:
        self.lost = True
        self._wake()

    def _wake(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    async def drain(self) -> None:
        """Wait until the transport takes more."""
        while self._paused and not self.lost:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained
        if self.lost:
            raise ConnectionResetError("the client is gone")

    def whole(self, head: bytes, body: bytes) -> None:
        """A reply from its first byte to its last; with those of other connections at the turn's end."""
        self.sent += len(body)
        if len(body) > WHOLE_BYTES_MOST:
            self.flush()
            self._transport.writelines((head, body))
            return
        held = self._held
        self._held = held + head + body if held else head + body
        if not held:
            self._turn.hold(self)
        elif len(self._held) > _HELD_BYTES_MOST:
            self.flush()

    def interim(self, head: bytes) -> None:
        """Written at once: the client waits for it."""
        self.flush()
        self._transport.write(head)

    def flush(self) -> None:
        """Write what is held. What a connection that is being cut off holds goes nowhere."""
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)

    async def ranged(self, head: bytes, ranged: Ranged) -> None:
        """Send a range of an opened version. The caller closes the reading.

        Raises:
            IsothermError: it cannot be read.
        """
        reading, offset, end = ranged.reading, ranged.offset, ranged.offset + ranged.length
        passage = self.passage
        if passage is not None:
            await passage.wait()
        while offset < end:
            length = min(SPAN_BYTES if passage is None else PIECE_BYTES, end - offset)
            while passage is not None and not passage.take(length, length):
                await passage.wait()
            found = None if self._secure else reading.sendable(offset, length)
            if found is None and length > PIECE_BYTES:
                length = PIECE_BYTES
                found = None if self._secure else reading.sendable(offset, length)
            if found is not None:
                await self._file(head, *found, length)
            elif length <= PIECE_BYTES and (data := reading.now(offset, length)) is not None:
                await self._piece(head, data)
            else:
                await self.pieces(head, reading.chunks(offset, length), chunked=False, length=length)
            head = b""
            offset += length

    async def _piece(self, head: bytes, piece: bytes, *, chunked: bool = False) -> None:
        self.begun = True
        self.flush()
        self.sent += len(piece)
        self._transport.writelines((head, b"%x\r\n" % len(piece), piece, b"\r\n") if chunked else (head, piece))
        if self._paused or self.lost:
            self._rest()
            await self.drain()

    def _rest(self) -> None:
        """The client is waited for."""
        if self.passage is not None:
            self.passage.rest()

    async def pieces(
        self, head: bytes, pieces: AsyncIterator[bytes], *, chunked: bool, length: int | None = None
    ) -> None:
        """Send an iterator's pieces, framed as HTTP chunks or bare. The head goes out with the first of them.

        Raises:
            EOFError: they are not `length` bytes.
        """
        missing = length
        try:
            async for piece in pieces:
                if not piece:
                    continue
                if missing is not None and (missing := missing - len(piece)) < 0:
                    raise EOFError("there are more bytes than were announced")
                await self._piece(head, piece, chunked=chunked)
                head = b""
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()
        if missing:
            raise EOFError("there are fewer bytes than were announced")
        self.begun = True
        if chunked:
            self.whole(head + b"0\r\n\r\n", b"")
        elif head:
            self.whole(head, b"")

    async def _file(self, head: bytes, descriptor: int, offset: int, length: int) -> None:
        """By sendfile, past the transport, once that has nothing left to write."""
        self.flush()
        peer = socket.fromfd(self._transport.get_extra_info("socket").fileno(), -1, -1)
        sending = Sendfile(peer, head, os.dup(descriptor), offset, length, self._count, self._rest)
        self._sending = True
        try:
            await self._emptied()
            self.begun = True
        except BaseException:
            sending.close()
            raise
        else:
            await sending.finish()
        finally:
            self._sending = False

    def _count(self, size: int) -> None:
        self.sent += size

    async def _emptied(self) -> None:
        if self._transport.get_write_buffer_size():
            self._transport.set_write_buffer_limits(high=0)
            try:
                await self.drain()
                if self._transport.get_write_buffer_size():
                    raise RuntimeError("the transport does not tell when its buffer is empty")
            finally:
                self._transport.set_write_buffer_limits(high=self._bytes_ahead)
