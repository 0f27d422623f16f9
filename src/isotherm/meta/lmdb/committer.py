"""Judges and applies transactions inside LMDB's write transaction: many at a time, one sync for all.

Order of a member: what it read is read again and compared, its counters are computed (both may end it), and only then is
anything written; so a member that fails has left no trace and the others of its batch go on. An engine error poisons an
LMDB transaction as a whole: the batch is aborted and its members are committed one by one, so that only those fail that
must. After a failed write or sync other than a full medium nothing more is written through this environment: what the
medium holds is then unknown, and only opening it again tells.

Runs on the batcher's thread, which alone ever holds LMDB's writer lock in this process.
"""

from __future__ import annotations

from collections.abc import Sequence

import lmdb

from isotherm.errors import Invalid, IsothermError, NoSpace, OverQuota, Unavailable
from isotherm.meta import rules
from isotherm.meta.lmdb import keys, rows
from isotherm.meta.lmdb.environment import Environment, explain
from isotherm.meta.member import Member, NewEpoch, Outcome, Request, Trim
from isotherm.meta.port import invert

_SHORT_WRITE = "Input/output error"  # LMDB's word for a write that a full medium cut short, as for a real one

ROUND_BYTES = 16 << 20  # of requests in one LMDB transaction: bounds its dirty pages


class BatchCommitter:
    """Commits batches to one environment."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.failure: str | None = None

    def commit(self, batch: Sequence[Request]) -> list[Outcome]:
        """One outcome for each request, in order. Blocks for the writer lock and the sync.

        Who has lost most often goes first: of many that contend for one key a batch lets one win, and each gets there.
        """
        if any(request.losses for request in batch):
            order = sorted(range(len(batch)), key=lambda position: -batch[position].losses)
            settled = dict(zip(order, self._commit([batch[position] for position in order]), strict=True))
            return [settled[position] for position in range(len(batch))]
        return self._commit(batch)

    def _commit(self, batch: Sequence[Request]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for group in _rounds(batch):
            try:
                outcomes.extend(self._commit_once(group))
            except lmdb.Error as error:
                if len(group) == 1 or not self._replayable(error):
                    outcomes.extend([self._failed(error)] * len(group))
                else:
                    outcomes.extend(self._commit_alone(request) for request in group)
        return outcomes

    def _commit_alone(self, request: Request) -> Outcome:
        try:
            return self._commit_once([request])[0]
        except lmdb.Error as error:
            return self._failed(error)

    def _replayable(self, error: lmdb.Error) -> bool:
        return isinstance(self._explained(error), NoSpace)

    def _explained(self, error: lmdb.Error) -> IsothermError:
        if _SHORT_WRITE in str(error) and self._environment.free_bytes() < ROUND_BYTES:
            return NoSpace(f"cannot commit: the medium is full ({error})")
        return explain(error, "cannot commit")

    def _failed(self, error: lmdb.Error) -> IsothermError:
        explained = self._explained(error)
        if isinstance(explained, Unavailable) and not isinstance(error, lmdb.ReadersFullError):
            self.failure = str(explained)
        return explained

    def _commit_once(self, group: Sequence[Request]) -> list[Outcome]:
        if self.failure is not None:
            refusal = Unavailable(f"this process writes no more until it opens the store again, since: {self.failure}")
            return [refusal] * len(group)
        with self._environment.writing() as txn:
            round_ = _Round(txn)
            outcomes = [round_.outcome(request) for request in group]
            round_.finish()
        return outcomes


def _rounds(batch: Sequence[Request]) -> list[Sequence[Request]]:
    if sum(request.size_bytes for request in batch) <= ROUND_BYTES:
        return [batch]
    rounds: list[Sequence[Request]] = []
    group: list[Request] = []
    size = 0
    for request in batch:
        if group and size + request.size_bytes > ROUND_BYTES:
            rounds.append(group)
            group, size = [], 0
        group.append(request)
        size += request.size_bytes
    rounds.append(group)
    return rounds


class _Round:
    """One LMDB write transaction being filled."""

    __slots__ = ("_changed", "_counts", "_epoch", "_known", "_n", "_number", "_prefixes", "_totals", "_txn")

    def __init__(self, txn: keys.Txn) -> None:
        self._txn = txn
        self._epoch = rows.epoch_of(txn)
        self._number: int = txn.id()
        self._n = 0
        self._counts: dict[bytes, int] = {}
        self._prefixes: dict[bytes, bytes] = {}
        self._totals: dict[
            bytes, int
        ] = {}  # counters as they are now, written at the end: many members add to the same
        self._known: dict[bytes, bytes | None] = {}  # rows as they are now: most members have read the same few
        self._changed = False

    def outcome(self, request: Request) -> Outcome:
        if isinstance(request, Trim):
            return self._trim(request)
        if isinstance(request, NewEpoch):
            return self._new_epoch(request)
        if not self._still_true(request):
            return None
        try:
            counters = self._counters(request.adds) if request.adds else None
            if request.charges:
                counters = self._charged(request.charges, counters or {})
        except (Invalid, OverQuota) as error:
            return error
        return self._apply(request, counters)

    def _still_true(self, member: Member) -> bool:
        txn, get, totals, known = self._txn, self._txn.get, self._totals, self._known
        for key, value in member.reads.items():
            if key in totals:
                if rules.counter(totals[key]) != value:
                    return False
                continue
            if key in known:
                stored = known[key]
            else:
                stored = known[key] = get(key) if len(key) < keys.FIRST else keys.get(txn, key)
            if stored != value:
                return False
        if member.ranges:
            self._write_totals()
        return all(
            keys.scan(txn, read.start, read.end, read.limit, read.reverse) == read.pairs for read in member.ranges
        )

    def _counters(self, adds: dict[bytes, int]) -> dict[bytes, int]:
        counters = {}
        for key, delta in adds.items():
            total = self._totals.get(key)
            if total is None:
                total = rules.count_of(keys.get(self._txn, key))
            counters[key] = rules.checked(total + delta)
        return counters

    def _charged(self, charges: dict[bytes, tuple[int, int | None]], counters: dict[bytes, int]) -> dict[bytes, int]:
        for account, (delta, most) in charges.items():
            total = self._totals.get(account)
            if total is None:
                total = rules.count_of(self._txn.get(account))
            counters[account] = rules.charged(total, delta, most)
        return counters

    def _write_totals(self) -> None:
        totals, self._totals = self._totals, {}
        self._set({key: rules.counter(total) for key, total in totals.items()})

    def _apply(self, member: Member, counters: dict[bytes, int] | None) -> bytes:
        if self._totals:
            for key in (*member.writes, *member.stamped):
                self._totals.pop(key, None)
        self._set(member.writes)
        if counters:
            self._totals.update(counters)
        base = self._n
        self._n += member.stamps or 1
        if member.stamps:
            self._apply_stamped(member, base)
        return rules.STAMP.pack(self._epoch, self._number, base)

    def _set(self, writes: dict[bytes, bytes | None]) -> None:
        txn = self._txn
        self._known.update(writes)
        put, delete = txn.put, txn.delete
        changed = False
        for key, value in writes.items():
            if len(key) >= keys.FIRST:
                if value is None:
                    changed |= keys.delete(txn, key)
                else:
                    keys.put(txn, key, value)
                    changed = True
            elif value is None:
                changed |= delete(key)
            else:
                put(key, value)
                changed = True
        self._changed |= changed

    def _apply_stamped(self, member: Member, base: int) -> None:
        txn = self._txn
        self._changed |= bool(member.stamped or member.placed or member.appends)
        pack, epoch, number = rules.STAMP.pack, self._epoch, self._number
        for key, (ordinal, value) in member.stamped.items():
            row = self._known[key] = pack(epoch, number, base + ordinal) + value
            if len(key) < keys.FIRST:
                txn.put(key, row)
            else:
                keys.put(txn, key, row)
        for prefix, ordinal, value in member.placed:
            stamp = pack(epoch, number, base + ordinal)
            key = prefix + invert(stamp)
            self._totals.pop(key, None)
            row = self._known[key] = stamp + value
            keys.put(txn, key, row)
        for feed, ordinal, value in member.appends:
            beginning = self._prefixes.get(feed)
            if beginning is None:
                beginning = self._prefixes[feed] = rows.feed_prefix(feed)
            txn.put(beginning + pack(epoch, number, base + ordinal), value)
            self._counts[feed] = self._counts.get(feed, 0) + 1

    def _trim(self, trim: Trim) -> int:
        prefix = rows.feed_prefix(trim.feed)
        excess = min(self._count(trim.feed) - trim.keep, trim.most)
        removed = 0
        last = b""
        cursor = self._txn.cursor()
        found = excess > 0 and cursor.set_range(prefix)
        while found and removed < excess:
            key = cursor.key()
            if not key.startswith(prefix) or (trim.upto and key > prefix + trim.upto):
                break
            last = key
            removed += 1
            found = cursor.delete()
        if removed:
            self._counts[trim.feed] = self._counts.get(trim.feed, 0) - removed
            self._txn.put(rows.floor_key(trim.feed), last[len(prefix) :])
        return removed

    def _new_epoch(self, request: NewEpoch) -> int:
        self._epoch += request.step
        self._n = 0
        self._txn.put(rows.EPOCH_KEY, rows.U32.pack(self._epoch))
        self._txn.delete(rows.COPY_KEY)
        return self._epoch

    def _count(self, feed: bytes) -> int:
        stored = self._txn.get(rows.count_key(feed))
        return (rows.U64.unpack(stored)[0] if stored else 0) + self._counts.get(feed, 0)

    def finish(self) -> None:
        """Write what is kept once a batch.

        LMDB does not count a commit that changed nothing, and would give its number, which is in stamps by now, again.
        """
        self._write_totals()
        if self._n and not self._changed:
            self._txn.put(rows.EPOCH_KEY, rows.U32.pack(self._epoch))
        for feed in self._counts:
            self._txn.put(rows.count_key(feed), rows.U64.pack(self._count(feed)))
