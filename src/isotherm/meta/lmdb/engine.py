"""The `meta` port on LMDB: `LmdbMeta.open`.

Reads are short LMDB transactions on the caller's thread and never suspend. A transaction's function runs against a
snapshot without any lock; what it read and wrote goes to this process's committer thread, which validates and applies
whole batches under one synced LMDB commit. Where a server is alive, another program that opened the directory hands its
batches to that server instead of taking LMDB's writer lock itself (`presence.py`).

Safe from any thread of the process that opened it; in a forked child everything raises `ForkedHandle`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, TypeVar

import lmdb

from isotherm.clock import Clock
from isotherm.devices.batching import Batcher
from isotherm.devices.locks import KeptLock
from isotherm.devices.waiting import Completion, offload
from isotherm.errors import Conflicted, Invalid, IsothermError
from isotherm.ids import Ids
from isotherm.meta import rules
from isotherm.meta.lmdb import feed as feeds
from isotherm.meta.lmdb import keys, rows
from isotherm.meta.lmdb.committer import BatchCommitter
from isotherm.meta.lmdb.environment import (
    CopyInfo,
    Environment,
    Statistics,
    epoch_step,
    explain,
    open_environment,
    prepare_directory,
)
from isotherm.meta.lmdb.presence import Turns, claim_handle
from isotherm.meta.lmdb.remote import ForeignCommitter, RemoteCommitter
from isotherm.meta.lmdb.snapshot import LmdbSnapshot
from isotherm.meta.member import TRIM_MOST, Member, NewEpoch, Outcome, Request, Trim
from isotherm.meta.port import NO_STAMP, Committed, FeedPage, Pairs, Prerequisite, Transaction
from isotherm.meta.recording import RecordedTransaction

T = TypeVar("T")
Role = Literal["server", "foreign"]
Submission = tuple[Request, Sequence[Prerequisite]]

MAP_BYTES = 1 << 40
ATTEMPTS = 500
GATHER_S = 0.0003
_TRIM_STEP = 2_000  # removed in one batch, which other writers wait for


class LmdbMeta:
    """See `port.Meta`. Made by `open`."""

    def __init__(
        self,
        environment: Environment,
        local: BatchCommitter,
        foreign: ForeignCommitter | None,
        turns: Turns,
        claim: KeptLock,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._environment = environment
        self._local = local
        self._foreign = foreign
        self._commit = local.commit if foreign is None else foreign.commit
        self._batches: Batcher[Submission, Any] = Batcher(self._flush, name="meta-committer", gather_s=GATHER_S)
        self._turns = turns
        self._claim = claim
        self._clock = clock
        self._ids = ids

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        clock: Clock,
        ids: Ids,
        role: Role,
        map_bytes: int = MAP_BYTES,
        sync: bool = True,
    ) -> LmdbMeta:
        """Open the metadata directory, and make it where there is none. Blocks.

        Args:
            role: "server" in processes that hold, or whose parent holds, the `ServerLock`; else "foreign".
            map_bytes: of address space; the file grows only as it is filled.
            sync: False gives durability up, for tests.

        Raises:
            Misuse, VersionMismatch, Corrupt, Invalid (network file system), Unavailable, NoSpace.
        """
        directory = Path(directory).absolute()
        prepare_directory(directory)
        claim = claim_handle(directory)
        turns = Turns(directory)
        try:
            environment = open_environment(
                directory,
                ids=ids,
                writer_turn=nullcontext if role == "server" else turns.turn,
                map_bytes=map_bytes,
                sync=sync,
            )
        except BaseException:
            turns.close()
            claim.close()
            raise
        local = BatchCommitter(environment)
        foreign = None if role == "server" else ForeignCommitter(local, turns, RemoteCommitter(directory))
        return cls(environment, local, foreign, turns, claim, clock, ids)

    @property
    def epoch(self) -> int:
        return rows.epoch_of(self._environment.reading())

    async def get(self, key: bytes) -> bytes | None:
        try:
            if 0 < len(key) < keys.FIRST and key < rules.RESERVED:
                value: bytes | None = self._environment.reading().get(key)
                return value
            rules.check_key(key)
            return keys.get(self._environment.reading(), key)
        except lmdb.Error as error:
            raise explain(error, "cannot read") from error

    async def range(self, start: bytes, end: bytes, limit: int, *, reverse: bool = False) -> Pairs:
        try:
            return keys.scan(self._environment.reading(), start, min(end, rules.RESERVED), limit, reverse)
        except lmdb.Error as error:
            raise explain(error, "cannot read") from error

    def snapshot(self) -> LmdbSnapshot:
        return LmdbSnapshot(self._environment, self._clock)

    async def transact(self, fn: Callable[[Transaction], Awaitable[T]]) -> tuple[T, Committed]:
        """See `port.Meta.transact`; also raises `SnapshotExpired` for a function that takes longer than allowed."""
        for losses in range(ATTEMPTS):
            attempt = await self._attempt(fn, losses)
            if attempt is None:
                continue
            result, txn, member = attempt
            if member is None:
                return result, Committed(NO_STAMP)
            base = await self._batches.submit((member, txn.prerequisites))
            if base is not None:
                return result, Committed(base)
        raise Conflicted(f"a transaction lost against others {ATTEMPTS} times")

    async def _attempt(
        self, fn: Callable[[Transaction], Awaitable[T]], losses: int
    ) -> tuple[T, RecordedTransaction, Member | None] | None:
        """Run `fn`; None where it took something on trust and no commit can tell whether that was right."""
        with LmdbSnapshot(self._environment, self._clock) as snapshot:
            txn = RecordedTransaction(snapshot, losses)
            try:
                result = await fn(txn)
                member = txn.member()
            except Exception:
                if txn.guessed:
                    return None
                raise
        return (result, txn, member) if member is not None or not txn.guessed else None

    def submit(self, request: Request) -> Completion[Any]:
        """Commit a request with the next batch; await the completion for its outcome (`member.Outcome`)."""
        return self._batches.submit((request, ()))

    def _flush(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        """Settle what the transactions wait for, then commit those whose bytes are durable."""
        failed: dict[int, IsothermError] = {}
        for position, (_, prerequisites) in enumerate(batch):
            try:
                for prerequisite in prerequisites:
                    prerequisite.settle()
            except IsothermError as error:
                failed[position] = error
        if not failed:
            return self._commit([request for request, _ in batch])
        committed = iter(
            self._commit([request for position, (request, _) in enumerate(batch) if position not in failed])
        )
        return [failed[position] if position in failed else next(committed) for position in range(len(batch))]

    async def feed(self, feed: bytes, after: bytes | None, limit: int) -> FeedPage:
        with self.snapshot() as snapshot:
            return feeds.read_page(snapshot, feed, after, limit)

    async def feed_records(self, feed: bytes, after: bytes, limit: int) -> Pairs:
        """See `port.Engine.feed_records`."""
        with self.snapshot() as snapshot:
            return feeds.read_records(snapshot, feed, after, limit)

    async def feed_end(self, feed: bytes) -> bytes:
        rules.check_feed(feed)
        with self.snapshot() as snapshot:
            return feeds.end_of(snapshot)

    async def trim(self, feed: bytes, keep: int, *, upto: bytes | None = None) -> int:
        rules.check_feed(feed)
        if keep < 0:
            raise Invalid("a feed keeps a number of records that is not negative")
        removed = 0
        while removed < TRIM_MOST:
            count: int = await self.submit(Trim(feed, keep, min(_TRIM_STEP, TRIM_MOST - removed), upto or b""))
            removed += count
            if count < _TRIM_STEP:
                break
        return removed

    async def readable_since(self) -> bytes:
        with self.snapshot() as snapshot:
            return feeds.end_of(snapshot)

    async def backup(self, target: Path) -> CopyInfo:
        """Copy one consistent state into `target`, a new directory, while everything goes on.

        The copy is a metadata directory: whoever opens it first gives it a new epoch, so that no cursor of this store
        is taken for one of it. Holds one snapshot for as long as the copy takes.

        Raises:
            Invalid: `target` exists.
            NoSpace, Unavailable.
        """
        return await offload(self._environment.copy, Path(target).absolute())

    async def bump_epoch(self) -> int:
        """Start a new epoch and return it: after a restore, a move or a fail-over with loss. Old cursors expire."""
        epoch: int = await self.submit(NewEpoch(epoch_step(self._ids)))
        return epoch

    @property
    def write_failure(self) -> str | None:
        """Why this process writes no more, after the medium failed a write or a sync; None while all is well.

        Reading goes on, unless it was LMDB's meta page that could not be written: then it is refused as well. Open the
        store in a new process, or close this handle and open again.
        """
        return self._local.failure

    def statistics(self) -> Statistics:
        """Figures for telemetry; costs microseconds."""
        return self._environment.statistics()

    def clear_stale_readers(self) -> int:
        """Free the reader slots of processes that have died; how many. The mover calls this now and then."""
        return self._environment.clear_stale_readers()

    def close(self) -> None:
        """Commit what is queued, then close. Idempotent; snapshots still open raise `Closed` afterwards."""
        if self._environment.guard.forked:
            return
        if self._foreign is not None:
            self._foreign.hasten()
        self._batches.close()
        if self._foreign is not None:
            self._foreign.close()
        self._turns.close()
        self._environment.close()
        self._claim.close()

    def __enter__(self) -> LmdbMeta:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
