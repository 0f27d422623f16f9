"""Connections to PostgreSQL: a small pool, and the platform's words for what goes wrong.

The last connection given back is the first to be used again, so that its statements stay prepared and warm. One that
fails is dropped; the next caller connects anew. On the home loop only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from isotherm.errors import Closed, Conflicted, Denied, IsothermError, NoSpace, Unavailable

Connection = Any  # an asyncpg.Connection

# The planner does not know how small the arrays are; without this it may read the whole table for a batch.
_NO_SCANS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "enable_bitmapscan": "off"}
_ALWAYS = {"jit": "off", "synchronous_commit": "on", "application_name": "isotherm", **_NO_SCANS}

CONNECT_S = 10.0
SILENCE_S = 60.0


class Pool:
    """At most `most` connections to `dsn`, made when needed."""

    def __init__(self, dsn: str, most: int) -> None:
        self._dsn = dsn
        self._idle: list[Connection] = []
        self._room = most
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._all: set[Connection] = set()
        self._closed = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection. Raises Unavailable, Denied; database errors inside come out explained."""
        connection = await self.take()
        try:
            yield connection
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise explain(error) from error
        finally:
            self.give_back(connection)

    async def take(self) -> Connection:
        while True:
            if self._closed:
                raise Closed("the metadata store is closed")
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
                self._drop(connection)
            if self._room:
                self._room -= 1
                try:
                    return await self._connect()
                except BaseException:
                    self._room += 1
                    self._wake()
                    raise
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

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
        try:
            connection = await asyncpg.connect(
                self._dsn, timeout=CONNECT_S, command_timeout=SILENCE_S, server_settings=_ALWAYS
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise explain(error) from error
        self._all.add(connection)
        return connection


def explain(error: BaseException) -> IsothermError:
    """The error tree's word for what PostgreSQL, or the way to it, says."""
    if isinstance(error, asyncpg.DiskFullError | asyncpg.OutOfMemoryError):
        return NoSpace(f"PostgreSQL: {error}")
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InsufficientPrivilegeError):
        return Denied(f"PostgreSQL: {error}")
    if isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError):
        return Conflicted(f"PostgreSQL: {error}")
    return Unavailable(f"PostgreSQL: {error or type(error).__name__}")
