"""Times as signatures carry them: ISO 8601 basic, "20260101T000000Z". Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from isotherm.protocols.s3.dates import parse_http_date

_BASIC = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z").fullmatch
_FORM = "%04d%02d%02dT%02d%02d%02dZ"


def parse_basic(text: str) -> int | None:
    """Milliseconds since 1970, or None for anything else."""
    found = _BASIC(text)
    if found is None:
        return None
    try:
        return int(datetime(*map(int, found.groups()), tzinfo=UTC).timestamp()) * 1000  # type: ignore[misc, arg-type]
    except ValueError:
        return None


def parse_any(text: str) -> int | None:
    """Milliseconds since 1970 of the basic form or of an HTTP date, or None."""
    basic = parse_basic(text)
    return parse_http_date(text) if basic is None else basic


def render_basic(moment_ms: int) -> str:
    moment = datetime.fromtimestamp(moment_ms // 1000, UTC)
    return _FORM % (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)


def render_extended(moment_ms: int) -> str:
    """`2026-01-01T00:00:00Z`, as error documents tell times."""
    return datetime.fromtimestamp(moment_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
