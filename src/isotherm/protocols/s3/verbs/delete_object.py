"""DeleteObject. Source: S3 API reference."""

from __future__ import annotations

from isotherm.objects.model import NULL_VERSION, Deleted
from isotherm.protocols.s3.conditions import write_condition
from isotherm.protocols.s3.documents import no_content
from isotherm.protocols.s3.parameters import version_of
from isotherm.protocols.s3.wire import Reply, Request


async def delete_object(request: Request) -> Reply:
    deleted = await request.space.delete(
        request.bucket, request.key, version_of(request.query), write_condition(request.headers)
    )
    return no_content(deleted_headers(deleted))


def deleted_headers(deleted: Deleted) -> list[tuple[str, str]]:
    headers = [("x-amz-delete-marker", "true")] if deleted.marker else []
    if deleted.version_id is not None and (deleted.marker or deleted.version_id != NULL_VERSION):
        headers.append(("x-amz-version-id", deleted.version_id))
    return headers
