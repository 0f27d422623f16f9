"""That a bucket and a metadata store belong together: a random id in both, compared at every opening.

    A    → id (16): this store keeps its segments in a bucket, the one whose object `isotherm.json` names the id

Without it a mistyped prefix would mix two stores, and each would take the other's segments for strangers and remove them.

A coroutine for any loop, or none; the bucket is asked through `offload`.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from isotherm.devices.waiting import offload
from isotherm.errors import AlreadyExists, Corrupt, Invalid, NotFound, VersionMismatch
from isotherm.ids import Ids
from isotherm.meta.port import Meta, Reader, Transaction
from isotherm.segments.accounting import segment_rows
from isotherm.segments.remote.bucket import Bucket

ANCHOR = bytes(4) + b"A"
MARK = "isotherm.json"
_VERSION = 1
_ID_BYTES = 16
_MARK_BYTES_MOST = 4_096


class _Mark(msgspec.Struct, frozen=True):
    """`isotherm.json`: what lies in this bucket, under this prefix."""

    format: int
    segments_of: str


async def anchored(reader: Reader) -> bool:
    """Whether this store keeps its segments in a bucket."""
    return await reader.get(ANCHOR) is not None


async def anchor(bucket: Bucket, meta: Meta, ids: Ids) -> None:
    """Make sure that they belong together; the first time, say so in both.

    Raises:
        Invalid: the bucket holds another store's segments, or the metadata knows segments that are not in it.
        VersionMismatch: the bucket is of another version. Unavailable: it cannot be reached.
    """
    store = await _store_id(meta, ids)
    wanted = _Mark(_VERSION, store.hex())
    mark = await offload(_read, bucket)
    if mark is None:
        if await segment_rows(meta, limit=1):
            raise Invalid(f"{bucket.label} holds no {MARK}: it is not where this store keeps its segments")
        with suppress(AlreadyExists):
            await offload(bucket.create, MARK, msgspec.json.encode(wanted))
        mark = await offload(_read, bucket)
    if mark is None or mark.segments_of != wanted.segments_of:
        raise Invalid(f"{bucket.label} holds the segments of another store; name another bucket or prefix")


async def _store_id(meta: Meta, ids: Ids) -> bytes:
    async def choose(txn: Transaction) -> bytes:
        found = await txn.get(ANCHOR)
        if found is not None:
            return found
        if await segment_rows(txn, limit=1):
            raise Invalid("this store keeps its segments in its own directories; it cannot be opened with a bucket")
        made = ids.token(_ID_BYTES)
        txn.put(ANCHOR, made)
        return made

    return (await meta.transact(choose))[0]


def _read(bucket: Bucket) -> _Mark | None:
    try:
        mark = msgspec.json.decode(bucket.read(MARK, 0, _MARK_BYTES_MOST), type=_Mark)
    except NotFound:
        return None
    except (msgspec.DecodeError, Corrupt) as error:
        raise Invalid(f"{MARK} in {bucket.label} was not written by this program") from error
    if mark.format != _VERSION:
        raise VersionMismatch(f"{bucket.label} is of format {mark.format}; this program knows {_VERSION}")
    return mark
