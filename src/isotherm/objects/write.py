"""PUT: bytes first, then the truth about them.

    body → extents (bodies.py) → one transaction: version, tags, index, feed → the reply

A transaction commits only when the extents are durable; a small body's bytes become so on the committer's own thread, just
before it commits: everybody who waits for one commit shares one write and one sync of bytes as well.

Bytes are live from the transaction that refers to them: a body that was written but not committed (a condition failed,
the bucket went, the process died) is dead weight that compaction removes.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from isotherm.errors import OverQuota
from isotherm.meta.port import Transaction
from isotherm.objects import events
from isotherm.objects.bodies import Stored, is_small, store
from isotherm.objects.conditions import check_write, demand_sound
from isotherm.objects.context import Context
from isotherm.objects.layout import live_row, manifest_row, object_owner, part_owner, part_row
from isotherm.objects.model import (
    PART_BYTES_MOST,
    Attributes,
    Body,
    Bucket,
    Condition,
    Digests,
    Part,
    Version,
    Versioning,
)
from isotherm.objects.names import check_attributes, check_tags, encode_key
from isotherm.objects.records import (
    NO_ID,
    Record,
    as_version,
    decode_record,
    encode_index,
    encode_part,
    etag_text,
    is_null,
)
from isotherm.objects.tagging import TagRows, plan_tags
from isotherm.segments.port import Buffer

EARLY_BYTES_LEAST = 1 << 20
"""From here on a body is refused before it has travelled, where there is no room for it."""


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A version about to be added: its record but for the stamp, and its tags."""

    record: Record
    tags: TagRows


async def put(
    context: Context,
    bucket_name: str,
    key: str,
    body: Buffer | Body,
    attributes: Attributes,
    tags: Mapping[str, str],
    condition: Condition,
    digests: Digests,
) -> Version:
    """See `Space.put`."""
    demand_sound(condition)
    raw_key = encode_key(key)
    check_tags(tags, raw_key)
    check_attributes(attributes)
    bucket = await context.bucket(context.meta, bucket_name)
    if condition.if_match is not None or condition.if_none_match is not None:
        row = await context.meta.get(live_row(context.tenant, bucket.id, raw_key))
        check_write(condition, decode_record(row) if row is not None else None, key)
    if isinstance(body, Body) and body.size is not None and body.size > EARLY_BYTES_LEAST:
        await _demand_room(context, bucket, raw_key, body.size)
    reference = context.ids.token(8)
    manifest = NO_ID if is_small(body) else context.ids.token(16)
    if manifest:
        owner = part_owner(context.tenant, manifest, 1)
    else:
        owner = object_owner(context.tenant, bucket.id, reference, raw_key)
    stored = await store(context.segments, owner, body, digests, PART_BYTES_MOST)
    etag, etag_parts = etag_of(context, stored)
    tag_rows = plan_tags(context, tags)
    record = Record(
        0,
        stored.size,
        context.clock.now_ms(),
        etag,
        etag_parts,
        0,
        reference,
        len(tags),
        () if manifest else stored.extents,
        manifest,
        tag_rows.tag_set,
        attributes,
        tag_rows.inline,
        stored.checksum,
    )

    async def commit(txn: Transaction) -> Record:
        await stored.refer(context.segments, txn)
        if manifest:
            _put_manifest(context, txn, record, stored)
        return await add_version(context, txn, bucket, key, Draft(record, tag_rows), condition)

    added, committed = await context.meta.transact(commit)
    return as_version(replace(added, stamp=committed.base), key, latest=True)


async def add_version(
    context: Context,
    txn: Transaction,
    expected: Bucket,
    key: str,
    draft: Draft,
    condition: Condition,
    upload_bytes: int | None = None,
) -> Record:
    """Within a transaction: check the condition and make the draft the newest version. Its stamp is the first of `txn`.

    Args:
        upload_bytes: of all parts of the upload that ends with this; None where there is none.

    Raises:
        NotFound(NoSuchBucket): also when the bucket was removed and created anew since `expected` was read.
        OverQuota: at the commit.
    """
    bucket = await context.bucket_still(txn, expected)
    raw_key = key.encode()
    history = context.history(txn, bucket, raw_key)
    live = await history.live()
    if condition.if_match is not None or condition.if_none_match is not None:
        check_write(condition, decode_record(live) if live is not None else None, key)
    record = draft.record
    null = "" if bucket.versioning.value == 1 else "null"
    etag = etag_text(record.etag, record.etag_parts)
    stamp = events.record(txn, context.tenant, "put", bucket, key, version_id=null, size=record.size, etag=etag)
    draft.tags.write(txn, context.tenant, bucket.id, raw_key, stamp)
    added = await history.add(record, stamp, live)
    if upload_bytes is not None:
        history.tally.ended(upload_bytes)
    await context.charge(txn, bucket, raw_key, history.tally)
    return added


async def _demand_room(context: Context, bucket: Bucket, key: bytes, size_bytes: int) -> None:
    """Raises OverQuota where a body would be refused as things are now, what it replaces given back."""
    try:
        await context.quota.demand_room(context.meta, context.tenant, size_bytes)
    except OverQuota:
        row = await context.meta.get(live_row(context.tenant, bucket.id, key))
        if row is None or bucket.versioning is Versioning.ENABLED or not is_null(row):
            raise
        await context.quota.demand_room(context.meta, context.tenant, size_bytes - decode_record(row).size)


def etag_of(context: Context, stored: Stored) -> tuple[bytes, int]:
    """(digest, parts): the MD5 where one was computed, else opaque bytes in the form clients know not to be an MD5."""
    if stored.md5 is not None:
        return stored.md5, 0
    return context.ids.token(16), 1


def _put_manifest(context: Context, txn: Transaction, record: Record, stored: Stored) -> None:
    """A streamed body is a manifest of one part, so that its extents name an owner that copies can share."""
    part = Part(1, stored.size, record.modified_ms, "", None, stored.extents)
    txn.put(part_row(context.tenant, record.manifest, 1), encode_part(part, record.etag, record.etag_parts))
    txn.put(manifest_row(context.tenant, record.manifest), encode_index([(1, stored.size)]))
