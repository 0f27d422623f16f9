"""A range of a file to a socket without a copy through this process (sendfile(2)).

sendfile cannot be told not to wait for a disk, so it runs on the event loop only for pages that RWF_NOWAIT (preadv2(2)) finds
in memory, probed every `_STRIDE`; a window that is not there goes through a thread. At most a window a turn of the loop, so
that a fast reader does not starve the other connections. On one loop's thread.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

WINDOW_BYTES = 1 << 20
_STRIDE = 128 << 10

_NOWAIT = getattr(os, "RWF_NOWAIT", 0)


class Sendfile:
    """One range on its way. Owns both descriptors: they are closed when neither the loop nor a thread uses them any more.

    Args:
        peer: a duplicate of the connection's socket: the loop watches it beside the transport's own.
        file: a descriptor.
        sent: called with each number of bytes that went out.
        stalled: called when the client must take some before more can be sent.
    """

    __slots__ = (
        "_aloft",
        "_done",
        "_file",
        "_head",
        "_loop",
        "_offset",
        "_over",
        "_peer",
        "_probe",
        "_remaining",
        "_sent",
        "_stalled",
        "_watching",
    )

    def __init__(
        self,
        peer: socket.socket,
        head: bytes,
        file: int,
        offset: int,
        length: int,
        sent: Callable[[int], None],
        stalled: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        peer.setblocking(False)
        self._peer = peer
        self._head = memoryview(head)
        self._file = file
        self._offset = offset
        self._remaining = length
        self._sent = sent
        self._stalled = stalled
        self._probe = [bytearray(1)]
        self._watching = False
        self._aloft = False  # a thread is sending
        self._over = False
        self._done: asyncio.Future[None] = self._loop.create_future()

    async def finish(self) -> None:
        """Send it all.

        Raises:
            OSError: the connection is gone.
            EOFError: the file is shorter than the range.
        """
        try:
            self._step()
            await self._done
        finally:
            self._watch(False)
            self._over = True
            if not self._aloft:
                self.close()

    def close(self) -> None:
        """Only for one that was never begun."""
        self._peer.close()
        os.close(self._file)

    def _watch(self, wanted: bool) -> None:
        if wanted != self._watching:
            self._watching = wanted
            if wanted:
                self._loop.add_writer(self._peer, self._step)
            else:
                self._loop.remove_writer(self._peer)

    def _step(self) -> None:
        """The socket takes bytes: give it a window."""
        try:
            if self._head:
                self._head = self._head[self._peer.send(self._head, socket.MSG_MORE) :]
            if not self._head:
                window = min(self._remaining, WINDOW_BYTES)
                if not self._resident(window):
                    self._watch(False)
                    self._aloft = True
                    waiting = self._loop.run_in_executor(None, self._send, window)
                    waiting.add_done_callback(self._waited)
                    return
                self._account(self._send(window))
        except BlockingIOError:
            self._wait()
        except Exception as error:
            self._end(error)
        else:
            self._go_on()

    def _send(self, window: int) -> int:
        return os.sendfile(self._peer.fileno(), self._file, self._offset, window)

    def _waited(self, sending: asyncio.Future[int]) -> None:
        """A thread has sent a window."""
        self._aloft = False
        if self._over:
            if not sending.cancelled():
                sending.exception()  # nobody is left to be told
            self.close()
            return
        try:
            self._account(sending.result())
        except BlockingIOError:
            self._wait()
        except Exception as error:
            self._end(error)
        else:
            self._go_on()

    def _account(self, size: int) -> None:
        if not size:
            raise EOFError("the file is shorter than the range to be sent")
        self._offset += size
        self._remaining -= size
        self._sent(size)

    def _wait(self) -> None:
        self._watch(True)
        self._stalled()

    def _go_on(self) -> None:
        if self._remaining:
            self._wait()
        else:
            self._end(None)

    def _end(self, error: Exception | None) -> None:
        self._watch(False)
        if self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)

    def _resident(self, window: int) -> bool:
        """Whether the window can be read without waiting, as far as samples tell."""
        try:
            for offset in range(self._offset, self._offset + window, _STRIDE):
                os.preadv(self._file, self._probe, offset, _NOWAIT)
            os.preadv(self._file, self._probe, self._offset + window - 1, _NOWAIT)
        except OSError:  # not in memory, or a file system that cannot say
            return False
        return bool(_NOWAIT)
