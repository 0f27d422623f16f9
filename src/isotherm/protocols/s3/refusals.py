"""What the connection itself refuses, in S3's words. Pure; from anywhere.

Verbs never see these requests. Codes stand in error_table.py; details with capital names become elements of the document.
"""

from __future__ import annotations

from collections.abc import Mapping

from isotherm.errors import Denied, Invalid, Unsupported


def bad_request(why: str) -> Invalid:
    """Not HTTP as this server accepts it; the connection closes after it, since where the next request begins is unknown."""
    return Invalid(f"An error occurred when parsing the HTTP request: {why}.", code="BadRequest")


def head_too_large() -> Invalid:
    return Invalid(
        "Your request header and query parameters used to make the request exceed the maximum allowed size.",
        code="RequestHeaderSectionTooLarge",
    )


def bad_uri() -> Invalid:
    return Invalid("Couldn't parse the specified URI.", code="InvalidURI")


def bad_bucket() -> Invalid:
    return Invalid("The specified bucket is not valid.", code="InvalidBucketName", BucketName="")


def length_required() -> Invalid:
    return Invalid("You must provide the Content-Length HTTP header.", code="MissingContentLength")


def not_implemented(header: str) -> Unsupported:
    return Unsupported("A header you provided implies functionality that is not implemented.", Header=header)


def is_form(method: str, headers: Mapping[str, str]) -> bool:
    """Whether this is a browser's upload, as presigned POSTs are."""
    return method == "POST" and headers.get("content-type", "").startswith("multipart/form-data")


def form() -> Unsupported:
    return Unsupported("Uploads by HTML forms are not implemented.")


def timed_out() -> Invalid:
    return Invalid(
        "Your socket connection to the server was not read from or written to within the timeout period.",
        code="RequestTimeout",
    )


def incomplete_body(why: str = "") -> Invalid:
    sentence = "You did not provide the number of bytes specified by the Content-Length HTTP header."
    return Invalid(why or sentence, code="IncompleteBody")


def anonymous() -> Denied:
    return Denied("Access Denied")


def denied(sentence: str, **detail: object) -> Denied:
    return Denied(sentence, code="AccessDenied", **detail)


def malformed_authorization(why: str) -> Invalid:
    return Invalid(f"The authorization header is malformed; {why}.", code="AuthorizationHeaderMalformed")


def malformed_query(sentence: str) -> Invalid:
    return Invalid(sentence, code="AuthorizationQueryParametersError")


def invalid_request(sentence: str) -> Invalid:
    return Invalid(sentence, code="InvalidRequest")


def invalid_argument(sentence: str, **detail: object) -> Invalid:
    return Invalid(sentence, code="InvalidArgument", **detail)


def unknown_access_key(access_key: str) -> Denied:
    return Denied(
        "The AWS Access Key Id you provided does not exist in our records.",
        code="InvalidAccessKeyId",
        AWSAccessKeyId=access_key,
    )


def wrong_signature(access_key: str, given: str, signed_text: str, canonical: str) -> Denied:
    """Tells what this server signed, as S3 does: nothing in it is secret, and it is what finds a client's mistake."""
    return Denied(
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
        code="SignatureDoesNotMatch",
        AWSAccessKeyId=access_key,
        StringToSign=signed_text,
        SignatureProvided=given,
        CanonicalRequest=canonical,
    )


def wrong_chunk_signature() -> Denied:
    return Denied(
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
        code="SignatureDoesNotMatch",
    )


def skewed(request_time: str, server_time: str, skew_s: int) -> Denied:
    return Denied(
        "The difference between the request time and the current time is too large.",
        code="RequestTimeTooSkewed",
        RequestTime=request_time,
        ServerTime=server_time,
        MaxAllowedSkewMilliseconds=skew_s * 1000,
    )


def wrong_payload_hash(given: str, computed: str) -> Invalid:
    return Invalid(
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
        code="XAmzContentSHA256Mismatch",
        ClientComputedContentSHA256=given,
        S3ComputedContentSHA256=computed,
    )


def chunk_too_small() -> Invalid:
    return Invalid(
        "Only the last chunk is allowed to have a size less than 8192 bytes.",
        code="InvalidChunkSizeError",
    )


def malformed_trailer(why: str) -> Invalid:
    return Invalid(
        f"The request contained trailing data that was not well-formed: {why}.", code="MalformedTrailerError"
    )


def invalid_token() -> Invalid:
    return Invalid("The provided token is malformed or otherwise invalid.", code="InvalidToken")
