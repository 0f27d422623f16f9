"""From bytes and texts of a request to the structs of an operation, strictly. Pure.

JSON is read twice: by msgspec, which checks types and bounds, and by the standard library for what msgspec lets pass, a name
given twice in an object. Both are bounded by `BODY_BYTES_MOST`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from isotherm.errors import Invalid

BODY_BYTES_MOST = 65_536


def segments_of(raw_path: bytes) -> list[str]:
    """The segments of a path as it was sent: split first, decoded then. Raises Invalid for what is no UTF-8."""
    try:
        return [unquote_to_bytes(segment).decode() for segment in raw_path.split(b"/")[1:]]
    except UnicodeDecodeError:
        raise Invalid("the path is not UTF-8") from None


def query_of(pairs: Sequence[tuple[str, str]], struct: type[msgspec.Struct] | None) -> Any:
    """Raises Invalid for a parameter that is given twice, unknown, or not what it may be."""
    given = dict(pairs)
    if len(given) != len(pairs):
        raise Invalid("a parameter of the query is given twice")
    if struct is None:
        if given:
            raise Invalid(f"unknown parameter {min(given)[:64]!r}")
        return None
    try:
        return msgspec.convert(given, struct, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"the query: {error}") from None


def body_of(data: bytes, media_type: str, struct: type[msgspec.Struct] | None) -> Any:
    """Raises Invalid: no JSON, a name given twice, an unknown field, a value out of its bounds, or a body where none belongs."""
    if struct is None:
        if data:
            raise Invalid("this operation takes no body")
        return None
    if media_type.partition(";")[0].strip().lower() != "application/json":  # a browser's form cannot send that
        raise Invalid("send the body as Content-Type: application/json", code="UnsupportedMediaType")
    try:
        decoded = msgspec.json.decode(data, type=struct)
        json.loads(data, object_pairs_hook=_once)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Invalid(f"the body: {error}") from None
    return decoded


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    given = dict(pairs)
    if len(given) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is given twice")
    return given
