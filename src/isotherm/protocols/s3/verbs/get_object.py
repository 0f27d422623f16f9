"""GetObject and HeadObject. Sources: S3 API reference; RFC 9110 §13, §14."""

from __future__ import annotations

from isotherm.errors import Invalid, NotFound
from isotherm.objects.model import Checksum, Version
from isotherm.objects.read import Reading
from isotherm.protocols.s3.attributes import response_overrides, version_headers, version_lines
from isotherm.protocols.s3.conditions import parse_range, range_applies, read_condition
from isotherm.protocols.s3.digests import checksum_headers
from isotherm.protocols.s3.parameters import version_of, whole_number
from isotherm.protocols.s3.wire import Ranged, Reply, Request


async def get_object(request: Request) -> Reply:
    query = request.query
    condition = read_condition(request.headers)
    try:
        reading = await request.space.open(request.bucket, request.key, version_of(query) if query else None, condition)
    except NotFound as error:
        raise _told_whether_marker(error) from None
    try:
        status, headers, offset, length = await _describe(request, reading.version)
    except BaseException:
        reading.close()
        raise
    lines = version_lines(reading.version)
    if not length:
        reading.close()
        return Reply(status, headers, lines=lines)
    return Reply(status, headers, Ranged(reading, offset, length), lines=lines)


async def head_object(request: Request) -> Reply:
    query = request.query
    version_id = version_of(query) if query else None
    condition = read_condition(request.headers)
    try:
        if condition is None:
            version = await request.space.head(request.bucket, request.key, version_id)
        else:
            reading: Reading = await request.space.open(request.bucket, request.key, version_id, condition)
            version = reading.version
            reading.close()
    except NotFound as error:
        raise _told_whether_marker(error) from None
    status, headers, _, length = await _describe(request, version)
    return Reply(status, headers, length=length, lines=version_lines(version))


async def _describe(request: Request, version: Version) -> tuple[int, list[tuple[str, str]], int, int]:
    """(status, headers, offset, length) of what is asked for of `version`.

    Raises:
        Invalid: InvalidRange, InvalidPart, InvalidRequest (a range and a part at once), InvalidArgument.
    """
    query = request.query
    overrides = response_overrides(query) if query else None
    headers = version_headers(version, overrides)
    size = version.size
    if "partNumber" in query:
        return await _describe_part(request, version, headers)
    asked = request.headers.get("range")
    if asked is not None and range_applies(request.headers, version):
        found = parse_range(asked, size)
        if found is not None:
            offset, length = found
            headers.append(("Content-Range", f"bytes {offset}-{offset + length - 1}/{size}"))
            return 206, headers, offset, length
    if version.checksum is not None and _wants_checksum(request):
        headers += checksum_headers(version.checksum)
    return 200, headers, 0, size


async def _describe_part(
    request: Request, version: Version, headers: list[tuple[str, str]]
) -> tuple[int, list[tuple[str, str]], int, int]:
    if "range" in request.headers:
        raise Invalid("Cannot specify both Range header and partNumber query parameter", code="InvalidRequest")
    number = whole_number(request.query, "partNumber", least=1, most=10_000) or 1
    if number > max(version.parts, 1):
        raise Invalid("The requested partnumber is not satisfiable", code="InvalidPart")
    offset, length = await request.space.part_range(request.bucket, version, number)
    if version.parts:
        headers.append(("x-amz-mp-parts-count", str(version.parts)))
    if _wants_checksum(request):
        checksum = await _part_checksum(request, version, number)
        if checksum is not None and version.checksum is not None:
            headers.append(checksum_headers(checksum)[0])
            headers.append(checksum_headers(version.checksum)[1])
    if not length:
        return 200, headers, 0, 0
    headers.append(("Content-Range", f"bytes {offset}-{offset + length - 1}/{version.size}"))
    return 206, headers, offset, length


async def _part_checksum(request: Request, version: Version, number: int) -> Checksum | None:
    if not version.parts:
        return version.checksum
    parts = await request.space.part_list(request.bucket, version, after=number - 1, limit=1)
    return parts[0].checksum if parts else None


def _wants_checksum(request: Request) -> bool:
    return request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"


def _told_whether_marker(error: NotFound) -> NotFound:
    """The same error, which says `x-amz-delete-marker: false` where no delete marker stands in the key's place."""
    if error.code == "NoSuchKey":
        error.detail.setdefault("marker", False)
    return error
