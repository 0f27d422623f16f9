"""Errors as S3 tells them: the one table from the error tree and its codes to HTTP statuses and S3 codes.

A class has one row: the status of its errors whose code has no row of its own, and the code they are told by (None: their
own). A code of S3's has one row: its status and S3's sentence for it. What is no `IsothermError` is told as InternalError
without a word of what it was; the connection logs it. Pure; from any thread.

An error's `detail` becomes elements of the document where its name begins with a capital letter (`Key`, `BucketName`, …);
the lower-case ones (`version`, `marker`, `modified_ms`, `retry_after_s`, `size`) become headers here and are never told
otherwise.
"""

from __future__ import annotations

from math import ceil

from isotherm import errors
from isotherm.errors import IsothermError
from isotherm.objects.model import NULL_VERSION, Version
from isotherm.protocols.s3.dates import http_date
from isotherm.protocols.s3.wire import Facts, Reply
from isotherm.protocols.s3.xml import DECLARATION, legible, tag

CLASSES: dict[type[IsothermError], tuple[int, str | None]] = {
    errors.IsothermError: (500, "InternalError"),
    errors.Retry: (503, "ServiceUnavailable"),
    errors.Conflicted: (503, "SlowDown"),
    errors.SnapshotExpired: (503, "ServiceUnavailable"),
    errors.NoSpace: (503, "ServiceUnavailable"),
    errors.Unavailable: (503, "ServiceUnavailable"),
    errors.NotPermitted: (503, "ServiceUnavailable"),
    errors.SlowDown: (503, "SlowDown"),
    errors.Invalid: (400, None),
    errors.Unsupported: (501, "NotImplemented"),
    errors.Conflict: (409, None),
    errors.AlreadyExists: (409, None),
    errors.NotEmpty: (409, None),
    errors.PreconditionFailed: (412, None),
    errors.Denied: (403, None),
    errors.OverQuota: (403, None),
    errors.NotFound: (404, None),
    errors.CursorExpired: (410, None),
    errors.Corrupt: (500, "InternalError"),
    errors.Misuse: (500, "InternalError"),
    errors.Closed: (500, "InternalError"),
    errors.ForkedHandle: (500, "InternalError"),
    errors.VersionMismatch: (500, "InternalError"),
}

CODES: dict[str, int] = {
    "AccessControlListNotSupported": 400,
    "AccountProblem": 403,
    "AccessDenied": 403,
    "AuthorizationHeaderMalformed": 400,
    "AuthorizationQueryParametersError": 400,
    "BadDigest": 400,
    "BadRequest": 400,
    "BucketAlreadyExists": 409,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "ConditionalRequestConflict": 409,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "IllegalLocationConstraintException": 400,
    "IllegalVersioningConfigurationException": 400,
    "IncompleteBody": 400,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidBucketName": 400,
    "InvalidChunkSizeError": 400,
    "InvalidDigest": 400,
    "InvalidLocationConstraint": 400,
    "InvalidPart": 400,
    "InvalidPartNumber": 416,
    "InvalidPartOrder": 400,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "InvalidTag": 400,
    "InvalidToken": 400,
    "InvalidURI": 400,
    "KeyTooLongError": 400,
    "MalformedTrailerError": 400,
    "MalformedXML": 400,
    "MetadataTooLarge": 400,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "MissingSecurityHeader": 400,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchTagSet": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NotImplemented": 501,
    "NotModified": 304,
    "OperationAborted": 409,
    "OwnershipControlsNotFoundError": 404,
    "PreconditionFailed": 412,
    "QuotaExceeded": 403,
    "RequestHeaderSectionTooLarge": 400,
    "RequestTimeTooSkewed": 403,
    "RequestTimeout": 400,
    "SignatureDoesNotMatch": 403,
    "TenantNotActive": 409,
    "TooManyBuckets": 400,
    "TooManyParts": 400,
    "UnexpectedContent": 400,
    "XAmzContentChecksumMismatch": 400,
    "XAmzContentSHA256Mismatch": 400,
}

RETRY_AFTER_S = 1
RETRY_AFTER_FULL_S = 30

_NAMING = frozenset({"NoSuchKey", "NoSuchVersion"})
_INTERNAL = "We encountered an internal error. Please try again."


def status_and_code(error: BaseException) -> tuple[int, str]:
    """The HTTP status and S3 code of any exception."""
    if not isinstance(error, IsothermError):
        return 500, "InternalError"
    for kind in type(error).__mro__:
        if kind in CLASSES:
            status, code = CLASSES[kind]
            return (status, code) if code is not None else (CODES.get(error.code, status), error.code)
    return 500, "InternalError"


def message_of(error: BaseException, status: int) -> str:
    """The sentence told. An internal error says nothing of itself."""
    if status == 500 or not isinstance(error, IsothermError):
        return _INTERNAL
    return str(error)


def render_error(error: BaseException, facts: Facts) -> Reply:
    """The reply that tells `error`. It has no body for HEAD and for 304."""
    status, code = status_and_code(error)
    detail = error.detail if isinstance(error, IsothermError) and status != 500 else {}
    headers = _headers(status, detail)
    if isinstance(error, errors.Retry):
        after_s = RETRY_AFTER_FULL_S if isinstance(error, errors.NoSpace) else RETRY_AFTER_S
        told_s = detail.get("retry_after_s")
        headers.append(("Retry-After", str(ceil(told_s) if isinstance(told_s, int | float) else after_s)))
    if status == 304 or facts.method == "HEAD":
        return Reply(status, headers, code=code)
    told = {name: str(value) for name, value in detail.items() if name[:1].isupper() and value is not None}
    if code in _NAMING and facts.key:
        told.setdefault("Key", facts.key)
    elif code == "NoSuchBucket":
        told.setdefault("BucketName", facts.bucket)
    told.setdefault("Resource", facts.path)
    body = (
        f"{DECLARATION}<Error>{tag('Code', code)}{tag('Message', legible(message_of(error, status)))}"
        f"{''.join([tag(name, legible(value)) for name, value in told.items()])}"
        f"{tag('RequestId', facts.id)}{tag('HostId', facts.host_id)}</Error>"
    )
    headers.append(("Content-Type", "application/xml"))
    return Reply(status, headers, body.encode(), code=code)


def _headers(status: int, detail: dict[str, object]) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    version = detail.get("version")
    if isinstance(version, Version):
        headers += [("ETag", f'"{version.etag}"'), ("Last-Modified", http_date(version.modified_ms))]
        if version.version_id != NULL_VERSION:
            headers.append(("x-amz-version-id", version.version_id))
        stored = version.attributes.headers
        headers += [(name, stored[name]) for name in ("cache-control", "expires") if name in stored]
    marker = detail.get("marker")
    if marker is False:
        headers.append(("x-amz-delete-marker", "false"))
    elif isinstance(marker, str):
        headers += [("x-amz-delete-marker", "true"), ("x-amz-version-id", marker)]
    modified_ms = detail.get("modified_ms")
    if isinstance(modified_ms, int):
        headers.append(("Last-Modified", http_date(modified_ms)))
    if status == 405:
        headers.append(("Allow", str(detail.get("allow", "DELETE"))))
    if status == 416 and isinstance(detail.get("size"), int):
        headers.append(("Content-Range", f"bytes */{detail['size']}"))
    return headers
