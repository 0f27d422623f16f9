"""Commits transactions in batches, over a few connections at once. On the home loop only.

While a batch is on its way, what arrives gathers for the next: one round trip and one flush of the log carry many. Batches
of several lanes and of other processes meet at the locks (batch.py), never at a row they have not locked.

Nobody waits longer than `PATIENCE_S`: who has not been sent by then is told that nothing happened, the others that the
outcome is unknown. The batch itself is never cancelled, for PostgreSQL would let a commit that waits for its standby be seen
before the standby has it. Its lane stays taken until it ends, or until its backend is found gone: so a database that stands
still is not filled with more and more batches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import asyncpg

from isotherm.devices.waiting import offload
from isotherm.errors import Invalid, IsothermError, SlowDown, Unavailable
from isotherm.meta.member import Member, Outcome
from isotherm.meta.port import Prerequisite
from isotherm.meta.postgresql.batch import arguments, together
from isotherm.meta.postgresql.connections import FAILURES, Connection, Pool, explain
from isotherm.meta.postgresql.schema import COMMIT
from isotherm.meta.rules import STAMP, over_quota

BATCH_BYTES = 4 << 20
MEMBERS_MOST = 256
PATIENCE_S = 10.0
LOOK_S = 5.0

_ALL_ALIKE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""Errors that no member of a batch is the reason of."""

_LIVES = "select count(*) from pg_stat_activity where pid = $1 and application_name like 'isotherm%'"


_Short = tuple[int, bytes]


class _Waiting:
    """A member, and whoever waits for its outcome."""

    __slots__ = ("_timer", "done", "failure", "member", "prerequisites", "sent")

    def __init__(self, member: Member, prerequisites: Sequence[Prerequisite], loop: asyncio.AbstractEventLoop) -> None:
        self.member = member
        self.prerequisites = prerequisites
        self.done: asyncio.Future[Outcome] = loop.create_future()
        self.failure: BaseException | None = None
        self.sent = False
        self._timer = loop.call_later(PATIENCE_S, self._give_up)

    def settle(self, outcome: Outcome) -> None:
        self._timer.cancel()
        if not self.done.done():
            self.done.set_result(outcome)

    def _give_up(self) -> None:
        if self.sent:
            self.settle(Unavailable("PostgreSQL does not answer; whether this was committed is unknown"))
        else:
            self.settle(SlowDown("commits before this one wait for PostgreSQL; nothing was written"))


def _settle(batch: Sequence[_Waiting]) -> None:
    """Settle what the members of a batch come after, which many of them share. Blocks: the devices work meanwhile."""
    for waiting in batch:
        try:
            for prerequisite in waiting.prerequisites:
                prerequisite.settle()
        except BaseException as error:
            waiting.failure = error


class PostgresCommitter:
    """Args:
    pool: of connections for commits alone, as many as lanes, without a bound on answers.
    readers: of others, to see whether a silent backend still lives.
    lanes: batches on their way at once.
    shard: which of a feed's counters this process adds to.
    """

    def __init__(self, pool: Pool, readers: Pool, lanes: int, shard: int) -> None:
        self._pool = pool
        self._readers = readers
        self._most_lanes = lanes
        self._shard = shard
        self._queue: deque[_Waiting] = deque()
        self._lanes: set[asyncio.Task[None]] = set()

    async def commit(self, member: Member, prerequisites: Sequence[Prerequisite] = ()) -> bytes | None:
        """The stamp of its ordinal 0; None when something it read has changed. Raises as `transact`."""
        waiting = _Waiting(member, prerequisites, asyncio.get_running_loop())
        self._queue.append(waiting)
        if len(self._lanes) < self._most_lanes:
            lane = asyncio.create_task(self._lane())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        outcome = await waiting.done
        if isinstance(outcome, BaseException):
            raise outcome
        assert not isinstance(outcome, int)
        return outcome

    async def finish(self) -> None:
        """Commit what is queued."""
        while self._lanes:
            await asyncio.wait(self._lanes)

    async def _lane(self) -> None:
        await asyncio.sleep(0)  # whoever else commits in this turn of the loop comes along
        while self._queue:
            if self._queue[0].done.done():  # given up, or its caller has gone
                self._queue.popleft().settle(None)
                continue
            queued = [waiting.member for waiting in list(self._queue)[:MEMBERS_MOST]]
            batch = [self._queue.popleft() for _ in range(together(queued, BATCH_BYTES))]
            if any(waiting.prerequisites for waiting in batch):
                await offload(_settle, batch)
                for waiting in batch:
                    if waiting.failure is not None:
                        waiting.settle(waiting.failure)
            batch = [waiting for waiting in batch if not waiting.done.done()]
            for waiting in batch:
                waiting.sent = True
            outcomes = await self._outcomes([waiting.member for waiting in batch]) if batch else []
            for waiting, outcome in zip(batch, outcomes, strict=True):
                waiting.settle(outcome)

    async def _outcomes(self, members: list[Member], exact: frozenset[bytes] = frozenset()) -> list[Outcome]:
        """`exact`: accounts to be summed up, since a slice of them was too short for some of the members."""
        try:
            outcomes, short = await self._call(members, exact)
            if not short:
                return outcomes
        except _ALL_ALIKE as error:
            return [explain(error)] * len(members)
        except asyncpg.PostgresError as error:
            if len(members) == 1:
                return [explain(error)]
        except FAILURES as error:
            return [explain(error)] * len(members)
        except IsothermError as error:
            return [error] * len(members)
        else:
            again = sorted({m for m, _ in short})
            exact |= {account for _, account in short}
            settled = await self._outcomes([members[m] for m in again], exact)
            for m, outcome in zip(again, settled, strict=True):
                outcomes[m] = outcome
            return outcomes
        return [(await self._outcomes([member], exact))[0] for member in members]

    async def _call(self, members: list[Member], exact: frozenset[bytes]) -> tuple[list[Outcome], list[_Short]]:
        """Outcomes, and what was short, of which nothing was done: (member, account)."""
        columns, bases = arguments(members, self._shard, exact)
        connection = await self._pool.take()
        try:
            row: Any = await self._answer(connection, columns)
        except FAILURES as error:
            self._pool.fail(connection, error)
            raise
        finally:
            self._pool.give_back(connection)
        lost, refused, over = frozenset(row["lost"]), frozenset(row["refused"]), frozenset(row["excess"])
        number, epoch = row["commit_number"], row["commit_epoch"]
        outcomes: list[Outcome] = []
        for m, base in enumerate(bases):
            if m in lost:
                outcomes.append(None)
            elif m in refused:
                outcomes.append(Invalid("a value that is no counter, or a counter beyond 64 bits"))
            elif m in over:
                outcomes.append(over_quota())
            else:
                outcomes.append(STAMP.pack(epoch, number, base))
        judged = lost | refused  # these have an outcome, whatever else they were short of
        short = [
            (m, account) for m, account in zip(row["short"], row["short_accounts"], strict=True) if m not in judged
        ]
        return outcomes, short

    async def _answer(self, connection: Connection, columns: list[Any]) -> Any:
        """What `commit_batch` returns, however long it takes while its backend lives."""
        watching: list[asyncio.Task[None]] = []

        def watch() -> None:
            watching.append(asyncio.create_task(self._watch(connection)))

        timer = asyncio.get_running_loop().call_later(LOOK_S, watch)
        try:
            return await connection.fetchrow(COMMIT, *columns)
        finally:
            timer.cancel()
            for task in watching:
                task.cancel()

    async def _watch(self, silent: Connection) -> None:
        """Break a connection off once its backend is known to be gone: its machine may have died without a word."""
        pid = silent.get_server_pid()
        while True:
            try:
                async with self._readers.connection() as connection:
                    if not await connection.fetchval(_LIVES, pid):
                        silent.terminate()
                        return
            except IsothermError:  # nobody can be asked now
                pass
            await asyncio.sleep(LOOK_S)
