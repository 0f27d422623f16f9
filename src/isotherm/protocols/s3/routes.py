"""Every operation this store offers, with what it understands of a request's query and headers. Pure table.

Rows are (method, level, subresource). `+copy` marks a PUT with x-amz-copy-source.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from isotherm.protocols.s3.attributes import OVERRIDES
from isotherm.protocols.s3.conditions import READ_HEADERS, WRITE_HEADERS
from isotherm.protocols.s3.digests import CHECKSUM_HEADERS
from isotherm.protocols.s3.verbs.buckets import (
    create_bucket,
    delete_bucket,
    get_bucket_location,
    head_bucket,
    list_buckets,
)
from isotherm.protocols.s3.verbs.delete_object import delete_object
from isotherm.protocols.s3.verbs.get_object import get_object, head_object
from isotherm.protocols.s3.verbs.list_objects import list_objects, list_objects_v2
from isotherm.protocols.s3.verbs.put_object import put_object
from isotherm.protocols.s3.wire import Reply, Request

Verb = Callable[[Request], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `query`: the parameters it understands beside its subresource; `headers`: those it understands of
    the kinds that are refused otherwise (x-amz-…, conditions); "x-amz-meta-" stands for all that begin so."""

    operation: str
    verb: Verb
    query: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()


def _words(*names: str) -> frozenset[str]:
    return frozenset(names)


_ATTRIBUTES = _words("x-amz-meta-", "x-amz-tagging")
_LIST = _words("prefix", "delimiter", "max-keys", "encoding-type")
_READ = _words("versionId", "partNumber") | OVERRIDES

ROUTES: dict[tuple[str, str, str], Route] = {
    ("GET", "service", ""): Route("ListBuckets", list_buckets, _words("prefix", "continuation-token", "max-buckets")),
    ("PUT", "bucket", ""): Route("CreateBucket", create_bucket, headers=CHECKSUM_HEADERS),
    ("HEAD", "bucket", ""): Route("HeadBucket", head_bucket),
    ("DELETE", "bucket", ""): Route("DeleteBucket", delete_bucket),
    ("GET", "bucket", "location"): Route("GetBucketLocation", get_bucket_location),
    ("GET", "bucket", ""): Route("ListObjects", list_objects, _LIST | {"marker"}),
    ("GET", "bucket", "list-type"): Route(
        "ListObjectsV2", list_objects_v2, _LIST | {"continuation-token", "start-after", "fetch-owner"}
    ),
    ("PUT", "object", ""): Route("PutObject", put_object, headers=_ATTRIBUTES | CHECKSUM_HEADERS | WRITE_HEADERS),
    ("GET", "object", ""): Route("GetObject", get_object, _READ, READ_HEADERS),
    ("HEAD", "object", ""): Route("HeadObject", head_object, _READ, READ_HEADERS),
    ("DELETE", "object", ""): Route("DeleteObject", delete_object, _words("versionId"), _words("if-match")),
}

SUBRESOURCES = frozenset(subresource.removesuffix("+copy") for _, _, subresource in ROUTES if subresource)
