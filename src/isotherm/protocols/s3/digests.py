"""Digests a client names in headers or trailers, and those it is given back. Pure, but for `verified_body`.

Sources: S3 "Checking object integrity"; RFC 1864 (Content-MD5).
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping

from isotherm.errors import Invalid
from isotherm.objects.checksums import DIGEST_BYTES, Digester, supports_full_object, verify
from isotherm.objects.model import Algorithm, Checksum, Digests
from isotherm.protocols.s3.wire import Request

_HEADER = {f"x-amz-checksum-{algorithm.value.lower()}": algorithm for algorithm in Algorithm}
_NAME = {algorithm: name for name, algorithm in _HEADER.items()}
_ELEMENT = {algorithm: f"Checksum{algorithm.value}" for algorithm in Algorithm}
_BY_VALUE = {algorithm.value: algorithm for algorithm in Algorithm}

CHECKSUM_HEADERS = frozenset(_HEADER) | {"x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm", "x-amz-trailer"}
_DIGEST_HEADERS = CHECKSUM_HEADERS | {"content-md5"}
NO_DIGESTS = Digests()

FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"


def algorithm_named(name: str) -> Algorithm:
    """Raises Invalid(InvalidRequest) for a name that is not one of the algorithms'."""
    algorithm = _BY_VALUE.get(name.upper())
    if algorithm is None:
        known = ", ".join(_BY_VALUE)
        raise Invalid(
            f"Checksum algorithm provided is unsupported. Please try again with any of {known}.", code="InvalidRequest"
        )
    return algorithm


def decode_digest(algorithm: Algorithm, text: str) -> bytes:
    """The raw digest of its base64. Raises Invalid(BadDigest): what is no digest of that kind cannot be the body's."""
    try:
        value = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != DIGEST_BYTES[algorithm]:
        raise Invalid(f"Value for {_NAME[algorithm]} header is invalid.", code="BadDigest")
    return value


def encode_digest(checksum: Checksum) -> str:
    """Base64, followed by `-N` for a checksum composed of N parts'."""
    text = binascii.b2a_base64(checksum.value, newline=False).decode()
    return f"{text}-{checksum.parts}" if checksum.parts else text


def content_md5(headers: Mapping[str, str]) -> bytes | None:
    """Raises Invalid(InvalidDigest)."""
    text = headers.get("content-md5")
    if text is None:
        return None
    try:
        value = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != 16:
        raise Invalid("The Content-MD5 you specified was invalid.", code="InvalidDigest")
    return value


def body_digests(request: Request) -> Digests:
    """What the client says of this request's body.

    Raises:
        Invalid: InvalidDigest, BadDigest, InvalidRequest (two checksums, or one that contradicts the named algorithm).
    """
    headers = request.headers
    if headers.keys().isdisjoint(_DIGEST_HEADERS):
        return NO_DIGESTS
    md5 = content_md5(headers)
    value = trailer = None
    given = [(algorithm, headers[name]) for name, algorithm in _HEADER.items() if name in headers]
    named = headers.get("x-amz-sdk-checksum-algorithm") or headers.get("x-amz-checksum-algorithm")
    algorithm = algorithm_named(named) if named else None
    if "x-amz-trailer" in headers:
        for name in headers["x-amz-trailer"].lower().split(","):
            announced = _HEADER.get(name.strip())
            if announced is None:
                raise Invalid("The value specified in the x-amz-trailer header is not supported", code="InvalidRequest")
            given.append((announced, ""))
            trailer = _from_trailer(request.trailers, announced)
    if len(given) > 1:
        raise Invalid(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.", code="InvalidRequest"
        )
    if given:
        found, text = given[0]
        if algorithm is not None and algorithm is not found:
            raise Invalid("Value for x-amz-sdk-checksum-algorithm header is invalid.", code="InvalidRequest")
        algorithm = found
        value = decode_digest(found, text) if trailer is None else None
    if md5 is None and algorithm is None:
        return NO_DIGESTS
    return Digests(md5=md5, algorithm=algorithm, value=value, trailer=trailer)


def _from_trailer(trailers: Mapping[str, str], algorithm: Algorithm) -> Callable[[], bytes | None]:
    name = _NAME[algorithm]

    def read() -> bytes | None:
        text = trailers.get(name)
        if text is None:
            raise Invalid("The request did not end with the trailer it announced.", code="MalformedTrailerError")
        return decode_digest(algorithm, text)

    return read


async def verified_body(request: Request, most_bytes: int, *, checksums: bool = True) -> bytes:
    """The whole of a small body (a document), checked against the digests that came with it.

    `checksums=False` where the checksum headers speak of something else, so that only Content-MD5 is of the body.

    Raises:
        Invalid: MalformedXML over `most_bytes`; BadDigest, InvalidDigest, InvalidRequest.
    """
    digests = body_digests(request) if checksums else Digests(md5=content_md5(request.headers))
    digester = Digester(digests.algorithm, md5=digests.md5 is not None)
    too_long = Invalid("The document is longer than this call allows.", code="MalformedXML", MaxSizeAllowed=most_bytes)
    if (request.body.size or 0) > most_bytes:
        raise too_long
    held = bytearray()
    async for piece in request.body.pieces:
        held += piece
        if len(held) > most_bytes:
            raise too_long
    digester.update(held)
    verify(digester, digests)
    return bytes(held)


def checksum_type(checksum: Checksum) -> str:
    return COMPOSITE if checksum.parts else FULL_OBJECT


def checksum_headers(checksum: Checksum) -> list[tuple[str, str]]:
    """The two headers that tell a stored checksum."""
    return [
        (_NAME[checksum.algorithm], encode_digest(checksum)),
        ("x-amz-checksum-type", checksum_type(checksum)),
    ]


def checksum_elements(checksum: Checksum | None, *, with_type: bool = True) -> str:
    """The same as elements, or nothing."""
    if checksum is None:
        return ""
    name = _ELEMENT[checksum.algorithm]
    kind = f"<ChecksumType>{checksum_type(checksum)}</ChecksumType>" if with_type else ""
    return f"<{name}>{encode_digest(checksum)}</{name}>{kind}"


def upload_checksum(headers: Mapping[str, str]) -> tuple[Algorithm | None, bool]:
    """The algorithm a multipart upload shall have, and whether its checksum shall be of the full object.

    Raises:
        Invalid: InvalidRequest for a type the algorithm does not offer.
    """
    name = headers.get("x-amz-checksum-algorithm") or headers.get("x-amz-sdk-checksum-algorithm")
    kind = headers.get("x-amz-checksum-type", "").upper()
    if not name:
        if kind:
            raise Invalid(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
                code="InvalidRequest",
            )
        return None, False
    algorithm = algorithm_named(name)
    if kind not in ("", FULL_OBJECT, COMPOSITE):
        raise Invalid("Value for x-amz-checksum-type header is invalid.", code="InvalidRequest")
    full = kind == FULL_OBJECT or (not kind and algorithm is Algorithm.CRC64NVME)
    if full != supports_full_object(algorithm) and (full or algorithm is Algorithm.CRC64NVME):
        raise Invalid(
            f"The {kind} checksum type cannot be used with the {algorithm.value.lower()} checksum algorithm.",
            code="InvalidRequest",
        )
    return algorithm, full


def expected_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """The checksum of the whole object that a client expects of a completed upload.

    Raises:
        Invalid: BadDigest, InvalidRequest.
    """
    given = [(algorithm, headers[name]) for name, algorithm in _HEADER.items() if name in headers]
    if len(given) > 1:
        raise Invalid(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.", code="InvalidRequest"
        )
    if not given:
        return None
    algorithm, text = given[0]
    digest, dash, parts = text.partition("-")
    if dash and not (parts.isascii() and parts.isdigit() and 0 < int(parts) <= 10_000):
        raise Invalid(f"Value for {_NAME[algorithm]} header is invalid.", code="BadDigest")
    return Checksum(algorithm, decode_digest(algorithm, digest), int(parts) if dash else 0)


def part_checksum(values: Mapping[str, str]) -> Checksum | None:
    """The checksum among a part's elements in a CompleteMultipartUpload document, by element name."""
    for algorithm, name in _ELEMENT.items():
        if name in values:
            return Checksum(algorithm, decode_digest(algorithm, values[name]))
    return None


CHECKSUM_ELEMENTS = tuple(_ELEMENT.values())
