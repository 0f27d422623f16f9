"""The engine's own rows: keys that start with 0xff, which no user's key may.

    ff 'v'                              format version of the directory, u32
    ff 'e'                              epoch, u32
    ff 'b'                              in a backup only: what it is a copy of (`CopyInfo`); gone after the first open
    ff 'f' ‖ len u8 ‖ name ‖ stamp      a feed record; the stamp is its cursor
    ff 't' ‖ name                       the stamp of the last record trimmed from a feed
    ff 'n' ‖ name                       how many records a feed holds, u64

Integers are big-endian. Pure functions. Format: docs/formats/meta-lmdb.md.
"""

from __future__ import annotations

import struct
from typing import Any

from isotherm.errors import CursorExpired, Invalid
from isotherm.meta.port import FEED_BYTES, KEY_BYTES, STAMP_BYTES, VALUE_BYTES

FORMAT = 1
RESERVED = b"\xff"

VERSION_KEY = b"\xffv"
EPOCH_KEY = b"\xffe"
COPY_KEY = b"\xffb"

U32 = struct.Struct(">I")
U64 = struct.Struct(">Q")
COUNTER = struct.Struct("<q")
_COUNTER_LEAST, _COUNTER_MOST = -(1 << 63), (1 << 63) - 1
STAMP = struct.Struct(">IQI")

LAST_N = 0xFFFFFFFF


def feed_prefix(feed: bytes) -> bytes:
    return b"\xfff" + bytes((len(feed),)) + feed


def floor_key(feed: bytes) -> bytes:
    return b"\xfft" + feed


def count_key(feed: bytes) -> bytes:
    return b"\xffn" + feed


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
    if stored is None:
        total = delta
    elif len(stored) == COUNTER.size:
        total = COUNTER.unpack(stored)[0] + delta
    else:
        raise Invalid(f"a value of {len(stored)} bytes is no counter")
    if not _COUNTER_LEAST <= total <= _COUNTER_MOST:
        raise Invalid("a counter has 64 bits")
    return COUNTER.pack(total) if total else None


def epoch_of(txn: Any) -> int:
    """The epoch as an open LMDB transaction sees it."""
    epoch: int = U32.unpack(txn.get(EPOCH_KEY))[0]
    return epoch
