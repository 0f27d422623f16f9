"""What a writer says of an object in headers, and what a reader is told of it. Pure.

Header values are UTF-8: what came in as UTF-8 goes out byte for byte, anything else is taken for ISO 8859-1. A value that
another way of writing has put there and that no header can hold goes out as RFC 2047 spells it; metadata whose *name* no
header can hold is counted in x-amz-missing-meta. S3's own limits live here: 2 KB of user metadata, 10 tags of at most 128 and 256
characters.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from isotherm.errors import Invalid
from isotherm.objects.model import METADATA_BYTES_MOST, NULL_VERSION, Attributes, Version
from isotherm.protocols.s3.dates import http_date

OBJECT_TAGS_MOST = 10
BUCKET_TAGS_MOST = 50
TAG_KEY_LETTERS_MOST = 128
TAG_VALUE_LETTERS_MOST = 256

_STORED = ("content-type", "cache-control", "content-disposition", "content-language", "expires")
_META = "x-amz-meta-"
_DEFAULT_TYPE = ("Content-Type", "binary/octet-stream")

_OVERRIDES = {
    "response-content-type": "content-type",
    "response-cache-control": "cache-control",
    "response-content-disposition": "content-disposition",
    "response-content-encoding": "content-encoding",
    "response-content-language": "content-language",
    "response-expires": "expires",
}
OVERRIDES = frozenset(_OVERRIDES)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNFIT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")

NO_ATTRIBUTES = Attributes()


def read_attributes(headers: Mapping[str, str]) -> Attributes:
    """The attributes a request names. Raises Invalid(MetadataTooLarge)."""
    stored = {name: _text(headers[name]) for name in _STORED if headers.get(name)}
    encoding = headers.get("content-encoding")
    if encoding is not None:
        # aws-chunked is how the body travelled, not what it is
        kept = [word for part in encoding.split(",") if (word := part.strip()) and word.lower() != "aws-chunked"]
        if kept:
            stored["content-encoding"] = _text(", ".join(kept))
    metadata: dict[str, str] = {}
    size = 0
    for name, value in headers.items():
        if name.startswith(_META):
            short = name[len(_META) :]
            metadata[short] = _text(value)
            size += len(short) + len(value)
    if size > METADATA_BYTES_MOST:
        raise Invalid(
            "Your metadata headers exceed the maximum allowed metadata size",
            code="MetadataTooLarge",
            Size=size,
            MaxSizeAllowed=METADATA_BYTES_MOST,
        )
    if not stored and not metadata:
        return NO_ATTRIBUTES
    return Attributes(stored, metadata)


def version_lines(version: Version) -> str:
    """The header lines of GET and HEAD that every version has."""
    return f'ETag: "{version.etag}"\r\nLast-Modified: {http_date(version.modified_ms)}\r\nAccept-Ranges: bytes\r\n'


def version_headers(version: Version, overrides: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """The other headers of GET and HEAD that tell what a version is; `overrides` by stored name take the place of its own."""
    headers: list[tuple[str, str]] = []
    stored: Mapping[str, str] = version.attributes.headers
    if overrides:
        stored = {**stored, **overrides}
    if "content-type" not in stored:
        headers.append(_DEFAULT_TYPE)
    for name, value in stored.items():
        headers.append((name, value if value.isascii() and value.isprintable() else _fit(value)))
    if version.attributes.metadata:
        headers += _metadata_headers(version.attributes.metadata)
    if version.version_id != NULL_VERSION:
        headers.append(("x-amz-version-id", version.version_id))
    if version.tag_count:
        headers.append(("x-amz-tagging-count", str(version.tag_count)))
    return headers


def _metadata_headers(metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    headers = [(_META + name, _fit(value)) for name, value in metadata.items() if _TOKEN.fullmatch(name)]
    if len(headers) < len(metadata):
        headers.append(("x-amz-missing-meta", str(len(metadata) - len(headers))))
    return headers


def _text(value: str) -> str:
    """The text a header's bytes spell. Headers are handed over as ISO 8859-1."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def _fit(value: str) -> str:
    """The inverse: text as a header's bytes, handed over as ISO 8859-1."""
    if _UNFIT.search(value) is None:
        return value.encode().decode("latin-1")
    return f"=?UTF-8?B?{b64encode(value.encode(errors='replace')).decode()}?="


def response_overrides(query: Mapping[str, str]) -> dict[str, str] | None:
    """The response-* parameters, by stored name. Raises Invalid(InvalidArgument) for a value no header can hold."""
    found = {_OVERRIDES[name]: value for name, value in query.items() if name in _OVERRIDES}
    for name, value in found.items():
        if not all(" " <= letter <= "\xff" and letter != "\x7f" for letter in value):
            raise Invalid(
                "Header value cannot be represented using ISO-8859-1.",
                code="InvalidArgument",
                ArgumentName=f"response-{name}",
            )
    return found or None


def tags_from_header(text: str) -> dict[str, str]:
    """The tags of an x-amz-tagging header, a URL query. Raises Invalid(InvalidArgument | InvalidTag)."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=False, errors="strict") if text else []
    except ValueError:
        raise Invalid(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name"
            " duplicates.",
            code="InvalidArgument",
            ArgumentName="x-amz-tagging",
        ) from None
    return checked_tags(pairs, OBJECT_TAGS_MOST)


def checked_tags(pairs: Iterable[tuple[str, str]], most: int) -> dict[str, str]:
    """The tags as a mapping, held against S3's limits. Raises Invalid(InvalidTag)."""
    tags: dict[str, str] = {}
    for key, value in pairs:
        if not key or len(key) > TAG_KEY_LETTERS_MOST:
            raise Invalid("The TagKey you have provided is invalid", code="InvalidTag", TagKey=key)
        if len(value) > TAG_VALUE_LETTERS_MOST:
            raise Invalid("The TagValue you have provided is invalid", code="InvalidTag", TagKey=key, TagValue=value)
        if key.startswith("aws:"):
            raise Invalid("System tags cannot be added/updated by requester", code="InvalidTag", TagKey=key)
        if key in tags:
            raise Invalid("Cannot provide multiple Tags with the same key", code="InvalidTag", TagKey=key)
        tags[key] = value
    if len(tags) > most:
        raise Invalid(f"Tags cannot be greater than {most}", code="InvalidTag")
    return tags
