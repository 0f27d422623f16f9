"""ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation. Source: S3 API reference.

Any region a client signs for is this store's: a location constraint must be well-formed, and a bucket's location is the
region of whoever asks. Creating a bucket that is one's own already succeeds in us-east-1 and is a conflict elsewhere, as on
AWS.
"""

from __future__ import annotations

import re

from isotherm.errors import AlreadyExists, Invalid
from isotherm.protocols.s3.dates import iso_date
from isotherm.protocols.s3.digests import verified_body
from isotherm.protocols.s3.documents import no_content, xml_reply
from isotherm.protocols.s3.listing import owner_element
from isotherm.protocols.s3.parameters import whole_number
from isotherm.protocols.s3.verbs.list_objects import decode_token, encode_token
from isotherm.protocols.s3.wire import Reply, Request
from isotherm.protocols.s3.xml import escape, optional, parse, tag

_BUCKETS_MOST = 10_000
_DOCUMENT_BYTES_MOST = 64 << 10
_FIRST_REGION = "us-east-1"
_REGION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})")


async def list_buckets(request: Request) -> Reply:
    query = request.query
    prefix = query.get("prefix", "")
    token = query.get("continuation-token")
    limit = whole_number(query, "max-buckets", least=1, most=_BUCKETS_MOST) or _BUCKETS_MOST
    found = await request.space.buckets(prefix=prefix, after=decode_token(token) if token else "", limit=limit + 1)
    shown = found[:limit]
    rows = [
        f"<Bucket>{tag('Name', bucket.name)}<CreationDate>{iso_date(bucket.created_ms)}</CreationDate></Bucket>"
        for bucket in shown
    ]
    return xml_reply(
        "ListAllMyBucketsResult",
        owner_element(request.owner),
        f"<Buckets>{''.join(rows)}</Buckets>",
        optional("ContinuationToken", encode_token(shown[-1].name) if len(found) > limit else None),
        optional("Prefix", prefix or None),
    )


async def create_bucket(request: Request) -> Reply:
    body = await verified_body(request, _DOCUMENT_BYTES_MOST)
    if body:
        _check_configuration(body)
    try:
        await request.space.create_bucket(request.bucket)
    except AlreadyExists as error:
        if error.code != "BucketAlreadyOwnedByYou" or _region(request) != _FIRST_REGION:
            raise
    return Reply(200, [("Location", f"/{request.bucket}")])


def _check_configuration(body: bytes) -> None:
    root = parse(body, ("CreateBucketConfiguration",))
    root.expect("LocationConstraint")
    constraint = root.value("LocationConstraint")
    if constraint and not _REGION.fullmatch(constraint):
        raise Invalid(
            "The specified location-constraint is not valid",
            code="InvalidLocationConstraint",
            LocationConstraint=constraint[:64],
        )


async def head_bucket(request: Request) -> Reply:
    await request.space.bucket(request.bucket)
    return Reply(200, [("x-amz-bucket-region", _region(request)), ("Content-Type", "application/xml")])


async def delete_bucket(request: Request) -> Reply:
    await request.space.delete_bucket(request.bucket)
    return no_content()


async def get_bucket_location(request: Request) -> Reply:
    await request.space.bucket(request.bucket)
    region = _region(request)
    return xml_reply("LocationConstraint", "" if region == _FIRST_REGION else escape(region))


def _region(request: Request) -> str:
    """The region signed for; of a set of them the first, unless that is a pattern."""
    region = request.region.partition(",")[0].strip()
    return region if _REGION.fullmatch(region) else _FIRST_REGION
