"""The server's end of the committer's socket: foreign processes' transactions join this process's batches.

Runs on the event loop of one process of the server, which holds or inherited the `ServerLock`. Whoever can open the
socket (0600) could open the database file as well; requests are checked against the port's limits all the same, since a
bug over there must not reach the rows here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from isotherm.devices import sockets
from isotherm.devices.waiting import Completion
from isotherm.errors import Closed, IsothermError, Unavailable
from isotherm.meta.lmdb import wire
from isotherm.meta.lmdb.remote import SOCKET_NAME
from isotherm.meta.member import Outcome, Request, check

IN_FLIGHT_BYTES_MOST = 64 << 20  # of one connection, before the service stops reading from it

_log = logging.getLogger(__name__)


class Submits(Protocol):
    """The part of `LmdbMeta` that the service needs."""

    def submit(self, request: Request) -> Completion[Any]: ...


class CommitService:
    """Listens at `<directory>/committer.sock` from `start` to `close`.

    Args:
        meta: this process's handle, opened with role "server".
        directory: the metadata directory.
    """

    def __init__(self, meta: Submits, directory: Path) -> None:
        self._meta = meta
        self._directory = directory
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Raises `Unavailable` when the socket cannot be made."""
        try:
            listener = sockets.listen(self._directory / SOCKET_NAME)
        except OSError as error:
            raise Unavailable(f"cannot listen at {self._directory / SOCKET_NAME}: {error.strerror}") from error
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Connection(self._meta, self._connections), sock=listener)

    async def close(self) -> None:
        """Take no new connections, answer what has arrived, then close. Idempotent."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            await connection.drain()


_Pending = Completion[Any] | IsothermError | None
"""What became of a request so far; None where this process ends and took nothing: whoever asked asks elsewhere."""


class _Connection(asyncio.Protocol):
    """One foreign process."""

    def __init__(self, meta: Submits, connections: set[_Connection]) -> None:
        self._meta = meta
        self._connections = connections
        self._frames = wire.Frames()
        self._transport: asyncio.Transport | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._in_flight_bytes = 0
        self._draining = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        submitted: list[tuple[int, _Pending]] = []
        size = len(data)
        try:
            for body in self._frames.feed(data):
                number, request = wire.request_of(body)
                submitted.append((number, self._submit(request)))
        except (IsothermError, msgspec.DecodeError) as error:
            _log.warning("dropping a foreign process's connection: %s", error)
            # An answer nobody asked for: it carries this side's version.
            self._transport.write(wire.answer_frame(0, Unavailable(f"the server does not understand: {error}")))
            self._transport.close()
        if submitted:
            self._in_flight_bytes += size
            task = asyncio.get_running_loop().create_task(self._answer(submitted, size))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        if self._in_flight_bytes > IN_FLIGHT_BYTES_MOST:
            self._transport.pause_reading()

    def _submit(self, request: Request) -> _Pending:
        try:
            check(request)
            return self._meta.submit(request)
        except Closed:
            return None
        except IsothermError as error:
            return error

    async def _answer(self, submitted: Sequence[tuple[int, _Pending]], size: int) -> None:
        assert self._transport is not None
        taken = [(number, pending) for number, pending in submitted if pending is not None]
        answers = [wire.answer_frame(number, await _outcome(pending)) for number, pending in taken]
        self._in_flight_bytes -= size
        if self._transport.is_closing():
            return
        if len(taken) < len(submitted):
            self._transport.write(b"".join([*answers, wire.answer_frame(wire.GOODBYE, None)]))
            self._transport.close()
            return
        self._transport.write(b"".join(answers))
        if not self._draining:
            self._transport.resume_reading()

    async def drain(self) -> None:
        """Answer what has arrived, then close."""
        assert self._transport is not None
        self._draining = True
        self._transport.pause_reading()
        while self._answering:
            await asyncio.wait(self._answering)
        self._transport.write(wire.answer_frame(wire.GOODBYE, None))
        self._transport.close()


async def _outcome(pending: Completion[Any] | IsothermError) -> Outcome:
    if isinstance(pending, IsothermError):
        return pending
    try:
        outcome: Outcome = await pending
    except Exception as error:
        return error
    return outcome
