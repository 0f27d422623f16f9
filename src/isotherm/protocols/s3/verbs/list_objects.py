"""ListObjectsV2 and ListObjects. Source: S3 API reference.

A continuation token is `1` and the last key or common prefix in base64url: opaque to clients, and good on any gateway.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64encode

from isotherm.errors import Invalid
from isotherm.objects.model import Listing
from isotherm.protocols.s3.documents import xml_reply
from isotherm.protocols.s3.listing import common_prefixes, contents, encoder, owner_element, quoted, truncated
from isotherm.protocols.s3.parameters import flag, invalid_argument, url_encoded, whole_number
from isotherm.protocols.s3.wire import Reply, Request, bucket_owner
from isotherm.protocols.s3.xml import carried, escape, optional, tag

LIMIT_MOST = 1_000
_EMPTY = Listing((), (), None)
_TOKEN_FORMAT = b"1"


async def list_objects_v2(request: Request) -> Reply:
    query = request.query
    if query["list-type"] != "2":
        raise invalid_argument("Invalid List Type specified in Request", "list-type", query["list-type"])
    url = url_encoded(query)
    prefix, delimiter, start_after = query.get("prefix", ""), query.get("delimiter", ""), query.get("start-after")
    token = query.get("continuation-token")
    after = decode_token(token) if token else start_after or ""
    limit = page_limit(request)
    listing = await _page(request, prefix, delimiter, after, limit)
    encode = encoder(url)
    owner = owner_element(bucket_owner(request, request.bucket)) if flag(query, "fetch-owner") else ""
    more = encode_token(listing.next_key) if listing.next_key is not None else None
    return xml_reply(
        "ListBucketResult",
        tag("Name", request.bucket),
        f"<Prefix>{encode(prefix)}</Prefix>",
        f"<StartAfter>{encode(start_after)}</StartAfter>" if start_after is not None else "",
        optional("ContinuationToken", token),
        optional("NextContinuationToken", more),
        tag("KeyCount", len(listing.entries) + len(listing.prefixes)),
        tag("MaxKeys", limit),
        f"<Delimiter>{encode(delimiter)}</Delimiter>" if delimiter else "",
        "<EncodingType>url</EncodingType>" if url else "",
        truncated(listing),
        contents(listing.entries, url=url, owner=owner),
        common_prefixes(listing.prefixes, url=url),
    )


async def list_objects(request: Request) -> Reply:
    query = request.query
    url = url_encoded(query)
    prefix, delimiter, marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("marker", "")
    limit = page_limit(request)
    listing = await _page(request, prefix, delimiter, marker, limit)
    encode = encoder(url)
    # S3 names the next marker only where a delimiter is given: elsewhere it is the last key
    tell_next = bool(delimiter) and listing.next_key is not None
    return xml_reply(
        "ListBucketResult",
        tag("Name", request.bucket),
        f"<Prefix>{_plain_prefix(prefix, url)}</Prefix>",
        f"<Marker>{encode(marker)}</Marker>",
        f"<NextMarker>{encode(listing.next_key or '')}</NextMarker>" if tell_next else "",
        tag("MaxKeys", limit),
        f"<Delimiter>{encode(delimiter)}</Delimiter>" if delimiter else "",
        "<EncodingType>url</EncodingType>" if url else "",
        truncated(listing),
        contents(listing.entries, url=url, owner=owner_element(bucket_owner(request, request.bucket))),
        common_prefixes(listing.prefixes, url=url),
    )


def _plain_prefix(prefix: str, url: bool) -> str:
    """Clients of ListObjects (boto3 among them) do not decode its Prefix: only what XML cannot carry is encoded."""
    return quoted(prefix) if url and not carried(prefix) else escape(prefix)


async def _page(request: Request, prefix: str, delimiter: str, after: str, limit: int) -> Listing:
    if not limit:
        await request.space.bucket(request.bucket)
        return _EMPTY
    return await request.space.list(request.bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit)


def page_limit(request: Request, name: str = "max-keys") -> int:
    """Entries a page may hold: what is asked for, at most 1,000. Raises Invalid(InvalidArgument)."""
    asked = whole_number(request.query, name)
    return LIMIT_MOST if asked is None else min(asked, LIMIT_MOST)


def encode_token(text: str) -> str:
    return urlsafe_b64encode(_TOKEN_FORMAT + text.encode()).decode()


def decode_token(token: str) -> str:
    """Raises Invalid(InvalidArgument) for anything `encode_token` did not make."""
    try:
        raw = b64decode(token, altchars=b"-_", validate=True)
        if raw[:1] == _TOKEN_FORMAT:
            return raw[1:].decode()
    except (binascii.Error, ValueError):
        pass
    raise Invalid(
        "The continuation token provided is incorrect",
        code="InvalidArgument",
        ArgumentName="continuation-token",
    )
