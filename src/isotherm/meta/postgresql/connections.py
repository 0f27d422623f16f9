"""Connections to PostgreSQL: a small pool, and the platform's words for what goes wrong.

The last connection given back is the first to be used again, so that its statements stay prepared and warm. One that
fails or does not answer is dropped; the next caller connects anew, to whichever of the hosts in the address takes writes:
what a standby holds may be old. Nobody waits without end, for a connection or for an answer. On the home loop only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any

import asyncpg

from isotherm.errors import Closed, Conflicted, IsothermError, NoSpace, SlowDown, Unavailable

Connection = Any  # an asyncpg.Connection

# The planner does not know how small the arrays are; without this it may read the whole table for a batch.
_NO_SCANS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "enable_bitmapscan": "off"}
_ALWAYS = {"jit": "off", "synchronous_commit": "on", **_NO_SCANS}

CONNECT_S = 4.0
TURN_S = 4.0
ANSWER_S = 8.0

FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What a connection raises when the database, or the way to it, fails."""


class Pool:
    """At most `most` connections to `dsn`, made when needed.

    Args:
        name: by which the database knows them.
        answer_s: bound of each statement; None leaves it to the user.
    """

    def __init__(self, dsn: str, name: str, most: int, answer_s: float | None = ANSWER_S) -> None:
        self._dsn = dsn
        self._name = name
        self._answer_s = answer_s
        self._idle: list[Connection] = []
        self._room = most
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._all: set[Connection] = set()
        self._closed = False

    def connection(self) -> Borrowed:
        """Borrow a connection. Raises as `take`; database errors inside come out explained."""
        return Borrowed(self)

    async def take(self) -> Connection:
        """A connection of one's own, to be given back.

        Raises:
            Unavailable: the database cannot be reached. SlowDown: all are busy. Closed.
        """
        connection = self._at_hand()
        if connection is not None:
            return connection
        loop = asyncio.get_running_loop()
        until_s = loop.time() + TURN_S
        while not self._room:
            await self._turn(until_s - loop.time())
            connection = self._at_hand()
            if connection is not None:
                return connection
        self._room -= 1
        # A task of its own: the caller may be in an eager first step, where asyncio's time limits do not work.
        return await asyncio.shield(loop.create_task(self._connect()))

    def fail(self, connection: Connection, error: BaseException) -> None:
        """Say what a connection raised: whether it is still of use, and whether the others are."""
        if isinstance(error, TimeoutError):
            connection.terminate()
        elif isinstance(error, asyncpg.ReadOnlySQLTransactionError):  # this server is a standby now
            for each in (*self._idle, connection):
                each.terminate()

    def give_back(self, connection: Connection) -> None:
        """A connection still inside a transaction is not fit to be used again."""
        if self._closed or connection.is_closed() or connection.is_in_transaction():
            connection.terminate()
            self._drop(connection)
        else:
            self._idle.append(connection)
        self._wake()

    def close(self) -> None:
        self._closed = True
        for connection in self._all:
            connection.terminate()
        while self._waiting:
            self._wake()

    def _at_hand(self) -> Connection | None:
        if self._closed:
            raise Closed("the metadata store is closed")
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._drop(connection)
        return None

    async def _turn(self, limit_s: float) -> None:
        """Wait until there may be a connection, or room for one. Raises SlowDown when time is over."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting.append(waiter)
        timer = loop.call_later(limit_s, _refuse, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake()  # the turn was this caller's; it goes to the next
            raise
        finally:
            timer.cancel()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _drop(self, connection: Connection) -> None:
        if connection in self._all:
            self._all.discard(connection)
            self._room += 1

    async def _connect(self) -> Connection:
        """A new connection, for which the caller has taken its room."""
        try:
            connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_S,
                command_timeout=self._answer_s,
                server_settings={**_ALWAYS, "application_name": self._name},
                target_session_attrs="read-write",
            )
        except BaseException as error:
            self._room += 1
            self._wake()
            if isinstance(error, (*FAILURES, ValueError)):
                raise explain(error) from error
            raise
        self._all.add(connection)
        if self._closed:
            connection.terminate()
        return connection


class Borrowed:
    """`async with` it. A class, as an asynchronous generator would be the business of its caller's loop."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Connection:
        self._connection = await self._pool.take()
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, FAILURES):
            self._pool.fail(self._connection, error)
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._connection.terminate()  # asyncpg would let the next caller wait until the database has given up too
        self._pool.give_back(self._connection)
        if isinstance(error, FAILURES):
            raise explain(error) from error


def _refuse(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(SlowDown("all connections to PostgreSQL are busy"))


def explain(error: BaseException) -> IsothermError:
    """The error tree's word for what PostgreSQL, or the way to it, says."""
    if isinstance(error, asyncpg.DiskFullError):
        return NoSpace(f"PostgreSQL: {error}")
    if isinstance(error, asyncpg.InsufficientResourcesError):  # connections, memory, room for locks
        return SlowDown(f"PostgreSQL: {error}")
    if isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError):
        return Conflicted(f"PostgreSQL: {error}")
    if isinstance(error, TimeoutError):
        return Unavailable("PostgreSQL does not answer")
    return Unavailable(f"PostgreSQL: {error or type(error).__name__}")
