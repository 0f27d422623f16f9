"""ListObjectVersions. Source: S3 API reference."""

from __future__ import annotations

from isotherm.objects.model import Listing
from isotherm.protocols.s3.documents import xml_reply
from isotherm.protocols.s3.listing import common_prefixes, encoder, owner_element, truncated, versions
from isotherm.protocols.s3.parameters import invalid_argument, is_version_id, url_encoded
from isotherm.protocols.s3.verbs.list_objects import page_limit
from isotherm.protocols.s3.wire import Reply, Request, bucket_owner
from isotherm.protocols.s3.xml import optional, tag

_EMPTY = Listing((), (), None)


async def list_object_versions(request: Request) -> Reply:
    query = request.query
    url = url_encoded(query)
    prefix, delimiter, marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("key-marker", "")
    version_marker = query.get("version-id-marker", "")
    if version_marker and not marker:
        raise invalid_argument(
            "A version-id marker cannot be specified without a key marker.", "version-id-marker", version_marker
        )
    if version_marker and not is_version_id(version_marker):
        raise invalid_argument("Invalid version id specified", "version-id-marker", version_marker)
    limit = page_limit(request)
    if limit:
        listing = await request.space.list_versions(
            request.bucket,
            prefix=prefix,
            delimiter=delimiter,
            after=marker,
            after_version=version_marker,
            limit=limit,
        )
    else:
        await request.space.bucket(request.bucket)
        listing = _EMPTY
    encode = encoder(url)
    more = listing.next_key
    return xml_reply(
        "ListVersionsResult",
        tag("Name", request.bucket),
        f"<Prefix>{encode(prefix)}</Prefix>",
        f"<KeyMarker>{encode(marker)}</KeyMarker>",
        tag("VersionIdMarker", version_marker),
        f"<NextKeyMarker>{encode(more)}</NextKeyMarker>" if more is not None else "",
        optional("NextVersionIdMarker", listing.next_version if more is not None else None),
        tag("MaxKeys", limit),
        f"<Delimiter>{encode(delimiter)}</Delimiter>" if delimiter else "",
        "<EncodingType>url</EncodingType>" if url else "",
        truncated(listing),
        versions(listing.entries, url=url, owner=owner_element(bucket_owner(request, request.bucket))),
        common_prefixes(listing.prefixes, url=url),
    )
