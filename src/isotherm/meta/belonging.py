"""Whose metadata a database holds: the one row by which a store that lies elsewhere is known again.

A data directory and its database both carry the store's id. The row is written once, by whoever comes first, and decides.
Nothing here knows of directories. Coroutines for any engine and loop.
"""

from __future__ import annotations

import msgspec

from isotherm.errors import Corrupt
from isotherm.meta.port import Reader, Transaction

ROW = b"\0\0\0\0I"  # table I of the system tenant
_VERSION = b"\x01"


class Belonging(msgspec.Struct, frozen=True):
    """The store of a database.

    Args:
        store: its id, 32 hexadecimal digits.
        created_ms: when it was made.
        segments: "local", or the URL of the place that all nodes share.
        root_key: `credential_record.key_id` of the root key that seals its credentials, hexadecimal.
    """

    store: str
    created_ms: int
    segments: str
    root_key: str


async def belonging(reader: Reader) -> Belonging | None:
    """What the database says of its store; None where it holds none. Raises Corrupt."""
    stored = await reader.get(ROW)
    if stored is None:
        return None
    try:
        if stored[:1] != _VERSION:
            raise ValueError(f"its version is {stored[:1].hex()}")
        return msgspec.json.decode(stored[1:], type=Belonging)
    except (ValueError, msgspec.MsgspecError) as error:
        raise Corrupt(f"the database's row of its store cannot be read: {error}") from error


async def claim(txn: Transaction, ours: Belonging) -> Belonging:
    """Within a transaction: make a database that belongs to nobody `ours`; returns whose it is."""
    theirs = await belonging(txn)
    if theirs is None:
        txn.put(ROW, _VERSION + msgspec.json.encode(ours))
        return ours
    return theirs
