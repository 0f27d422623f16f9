"""Reads outside of snapshots: single gets of many callers in few statements, and what a transaction sees at first.

A statement costs as much as ten rows do. So while `FLIGHTS` statements are on their way, gets gather for the next one: few
callers never wait, many share. Each value is read after its caller asked. On the home loop only.
"""

from __future__ import annotations

import asyncio

from isotherm.clock import Clock
from isotherm.errors import IsothermError, SnapshotExpired
from isotherm.meta import rules
from isotherm.meta.port import TRANSACTION_S, Pairs
from isotherm.meta.postgresql.connections import FAILURES, Pool, explain
from isotherm.meta.postgresql.home import Home
from isotherm.meta.postgresql.schema import EPOCH_KEY
from isotherm.meta.postgresql.snapshot import GET, NEWEST, scan

FLIGHTS = 2
GETS_MOST = 256
_GET_MANY = "select k, v from kv where k = any($1::bytea[])"

_Asked = tuple[bytes, "asyncio.Future[bytes | None]"]


class Gathering:
    """Reads over the connections of a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._asked: list[_Asked] = []
        self._flying: set[asyncio.Task[None]] = set()
        self._called = False

    async def get(self, key: bytes) -> bytes | None:
        """The newest committed value. Raises as `Pool.connection`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes | None] = loop.create_future()
        self._asked.append((key, answer))
        if not self._called and len(self._flying) < FLIGHTS:
            self._called = True
            loop.call_soon(self._depart)  # whoever else asks in this turn of the loop comes along
        return await answer

    async def range(self, start: bytes, end: bytes, limit: int, reverse: bool) -> Pairs:
        """As `port.Reader.range`."""
        async with self._pool.connection() as connection:
            return await scan(connection, start, end, limit, reverse)

    async def newest(self) -> tuple[int, int]:
        """See `recording.SnapshotView`."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(NEWEST, EPOCH_KEY)
        return int.from_bytes(row[0], "big"), row[1]

    def _depart(self) -> None:
        self._called = False
        while self._asked and len(self._flying) < FLIGHTS:
            batch, self._asked = self._asked[:GETS_MOST], self._asked[GETS_MOST:]
            flight = asyncio.get_running_loop().create_task(self._fly(batch))
            self._flying.add(flight)
            flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flying.discard(flight)
        if self._asked and not self._called:
            self._depart()

    async def _fly(self, batch: list[_Asked]) -> None:
        try:
            found = await self._found([key for key, answer in batch if not answer.done()])
        except IsothermError as error:
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(type(error)(str(error)))
            return
        for key, answer in batch:
            if not answer.done():
                answer.set_result(found.get(key))

    async def _found(self, keys: list[bytes]) -> dict[bytes, bytes]:
        if not keys:
            return {}
        connection = await self._pool.take()
        try:
            if len(keys) == 1:
                value = await connection.fetchval(GET, keys[0])
                return {} if value is None else {keys[0]: value}
            return {row[0]: row[1] for row in await connection.fetch(_GET_MANY, keys)}
        except FAILURES as error:
            self._pool.fail(connection, error)
            raise explain(error) from error
        finally:
            self._pool.give_back(connection)


class NewestReads:
    """What a transaction's function sees in its first attempt: at each read the newest state, and so perhaps several.

    It costs no connection and no statements of its own. That is safe for what is committed, as everything read is compared
    again at the commit, which then stands for one state; an attempt that fails, or reads several things and writes
    nothing, is to be made again on a snapshot. See `recording.SnapshotView`.
    """

    __slots__ = ("_clock", "_deadline_s", "_gathering", "_home", "reads")

    def __init__(self, home: Home, gathering: Gathering, clock: Clock) -> None:
        self._home = home
        self._gathering = gathering
        self._clock = clock
        self._deadline_s = clock.monotonic() + TRANSACTION_S
        self.reads = 0

    async def get(self, key: bytes) -> bytes | None:
        rules.check_key(key)
        self.check()
        self.reads += 1
        return await self._home.run(self._gathering.get(key))

    async def range(self, start: bytes, end: bytes, limit: int, *, reverse: bool = False) -> Pairs:
        self.check()
        self.reads += 1
        return await self._home.run(self._gathering.range(start, end, limit, reverse))

    async def newest(self) -> tuple[int, int]:
        return await self._home.run(self._gathering.newest())

    def check(self) -> None:
        if self._clock.monotonic() > self._deadline_s:
            raise SnapshotExpired(f"a transaction lasts {TRANSACTION_S} s")
