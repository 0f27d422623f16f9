"""COPY: a new version that refers to the same bytes."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from isotherm.devices.waiting import offload
from isotherm.errors import Conflicted, Invalid
from isotherm.meta.port import Transaction
from isotherm.objects.checksums import Digester
from isotherm.objects.conditions import check_read, demand_sound
from isotherm.objects.context import Context
from isotherm.objects.layout import manifest_references, object_owner
from isotherm.objects.locate import locate, naming_source
from isotherm.objects.model import (
    Algorithm,
    Attributes,
    Checksum,
    Condition,
    ReadCondition,
    Version,
)
from isotherm.objects.names import check_attributes, check_tags, encode_key
from isotherm.objects.read import open_version
from isotherm.objects.records import SHARED, Record, as_version, decode_record
from isotherm.objects.tagging import plan_tags, read_tags
from isotherm.objects.write import Draft, add_version

Source = tuple[str, str, str | None]
"""(bucket, key, version id)"""


async def copy(
    context: Context,
    source: Source,
    bucket_name: str,
    key: str,
    source_condition: ReadCondition | None,
    attributes: Attributes | None,
    tags: Mapping[str, str] | None,
    condition: Condition,
    algorithm: Algorithm | None,
) -> Version:
    """See `Space.copy`."""
    demand_sound(condition)
    raw_key = encode_key(key)
    if tags is not None:
        check_tags(tags, raw_key)
    if attributes is not None:
        check_attributes(attributes)
    if source == (bucket_name, key, None) and attributes is None:
        raise Invalid(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
            code="InvalidRequest",
        )
    checksum, checked = await _checksum_of(context, source, algorithm)
    reference = context.ids.token(8)

    async def commit(txn: Transaction) -> Record:
        with naming_source():
            row, live = await locate(context, txn, *source)
        origin = decode_record(row)
        if source_condition is not None:
            check_read(source_condition, as_version(origin, source[1], latest=live))
        if checked not in (None, origin.stamp):
            raise Conflicted("The source changed while its checksum was computed; try again.")
        target = await context.bucket(txn, bucket_name)
        await _share(
            context,
            txn,
            source,
            origin,
            object_owner(context.tenant, target.id, reference, raw_key),
            reference,
            live=live,
        )
        carried = tags if tags is not None else await read_tags(context, txn, origin)
        check_tags(carried, raw_key)
        tag_rows = plan_tags(context, carried)
        draft = replace(
            origin,
            flags=SHARED,
            modified_ms=context.clock.now_ms(),
            reference=reference,
            tag_count=len(tag_rows.tags),
            tags=tag_rows.inline,
            tag_set=tag_rows.tag_set,
            attributes=attributes if attributes is not None else origin.attributes,
            checksum=checksum or origin.checksum,
            stamp=b"",
        )
        return await add_version(context, txn, target, key, Draft(draft, tag_rows), condition)

    added, committed = await context.meta.transact(commit)
    return as_version(replace(added, stamp=committed.base), key, latest=True)


async def _share(
    context: Context,
    txn: Transaction,
    source: Source,
    origin: Record,
    owner: bytes,
    reference: bytes,
    *,
    live: bool,
) -> None:
    """Rows that say both versions refer to the bytes; the source's record is marked so that its removal looks there."""
    bucket = await context.bucket(txn, source[0])
    raw_key = encode_key(source[1])
    if origin.extents:
        origin_owner = object_owner(context.tenant, bucket.id, origin.reference, raw_key)
        await context.segments.share(txn, origin.extents, origin_owner, owner)
    if origin.manifest:
        prefix = manifest_references(context.tenant, origin.manifest)
        txn.put(prefix + origin.reference, b"")
        txn.put(prefix + reference, b"")
    if not origin.flags & SHARED:
        marked = replace(origin, flags=origin.flags | SHARED)
        context.history(txn, bucket, raw_key).rewrite(marked, live=live)


async def _checksum_of(
    context: Context, source: Source, algorithm: Algorithm | None
) -> tuple[Checksum | None, bytes | None]:
    """A checksum the source does not have yet, and the stamp of the version it was computed of."""
    if algorithm is None:
        return None, None
    with naming_source():
        opened = await open_version(context, *source, None)
    with opened as reading:
        version = reading.version
        if version.checksum is not None and version.checksum.algorithm is algorithm:
            return None, None
        digester = Digester(algorithm, md5=False)
        async for piece in reading.chunks(0, version.size):
            await offload(digester.update, piece)
    return digester.checksum, version.stamp
