"""One consistent state of the database: a REPEATABLE READ transaction on a connection of its own, begun by the first read."""

from __future__ import annotations

from isotherm.clock import Clock
from isotherm.errors import IsothermError, SnapshotExpired
from isotherm.meta import rules
from isotherm.meta.port import TRANSACTION_S, Pairs
from isotherm.meta.postgresql.connections import FAILURES, Connection, Pool, explain
from isotherm.meta.postgresql.home import Home
from isotherm.meta.postgresql.schema import EPOCH_KEY

GET = "select v from kv where k = $1"
RANGE = "select k, v from kv where k >= $1 and k < $2 order by k limit $3"
RANGE_BACK = "select k, v from kv where k >= $1 and k < $2 order by k desc limit $3"
_BEGIN = "begin isolation level repeatable read read only"
NEWEST = "select v, pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1 as newest from kv where k = $1"


async def read(connection: Connection, key: bytes) -> bytes | None:
    value: bytes | None = await connection.fetchval(GET, key)
    return value


async def scan(connection: Connection, start: bytes, end: bytes, limit: int, reverse: bool) -> Pairs:
    end = min(end, rules.RESERVED)
    if limit <= 0 or start >= end:
        return []
    found = await connection.fetch(RANGE_BACK if reverse else RANGE, start, end, limit)
    return [(row[0], row[1]) for row in found]


class PostgresSnapshot:
    """See `port.Snapshot`. Its state is that of its first read."""

    __slots__ = ("_clock", "_connection", "_deadline", "_home", "_pool", "_taken")

    def __init__(self, home: Home, pool: Pool, clock: Clock) -> None:
        self._home = home
        self._pool = pool
        self._clock = clock
        self._deadline = clock.monotonic() + TRANSACTION_S
        self._connection: Connection | None = None
        self._taken = True

    async def get(self, key: bytes) -> bytes | None:
        rules.check_key(key)
        return await self._home.run(self._get(key))

    async def range(self, start: bytes, end: bytes, limit: int, *, reverse: bool = False) -> Pairs:
        return await self._home.run(self._range(start, end, limit, reverse))

    async def newest(self) -> tuple[int, int]:
        """See `recording.SnapshotView`."""
        return await self._home.run(self._newest())

    def check(self) -> None:
        if not self._taken or self._clock.monotonic() > self._deadline:
            self.close()
            raise SnapshotExpired(f"a snapshot lasts {TRANSACTION_S} s and until it is closed")

    def close(self) -> None:
        """Idempotent. The connection goes back in the background."""
        self._taken = False
        if self._connection is not None and not self._home.forked and not self._home.loop.is_closed():
            self._home.loop.call_soon_threadsafe(self._let_go)

    def __enter__(self) -> PostgresSnapshot:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def _get(self, key: bytes) -> bytes | None:
        connection = await self._begun()
        try:
            return await read(connection, key)
        except FAILURES as error:
            raise self._failed(connection, error) from error

    async def _range(self, start: bytes, end: bytes, limit: int, reverse: bool) -> Pairs:
        connection = await self._begun()
        try:
            return await scan(connection, start, end, limit, reverse)
        except FAILURES as error:
            raise self._failed(connection, error) from error

    async def _newest(self) -> tuple[int, int]:
        connection = await self._begun()
        try:
            row = await connection.fetchrow(NEWEST, EPOCH_KEY)
        except FAILURES as error:
            raise self._failed(connection, error) from error
        return int.from_bytes(row[0], "big"), row[1]

    async def _begun(self) -> Connection:
        self.check()
        if self._connection is None:
            connection = await self._pool.take()
            try:
                await connection.execute(_BEGIN)
            except FAILURES as error:
                failure = self._failed(connection, error)
                self._pool.give_back(connection)
                raise failure from error
            except BaseException:
                connection.terminate()
                self._pool.give_back(connection)
                raise
            if not self._taken:  # closed meanwhile
                connection.terminate()
                self._pool.give_back(connection)
                raise SnapshotExpired("the snapshot was closed")
            self._connection = connection
        return self._connection

    def _failed(self, connection: Connection, error: BaseException) -> IsothermError:
        self._pool.fail(connection, error)
        return explain(error)

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._home.spawn(self._end(connection))

    async def _end(self, connection: Connection) -> None:
        try:
            await connection.execute("rollback")
        except FAILURES:
            connection.terminate()
        self._pool.give_back(connection)
