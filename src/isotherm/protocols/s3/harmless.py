"""Headers a verb need not know: those of HTTP and of signing, and those that ask for what this store is anyway. Pure.

The latter are understood by their value. An ACL that gives nobody but the owner anything is what every bucket has. There is
one storage class, STANDARD. There are no locks, so there is none to bypass. There is one version of the interface, which the
C++ SDK names in every request (pyarrow's S3FileSystem is built on it). An expected owner is compared. Any other value is answered
501, or 400 where S3 does not know it either.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

from isotherm.errors import Denied, Invalid, Unsupported
from isotherm.protocols.s3.wire import Request, bucket_owner

COMMON = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "cache-control",
        "connection",
        "content-disposition",
    }
    | {"content-encoding", "content-language", "content-length", "content-md5", "content-type", "date", "expect"}
    | {"expires", "host", "if-range", "origin", "range", "referer", "te", "transfer-encoding", "user-agent"}
    | {"amz-sdk-invocation-id", "amz-sdk-request", "x-amz-content-sha256", "x-amz-date", "x-amz-region-set"}
    | {"x-amz-decoded-content-length", "x-amz-user-agent", "x-amz-te", "x-amz-request-payer"}
    | {"x-amz-sdk-checksum-algorithm", "x-amz-trailer", "x-amz-checksum-mode"}
)

CANNED_ACLS = frozenset(
    {"private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read"}
    | {"bucket-owner-read", "bucket-owner-full-control", "log-delivery-write"}
)
OWNERS_ONLY = frozenset({"private", "bucket-owner-read", "bucket-owner-full-control"})


def check_canned_acl(acl: str) -> None:
    """Raises Unsupported for an ACL that gives somebody else something; Invalid(InvalidArgument) for no ACL at all."""
    if acl in OWNERS_ONLY:
        return
    if acl not in CANNED_ACLS:
        raise Invalid("This is not a canned ACL.", code="InvalidArgument", ArgumentName="x-amz-acl", ArgumentValue=acl)
    raise Unsupported("Access control lists other than private are not implemented.", Header="x-amz-acl")


def _acl(request: Request, value: str) -> None:
    check_canned_acl(value)


def _owner(request: Request, value: str) -> None:
    if value != bucket_owner(request, request.bucket):
        raise Denied("Access Denied")


def _source_owner(request: Request, value: str) -> None:
    source = unquote(request.headers.get("x-amz-copy-source", "")).removeprefix("/")
    if value != bucket_owner(request, source.partition("/")[0]):
        raise Denied("Access Denied")


def _only(name: str, *accepted: str) -> Callable[[Request, str], None]:
    def check(request: Request, value: str) -> None:
        if value.upper() not in accepted:
            raise Unsupported("A header you provided implies functionality that is not implemented", Header=name)

    return check


CHECKED: dict[str, Callable[[Request, str], None]] = {
    "x-amz-acl": _acl,
    "x-amz-api-version": _only("x-amz-api-version", "2006-03-01"),
    "x-amz-expected-bucket-owner": _owner,
    "x-amz-source-expected-bucket-owner": _source_owner,
    "x-amz-storage-class": _only("x-amz-storage-class", "STANDARD"),
    "x-amz-object-ownership": _only("x-amz-object-ownership", "BUCKETOWNERENFORCED"),
    "x-amz-bucket-object-lock-enabled": _only("x-amz-bucket-object-lock-enabled", "FALSE"),
    "x-amz-bypass-governance-retention": _only("x-amz-bypass-governance-retention", "TRUE", "FALSE"),
    "x-amz-optional-object-attributes": _only("x-amz-optional-object-attributes", "RESTORESTATUS"),
}
