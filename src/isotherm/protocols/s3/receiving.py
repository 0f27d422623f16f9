"""Large bodies from the socket straight into buffers of a MiB, without a copy.

While such a body comes, a `Receiver` stands in for its connection at the transport: the transport reads into a buffer of the
pool, and the connection hears of it when the buffer is full or the body complete (half a dozen events of the loop, a copy and
a fresh piece of memory for each 256 KiB are saved). Everything else is passed on to the connection.

Invariants: a buffer is used again only when no view of it is left, whoever held one; no byte behind the body is read here.

On one loop's thread; views may be dropped on any.
"""

from __future__ import annotations

import asyncio
from collections import deque

from isotherm.protocols.s3.inlet import Inlet
from isotherm.segments.port import Buffer

BUFFER_BYTES = 1 << 20
RECEIVERS_MOST = 32  # a client that sends a byte a minute holds a whole buffer
_KEPT = 32


class Buffers:
    """The pool of a process: buffers, and the right to receive into them, which few have at once."""

    __slots__ = ("_kept", "receivers")

    def __init__(self) -> None:
        self._kept: deque[bytearray] = deque()
        self.receivers = 0

    def take(self) -> bytearray:
        """A buffer that nobody sees."""
        for _ in range(len(self._kept)):
            buffer = self._kept[0]
            self._kept.rotate(-1)
            if _unseen(buffer):
                return buffer
        buffer = bytearray(BUFFER_BYTES)
        if len(self._kept) < _KEPT:
            self._kept.append(buffer)
        return buffer


def _unseen(buffer: bytearray) -> bool:
    """Whether no view of it exists: CPython refuses to resize what is exported."""
    try:
        buffer.append(buffer.pop())
    except BufferError:
        return False
    return True


class Replaceable(asyncio.Protocol):
    """A connection that a receiver may stand in for."""

    def data_received(self, data: Buffer) -> None:
        """Bytes have arrived; a view of them is good for as long as it is held."""
        raise NotImplementedError

    def progressed(self) -> None:
        """Bytes have arrived that are not handed on yet."""
        raise NotImplementedError


class Receiver(asyncio.BufferedProtocol):
    """Takes the rest of a body of declared length; then the connection is the transport's protocol again."""

    def __init__(self, connection: Replaceable, transport: asyncio.Transport, inlet: Inlet, buffers: Buffers) -> None:
        self._connection = connection
        self._transport = transport
        self._missing = inlet.remaining or 0
        self._view = memoryview(b"")
        self._filled = 0
        # Counted from the body's start, so that pieces end where blocks and pages of the file do.
        self._first = BUFFER_BYTES - inlet.received % BUFFER_BYTES
        self._buffers = buffers
        self._standing_in = True
        buffers.receivers += 1
        transport.set_protocol(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        if not self._view:
            size = min(self._missing, self._first)
            self._view = memoryview(self._buffers.take())[:size]
            self._first = BUFFER_BYTES
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        self._missing -= nbytes
        if self._filled == len(self._view):
            if not self._missing:
                self._leave()
                self._transport.set_protocol(self._connection)
            self._hand_on()
        else:
            self._connection.progressed()

    def eof_received(self) -> bool | None:
        self._hand_on()
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._view = memoryview(b"")
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def _hand_on(self) -> None:
        piece, self._view = self._view[: self._filled], memoryview(b"")
        self._filled = 0
        if piece:
            self._connection.data_received(piece)

    def _leave(self) -> None:
        if self._standing_in:
            self._standing_in = False
            self._buffers.receivers -= 1


def stand_in(connection: Replaceable, transport: asyncio.Transport, inlet: Inlet, buffers: Buffers) -> None:
    """Put a receiver in a connection's place, where what is to come of the body is worth it and one is to be had."""
    if (inlet.remaining or 0) >= BUFFER_BYTES and inlet.looked_at_whole and buffers.receivers < RECEIVERS_MOST:
        Receiver(connection, transport, inlet, buffers)
