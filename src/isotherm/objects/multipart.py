"""Multipart uploads: begun, filled part by part, listed, aborted. Completing them is complete.py's.

An upload's id is the id of the manifest its parts are written under, so that completing it only has to refer to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from isotherm.errors import Invalid, NotFound, OverQuota
from isotherm.meta.port import Reader, Transaction
from isotherm.objects.aborting import drop_upload
from isotherm.objects.bodies import store
from isotherm.objects.checksums import supports_full_object
from isotherm.objects.context import Context
from isotherm.objects.layout import part_owner, part_row, parts_of, upload_row
from isotherm.objects.locate import naming_source
from isotherm.objects.model import (
    PART_BYTES_MOST,
    PARTS_MOST,
    Algorithm,
    Attributes,
    Body,
    Digests,
    Part,
    ReadCondition,
    Upload,
    Version,
)
from isotherm.objects.names import check_attributes, check_limit, check_tags, encode_key
from isotherm.objects.read import open_version
from isotherm.objects.records import decode_part, decode_upload, encode_part, encode_upload, etag_text
from isotherm.objects.write import EARLY_BYTES_LEAST, etag_of
from isotherm.segments.port import Buffer
from isotherm.tenancy.usage import Tally

_TAGS_BYTES_MOST = 64_000  # they lie in the upload's row until it is complete


async def create(
    context: Context,
    bucket_name: str,
    key: str,
    attributes: Attributes,
    tags: Mapping[str, str],
    algorithm: Algorithm | None,
    full_object: bool,
) -> Upload:
    """See `Space.create_upload`."""
    raw_key = encode_key(key)
    if check_tags(tags, raw_key) > _TAGS_BYTES_MOST:
        raise Invalid(
            f"An upload takes at most {_TAGS_BYTES_MOST} bytes of tags: set more when it is complete.",
            code="EntityTooLarge",
        )
    check_attributes(attributes)
    if full_object and (algorithm is None or not supports_full_object(algorithm)):
        raise Invalid(
            "The FULL_OBJECT checksum type cannot be used with this checksum algorithm.", code="InvalidRequest"
        )
    started_ms = context.clock.now_ms()
    # the time comes first so that the uploads of a key are listed as they began; only the rest must be unique
    identity = (started_ms & ((1 << 48) - 1)).to_bytes(6, "big") + context.ids.token(10)
    upload = Upload(identity.hex(), key, started_ms, attributes, tags, algorithm, full_object)

    async def commit(txn: Transaction) -> None:
        bucket = await context.bucket(txn, bucket_name)
        txn.put(upload_row(context.tenant, bucket.id, raw_key, identity), encode_upload(upload))
        tally = Tally()
        tally.begun()
        await context.charge(txn, bucket, raw_key, tally)

    await context.meta.transact(commit)
    return upload


async def find_upload(
    context: Context, reader: Reader, bucket_name: str, key: str, upload_id: str
) -> tuple[bytes, Upload]:
    """(the upload's row key, the upload). Raises NotFound(NoSuchBucket | NoSuchUpload)."""
    bucket = await context.bucket(reader, bucket_name)
    row = upload_row(context.tenant, bucket.id, encode_key(key), parse_upload_id(upload_id))
    value = await reader.get(row)
    if value is None:
        raise _no_such_upload(upload_id)
    return row, decode_upload(value, upload_id, key)


async def put_part(
    context: Context, bucket_name: str, key: str, upload_id: str, number: int, body: Buffer | Body, digests: Digests
) -> Part:
    """See `Space.put_part`. A part sent again replaces the earlier one."""
    if not isinstance(number, int) or not 1 <= number <= PARTS_MOST:
        raise Invalid(
            f"Part number must be an integer between 1 and {PARTS_MOST}, inclusive",
            code="InvalidArgument",
            ArgumentName="partNumber",
            ArgumentValue=str(number),
        )
    _, upload = await find_upload(context, context.meta, bucket_name, key, upload_id)
    if digests.algorithm is not None and upload.algorithm not in (None, digests.algorithm):
        raise Invalid(
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm.value.lower()}, "
            f"actual checksum Type: {digests.algorithm.value.lower()}",
            code="InvalidRequest",
        )
    if digests.algorithm is None and upload.algorithm is not None:
        digests = replace(digests, algorithm=upload.algorithm)
    manifest = parse_upload_id(upload_id)
    owner = part_owner(context.tenant, manifest, number)
    if isinstance(body, Body) and body.size is not None and body.size > EARLY_BYTES_LEAST:
        await _demand_room(context, manifest, number, body.size)
    stored = await store(context.segments, owner, body, digests, PART_BYTES_MOST)
    etag, etag_parts = etag_of(context, stored)
    text = etag_text(etag, etag_parts)
    part = Part(number, stored.size, context.clock.now_ms(), text, stored.checksum, stored.extents)

    async def commit(txn: Transaction) -> None:
        await find_upload(context, txn, bucket_name, key, upload_id)
        row = part_row(context.tenant, manifest, number)
        stored_before = await txn.get(row)
        earlier = decode_part(stored_before, number) if stored_before is not None else None
        if earlier is not None:
            await context.segments.discard(txn, earlier.extents, owner)
        await stored.refer(context.segments, txn)
        txn.put(row, encode_part(part, etag, etag_parts))
        tally = Tally()
        tally.part(part.size - (earlier.size if earlier is not None else 0))
        await context.charge(txn, await context.bucket(txn, bucket_name), encode_key(key), tally)

    await context.meta.transact(commit)
    return part


async def _demand_room(context: Context, manifest: bytes, number: int, size_bytes: int) -> None:
    """Raises OverQuota where a part would be refused as things are now, what it replaces given back."""
    try:
        await context.quota.demand_room(context.meta, context.tenant, size_bytes)
    except OverQuota:
        row = await context.meta.get(part_row(context.tenant, manifest, number))
        if row is None:
            raise
        await context.quota.demand_room(context.meta, context.tenant, size_bytes - decode_part(row, number).size)


async def copy_part(
    context: Context,
    source: tuple[str, str, str | None],
    target: tuple[str, str, str, int],
    condition: ReadCondition | None,
    source_range: tuple[int, int] | None,
) -> tuple[Part, Version]:
    """See `Space.copy_part`. The bytes pass through this process: a part's checksums must be its own."""
    bucket, key, upload_id, number = target
    with naming_source():
        opened = await open_version(context, *source, condition)
    with opened as reading:
        offset, length = source_range or (0, reading.version.size)
        if offset < 0 or length < 0 or offset + length > reading.version.size:
            raise Invalid("The requested range is not satisfiable", code="InvalidRange")
        body = Body(reading.chunks(offset, length), length)
        part = await put_part(context, bucket, key, upload_id, number, body, Digests())
    return part, reading.version


async def list_parts(
    context: Context, bucket_name: str, key: str, upload_id: str, after: int, limit: int
) -> tuple[Sequence[Part], bool]:
    """See `Space.parts`."""
    await find_upload(context, context.meta, bucket_name, key, upload_id)
    limit = check_limit(limit)
    manifest = parse_upload_id(upload_id)
    found = await read_parts(context.tenant, context.meta, manifest, after=check_limit(after), limit=limit + 1)
    return found[:limit], len(found) > limit


async def read_parts(
    tenant: int, reader: Reader, manifest: bytes, *, after: int = 0, limit: int = PARTS_MOST
) -> list[Part]:
    """The parts of a manifest, in order of their numbers."""
    if after >= PARTS_MOST:
        return []
    start = part_row(tenant, manifest, after + 1)
    end = parts_of(tenant, manifest) + b"\xff\xff"
    rows = await reader.range(start, end, limit)
    return [decode_part(value, int.from_bytes(row[-2:], "big")) for row, value in rows]


async def abort(context: Context, bucket_name: str, key: str, upload_id: str) -> None:
    """See `Space.abort_upload`. Its parts are dismantled in the background, and charged no longer at once."""

    async def commit(txn: Transaction) -> None:
        row, _ = await find_upload(context, txn, bucket_name, key, upload_id)
        tally = Tally()
        await drop_upload(txn, context.tenant, row, tally)
        await context.charge(txn, await context.bucket(txn, bucket_name), encode_key(key), tally)

    await context.meta.transact(commit)


def parse_upload_id(upload_id: str) -> bytes:
    """Raises NotFound(NoSuchUpload) for what cannot be one."""
    try:
        identity = bytes.fromhex(upload_id)
    except ValueError:
        raise _no_such_upload(upload_id) from None
    if len(identity) != 16:
        raise _no_such_upload(upload_id)
    return identity


def _no_such_upload(upload_id: str) -> NotFound:
    return NotFound(
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
        "completed.",
        code="NoSuchUpload",
        UploadId=upload_id,
    )
