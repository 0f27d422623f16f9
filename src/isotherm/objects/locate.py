"""From a bucket, a key and perhaps a version id to the row of a version; and what it means when there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from isotherm.errors import Invalid, NotFound
from isotherm.meta.port import Reader
from isotherm.objects.context import Context
from isotherm.objects.history import newest_not_live, version_at
from isotherm.objects.layout import live_row, parse_version_id, version_id
from isotherm.objects.model import Versioning
from isotherm.objects.names import encode_key
from isotherm.objects.records import decode_record, is_marker


@contextmanager
def naming_source() -> Iterator[None]:
    """Around what finds the source of a copy: a marker named by its version id has an answer of its own there."""
    try:
        yield
    except Invalid as error:
        if error.code != "MethodNotAllowed":
            raise
        raise Invalid(
            "The source of a copy request may not specifically refer to a delete marker by version id.",
            code="InvalidRequest",
        ) from None


async def locate_newest(context: Context, bucket_name: str, key: str) -> tuple[bytes, bool]:
    """The live row, by single reads; which marker stands in its place is read from one state. Raises as `Space.head` does."""
    bucket = await context.bucket(context.meta, bucket_name)
    live = await context.meta.get(live_row(context.tenant, bucket.id, encode_key(key)))
    if live is not None:
        return live, True
    if bucket.versioning is Versioning.UNVERSIONED:
        raise NotFound("The specified key does not exist.", code="NoSuchKey", Key=key)
    with context.meta.snapshot() as snapshot:
        return await locate(context, snapshot, bucket_name, key, None)


async def locate(
    context: Context, reader: Reader, bucket_name: str, key: str, version: str | None
) -> tuple[bytes, bool]:
    """(row, whether it is live), from a reader that sees one state. Raises as `Space.head` does."""
    bucket = await context.bucket(reader, bucket_name)
    raw_key = encode_key(key)
    if version is not None:
        found = await version_at(reader, context.tenant, bucket.id, raw_key, parse_version_id(version))
        if found is None:
            raise NotFound("The specified version does not exist.", code="NoSuchVersion", Key=key, VersionId=version)
        if is_marker(found[0]):
            record = decode_record(found[0])
            raise Invalid(
                "The specified method is not allowed against this resource.",
                code="MethodNotAllowed",
                marker=version,
                modified_ms=record.modified_ms,
            )
        return found
    live = await reader.get(live_row(context.tenant, bucket.id, raw_key))
    if live is not None:
        return live, True
    newest = await newest_not_live(reader, context.tenant, bucket.id, raw_key)
    if newest is None:
        raise NotFound("The specified key does not exist.", code="NoSuchKey", Key=key)
    record = decode_record(newest)
    named = version_id(record.stamp, record.null)
    raise NotFound("The specified key does not exist.", code="NoSuchKey", Key=key, marker=named)
