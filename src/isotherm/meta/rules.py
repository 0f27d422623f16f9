"""Rules every engine of the `meta` port keeps alike: limits of keys, values and feeds, cursors, counters. Pure."""

from __future__ import annotations

import struct

from isotherm.errors import CursorExpired, Invalid, OverQuota
from isotherm.meta.port import FEED_BYTES, KEY_BYTES, STAMP_BYTES, VALUE_BYTES

RESERVED = b"\xff"
"""Keys from here on are the engine's own."""

STAMP = struct.Struct(">IQI")
LAST_N = 0xFFFFFFFF
COUNTER = struct.Struct("<q")
_COUNTER_LEAST, _COUNTER_MOST = -(1 << 63), (1 << 63) - 1


def check_key(key: bytes) -> None:
    """Raises `Invalid` for a key that no user may have."""
    if not key or len(key) > KEY_BYTES:
        raise Invalid(f"a key has 1 to {KEY_BYTES} bytes, not {len(key)}", code="KeyTooLongError")
    if key >= RESERVED:
        raise Invalid("keys that start with 0xff are reserved")


def check_value(value: bytes) -> None:
    if len(value) > VALUE_BYTES:
        raise Invalid(f"a value has at most {VALUE_BYTES} bytes, not {len(value)}")


def check_feed(feed: bytes) -> None:
    if not 1 <= len(feed) <= FEED_BYTES:
        raise Invalid(f"a feed's name has 1 to {FEED_BYTES} bytes, not {len(feed)}")


def check_cursor(cursor: bytes, epoch: int, newest_commit: int, floor: bytes | None) -> None:
    """Whether everything after `cursor` is still there to be read.

    Raises:
        Invalid: not a cursor.
        CursorExpired: of another epoch, of a history that was lost, or behind what was trimmed.
    """
    if len(cursor) != STAMP_BYTES:
        raise Invalid(f"a feed cursor has {STAMP_BYTES} bytes, not {len(cursor)}")
    of_epoch, commit, _ = STAMP.unpack(cursor)
    if of_epoch != epoch:
        raise CursorExpired(f"the cursor is of epoch {of_epoch}, the store is in epoch {epoch}; take a snapshot")
    if commit > newest_commit:
        raise CursorExpired("the cursor lies beyond the newest commit; take a snapshot")
    if floor is not None and cursor < floor:
        raise CursorExpired("records after the cursor have been trimmed; take a snapshot")


def added(stored: bytes | None, delta: int) -> bytes | None:
    """A counter after an addition; None when it is zero. Raises `Invalid` for what is no counter, and on overflow."""
    return counter(checked(count_of(stored) + delta))


def count_of(stored: bytes | None) -> int:
    """What a counter counts. Raises `Invalid` for what is no counter."""
    if stored is None:
        return 0
    if len(stored) != COUNTER.size:
        raise Invalid(f"a value of {len(stored)} bytes is no counter")
    count: int = COUNTER.unpack(stored)[0]
    return count


def charged(balance: int, delta: int, most: int | None) -> int:
    """An account's balance after a charge. Raises `OverQuota` beyond its bound, `Invalid` on overflow."""
    balance += delta
    if most is not None and balance > most and delta > 0:
        raise over_quota()
    return checked(balance)


def over_quota() -> OverQuota:
    """A refused charge. Whose account it is, and what bounds it, is told to those who may know by the rooms above."""
    return OverQuota("The quota of this tenant, or of one above it, does not allow it.")


def checked(count: int) -> int:
    """Raises `Invalid` on overflow."""
    if not _COUNTER_LEAST <= count <= _COUNTER_MOST:
        raise Invalid("a counter has 64 bits")
    return count


def counter(count: int) -> bytes | None:
    """The inverse of `count_of`."""
    return COUNTER.pack(count) if count else None
