"""A transaction function's view: one snapshot, overlaid with its own writes, remembering what it read.

Nothing is locked and nothing reaches the medium here; `member()` is what the engine's committer gets. The same for every
engine. Used by one task at a time, on any thread.
"""

from __future__ import annotations

from typing import Protocol

from isotherm.errors import Invalid
from isotherm.meta import rules
from isotherm.meta.member import STAMPS_MOST, Member, RangeRead, size_of
from isotherm.meta.port import (
    KEY_BYTES,
    TRANSACTION_BYTES,
    VALUE_BYTES,
    Ordinal,
    Pairs,
    Prerequisite,
    Reader,
    account_rows,
    invert,
)


class SnapshotView(Reader, Protocol):
    """What an engine's snapshot offers beside reading."""

    async def newest(self) -> tuple[int, int]:
        """The epoch, and the number of the newest commit it may see."""
        ...

    def check(self) -> None:
        """Raises `SnapshotExpired` when it is too old, and `ForkedHandle`."""
        ...


class RecordedTransaction:
    """See `port.Transaction`. `losses`: how often its function has lost to a conflict already.

    `guessed`: it has taken something on trust, so that only a commit may give what it returns, and nothing what it raises.
    """

    __slots__ = (
        "_adds",
        "_appends",
        "_charges",
        "_losses",
        "_placed",
        "_ranges",
        "_reads",
        "_size",
        "_snapshot",
        "_stamped",
        "_stamps",
        "_writes",
        "guessed",
        "prerequisites",
    )

    def __init__(self, snapshot: SnapshotView, losses: int = 0) -> None:
        self._snapshot = snapshot
        self._reads: dict[bytes, bytes | None] = {}
        self._ranges: list[RangeRead] = []
        self._writes: dict[bytes, bytes | None] = {}
        self._stamped: dict[bytes, tuple[int, bytes]] = {}
        self._placed: list[tuple[bytes, int, bytes]] = []
        self._adds: dict[bytes, int] = {}
        self._appends: list[tuple[bytes, int, bytes]] = []
        self._charges: dict[bytes, tuple[int, int | None]] = {}
        self._stamps = 0
        self._size = 0
        self._losses = losses
        self.guessed = False
        self.prerequisites: list[Prerequisite] = []

    async def get(self, key: bytes, likely: bytes | None = None) -> bytes | None:
        if key in self._writes:
            return self._writes[key]
        if key in self._reads:
            return self._reads[key]
        self._refuse_unknown_key(key)
        if likely is not None and not self._losses:
            value: bytes | None = likely
            self.guessed = True
        else:
            value = await self._snapshot.get(key)
        return self._read(key, value)

    async def expect(self, key: bytes, likely: bytes | None) -> bytes | None:
        if likely is not None or self._losses or key in self._writes or key in self._reads:
            return await self.get(key, likely)
        self._refuse_unknown_key(key)
        self.guessed = True
        return self._read(key, None)

    def _refuse_unknown_key(self, key: bytes) -> None:
        if key in self._adds or key in self._stamped or key in self._charges:
            raise Invalid("the transaction reads a key whose value is known only at its commit")

    def _read(self, key: bytes, value: bytes | None) -> bytes | None:
        self._reads[key] = value
        self._size += len(key) + (len(value) if value else 0)
        if self._size > 2 * TRANSACTION_BYTES:
            self._check_growth()
        return value

    async def range(self, start: bytes, end: bytes, limit: int, *, reverse: bool = False) -> Pairs:
        end = min(end, rules.RESERVED)
        if limit <= 0 or start >= end:
            return []
        await self._refuse_unknown(start, end)
        own = {key: value for key, value in self._writes.items() if start <= key < end}
        wanted = limit + sum(1 for value in own.values() if value is None)
        seen = await self._snapshot.range(start, end, wanted, reverse=reverse)
        self._ranges.append(RangeRead(start, end, wanted, reverse, seen))
        self._grow(sum(len(key) + len(value) for key, value in seen))
        if not own:
            return list(seen)
        return _overlaid(seen, own, limit, reverse, complete=len(seen) < wanted)

    async def _refuse_unknown(self, start: bytes, end: bytes) -> None:
        """Raise `Invalid` where the range holds a write whose key or value is known only at the commit."""
        unknown = any(start <= key < end for keys_ in (self._adds, self._stamped, self._charges) for key in keys_)
        if not unknown and self._placed:
            # Its stamp will be greater than any that the snapshot sees, and so its key smaller than theirs.
            epoch, commit = await self._snapshot.newest()
            largest = invert(rules.STAMP.pack(epoch, commit + 1, 0))
            unknown = any(start <= prefix + largest and prefix < end for prefix, _, _ in self._placed)
        if unknown:
            raise Invalid("the transaction reads a range that holds a write known only at its commit")

    def put(self, key: bytes, value: bytes, *, stamp: Ordinal | None = None) -> None:
        if not 0 < len(key) <= KEY_BYTES or key >= rules.RESERVED or len(value) > VALUE_BYTES:
            rules.check_key(key)
            rules.check_value(value)
        self._size += len(key) + len(value)
        if self._size > 2 * TRANSACTION_BYTES:
            self._check_growth()
        if self._adds:
            self._adds.pop(key, None)
        if stamp is None:
            if self._stamped:
                self._stamped.pop(key, None)
            self._writes[key] = value
        else:
            self._check_ordinal(stamp)
            self._writes.pop(key, None)
            self._stamped[key] = (stamp, value)

    def put_at(self, prefix: bytes, stamp: Ordinal, value: bytes) -> None:
        rules.check_key(prefix + bytes(16))
        rules.check_value(value)
        self._check_ordinal(stamp)
        self._grow(len(prefix) + len(value) + 32)
        self._placed.append((prefix, stamp, value))

    def delete(self, key: bytes) -> None:
        rules.check_key(key)
        self._grow(len(key))
        self._adds.pop(key, None)
        self._stamped.pop(key, None)
        self._writes[key] = None

    def add(self, key: bytes, delta: int) -> None:
        rules.check_key(key)
        if key in self._stamped:
            raise Invalid("the transaction adds to a key that it has stamped")
        if key in self._writes:
            self._writes[key] = rules.added(self._writes[key], delta)
            return
        if key not in self._adds:
            self._grow(len(key) + 8)
        total = self._adds.get(key, 0) + delta
        rules.checked(total)
        self._adds[key] = total

    def charge(self, account: bytes, delta: int, most: int | None = None) -> None:
        known = self._charges.get(account)
        if known is None:
            account_rows(account)
            self._grow(len(account) + 16)
            self._charges[account] = (delta, most)
        else:
            self._charges[account] = (known[0] + delta, most)

    def stamp(self) -> Ordinal:
        if self._stamps >= STAMPS_MOST:
            raise Invalid(f"a transaction has at most {STAMPS_MOST} stamps")
        self._stamps += 1
        return Ordinal(self._stamps - 1)

    def append(self, feed: bytes, value: bytes) -> Ordinal:
        rules.check_feed(feed)
        rules.check_value(value)
        self._grow(len(feed) + len(value) + 16)
        ordinal = self.stamp()
        self._appends.append((feed, ordinal, value))
        return ordinal

    def after(self, prerequisite: Prerequisite) -> None:
        self.prerequisites.append(prerequisite)

    def _check_ordinal(self, ordinal: Ordinal) -> None:
        if not 0 <= ordinal < self._stamps:
            raise Invalid("an ordinal comes from this transaction's own append() or stamp()")

    def _grow(self, size_bytes: int) -> None:
        self._size += size_bytes
        if self._size > 2 * TRANSACTION_BYTES:
            self._check_growth()

    def _check_growth(self) -> None:
        """Much of it may have been written over."""
        self._size = size_of(self._gathered())
        _check_size(self._size)

    def member(self) -> Member | None:
        """What to commit; None when nothing was written.

        Raises:
            Invalid: too large.
            SnapshotExpired: the transaction took longer than TRANSACTION_S.
        """
        if not (self._writes or self._adds or self._appends or self._stamped or self._placed or self._charges):
            return None
        self._snapshot.check()
        member = self._gathered()
        if self._size > TRANSACTION_BYTES:
            _check_size(size_of(member))
        return member

    def _gathered(self) -> Member:
        return Member(
            self._reads,
            self._ranges,
            self._writes,
            self._stamped,
            self._placed,
            self._adds,
            self._appends,
            self._stamps,
            self._size,
            self._losses,
            self._charges,
        )


def _check_size(size_bytes: int) -> None:
    if size_bytes > TRANSACTION_BYTES:
        raise Invalid(f"a transaction has at most {TRANSACTION_BYTES} bytes of keys and values, read and written")


def _overlaid(seen: Pairs, own: dict[bytes, bytes | None], limit: int, reverse: bool, complete: bool) -> Pairs:
    """The pairs of a snapshot and of a transaction's own writes within one range, in order, at most `limit`.

    Where `seen` was cut at its limit (not `complete`), own keys beyond its last one are too far out to be known as next.
    """
    merged: dict[bytes, bytes | None] = dict(seen)
    if complete or not seen:
        merged.update(own)
    elif reverse:
        merged.update((key, value) for key, value in own.items() if key >= seen[-1][0])
    else:
        merged.update((key, value) for key, value in own.items() if key <= seen[-1][0])
    pairs = [(key, value) for key, value in merged.items() if value is not None]
    pairs.sort(reverse=reverse)
    return pairs[:limit]
