"""PutObject. Source: S3 API reference, PutObject."""

from __future__ import annotations

from isotherm.objects.model import NULL_VERSION, Version
from isotherm.protocols.s3.attributes import read_attributes, tags_from_header
from isotherm.protocols.s3.conditions import write_condition
from isotherm.protocols.s3.digests import body_digests, checksum_headers
from isotherm.protocols.s3.wire import Reply, Request


async def put_object(request: Request) -> Reply:
    headers = request.headers
    tagging = headers.get("x-amz-tagging")
    version = await request.space.put(
        request.bucket,
        request.key,
        request.body,
        attributes=read_attributes(headers),
        tags=tags_from_header(tagging) if tagging is not None else {},
        condition=write_condition(headers),
        digests=body_digests(request),
    )
    return Reply(200, written_headers(version))


def written_headers(version: Version) -> list[tuple[str, str]]:
    """What a writer is told of the version it made."""
    headers = [("ETag", f'"{version.etag}"')]
    if version.version_id != NULL_VERSION:
        headers.append(("x-amz-version-id", version.version_id))
    if version.checksum is not None:
        headers += checksum_headers(version.checksum)
    return headers
