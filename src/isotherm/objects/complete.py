"""Completing a multipart upload: one transaction that checks the list, refers to the parts and adds the version."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from isotherm.errors import Invalid, NotFound
from isotherm.meta.port import Transaction
from isotherm.objects.checksums import compose_checksum, compose_etag, supports_full_object
from isotherm.objects.conditions import check_write, demand_sound
from isotherm.objects.context import Context
from isotherm.objects.layout import live_row, manifest_row, part_owner, part_row
from isotherm.objects.model import (
    OBJECT_BYTES_MOST,
    PARTS_MOST,
    Checksum,
    Condition,
    Part,
    Upload,
    Version,
)
from isotherm.objects.multipart import find_upload, parse_upload_id, read_parts
from isotherm.objects.names import encode_key
from isotherm.objects.records import Record, as_version, decode_record, encode_index
from isotherm.objects.tagging import plan_tags
from isotherm.objects.write import Draft, add_version

Named = Sequence[tuple[int, str, Checksum | None]]


async def complete(
    context: Context,
    bucket_name: str,
    key: str,
    upload_id: str,
    named: Named,
    condition: Condition,
    checksum: Checksum | None,
    size: int | None,
) -> Version:
    """See `Space.complete_upload`."""
    demand_sound(condition)
    raw_key = encode_key(key)
    manifest = parse_upload_id(upload_id)
    reference = context.ids.token(8)

    async def commit(txn: Transaction) -> Record:
        bucket = await context.bucket(txn, bucket_name)
        try:
            row, upload = await find_upload(context, txn, bucket_name, key, upload_id)
        except NotFound:
            done = await _completed_before(context, txn, live_row(context.tenant, bucket.id, raw_key), manifest, named)
            if done is None:
                raise
            return done
        if condition.if_match is not None or condition.if_none_match is not None:
            live = await txn.get(live_row(context.tenant, bucket.id, raw_key))
            check_write(condition, decode_record(live) if live is not None else None, key)
        stored = await read_parts(context.tenant, txn, manifest)
        chosen = _choose(named, stored, context.part_bytes_least)
        total = sum(part.size for part in chosen)
        composed = _check_whole(upload, chosen, total, checksum, size)
        await _drop_unnamed(context, txn, manifest, stored, chosen)
        txn.delete(row)
        txn.put(manifest_row(context.tenant, manifest), encode_index([(part.number, part.size) for part in chosen]))
        tag_rows = plan_tags(context, upload.tags)
        record = Record(
            0,
            total,
            context.clock.now_ms(),
            compose_etag(chosen),
            len(chosen),
            len(chosen),
            reference,
            len(upload.tags),
            (),
            manifest,
            tag_rows.tag_set,
            upload.attributes,
            tag_rows.inline,
            composed,
        )
        parts_bytes = sum(part.size for part in stored)
        return await add_version(context, txn, bucket, key, Draft(record, tag_rows), condition, parts_bytes)

    added, committed = await context.meta.transact(commit)
    return as_version(added if added.stamp else replace(added, stamp=committed.base), key, latest=True)


async def _completed_before(
    context: Context, txn: Transaction, live: bytes, manifest: bytes, named: Named
) -> Record | None:
    """The current version if it is what this very request made: its reply was lost, and the client asks again."""
    row = await txn.get(live)
    record = decode_record(row) if row is not None else None
    if record is None or record.manifest != manifest:
        return None
    stored = await read_parts(context.tenant, txn, manifest)
    chosen = _choose(named, stored, context.part_bytes_least)
    return record if len(chosen) == len(stored) else None


def _choose(named: Named, parts: Sequence[Part], part_bytes_least: int) -> list[Part]:
    stored = {part.number: part for part in parts}
    if not named:
        raise Invalid(
            "The XML you provided was not well-formed or did not validate against our published schema",
            code="MalformedXML",
        )
    if len(named) > PARTS_MOST:
        raise Invalid(f"An upload has at most {PARTS_MOST} parts.", code="InvalidArgument")
    chosen: list[Part] = []
    for number, etag, checksum in named:
        if chosen and number <= chosen[-1].number:
            raise Invalid(
                "The list of parts was not in ascending order. Parts must be ordered by part number.",
                code="InvalidPartOrder",
            )
        part = stored.get(number)
        if part is None or part.etag != etag or (checksum is not None and checksum != part.checksum):
            raise Invalid(
                "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
                "specified entity tag may not match the part's entity tag.",
                code="InvalidPart",
                PartNumber=number,
                ETag=etag,
            )
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size < part_bytes_least:
            raise Invalid(
                "Your proposed upload is smaller than the minimum allowed size",
                code="EntityTooSmall",
                ProposedSize=part.size,
                MinSizeAllowed=part_bytes_least,
                PartNumber=part.number,
                ETag=part.etag,
            )
    return chosen


def _check_whole(
    upload: Upload, chosen: list[Part], total: int, expected: Checksum | None, size: int | None
) -> Checksum | None:
    """The checksum of the whole, compared with what the client expects of it."""
    if total > OBJECT_BYTES_MOST:
        raise Invalid("Your proposed upload exceeds the maximum allowed size.", code="EntityTooLarge")
    if size is not None and size != total:
        raise Invalid(
            f"The provided 'x-amz-mp-object-size' header value {size} does not match what was computed: {total}",
            code="InvalidRequest",
        )
    algorithm, full_object = upload.algorithm, upload.full_object
    if algorithm is None:
        if expected is None:
            return None
        algorithm = expected.algorithm
        full_object = not expected.parts and supports_full_object(algorithm)
        if any(part.checksum is None or part.checksum.algorithm is not algorithm for part in chosen):
            raise Invalid(
                "Checksum Type mismatch occurred, expected checksum Type: null, "
                f"actual checksum Type: {algorithm.value.lower()}",
                code="InvalidRequest",
            )
    composed = compose_checksum(algorithm, chosen, full_object=full_object)
    if expected is not None and (
        (expected.algorithm, expected.value) != (composed.algorithm, composed.value)
        or expected.parts not in (0, composed.parts)
    ):
        raise Invalid(
            f"The {expected.algorithm.value} you specified did not match the calculated checksum.", code="BadDigest"
        )
    return composed


async def _drop_unnamed(
    context: Context, txn: Transaction, manifest: bytes, stored: Sequence[Part], chosen: Sequence[Part]
) -> None:
    kept = {part.number for part in chosen}
    for part in stored:
        if part.number not in kept:
            owner = part_owner(context.tenant, manifest, part.number)
            await context.segments.discard(txn, part.extents, owner)
            txn.delete(part_row(context.tenant, manifest, part.number))
