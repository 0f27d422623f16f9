"""x-amz-copy-source, and the two verbs that read it: CopyObject and UploadPartCopy. Source: S3 API reference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote

from isotherm.errors import PreconditionFailed
from isotherm.objects.model import NULL_VERSION
from isotherm.protocols.s3.attributes import read_attributes, tags_from_header
from isotherm.protocols.s3.conditions import parse_source_range, source_condition, write_condition
from isotherm.protocols.s3.dates import iso_date
from isotherm.protocols.s3.digests import algorithm_named, checksum_elements
from isotherm.protocols.s3.documents import xml_reply
from isotherm.protocols.s3.parameters import invalid_argument, is_version_id, needed_number
from isotherm.protocols.s3.wire import Reply, Request
from isotherm.protocols.s3.xml import tag

_HEADER = "x-amz-copy-source"


@dataclass(frozen=True, slots=True)
class Source:
    bucket: str
    key: str
    version_id: str | None


def copy_source(request: Request) -> Source:
    """The object that x-amz-copy-source names: `[/]bucket/key[?versionId=…]`, percent-encoded but for the query.

    Raises:
        Invalid: InvalidArgument.
    """
    text = request.headers[_HEADER]
    path, mark, query = text.partition("?")
    version_id = None
    if mark:
        name, _, version_id = query.partition("=")
        if name != "versionId" or not is_version_id(version_id):
            raise invalid_argument("Invalid version id specified", _HEADER, text)
    try:
        decoded = unquote(path.encode("latin-1"), errors="strict") if "%" in path else path.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise invalid_argument("Copy Source must be UTF-8, percent-encoded.", _HEADER, text) from None
    bucket, slash, key = decoded.removeprefix("/").partition("/")
    if not bucket or not slash or not key:
        raise invalid_argument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey", _HEADER, text
        )
    return Source(bucket, key, version_id)


@contextmanager
def _conditions_on_source() -> Iterator[None]:
    """A condition on the source that does not hold is 412, whichever it is: nothing is read, so nothing is unmodified."""
    try:
        yield
    except PreconditionFailed as error:
        raise PreconditionFailed(Condition=error.detail.get("Condition")) from None


async def copy_object(request: Request) -> Reply:
    with _conditions_on_source():
        return await _copy_object(request)


async def upload_part_copy(request: Request) -> Reply:
    with _conditions_on_source():
        return await _upload_part_copy(request)


async def _copy_object(request: Request) -> Reply:
    headers = request.headers
    source = copy_source(request)
    replaces = _directive(request, "x-amz-metadata-directive")
    retags = _directive(request, "x-amz-tagging-directive")
    named = headers.get("x-amz-checksum-algorithm")
    version = await request.space.copy(
        source.bucket,
        source.key,
        request.bucket,
        request.key,
        source_version_id=source.version_id,
        source_condition=source_condition(headers),
        attributes=read_attributes(headers) if replaces else None,
        tags=tags_from_header(headers.get("x-amz-tagging", "")) if retags else None,
        condition=write_condition(headers),
        algorithm=algorithm_named(named) if named else None,
    )
    told = _source_version(source.version_id)
    if version.version_id != NULL_VERSION:
        told.append(("x-amz-version-id", version.version_id))
    return xml_reply(
        "CopyObjectResult",
        tag("LastModified", iso_date(version.modified_ms)),
        f"<ETag>&quot;{version.etag}&quot;</ETag>",
        checksum_elements(version.checksum),
        headers=told,
    )


def _directive(request: Request, name: str) -> bool:
    """Whether REPLACE is asked for. Raises Invalid(InvalidArgument) for anything but that and COPY."""
    value = request.headers.get(name, "COPY")
    if value not in ("COPY", "REPLACE"):
        what = name.removeprefix("x-amz-").removesuffix("-directive")
        raise invalid_argument(f"Unknown {what} directive.", name, value)
    return value == "REPLACE"


def _source_version(version_id: str | None) -> list[tuple[str, str]]:
    if version_id is None or version_id == NULL_VERSION:
        return []
    return [("x-amz-copy-source-version-id", version_id)]


async def _upload_part_copy(request: Request) -> Reply:
    headers = request.headers
    source = copy_source(request)
    asked = headers.get("x-amz-copy-source-range")
    part, origin = await request.space.copy_part(
        source.bucket,
        source.key,
        request.bucket,
        request.key,
        request.query["uploadId"],
        needed_number(request.query, "partNumber", most=10_000),
        source_version_id=source.version_id,
        source_condition=source_condition(headers),
        source_range=parse_source_range(asked) if asked is not None else None,
    )
    return xml_reply(
        "CopyPartResult",
        tag("LastModified", iso_date(part.modified_ms)),
        f"<ETag>&quot;{part.etag}&quot;</ETag>",
        checksum_elements(part.checksum, with_type=False),
        headers=_source_version(origin.version_id),
    )
