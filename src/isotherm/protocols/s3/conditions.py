"""Preconditions and ranges as headers spell them. Pure.

Sources: RFC 9110 §13 (conditions), §14 (ranges); S3 "Conditional requests". S3 serves one range: several, and what is
not a range at all, are answered with the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isotherm.errors import Invalid
from isotherm.objects.model import Condition, ReadCondition, Version
from isotherm.protocols.s3.dates import http_date, parse_http_date

NO_CONDITION = Condition()
READ_HEADERS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})
WRITE_HEADERS = frozenset({"if-match", "if-none-match"})

_SOURCE = "x-amz-copy-source-"
SOURCE_HEADERS = frozenset(_SOURCE + name for name in READ_HEADERS)
_DIGITS_MOST = 19
_BEYOND = 10**_DIGITS_MOST
"""Without the range: a copy of a whole object has none."""


def _etags(text: str) -> Sequence[str]:
    """The etags of a list, without quotes and the mark of weak ones; one that matches nothing for an empty list."""
    return tuple(etag for part in text.split(",") if (etag := unquoted(part))) or ("",)


def unquoted(text: str) -> str:
    """An etag without its quotes and the mark of a weak one."""
    return text.strip().removeprefix("W/").strip('"')


def read_condition(headers: Mapping[str, str], prefix: str = "") -> ReadCondition | None:
    """The conditions of a read, or None where there are none; dates that cannot be read are ignored."""
    match = headers.get(prefix + "if-match")
    none_match = headers.get(prefix + "if-none-match")
    since = headers.get(prefix + "if-modified-since")
    unmodified = headers.get(prefix + "if-unmodified-since")
    if match is None and none_match is None and since is None and unmodified is None:
        return None
    return ReadCondition(
        if_match=_etags(match) if match is not None else (),
        if_none_match=_etags(none_match) if none_match is not None else (),
        if_modified_since_ms=parse_http_date(since) if since is not None else None,
        if_unmodified_since_ms=parse_http_date(unmodified) if unmodified is not None else None,
    )


def source_condition(headers: Mapping[str, str]) -> ReadCondition | None:
    """The conditions a copy puts on its source."""
    return read_condition(headers, _SOURCE)


def write_condition(headers: Mapping[str, str]) -> Condition:
    """The conditions of a write. Raises Invalid(InvalidRequest) for If-Match and If-None-Match at once, or several etags."""
    match = headers.get("if-match")
    none_match = headers.get("if-none-match")
    if match is None and none_match is None:
        return NO_CONDITION
    if match is not None and none_match is not None:
        raise Invalid("If-Match and If-None-Match cannot be given at once.", code="InvalidRequest")
    if "," in (match or none_match or ""):
        raise Invalid("A condition on a write names one etag.", code="InvalidRequest")
    return Condition(
        if_match=unquoted(match) if match is not None else None,
        if_none_match=unquoted(none_match) if none_match is not None else None,
    )


def range_applies(headers: Mapping[str, str], version: Version) -> bool:
    """Whether If-Range, if any, allows the range (RFC 9110 §13.1.5)."""
    validator = headers.get("if-range")
    return validator is None or validator in (f'"{version.etag}"', http_date(version.modified_ms))


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """(offset, length) of the one byte range asked for; None where the whole is to be sent.

    Raises:
        Invalid(InvalidRange): no byte of the range exists.
    """
    unit, equals, spec = text.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    first, dash, last = spec.strip().partition("-")
    if not dash or not (first or last) or not _digits(first) or not _digits(last):
        return None
    if not first:
        length = min(_number(last), size)
        start, end = size - length, size - 1
    else:
        start = _number(first)
        end = min(_number(last), size - 1) if last else size - 1
        if last and _number(last) < start:
            return None
    if start > end:
        raise Invalid(
            "The requested range is not satisfiable",
            code="InvalidRange",
            RangeRequested=text,
            ActualObjectSize=size,
            size=size,
        )
    return start, end - start + 1


def parse_source_range(text: str) -> tuple[int, int]:
    """(offset, length) of x-amz-copy-source-range, which must be `bytes=first-last`. Raises Invalid(InvalidArgument)."""
    first, dash, last = text.removeprefix("bytes=").partition("-")
    if text.startswith("bytes=") and dash and first and last and _digits(first) and _digits(last):
        start, end = _number(first), _number(last)
        if start <= end:
            return start, end - start + 1
    raise Invalid(
        "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based"
        " offsets of the first and last bytes to copy",
        code="InvalidArgument",
        ArgumentName="x-amz-copy-source-range",
        ArgumentValue=text,
    )


def _digits(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit())


def _number(text: str) -> int:
    """A position, however many digits it has; beyond any object's end one is as good as another."""
    return int(text) if len(text) <= _DIGITS_MOST else min(int(text.lstrip("0")[: _DIGITS_MOST + 1] or "0"), _BEYOND)
