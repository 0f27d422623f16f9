"""GetObjectAttributes. Source: S3 API reference.

Parts are told for every multipart object, and not, as on AWS, only for those with checksums.
"""

from __future__ import annotations

from isotherm.objects.model import NULL_VERSION, PARTS_MOST, Version
from isotherm.protocols.s3.dates import http_date
from isotherm.protocols.s3.digests import checksum_elements
from isotherm.protocols.s3.documents import xml_reply
from isotherm.protocols.s3.parameters import invalid_argument, version_of, whole_number
from isotherm.protocols.s3.verbs.list_objects import LIMIT_MOST
from isotherm.protocols.s3.wire import Reply, Request
from isotherm.protocols.s3.xml import optional, tag

ATTRIBUTES_HEADERS = frozenset({"x-amz-object-attributes", "x-amz-max-parts", "x-amz-part-number-marker"})
_KNOWN = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


async def get_object_attributes(request: Request) -> Reply:
    asked = {word.strip() for word in request.headers.get("x-amz-object-attributes", "").split(",") if word.strip()}
    if not asked or not asked <= set(_KNOWN):
        raise invalid_argument("Invalid attribute name specified.", "x-amz-object-attributes", ",".join(sorted(asked)))
    version = await request.space.head(request.bucket, request.key, version_of(request.query))
    checksum = checksum_elements(version.checksum)
    headers = [("Last-Modified", http_date(version.modified_ms))]
    if version.version_id != NULL_VERSION:
        headers.append(("x-amz-version-id", version.version_id))
    return xml_reply(
        "GetObjectAttributesResponse",
        optional("ETag", version.etag if "ETag" in asked else None),
        f"<Checksum>{checksum}</Checksum>" if checksum and "Checksum" in asked else "",
        await _parts(request, version) if version.parts and "ObjectParts" in asked else "",
        optional("StorageClass", "STANDARD" if "StorageClass" in asked else None),
        optional("ObjectSize", version.size if "ObjectSize" in asked else None),
        headers=headers,
    )


async def _parts(request: Request, version: Version) -> str:
    limit = whole_number(request.headers, "x-amz-max-parts")
    limit = LIMIT_MOST if limit is None else min(limit, LIMIT_MOST)
    after = min(whole_number(request.headers, "x-amz-part-number-marker") or 0, PARTS_MOST)
    shown = await request.space.part_list(request.bucket, version, after=after, limit=limit)
    last = shown[-1].number if shown else 0
    rows = [
        f"<Part>{tag('PartNumber', part.number)}{tag('Size', part.size)}"
        f"{checksum_elements(part.checksum, with_type=False)}</Part>"
        for part in shown
    ]
    return (
        f"<ObjectParts>{tag('PartsCount', version.parts)}{tag('PartNumberMarker', after)}"
        f"{tag('NextPartNumberMarker', last)}{tag('MaxParts', limit)}"
        f"<IsTruncated>{'true' if shown and last < version.parts else 'false'}</IsTruncated>{''.join(rows)}</ObjectParts>"
    )
