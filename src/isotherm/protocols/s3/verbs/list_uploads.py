"""ListMultipartUploads and ListParts. Source: S3 API reference."""

from __future__ import annotations

from isotherm.objects.model import PARTS_MOST, Part, Upload, UploadListing
from isotherm.protocols.s3.dates import iso_date
from isotherm.protocols.s3.digests import COMPOSITE, FULL_OBJECT, checksum_elements
from isotherm.protocols.s3.documents import xml_reply
from isotherm.protocols.s3.listing import common_prefixes, encoder, owner_element
from isotherm.protocols.s3.parameters import url_encoded, whole_number
from isotherm.protocols.s3.verbs.list_objects import page_limit
from isotherm.protocols.s3.wire import Reply, Request, bucket_owner
from isotherm.protocols.s3.xml import legible, optional, tag

_EMPTY = UploadListing((), (), None, None)


async def list_multipart_uploads(request: Request) -> Reply:
    query = request.query
    url = url_encoded(query)
    prefix, delimiter, marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("key-marker", "")
    # S3 ignores an upload's marker that comes without a key's
    upload_marker = query.get("upload-id-marker", "") if marker else ""
    limit = page_limit(request, "max-uploads")
    if limit:
        listing = await request.space.uploads(
            request.bucket,
            prefix=prefix,
            delimiter=delimiter,
            after=marker,
            after_upload=upload_marker,
            limit=limit,
        )
    else:
        await request.space.bucket(request.bucket)
        listing = _EMPTY
    encode = encoder(url)
    people = _people(bucket_owner(request, request.bucket))
    rows = [
        f"<Upload><Key>{encode(upload.key)}</Key>{tag('UploadId', upload.id)}{people}"
        f"<StorageClass>STANDARD</StorageClass>{tag('Initiated', iso_date(upload.started_ms))}"
        f"{_algorithm(upload)}</Upload>"
        for upload in listing.uploads
    ]
    more = listing.next_key
    return xml_reply(
        "ListMultipartUploadsResult",
        tag("Bucket", request.bucket),
        f"<KeyMarker>{encode(marker)}</KeyMarker>",
        tag("UploadIdMarker", upload_marker),
        f"<NextKeyMarker>{encode(more)}</NextKeyMarker>" if more is not None else "",
        optional("NextUploadIdMarker", listing.next_upload if more is not None else None),
        f"<Prefix>{encode(prefix)}</Prefix>",
        f"<Delimiter>{encode(delimiter)}</Delimiter>" if delimiter else "",
        "<EncodingType>url</EncodingType>" if url else "",
        tag("MaxUploads", limit),
        f"<IsTruncated>{'true' if more is not None else 'false'}</IsTruncated>",
        *rows,
        common_prefixes(listing.prefixes, url=url),
    )


async def list_parts(request: Request) -> Reply:
    query = request.query
    upload_id = query["uploadId"]
    limit = page_limit(request, "max-parts")
    after = min(whole_number(query, "part-number-marker") or 0, PARTS_MOST)
    upload = await request.space.upload(request.bucket, request.key, upload_id)
    parts, more = await request.space.parts(request.bucket, request.key, upload_id, after=after, limit=limit)
    more = more and limit > 0
    return xml_reply(
        "ListPartsResult",
        tag("Bucket", request.bucket),
        tag("Key", legible(request.key)),
        tag("UploadId", upload_id),
        _people(bucket_owner(request, request.bucket)),
        "<StorageClass>STANDARD</StorageClass>",
        tag("PartNumberMarker", after),
        tag("NextPartNumberMarker", parts[-1].number if parts else 0),
        tag("MaxParts", limit),
        f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>",
        _algorithm(upload),
        *(_part(part) for part in parts),
    )


def _part(part: Part) -> str:
    return (
        f"<Part>{tag('PartNumber', part.number)}{tag('LastModified', iso_date(part.modified_ms))}"
        f"<ETag>&quot;{part.etag}&quot;</ETag>{tag('Size', part.size)}"
        f"{checksum_elements(part.checksum, with_type=False)}</Part>"
    )


def _algorithm(upload: Upload) -> str:
    if upload.algorithm is None:
        return ""
    kind = FULL_OBJECT if upload.full_object else COMPOSITE
    return tag("ChecksumAlgorithm", upload.algorithm.value) + tag("ChecksumType", kind)


def _people(owner: str) -> str:
    element = owner_element(owner)
    return element.replace("Owner>", "Initiator>") + element
