"""Commits transactions in batches, over a few connections at once. On the home loop only.

While a batch is on its way, what arrives gathers for the next: one round trip and one flush of the log carry many. Batches
of several lanes and of other processes meet at the locks (batch.py), never at a row they have not locked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import asyncpg

from isotherm.errors import Invalid, IsothermError
from isotherm.meta.member import Member, Outcome
from isotherm.meta.postgresql.batch import arguments, together
from isotherm.meta.postgresql.connections import Pool, explain
from isotherm.meta.postgresql.schema import COMMIT
from isotherm.meta.rules import STAMP

BATCH_BYTES = 4 << 20
MEMBERS_MOST = 256


class PostgresCommitter:
    """Args:
    pool: of connections for commits alone.
    lanes: batches on their way at once.
    shard: which of a feed's counters this process adds to.
    """

    def __init__(self, pool: Pool, lanes: int, shard: int) -> None:
        self._pool = pool
        self._most_lanes = lanes
        self._shard = shard
        self._queue: deque[tuple[Member, asyncio.Future[Outcome]]] = deque()
        self._lanes: set[asyncio.Task[None]] = set()

    async def commit(self, member: Member) -> bytes | None:
        """The stamp of its ordinal 0; None when something it read has changed. Raises as `transact`."""
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.append((member, done))
        if len(self._lanes) < self._most_lanes:
            lane = asyncio.create_task(self._lane())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        outcome = await done
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
            waiting = [member for member, _ in list(self._queue)[:MEMBERS_MOST]]
            batch = [self._queue.popleft() for _ in range(together(waiting, BATCH_BYTES))]
            outcomes = await self._outcomes([member for member, _ in batch])
            for (_, done), outcome in zip(batch, outcomes, strict=True):
                if not done.done():
                    done.set_result(outcome)

    async def _outcomes(self, members: list[Member]) -> list[Outcome]:
        try:
            return await self._call(members)
        except asyncpg.PostgresError as error:
            if len(members) == 1:
                return [explain(error)]
        except (asyncpg.InterfaceError, OSError, TimeoutError) as error:
            failure = explain(error)
            return [failure] * len(members)
        except IsothermError as error:
            return [error] * len(members)
        return [(await self._outcomes([member]))[0] for member in members]

    async def _call(self, members: list[Member]) -> list[Outcome]:
        columns, bases = arguments(members, self._shard)
        connection = await self._pool.take()
        try:
            row: Any = await connection.fetchrow(COMMIT, *columns)
        finally:
            self._pool.give_back(connection)
        lost, refused = frozenset(row["lost"]), frozenset(row["refused"])
        number, epoch = row["commit_number"], row["commit_epoch"]
        outcomes: list[Outcome] = []
        for m, base in enumerate(bases):
            if m in lost:
                outcomes.append(None)
            elif m in refused:
                outcomes.append(Invalid("a value that is no counter, or a counter beyond 64 bits"))
            else:
                outcomes.append(STAMP.pack(epoch, number, base))
        return outcomes
