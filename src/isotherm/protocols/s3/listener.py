"""The gateway: accepts connections for one process from a listener that several processes share, and drains them.

One connection is accepted at a time, and only while `may_accept` says that this process is not ahead of its siblings, so
that many connections opened at once spread over the processes. On one loop's thread; the listener is the caller's to close.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from isotherm.protocols.s3.connection import S3Connection
from isotherm.protocols.s3.endpoint import S3Endpoint
from isotherm.protocols.s3.expiry import PATIENCE_S, Spare
from isotherm.protocols.s3.roster import Roster

SWEEP_S = 1.0
_HELD_S = 0.002
_PATIENCE = 25  # times held; then this process accepts all the same: a sibling that hangs must not hold up clients
_EXHAUSTED_S = 0.5


class Gateway:
    """Serves S3 on `listener` from `start` to the end of `drain`.

    Args:
        listener: a listening, non-blocking socket.
        tls: a server-side context, or None for plain HTTP.
        may_accept: asked before each connection.
        counted: called with the number of open connections whenever it changes, for the siblings to see.
    """

    def __init__(
        self,
        endpoint: S3Endpoint,
        listener: socket.socket,
        *,
        tls: ssl.SSLContext | None = None,
        may_accept: Callable[[], bool] | None = None,
        counted: Callable[[int], None] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._listener = listener
        self._tls = tls
        self._may_accept = may_accept
        self._opening: dict[asyncio.Task[None], float] = {}  # since when
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._holding: asyncio.TimerHandle | None = None
        self._held = 0
        self._emptied: asyncio.Future[None] | None = None
        self._counted = counted
        self.roster = Roster(0.0, self._count)

    @property
    def connections(self) -> int:
        """Open ones, and those whose TLS handshake is under way."""
        return len(self.roster) + len(self._opening)

    def start(self) -> None:
        """Begin to accept. On the loop that will serve."""
        self._loop = loop = asyncio.get_running_loop()
        self.roster.now = loop.time()
        self._sweeping = loop.call_later(SWEEP_S, self._sweep)
        loop.add_reader(self._listener, self._ready)

    async def drain(self, timeout_s: float) -> bool:
        """Stop accepting, let requests under way finish, end all connections. False if some had to be cut off.

        Connections that wait in the listener's queue are left to the siblings.
        """
        assert self._loop is not None
        self._loop.remove_reader(self._listener)
        if self._holding is not None:
            self._holding.cancel()
        self.roster.retire()
        finished = await self._empty_within(timeout_s)
        if not finished:
            for task in self._opening:
                task.cancel()
            self.roster.abort()
            await self._empty_within(_EXHAUSTED_S)
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._endpoint.turn.end()
        if self._endpoint.access_log is not None:
            self._endpoint.access_log.flush()
        return finished

    async def _empty_within(self, seconds: float) -> bool:
        assert self._loop is not None
        if self.connections:
            self._emptied = self._loop.create_future()
            await asyncio.wait((self._emptied,), timeout=seconds)
        return not self.connections

    def _ready(self) -> None:
        """The listener has a connection to give."""
        if self._may_accept is not None and self._held < _PATIENCE and not self._may_accept():
            self._hold(_HELD_S)
            return
        if self.connections >= self._endpoint.settings.connections_most and not self._make_room():
            self._hold(_HELD_S)
            return
        self._held = 0
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # a sibling was quicker, or the client has gone
        except OSError as error:
            self._endpoint.log.error("cannot accept connections", error=str(error))
            self._hold(_EXHAUSTED_S)
            return
        assert self._loop is not None
        task = self._loop.create_task(self._open(accepted))
        self._opening[task] = self.roster.now
        task.add_done_callback(self._opened)
        self._count(0)

    def _make_room(self) -> bool:
        """End what took too long to say who it is, or else, where nothing is about to, an idle client's connection."""
        stranger = self.roster.oldest(Spare.STRANGER)
        if stranger is not None:
            stranger.abort()
            return True
        if self._opening:
            handshake, since = next(iter(self._opening.items()))
            overdue = self.roster.now - since >= PATIENCE_S
            if overdue:
                handshake.cancel()
            return overdue
        idle = None if self.roster.oldest(Spare.YOUNG) else self.roster.oldest(Spare.IDLE)
        if idle is not None:
            idle.retire()
        return idle is not None

    def _hold(self, seconds: float) -> None:
        assert self._loop is not None
        self._held += 1
        self._loop.remove_reader(self._listener)
        self._holding = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        assert self._loop is not None
        self._loop.add_reader(self._listener, self._ready)

    async def _open(self, accepted: socket.socket) -> None:
        assert self._loop is not None
        settings = self._endpoint.settings
        try:
            accepted.setblocking(False)
            if accepted.family != socket.AF_UNIX:
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(
                lambda: S3Connection(self._endpoint, self.roster),
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=settings.head_s if self._tls is not None else None,
                ssl_shutdown_timeout=settings.linger_s if self._tls is not None else None,
            )
        except (OSError, ssl.SSLError, TimeoutError, EOFError):
            accepted.close()  # the client's affair: no TLS, or gone again

    def _opened(self, task: asyncio.Task[None]) -> None:
        del self._opening[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._endpoint.log.error("a connection could not be opened", error=repr(error))
        self._count(0)

    def _count(self, _: int) -> None:
        count = self.connections
        if self._counted is not None:
            self._counted(count)
        if not count and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def _sweep(self) -> None:
        assert self._loop is not None
        self._sweeping = self._loop.call_later(SWEEP_S, self._sweep)
        self.roster.sweep(self._loop.time())
        if self._endpoint.access_log is not None:
            self._endpoint.access_log.flush()
