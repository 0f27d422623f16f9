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

FORMAT = 1

VERSION_KEY = b"\xffv"
EPOCH_KEY = b"\xffe"
COPY_KEY = b"\xffb"

U32 = struct.Struct(">I")
U64 = struct.Struct(">Q")


def feed_prefix(feed: bytes) -> bytes:
    return b"\xfff" + bytes((len(feed),)) + feed


def floor_key(feed: bytes) -> bytes:
    return b"\xfft" + feed


def count_key(feed: bytes) -> bytes:
    return b"\xffn" + feed


def epoch_of(txn: Any) -> int:
    """The epoch as an open LMDB transaction sees it."""
    epoch: int = U32.unpack(txn.get(EPOCH_KEY))[0]
    return epoch
