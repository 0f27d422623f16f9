"""Every operation this store offers, with what it understands of a request's query and headers. Pure table.

Rows are (method, level, subresource). `+copy` marks a PUT with x-amz-copy-source.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from isotherm.protocols.s3.attributes import OVERRIDES
from isotherm.protocols.s3.conditions import READ_HEADERS, SOURCE_HEADERS, WRITE_HEADERS
from isotherm.protocols.s3.digests import CHECKSUM_HEADERS
from isotherm.protocols.s3.verbs.acl import get_acl, put_acl
from isotherm.protocols.s3.verbs.buckets import (
    create_bucket,
    delete_bucket,
    get_bucket_location,
    head_bucket,
    list_buckets,
)
from isotherm.protocols.s3.verbs.copy_source import copy_object, upload_part_copy
from isotherm.protocols.s3.verbs.delete_object import delete_object
from isotherm.protocols.s3.verbs.delete_objects import delete_objects
from isotherm.protocols.s3.verbs.get_object import get_object, head_object
from isotherm.protocols.s3.verbs.list_objects import list_objects, list_objects_v2
from isotherm.protocols.s3.verbs.list_uploads import list_multipart_uploads, list_parts
from isotherm.protocols.s3.verbs.list_versions import list_object_versions
from isotherm.protocols.s3.verbs.multipart import (
    abort_multipart_upload,
    complete_multipart_upload,
    create_multipart_upload,
    upload_part,
)
from isotherm.protocols.s3.verbs.object_attributes import ATTRIBUTES_HEADERS, get_object_attributes
from isotherm.protocols.s3.verbs.put_object import put_object
from isotherm.protocols.s3.verbs.tagging import (
    delete_bucket_tagging,
    delete_object_tagging,
    get_bucket_tagging,
    get_object_tagging,
    put_bucket_tagging,
    put_object_tagging,
)
from isotherm.protocols.s3.verbs.versioning import get_bucket_versioning, put_bucket_versioning
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
_VERSION = _words("versionId")
_KIND = _words("x-amz-checksum-algorithm", "x-amz-checksum-type")
_COPIES = _words("x-amz-copy-source") | SOURCE_HEADERS
_DIRECTIVES = _words("x-amz-metadata-directive", "x-amz-tagging-directive", "x-amz-checksum-algorithm")

_SERVICE = {
    ("GET", "service", ""): Route("ListBuckets", list_buckets, _words("prefix", "continuation-token", "max-buckets")),
}

_BUCKETS = {
    ("PUT", "bucket", ""): Route("CreateBucket", create_bucket, headers=CHECKSUM_HEADERS),
    ("HEAD", "bucket", ""): Route("HeadBucket", head_bucket),
    ("DELETE", "bucket", ""): Route("DeleteBucket", delete_bucket),
    ("GET", "bucket", "location"): Route("GetBucketLocation", get_bucket_location),
    ("GET", "bucket", "versioning"): Route("GetBucketVersioning", get_bucket_versioning),
    ("PUT", "bucket", "versioning"): Route("PutBucketVersioning", put_bucket_versioning, headers=CHECKSUM_HEADERS),
    ("GET", "bucket", "tagging"): Route("GetBucketTagging", get_bucket_tagging),
    ("PUT", "bucket", "tagging"): Route("PutBucketTagging", put_bucket_tagging, headers=CHECKSUM_HEADERS),
    ("DELETE", "bucket", "tagging"): Route("DeleteBucketTagging", delete_bucket_tagging),
    ("GET", "bucket", "acl"): Route("GetBucketAcl", get_acl),
    ("PUT", "bucket", "acl"): Route("PutBucketAcl", put_acl, headers=CHECKSUM_HEADERS),
    ("GET", "bucket", ""): Route("ListObjects", list_objects, _LIST | {"marker"}),
    ("GET", "bucket", "list-type"): Route(
        "ListObjectsV2", list_objects_v2, _LIST | {"continuation-token", "start-after", "fetch-owner"}
    ),
    ("GET", "bucket", "versions"): Route(
        "ListObjectVersions", list_object_versions, _LIST | {"key-marker", "version-id-marker"}
    ),
    ("GET", "bucket", "uploads"): Route(
        "ListMultipartUploads",
        list_multipart_uploads,
        _words("prefix", "delimiter", "encoding-type", "max-uploads", "key-marker", "upload-id-marker"),
    ),
    ("POST", "bucket", "delete"): Route("DeleteObjects", delete_objects, headers=CHECKSUM_HEADERS),
}

_OBJECTS = {
    ("PUT", "object", ""): Route("PutObject", put_object, headers=_ATTRIBUTES | CHECKSUM_HEADERS | WRITE_HEADERS),
    ("PUT", "object", "+copy"): Route(
        "CopyObject", copy_object, headers=_ATTRIBUTES | _COPIES | _DIRECTIVES | WRITE_HEADERS
    ),
    ("GET", "object", ""): Route("GetObject", get_object, _READ, READ_HEADERS),
    ("HEAD", "object", ""): Route("HeadObject", head_object, _READ, READ_HEADERS),
    ("DELETE", "object", ""): Route("DeleteObject", delete_object, _VERSION, _words("if-match")),
    ("GET", "object", "attributes"): Route("GetObjectAttributes", get_object_attributes, _VERSION, ATTRIBUTES_HEADERS),
    ("GET", "object", "tagging"): Route("GetObjectTagging", get_object_tagging, _VERSION),
    ("PUT", "object", "tagging"): Route("PutObjectTagging", put_object_tagging, _VERSION, CHECKSUM_HEADERS),
    ("DELETE", "object", "tagging"): Route("DeleteObjectTagging", delete_object_tagging, _VERSION),
    ("GET", "object", "acl"): Route("GetObjectAcl", get_acl, _VERSION),
    ("PUT", "object", "acl"): Route("PutObjectAcl", put_acl, _VERSION, CHECKSUM_HEADERS),
}

_UPLOADS = {
    ("POST", "object", "uploads"): Route("CreateMultipartUpload", create_multipart_upload, headers=_ATTRIBUTES | _KIND),
    ("PUT", "object", "uploadId"): Route("UploadPart", upload_part, _words("partNumber"), CHECKSUM_HEADERS),
    ("PUT", "object", "uploadId+copy"): Route(
        "UploadPartCopy", upload_part_copy, _words("partNumber"), _COPIES | {"x-amz-copy-source-range"}
    ),
    ("GET", "object", "uploadId"): Route("ListParts", list_parts, _words("max-parts", "part-number-marker")),
    ("POST", "object", "uploadId"): Route(
        "CompleteMultipartUpload",
        complete_multipart_upload,
        headers=CHECKSUM_HEADERS | WRITE_HEADERS | {"x-amz-checksum-type", "x-amz-mp-object-size"},
    ),
    ("DELETE", "object", "uploadId"): Route("AbortMultipartUpload", abort_multipart_upload),
}

ROUTES: dict[tuple[str, str, str], Route] = {**_SERVICE, **_BUCKETS, **_OBJECTS, **_UPLOADS}

SUBRESOURCES = frozenset(name for _, _, subresource in ROUTES if (name := subresource.removesuffix("+copy")))
