"""The `meta` port on PostgreSQL: `PostgresMeta.open`.

A transaction's function reads the newest state first, and a REPEATABLE READ snapshot where that will not do (gathering.py);
what it read and wrote goes to this process's committer, which sends whole batches to one function in the database
(schema.py). Nothing of the caller runs under a lock, and nothing is held between
calls: any number of processes may use one database, and any may die.

Safe from any thread and loop of the process that opened it; coroutines of other loops and programs without one are carried
to the engine's own (home.py). In a forked child everything raises `ForkedHandle`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from isotherm.clock import Clock
from isotherm.errors import Conflicted, Denied, Invalid, IsothermError, Misuse, SlowDown, Unavailable, VersionMismatch
from isotherm.ids import Ids
from isotherm.meta import rules
from isotherm.meta.lmdb.environment import CopyInfo
from isotherm.meta.member import Member
from isotherm.meta.port import NO_STAMP, Committed, FeedPage, Pairs, Transaction
from isotherm.meta.postgresql import feed as feeds
from isotherm.meta.postgresql.committer import PATIENCE_S, PostgresCommitter
from isotherm.meta.postgresql.connections import Connection, Pool
from isotherm.meta.postgresql.exporting import export
from isotherm.meta.postgresql.gathering import Gathering, NewestReads
from isotherm.meta.postgresql.home import Home
from isotherm.meta.postgresql.schema import CREATE, DROP_COMMIT_OF_1, EPOCH_KEY, FORMAT, VERSION_KEY
from isotherm.meta.postgresql.snapshot import PostgresSnapshot, read
from isotherm.meta.recording import RecordedTransaction

T = TypeVar("T")

ATTEMPTS = 100
READERS = 16
LANES = 4
TRIM_MOST = 10_000
_SHARDS = 64
_PREPARE_LOCK = 0x69736F746865726D  # "isotherm": one process at a time prepares a database

_SET_NEW = "insert into kv values ($1, $2) on conflict do nothing"
_SET_HIGHER = "insert into kv values ($1, $2) on conflict (k) do update set v = greatest(kv.v, excluded.v)"
_OTHERS = """
select count(*) from pg_stat_activity
 where datname = current_database() and application_name like 'isotherm %' and application_name <> $1
"""

_Attempt = tuple[T, RecordedTransaction, Member | None]
"""What a transaction's function returned, what it recorded, and that as a member to commit."""


class PostgresMeta:
    """See `port.Meta`. Made by `open`."""

    def __init__(self, home: Home, name: str, readers: Pool, writers: Pool, clock: Clock, ids: Ids) -> None:
        self._home = home
        self._name = name
        self._readers = readers
        self._writers = writers
        self._clock = clock
        self._shard = int.from_bytes(ids.token(2), "big") % _SHARDS
        self._gathering = Gathering(readers)
        self._committer = PostgresCommitter(writers, readers, LANES, self._shard)
        self._epoch = 0

    @classmethod
    async def open(cls, dsn: str, *, clock: Clock, ids: Ids) -> PostgresMeta:
        """Connect to `dsn`, a URL postgresql://…, and prepare the database where it is new.

        On the running loop; without one (`devices.waiting.drive`) on a thread of its own.

        Raises:
            Unavailable, SlowDown: it cannot be reached now.
            Denied, Invalid: it does not let this user in, there is no such database, or `dsn` is no address.
            VersionMismatch: written by another format.
        """
        home = Home.here()
        name = f"isotherm {ids.token(8).hex()}"
        meta = cls(home, name, Pool(dsn, name, READERS), Pool(dsn, name, LANES, answer_s=None), clock, ids)
        try:
            meta._epoch = await home.run(meta._prepare())
        except Unavailable as error:
            meta.close()
            raise _why_not_open(error) from error
        except BaseException:
            meta.close()
            raise
        return meta

    @property
    def epoch(self) -> int:
        """As last seen by this process."""
        return self._epoch

    async def get(self, key: bytes) -> bytes | None:
        rules.check_key(key)
        return await self._home.run(self._gathering.get(key))

    async def range(self, start: bytes, end: bytes, limit: int, *, reverse: bool = False) -> Pairs:
        return await self._home.run(self._gathering.range(start, end, limit, reverse))

    def snapshot(self) -> PostgresSnapshot:
        self._home.check()
        return PostgresSnapshot(self._home, self._readers, self._clock)

    async def transact(self, fn: Callable[[Transaction], Awaitable[T]]) -> tuple[T, Committed]:
        """See `port.Meta.transact`; also raises `SnapshotExpired` for a function that takes longer than allowed."""
        found = await self._first_attempt(fn)
        for losses in range(ATTEMPTS):
            result, txn, member = found or await self._attempt(fn, losses)
            found = None
            if member is None:
                return result, Committed(NO_STAMP)
            try:
                base = await self._home.run(self._committer.commit(member, txn.prerequisites))
            except Conflicted:  # a deadlock with a transaction that is not ours
                continue
            if base is not None:
                return result, Committed(base)
        raise Conflicted(f"a transaction lost against others {ATTEMPTS} times")

    async def _first_attempt(self, fn: Callable[[Transaction], Awaitable[T]]) -> _Attempt[T] | None:
        """An attempt on the newest state of each thing read; None where that may have mixed several states."""
        self._home.check()
        view = NewestReads(self._home, self._gathering, self._clock)
        txn = RecordedTransaction(view)
        try:
            result = await fn(txn)
            member = txn.member()
        except Exception as error:
            if (view.reads < 2 and not txn.guessed) or isinstance(error, Unavailable | SlowDown | Misuse):
                raise
            return None
        return (result, txn, member) if member is not None or (view.reads < 2 and not txn.guessed) else None

    async def _attempt(self, fn: Callable[[Transaction], Awaitable[T]], losses: int) -> _Attempt[T]:
        with self.snapshot() as snapshot:
            txn = RecordedTransaction(snapshot, losses or 1)  # the first attempt was another
            return await fn(txn), txn, txn.member()

    async def feed(self, feed: bytes, after: bytes | None, limit: int) -> FeedPage:
        return await self._home.run(self._with(lambda connection: feeds.page(connection, feed, after, limit)))

    async def feed_records(self, feed: bytes, after: bytes, limit: int) -> Pairs:
        """See `port.Engine.feed_records`."""
        return await self._home.run(self._with(lambda connection: feeds.records(connection, feed, after, limit)))

    async def feed_end(self, feed: bytes) -> bytes:
        rules.check_feed(feed)
        return await self._home.run(self._with(feeds.end))

    async def trim(self, feed: bytes, keep: int, *, upto: bytes | None = None) -> int:
        rules.check_feed(feed)
        if keep < 0:
            raise Invalid("a feed keeps a number of records that is not negative")
        return await self._home.run(
            self._with(lambda connection: feeds.trim(connection, feed, keep, TRIM_MOST, self._shard, upto))
        )

    async def readable_since(self) -> bytes:
        return await self._home.run(self._with(feeds.end))

    async def bump_epoch(self) -> int:
        """Start a new epoch and return it: after a fail-over with loss, a restore or a move. Old cursors expire."""

        async def bump(connection: Connection) -> int:
            async with connection.transaction():
                stored = await connection.fetchval("select v from kv where k = $1 for update", EPOCH_KEY)
                epoch = int.from_bytes(stored, "big") + 1
                await connection.execute("update kv set v = $2 where k = $1", EPOCH_KEY, epoch.to_bytes(4, "big"))
            return epoch

        self._epoch = await self._home.run(self._with(bump))
        return self._epoch

    async def others(self) -> int:
        """How many connections other handles of this database have, of this program or of others."""
        return int(await self._home.run(self._with(lambda connection: connection.fetchval(_OTHERS, self._name))))

    async def backup(self, target: Path) -> CopyInfo:
        """See `port.Engine.backup`: as a directory of LMDB's. Holds one snapshot for as long as the copy takes."""
        return await self._home.run(self._with(lambda connection: export(connection, Path(target).absolute())))

    @property
    def write_failure(self) -> str | None:
        """None: a process writes again as soon as it reaches the database again."""
        return None

    def clear_stale_readers(self) -> int:
        """None: the database ends the transactions of clients that have gone."""
        return 0

    def close(self) -> None:
        """Commit what is queued where the calling thread can wait for it, then disconnect. Idempotent."""
        if self._home.forked or self._home.loop.is_closed():
            return
        if self._home.elsewhere:
            self._home.call(self._end())
            self._home.leave()
        else:
            self._readers.close()
            self._writers.close()

    def __enter__(self) -> PostgresMeta:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def _end(self) -> None:
        with suppress(TimeoutError):  # what is on its way then is known to be unknown
            async with asyncio.timeout(PATIENCE_S):
                await self._committer.finish()
        self._readers.close()
        self._writers.close()
        await asyncio.sleep(0)

    async def _with(self, act: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        async with self._readers.connection() as connection:
            return await act(connection)

    async def _prepare(self) -> int:
        async with self._readers.connection() as connection:
            try:
                stored = await read(connection, VERSION_KEY)
            except asyncpg.UndefinedTableError:
                stored = None
            if stored is None or int.from_bytes(stored, "big") < FORMAT:
                async with connection.transaction():
                    await connection.execute("select pg_advisory_xact_lock($1)", _PREPARE_LOCK)
                    await connection.execute(CREATE)
                    await connection.execute(DROP_COMMIT_OF_1)
                    await connection.execute(_SET_NEW, EPOCH_KEY, (1).to_bytes(4, "big"))
                    await connection.execute(_SET_HIGHER, VERSION_KEY, FORMAT.to_bytes(4, "big"))
                stored = await read(connection, VERSION_KEY)
            assert stored is not None
            found = int.from_bytes(stored, "big")
            if found != FORMAT:
                advice = "pip install --upgrade isotherm" if found > FORMAT else "the version that wrote it"
                raise VersionMismatch(
                    f"the metadata in PostgreSQL has format {found}, this program writes format {FORMAT}. Run: {advice}"
                )
            epoch = await read(connection, EPOCH_KEY)
            assert epoch is not None
            return int.from_bytes(epoch, "big")


def _why_not_open(error: Unavailable) -> IsothermError:
    """While a store is being opened some failures are the operator's to mend; later, they will pass."""
    cause = error.__cause__
    if isinstance(cause, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InsufficientPrivilegeError):
        return Denied(str(error))
    if isinstance(cause, asyncpg.InvalidCatalogNameError):
        return Invalid(f"{error}. Run: createdb, or name another database")
    if isinstance(cause, ValueError):
        return Invalid(f"the address of the database is not valid: {cause}")
    return error
