"""The `meta` port: what every metadata engine offers, and its limits (FoundationDB's, so that it could be one).

Keys are byte strings in memcmp order, a shorter key before its continuations. A *transaction function* is a coroutine
function that reads a snapshot through its `Transaction` and records writes there; it must be free of side effects, since
it is run again whenever something it read has changed before its commit. Nothing of the caller runs under a lock. What a run
returns, raises or commits comes of one state; a run whose outcome is thrown away may have been shown several.

Transactions are strictly serializable: what was read is read again at the commit and compared, keys and ranges alike. A
committed transaction is durable when `transact` returns. Reads never suspend on an embedded engine.

*Stamps.* A stamp is 16 bytes, `epoch u32 ‖ commit u64 ‖ n u32`, big-endian: ordered as commits are. A transaction
obtains an `Ordinal` from `append` or `stamp()`; the engine turns it into a stamp at commit and writes it where
`put(…, stamp=)` and `put_at(…)` ask for it. The stamps of a transaction are `committed.stamp(ordinal)`.

*Accounts.* An account is a sum that may be bounded: `charge` changes it without reading it, and the engine refuses at the commit what
would take it beyond its bound. Its key is ACCOUNT_BYTES long and starts with ACCOUNTS. Its balance is the sum of the counters
in `account_rows(account)`: an engine may keep it in several rows, so that its writers need not wait for each other.

*Feed.* `append` adds a record to a named, ordered feed. Its cursor is its stamp. A feed is complete and in commit order:
whoever reads to the end and reads again later misses nothing and sees nothing twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NewType, Protocol, TypeVar

import msgspec

from isotherm.errors import Corrupt, Invalid

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Ordinal = NewType("Ordinal", int)
"""The n-th stamp of a transaction, before its commit."""

Pairs = list[tuple[bytes, bytes]]

KEY_BYTES = 2_560  # PostgreSQL's b-tree ends at 2,704; the longest S3 key, all zeros and escaped, needs 2,090
VALUE_BYTES = 100_000
TRANSACTION_BYTES = 10_000_000
TRANSACTION_S = 5.0
STAMP_BYTES = 16
FEED_BYTES = 32  # a feed's name

ACCOUNTS = b"\0\0\0\0U"
ACCOUNT_BYTES = 10
ACCOUNT_ROWS = 64
"""More than any engine has of one account."""

NO_STAMP = bytes(STAMP_BYTES)


def invert(stamp: bytes) -> bytes:
    """The stamp with every bit flipped, so that newer sorts first; its own inverse. Raises Corrupt for what is none."""
    if len(stamp) != STAMP_BYTES:
        raise Corrupt(f"a stamp has {STAMP_BYTES} bytes, not {len(stamp)}")
    return (int.from_bytes(stamp, "big") ^ ((1 << 128) - 1)).to_bytes(STAMP_BYTES, "big")


def account_rows(account: bytes) -> tuple[bytes, bytes]:
    """The half-open range of an account's rows. Raises Invalid for what is no account's key."""
    if len(account) != ACCOUNT_BYTES or not account.startswith(ACCOUNTS):
        raise Invalid(f"an account's key has {ACCOUNT_BYTES} bytes and starts with {ACCOUNTS.hex()}")
    return account, account + b"\xff"


class Reader(Protocol):
    """Consistent reads. `range` is `start` ≤ key < `end`, at most `limit` pairs, from the end when `reverse`."""

    async def get(self, key: bytes) -> bytes | None: ...

    async def range(self, start: bytes, end: bytes, limit: int, *, reverse: bool = False) -> Pairs: ...


class Prerequisite(Protocol):
    """Something that must be durable before a transaction may commit: the bytes it refers to."""

    def settle(self) -> None:
        """Make it durable, if it is not yet. Blocks; may be called again, and from any thread that may block.

        Raises:
            IsothermError: it is not, and never will be.
        """
        ...


class Transaction(Reader, Protocol):
    """Reads of one snapshot, overlaid with this transaction's own plain puts and deletes; and its writes.

    Reading a key or range that holds this transaction's own `add` or stamped write raises `Invalid`.
    A later write to the same key replaces an earlier one; `add` accumulates.
    """

    async def get(self, key: bytes, likely: bytes | None = None) -> bytes | None:
        """As `Reader.get`. `likely` is what the caller has good reason to expect there: the first run takes it for what is there,
        since the commit compares it. Where it was wrong, or the run raises or writes nothing, it runs again, and reads.
        """
        ...

    async def expect(self, key: bytes, likely: bytes | None) -> bytes | None:
        """As `get` with `likely`, where None stands for a row that is not there."""
        ...

    def put(self, key: bytes, value: bytes, *, stamp: Ordinal | None = None) -> None:
        """Set `key`. With `stamp`, the stored value is the 16 bytes of that stamp followed by `value`."""
        ...

    def put_at(self, prefix: bytes, stamp: Ordinal, value: bytes) -> None:
        """Set the key `prefix ‖ invert(stamp)`; the stored value is the stamp followed by `value`."""
        ...

    def delete(self, key: bytes) -> None:
        """Remove `key` if it is there."""
        ...

    def add(self, key: bytes, delta: int) -> None:
        """Add to a counter without reading it: two transactions that add never conflict.

        A counter is a signed 64-bit integer, little-endian; absent is zero; one that reaches zero is removed.
        """
        ...

    def charge(self, account: bytes, delta: int, most: int | None = None) -> None:
        """Add to an account without reading it. Where this transaction adds to it in sum, and its balance would be greater
        than `most`, the commit is refused with `OverQuota`, exactly; taking away never is. The last `most` counts.
        """
        ...

    def stamp(self) -> Ordinal:
        """A new stamp of this transaction, without a feed record."""
        ...

    def append(self, feed: bytes, value: bytes) -> Ordinal:
        """Add a record to the end of `feed`; returns the ordinal of its stamp."""
        ...

    def after(self, prerequisite: Prerequisite) -> None:
        """Commit only once `prerequisite` has been settled, which the engine does; what that raises, `transact` raises."""
        ...


class Committed(msgspec.Struct, frozen=True, gc=False):
    """What a commit gave: `base` is the stamp of ordinal 0, or NO_STAMP where the transaction wrote nothing."""

    base: bytes

    def stamp(self, ordinal: Ordinal) -> bytes:
        return (int.from_bytes(self.base, "big") + ordinal).to_bytes(STAMP_BYTES, "big")


class Snapshot(Reader, Protocol):
    """One consistent state, fixed by its first read at the latest, for at most TRANSACTION_S; then its reads raise
    `SnapshotExpired`. Close it."""

    def close(self) -> None: ...

    def __enter__(self) -> Snapshot: ...

    def __exit__(self, *exc: object) -> None: ...


@dataclass(frozen=True, slots=True)
class FeedPage:
    """`records` in order as (cursor, value); `cursor` to ask with next: the last record's, or the one asked with."""

    records: Sequence[tuple[bytes, bytes]]
    cursor: bytes


class Meta(Reader, Protocol):
    """An engine. Single reads see the newest committed state. Safe to use from any thread of its process."""

    @property
    def epoch(self) -> int:
        """The store's epoch: bumped by a restore, a fail-over with loss, or a move."""
        ...

    def snapshot(self) -> Snapshot: ...

    async def transact(self, fn: Callable[[Transaction], Awaitable[T]]) -> tuple[T, Committed]:
        """Run `fn`, commit, and return its result once it is durable.

        Raises:
            Invalid: a limit is exceeded (key, value, transaction).
            OverQuota: an account would be charged beyond its bound.
            Conflicted: it lost against others too often.
            NoSpace, Unavailable: the engine cannot write now. For `Unavailable` the outcome may be unknown.
            What `fn` raises; then nothing is written.
        """
        ...

    async def feed(self, feed: bytes, after: bytes | None, limit: int) -> FeedPage:
        """Records after the cursor `after` (None: from the oldest retained).

        Raises:
            CursorExpired: the cursor is of another epoch, or records after it have been trimmed.
        """
        ...

    async def feed_end(self, feed: bytes) -> bytes:
        """The cursor after which only records yet to come lie."""
        ...

    async def trim(self, feed: bytes, keep: int, *, upto: bytes | None = None) -> int:
        """Remove the oldest records so that about `keep` remain; at most 10,000 a call. Returns how many went.

        Args:
            upto: a stamp; nothing that lies after it is removed.
        """
        ...

    async def readable_since(self) -> bytes:
        """A 16-byte stamp: every commit up to it is visible to every reader of every process from now on."""
        ...

    def close(self) -> None: ...


class Engine(Meta, Protocol):
    """What an engine offers beside the port to those who open and look after a store."""

    @property
    def write_failure(self) -> str | None:
        """Why this process writes no more, until the store is opened anew; None while all is well."""
        ...

    def clear_stale_readers(self) -> int:
        """Free what readers that have died hold; how many there were."""
        ...

    async def feed_records(self, feed: bytes, after: bytes, limit: int) -> Pairs:
        """(stamp, value) of records after any stamp, in order, also of earlier epochs, which no cursor reaches any more."""
        ...

    async def bump_epoch(self) -> int:
        """Start a new epoch and return it: after a restore, a move or a fail-over with loss. Old cursors expire."""
        ...

    async def backup(self, target: Path) -> object:
        """Copy one consistent state into `target`, a new directory, while everything goes on: a metadata directory of LMDB's,
        whatever the engine, for `meta.lmdb.copies` to read and for a restore to open.

        Raises:
            Invalid: `target` exists.
            NoSpace, Unavailable.
        """
        ...


def clip(records: Sequence[tuple[bytes, bytes]], after: bytes) -> FeedPage:
    """A page of `records`, whose cursor is the last one's or `after` when there is none."""
    return FeedPage(records, records[-1][0] if records else after)
