"""What a transaction hands to the committer: what it read, and what it writes. Also the wire format to another process.

A *member* is one transaction within a batch. Its outcome is the stamp of its ordinal 0, None when something it read has
changed (run it again), or an error. Pure data; made by `recording.py`, judged and applied by `committer.py`.
"""

from __future__ import annotations

import msgspec

from isotherm.errors import Invalid
from isotherm.meta import rules
from isotherm.meta.port import STAMP_BYTES, TRANSACTION_BYTES, Pairs, account_rows

EPOCH_STEP_MOST = 1 << 16
STAMPS_MOST = 1 << 20  # of a transaction, so that a batch of 512 never runs out of numbers
TRIM_MOST = 10_000


class RangeRead(msgspec.Struct, frozen=True, array_like=True, gc=False):
    start: bytes
    end: bytes
    limit: int
    reverse: bool
    pairs: Pairs


class Member(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Ordinals count this transaction's stamps from 0; a key is in at most one of `writes`, `stamped` and `adds`.

    reads: key → value seen, None where there was none.
    writes: key → value, None to delete.
    stamped: key → (ordinal, value).
    placed: (prefix, ordinal, value) of `put_at`.
    appends: (feed, ordinal, value).
    losses: how often it has lost to a conflict already.
    charges: account → (delta, the most that it may then have or None).
    """

    reads: dict[bytes, bytes | None]
    ranges: list[RangeRead]
    writes: dict[bytes, bytes | None]
    stamped: dict[bytes, tuple[int, bytes]]
    placed: list[tuple[bytes, int, bytes]]
    adds: dict[bytes, int]
    appends: list[tuple[bytes, int, bytes]]
    stamps: int
    size_bytes: int
    losses: int = 0
    charges: dict[bytes, tuple[int, int | None]] = {}


class Trim(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Remove at most `most` of the oldest records of `feed`, so that `keep` remain, and none after `upto`, unless that is empty."""

    feed: bytes
    keep: int
    most: int
    upto: bytes = b""
    size_bytes: int = 0
    losses: int = 0


class NewEpoch(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """Raise the store's epoch by `step`."""

    step: int
    size_bytes: int = 0
    losses: int = 0


Request = Member | Trim | NewEpoch
Outcome = bytes | int | None | BaseException
"""A `Member`'s base stamp or None for a conflict; a `Trim`'s count of records removed; the new epoch; or an error."""


def check(request: Request) -> None:
    """Whether a request from another process keeps the limits that `Transaction` keeps by itself. Raises `Invalid`."""
    if isinstance(request, NewEpoch):
        if not 1 <= request.step <= EPOCH_STEP_MOST:
            raise Invalid("an epoch grows by small steps")
        return
    if isinstance(request, Trim):
        rules.check_feed(request.feed)
        if len(request.upto) not in (0, STAMP_BYTES) or request.keep < 0 or not 0 <= request.most <= TRIM_MOST:
            raise Invalid(f"a trim removes up to {TRIM_MOST} records at once")
        return
    for keys in (request.reads, request.writes, request.stamped, request.adds):
        for key in keys:
            rules.check_key(key)
    for account in request.charges:
        account_rows(account)
    for value in request.writes.values():
        rules.check_value(value or b"")
    for read in request.ranges:
        if read.end > rules.RESERVED:
            raise Invalid("a range ends before the reserved keys")
    ordinals = [ordinal for ordinal, _ in request.stamped.values()]
    for _, value in request.stamped.values():
        rules.check_value(value)
    for prefix, ordinal, value in request.placed:
        rules.check_key(prefix + bytes(16))
        rules.check_value(value)
        ordinals.append(ordinal)
    for feed, ordinal, value in request.appends:
        rules.check_feed(feed)
        rules.check_value(value)
        ordinals.append(ordinal)
    if not 0 <= request.stamps <= STAMPS_MOST or request.size_bytes < 0:
        raise Invalid("a transaction counts its stamps and bytes")
    if any(not 0 <= ordinal < request.stamps for ordinal in ordinals):
        raise Invalid("an ordinal was not given out by its transaction")
    if size_of(request) > TRANSACTION_BYTES:
        raise Invalid(f"a transaction has at most {TRANSACTION_BYTES} bytes")


def size_of(member: Member) -> int:
    """Bytes of the keys and values a transaction read and wrote."""
    return (
        sum(len(key) + len(value or b"") for key, value in member.reads.items())
        + sum(len(key) + len(value) for read in member.ranges for key, value in read.pairs)
        + sum(len(key) + len(value or b"") for key, value in member.writes.items())
        + sum(len(key) + len(value) + 16 for key, (_, value) in member.stamped.items())
        + sum(len(prefix) + len(value) + 32 for prefix, _, value in member.placed)
        + sum(len(key) + 8 for key in member.adds)
        + sum(len(account) + 16 for account in member.charges)
        + sum(len(feed) + len(value) + 16 for feed, _, value in member.appends)
    )
