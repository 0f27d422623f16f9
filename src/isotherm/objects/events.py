"""The change feed of objects: its records and how a tenant reads them.

A record is appended in the transaction it tells of; its cursor is the stamp of that commit and, for a new version, the
version's id. Format: docs/formats/feed.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from isotherm.errors import CursorExpired, Invalid
from isotherm.meta.port import Ordinal, Transaction
from isotherm.objects.context import Context
from isotherm.objects.layout import FEED, version_id
from isotherm.objects.model import Bucket, Change
from isotherm.objects.names import check_limit, encode_text

_VERSION = 1
OWN_STAMP = ""  # the version is the one this commit made


class _Event(msgspec.Struct, array_like=True, frozen=True, gc=False):
    version: int
    tenant: int
    kind: str
    bucket: str
    key: str = ""
    version_id: str = OWN_STAMP
    size: int = 0
    etag: str = ""


_encode = msgspec.msgpack.Encoder().encode
decode_event = msgspec.msgpack.Decoder(_Event).decode


def record(
    txn: Transaction,
    tenant: int,
    kind: str,
    bucket: Bucket,
    key: str = "",
    *,
    version_id: str = OWN_STAMP,
    size: int = 0,
    etag: str = "",
) -> Ordinal:
    """Append a record; the ordinal is that of its stamp."""
    return txn.append(FEED, _encode(_Event(_VERSION, tenant, kind, bucket.name, key, version_id, size, etag)))


async def changes(
    context: Context, after: str | None, *, bucket: str | None, prefix: str, limit: int
) -> tuple[Sequence[Change], str]:
    """See `Space.changes`."""
    limit = check_limit(limit)
    if bucket is not None:
        encode_text(bucket)
    encode_text(prefix)
    try:
        cursor = bytes.fromhex(after) if after else None
    except (ValueError, TypeError):
        raise Invalid("A cursor is 32 hexadecimal digits.", code="InvalidArgument", cursor=after) from None
    if cursor is not None and len(cursor) != 16:
        raise Invalid("A cursor is 32 hexadecimal digits.", code="InvalidArgument", cursor=after)
    page = await context.meta.feed(FEED, cursor, limit)
    found = []
    for stamp, value in page.records:
        try:
            event = decode_event(value)
        except ValueError:  # nobody can follow past it, however often he asks
            raise CursorExpired(f"The feed's record {stamp.hex()} is damaged; take a snapshot.") from None
        if event.version != _VERSION:
            raise CursorExpired("The feed holds records of another format; take a snapshot.")
        if event.tenant != context.tenant or (bucket is not None and event.bucket != bucket):
            continue
        if prefix and not event.key.startswith(prefix):
            continue
        named = event.version_id or (version_id(stamp, False) if event.kind in ("put", "marker") else "")
        found.append(Change(stamp.hex(), event.kind, event.bucket, event.key, named, event.size, event.etag))
    return found, page.cursor.hex()
