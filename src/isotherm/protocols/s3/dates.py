"""Dates in the two forms S3 speaks: HTTP's (RFC 9110 §5.6.7) and ISO 8601. Pure; from any thread.

Both carry whole seconds: S3 gives `.000Z` in its documents, so that a listing and a header name the same instant.
"""

from __future__ import annotations

from calendar import timegm
from datetime import UTC, datetime
from email.utils import parsedate_tz
from functools import lru_cache

_DAY_S = 86_400


@lru_cache(maxsize=1024)
def _http_day(day: int) -> str:
    # strftime would follow the process's locale
    moment = datetime.fromtimestamp(day * _DAY_S, UTC)
    name = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[moment.month * 3 - 3 : moment.month * 3]
    return f"{name}, {moment.day:02} {month} {moment.year:04} "


@lru_cache(maxsize=8192)
def _http_second(second: int) -> str:
    day, rest = divmod(second, _DAY_S)
    return f"{_http_day(day)}{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02} GMT"


def http_date(moment_ms: int) -> str:
    """`Wed, 21 Oct 2015 07:28:00 GMT`"""
    return _http_second(moment_ms // 1000)


@lru_cache(maxsize=8192)
def iso_minute(minute: int) -> str:
    """`2015-10-21T07:28:`, of the minute since 1970: listings add the seconds from a table."""
    return datetime.fromtimestamp(minute * 60, UTC).isoformat()[:17]


ISO_SECONDS = tuple(f"{second:02}.000Z" for second in range(60))


def iso_date(moment_ms: int) -> str:
    """`2015-10-21T07:28:00.000Z`"""
    minute, second = divmod(moment_ms // 1000, 60)
    return iso_minute(minute) + ISO_SECONDS[second]


def parse_http_date(text: str) -> int | None:
    """Milliseconds since 1970 of an HTTP date in any of its three forms, or of an ISO 8601 one; None for anything else.

    A condition whose date cannot be read is ignored (RFC 9110 §13.1.3), so this raises nothing.
    """
    try:
        parsed = parsedate_tz(text)
        if parsed is not None:
            return (timegm((*parsed[:6], 0, 0, 0)) - (parsed[9] or 0)) * 1000
        moment = datetime.fromisoformat(text)
        return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
