"""The replies of one connection on their way to the socket, with the transport's back-pressure. On one loop's thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from isotherm.protocols.s3.wire import Ranged

NOW_BYTES_MOST = 1 << 20


class Outlet:
    """Writes whole replies and streams.

    `sent` counts payload bytes handed over. A stream raises ConnectionResetError when the connection is lost.
    """

    __slots__ = ("_drained", "_paused", "_transport", "lost", "sent")

    def __init__(self, transport: asyncio.Transport, bytes_ahead: int) -> None:
        transport.set_write_buffer_limits(high=bytes_ahead)
        self._transport = transport
        self._paused = False
        self._drained: asyncio.Future[None] | None = None
        self.lost = False
        self.sent = 0

    @property
    def paused(self) -> bool:
        return self._paused

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

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def _drain(self) -> None:
        while self._paused and not self.lost:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained
        if self.lost:
            raise ConnectionResetError("the client is gone")

    async def ranged(self, head: bytes, ranged: Ranged) -> None:
        """Send a range of an opened version. The caller closes the reading."""
        reading, offset, length = ranged.reading, ranged.offset, ranged.length
        if length <= NOW_BYTES_MOST:
            data = reading.now(offset, length)
            if data is None:
                data = await reading.read(offset, length)
            self.sent += length
            self._transport.write(head + data)
            return
        self._transport.write(head)
        async for piece in reading.chunks(offset, length):
            self.sent += len(piece)
            self._transport.write(piece)
            if self._paused or self.lost:
                await self._drain()

    async def pieces(self, head: bytes, pieces: AsyncIterator[bytes], *, chunked: bool) -> None:
        """Send an iterator's pieces, framed as HTTP chunks or bare (to HTTP/1.0, up to the connection's end)."""
        self._transport.write(head)
        async for piece in pieces:
            if piece:
                self.sent += len(piece)
                self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if self._paused or self.lost:
                    await self._drain()
        if chunked:
            self._transport.write(b"0\r\n\r\n")
