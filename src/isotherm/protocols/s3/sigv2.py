"""AWS Signature Version 2 in a presigned query, and nowhere else: boto3, s3fs and aws-cli 1 still presign so by default.

It signs the method, Content-MD5, Content-Type, the time of expiry, x-amz-* headers, the path and those query parameters that
choose an operation. x-amz-*, Content-Type and Content-MD5 parameters stand for headers, as botocore's signer puts them there.
Source: "Signing and authenticating REST requests", Amazon S3 Developer Guide (API version 2006-03-01). Pure.
"""

from __future__ import annotations

from base64 import b64encode
from hmac import compare_digest, digest
from urllib.parse import unquote

from isotherm.protocols.s3 import refusals
from isotherm.protocols.s3.parsing import Head
from isotherm.protocols.s3.timestamps import render_extended

MARKS = frozenset(("AWSAccessKeyId", "Signature", "Expires"))

_SIGNED_PARAMETERS = frozenset(
    # those of the guide, and those that choose an operation and came later: what is not signed must not change what is done
    [
        "acl",
        "analytics",
        "attributes",
        "cors",
        "delete",
        "encryption",
        "inventory",
        "legal-hold",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "partNumber",
        "policy",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "select-type",
        "storageClass",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
    ]
)
_CARRIED = ("content-type", "content-md5")
_DIGITS_MOST = 11


def carry(query: list[tuple[str, str]], headers: dict[str, str]) -> tuple[str, str, str]:
    """(access key, expiry, signature). Takes them out of `query`, and the parameters that stand for headers. Changes both.

    Raises:
        Invalid: one of the three is given twice or not at all; a header says something else than the parameter of its name.
    """
    own: dict[str, str] = {}
    rest: list[tuple[str, str]] = []
    for name, value in query:
        lower = name.lower()
        if name in MARKS:
            if name in own:
                raise refusals.denied(f"{name} was given twice")
            own[name] = value
        elif lower.startswith("x-amz-"):
            carried = value.encode().decode("latin-1")  # as the bytes of a header are kept
            if headers.setdefault(lower, carried) != carried:
                raise refusals.invalid_request(
                    f"The header {lower} and the query parameter {name} contradict each other."
                )
        elif lower not in _CARRIED:
            rest.append((name, value))
    if len(own) < len(MARKS):
        raise refusals.denied(
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
        )
    query[:] = rest
    return own["AWSAccessKeyId"], own["Expires"], own["Signature"]


def demand_valid(expires: str, now_ms: int) -> None:
    """Raises Denied for a URL whose time is over, or was never one."""
    if not expires.isascii() or not expires.isdigit() or len(expires) > _DIGITS_MOST:
        raise refusals.denied("Invalid date (should be seconds since epoch): " + expires[:64])
    if now_ms >= int(expires) * 1000:
        raise refusals.denied("Request has expired", Expires=expires, ServerTime=render_extended(now_ms))


def string_to_sign(head: Head, bucket_of_host: str, expires: str) -> bytes:
    """`head` with the headers that its query stood for. `bucket_of_host` is empty where the bucket is in the path."""
    headers = head.headers
    amz = "".join([f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-amz-")])
    above = f"{head.method}\n{headers.get('content-md5', '')}\n{headers.get('content-type', '')}\n{expires}\n{amz}"
    resource = f"/{bucket_of_host}{head.path}" if bucket_of_host else head.path
    chosen = []
    for part in head.query.split("&"):
        name, equals, value = part.partition("=")
        if unquote(name) in _SIGNED_PARAMETERS:
            chosen.append(f"{unquote(name)}={unquote(value)}" if equals else unquote(name))
    if chosen:
        resource += "?" + "&".join(sorted(chosen))
    return above.encode("latin-1") + resource.encode()


def fits(secret: str, text: bytes, signature: str) -> bool:
    """Compared in a time that tells nothing of where they differ."""
    expected = b64encode(digest(secret.encode(), text, "sha1"))
    return compare_digest(expected, signature.encode("utf-8", "replace"))
