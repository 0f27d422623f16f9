"""Buckets: a flat, ordered set of keys each, with a versioning state and tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from isotherm.errors import AlreadyExists, Invalid, NotEmpty
from isotherm.meta.port import Reader, Transaction
from isotherm.objects import events
from isotherm.objects.aborting import drop_upload
from isotherm.objects.context import Context
from isotherm.objects.layout import (
    bucket_name_row,
    bucket_row,
    key_of_upload,
    live_table,
    successor,
    table,
    uploads_table,
    versions_table,
)
from isotherm.objects.model import BUCKET_NAME_MOST, PARTS_MOST, Bucket, Versioning
from isotherm.objects.names import check_bucket, check_limit, check_tags, encode_text
from isotherm.objects.records import decode_bucket, encode_bucket
from isotherm.tenancy.grants import Buckets
from isotherm.tenancy.mounts import demand_no_alias
from isotherm.tenancy.tree_reading import demand_room
from isotherm.tenancy.usage import Tally

_UPLOADS_A_TRANSACTION = 1_000


async def create(context: Context, name: str) -> Bucket:
    check_bucket(name)
    identity = int.from_bytes(context.ids.token(8), "big") >> 1
    bucket = Bucket(identity, name, context.clock.now_ms(), Versioning.UNVERSIONED)

    async def commit(txn: Transaction) -> None:
        if await txn.get(bucket_row(context.tenant, name)) is not None:
            raise AlreadyExists(
                "Your previous request to create the named bucket succeeded and you already own it.",
                code="BucketAlreadyOwnedByYou",
                BucketName=name,
            )
        await demand_no_alias(txn, context.tenant, name)
        await demand_room(txn, context.tenant)  # so that a tenant is never deleted while a bucket is being made in it
        txn.put(bucket_row(context.tenant, name), encode_bucket(bucket))
        txn.put(bucket_name_row(context.tenant, identity), name.encode())
        events.record(txn, context.tenant, "bucket-created", bucket)

    await context.meta.transact(commit)
    return bucket


async def delete(context: Context, name: str) -> None:
    while not await _delete_some(context, name):
        continue


async def _delete_some(context: Context, name: str) -> bool:
    """Abort some open uploads; when none is left, remove the bucket and return True."""

    async def commit(txn: Transaction) -> bool:
        bucket = await context.bucket(txn, name)
        for rows in (live_table(context.tenant, bucket.id), versions_table(context.tenant, bucket.id)):
            if await txn.range(rows, successor(rows), 1):
                raise NotEmpty("The bucket you tried to delete is not empty.", BucketName=name)
        prefix = uploads_table(context.tenant, bucket.id)
        uploads = await txn.range(prefix, successor(prefix), _UPLOADS_A_TRANSACTION)
        parts = 0
        for row, _ in uploads:
            if parts >= PARTS_MOST:  # what a transaction has read, too, is bounded
                return False
            tally = Tally()
            parts += await drop_upload(txn, context.tenant, row, tally)
            await context.charge(txn, bucket, key_of_upload(row), tally)
        if len(uploads) == _UPLOADS_A_TRANSACTION:
            return False
        txn.delete(bucket_row(context.tenant, name))
        txn.delete(bucket_name_row(context.tenant, bucket.id))
        events.record(txn, context.tenant, "bucket-deleted", bucket)
        return True

    done, _ = await context.meta.transact(commit)
    return done


async def page(context: Context, *, prefix: str, after: str, limit: int) -> list[Bucket]:
    limit = check_limit(limit)
    encode_text(prefix), encode_text(after)
    start = bucket_row(context.tenant, max(prefix, after + "\0" if after else ""))
    end = successor(bucket_row(context.tenant, prefix))
    rows = await context.meta.range(start, end, limit)
    at = len(table(context.tenant, b"B"))
    return [decode_bucket(value, key[at:].decode()) for key, value in rows]


async def set_versioning(context: Context, name: str, versioning: Versioning) -> None:
    if not isinstance(versioning, Versioning):
        raise Invalid(f"Versioning is one of {', '.join(Versioning.__members__)}.", code="InvalidArgument")
    if versioning is Versioning.UNVERSIONED:
        raise Invalid("Versioning can be suspended, not taken back.", code="IllegalVersioningConfigurationException")

    def changed(bucket: Bucket) -> Bucket:
        return replace(bucket, versioning=versioning)

    await _change(context, name, "versioning", changed)


async def set_tags(context: Context, name: str, tags: Mapping[str, str]) -> None:
    check_tags(tags)

    def changed(bucket: Bucket) -> Bucket:
        return replace(bucket, tags=dict(tags))

    await _change(context, name, "bucket-tags", changed)


async def _change(context: Context, name: str, kind: str, changed: Callable[[Bucket], Bucket]) -> None:
    async def commit(txn: Transaction) -> None:
        bucket = changed(await context.bucket(txn, name))
        txn.put(bucket_row(context.tenant, name), encode_bucket(bucket))
        events.record(txn, context.tenant, kind, bucket)

    await context.meta.transact(commit)


async def names(context: Context, reader: Reader) -> dict[int, str]:
    """Bucket ids to names."""
    prefix = table(context.tenant, b"b")
    rows = await reader.range(prefix, successor(prefix), 1_000_000)
    return {int.from_bytes(key[-8:], "big"): value.decode() for key, value in rows}


async def identity(reader: Reader, tenant: int, name: str) -> int | None:
    """The id of a tenant's bucket; None where there is none of that name."""
    if len(name) > BUCKET_NAME_MOST:
        return None
    stored = await reader.get(bucket_row(tenant, name))
    return decode_bucket(stored, name).id if stored is not None else None


NAMED = Buckets(identity, check_bucket)
"""What the tenancy room asks of buckets."""
