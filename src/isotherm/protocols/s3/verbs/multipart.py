"""CreateMultipartUpload, UploadPart, CompleteMultipartUpload, AbortMultipartUpload. Source: S3 API reference."""

from __future__ import annotations

from isotherm.errors import Invalid
from isotherm.objects.model import NULL_VERSION, OBJECT_BYTES_MOST, PARTS_MOST, Checksum
from isotherm.protocols.s3.attributes import read_attributes, tags_from_header
from isotherm.protocols.s3.conditions import unquoted, write_condition
from isotherm.protocols.s3.digests import (
    CHECKSUM_ELEMENTS,
    COMPOSITE,
    FULL_OBJECT,
    body_digests,
    checksum_elements,
    checksum_headers,
    expected_checksum,
    part_checksum,
    upload_checksum,
    verified_body,
)
from isotherm.protocols.s3.documents import no_content, xml_reply
from isotherm.protocols.s3.listing import quoted
from isotherm.protocols.s3.parameters import invalid_argument, needed_number, whole_number
from isotherm.protocols.s3.wire import Reply, Request
from isotherm.protocols.s3.xml import Element, legible, malformed, parse, tag

_DOCUMENT_BYTES_MOST = 8 << 20  # 10,000 parts with a SHA-256 each are about 2 MiB


async def create_multipart_upload(request: Request) -> Reply:
    headers = request.headers
    algorithm, full_object = upload_checksum(headers)
    upload = await request.space.create_upload(
        request.bucket,
        request.key,
        attributes=read_attributes(headers),
        tags=tags_from_header(headers.get("x-amz-tagging", "")),
        algorithm=algorithm,
        full_object=full_object,
    )
    told = []
    if algorithm is not None:
        kind = FULL_OBJECT if full_object else COMPOSITE
        told = [("x-amz-checksum-algorithm", algorithm.value), ("x-amz-checksum-type", kind)]
    return xml_reply(
        "InitiateMultipartUploadResult",
        tag("Bucket", request.bucket),
        tag("Key", legible(request.key)),
        tag("UploadId", upload.id),
        headers=told,
    )


async def upload_part(request: Request) -> Reply:
    part = await request.space.put_part(
        request.bucket,
        request.key,
        request.query["uploadId"],
        needed_number(request.query, "partNumber", most=PARTS_MOST),
        request.body,
        digests=body_digests(request),
    )
    headers = [("ETag", f'"{part.etag}"')]
    if part.checksum is not None:
        headers += checksum_headers(part.checksum)[:1]
    return Reply(200, headers)


async def complete_multipart_upload(request: Request) -> Reply:
    headers = request.headers
    expected = expected_checksum(headers)
    size = whole_number(headers, "x-amz-mp-object-size", most=OBJECT_BYTES_MOST)
    upload_id = request.query["uploadId"]
    # the checksum headers of this call speak of the object, not of the document
    body = await verified_body(request, _DOCUMENT_BYTES_MOST, checksums=False)
    parts = _named_parts(parse(body, ("CompleteMultipartUpload",)))
    if "x-amz-checksum-type" in headers:
        await _check_type(request, upload_id, headers["x-amz-checksum-type"].upper())
    version = await request.space.complete_upload(
        request.bucket,
        request.key,
        upload_id,
        parts,
        condition=write_condition(headers),
        checksum=expected,
        size=size,
    )
    host = headers["host"]
    path = request.key if host.startswith(f"{request.bucket}.") else f"{request.bucket}/{request.key}"
    return xml_reply(
        "CompleteMultipartUploadResult",
        tag("Location", f"http://{host}/{quoted(path)}"),
        tag("Bucket", request.bucket),
        tag("Key", legible(request.key)),
        f"<ETag>&quot;{version.etag}&quot;</ETag>",
        checksum_elements(version.checksum),
        headers=[("x-amz-version-id", version.version_id)] if version.version_id != NULL_VERSION else [],
    )


async def _check_type(request: Request, upload_id: str, kind: str) -> None:
    upload = await request.space.upload(request.bucket, request.key, upload_id)
    if upload.algorithm is not None and kind != (FULL_OBJECT if upload.full_object else COMPOSITE):
        raise Invalid(
            "The upload was created with another checksum type. The complete request must name the same.",
            code="InvalidRequest",
        )


def _named_parts(root: Element) -> list[tuple[int, str, Checksum | None]]:
    root.expect("Part")
    if not 0 < len(root.children) <= PARTS_MOST:
        raise malformed(f"an upload is completed with 1 to {PARTS_MOST} parts")
    parts: list[tuple[int, str, Checksum | None]] = []
    for element in root.children:
        element.expect("PartNumber", "ETag", *CHECKSUM_ELEMENTS)
        number = element.needed("PartNumber").strip()
        if not (number.isascii() and number.isdigit() and len(number) <= 9):
            raise malformed("a PartNumber is a number")
        if not 1 <= int(number) <= PARTS_MOST:
            raise invalid_argument(
                "Part number must be an integer between 1 and 10000, inclusive", "partNumber", number
            )
        values = {child.name: child.leaf().strip() for child in element.children if child.name in CHECKSUM_ELEMENTS}
        if parts and parts[-1][0] == int(number):
            parts.pop()  # a part that was sent again and is named again: the later mention counts
        parts.append((int(number), unquoted(element.needed("ETag")), part_checksum(values)))
    return parts


async def abort_multipart_upload(request: Request) -> Reply:
    await request.space.abort_upload(request.bucket, request.key, request.query["uploadId"])
    return no_content()
