"""Errors as the administrative API tells them: RFC 9457 problem details, by one table from the error tree.

A class has one row: HTTP status, title, and the code it is told by (None: its own). A code with another status than its class
has a row of its own. What is no `IsothermError` is told as InternalError, without a word of what it was. Pure; any thread.

An error's `detail` becomes extension members of the document; internal errors tell none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from isotherm import errors
from isotherm.errors import IsothermError
from isotherm.protocols.admin.authentication import CHALLENGE

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:isotherm:problem:"

CLASSES: Mapping[type[IsothermError], tuple[int, str, str | None]] = {
    errors.IsothermError: (500, "An internal error", "InternalError"),
    errors.Retry: (503, "Try again later", "ServiceUnavailable"),
    errors.Conflicted: (503, "Others kept winning", "ServiceUnavailable"),
    errors.SnapshotExpired: (503, "Try again later", "ServiceUnavailable"),
    errors.NoSpace: (503, "The storage medium is full", "NoSpace"),
    errors.Unavailable: (503, "A part of the platform is away", "ServiceUnavailable"),
    errors.NotPermitted: (503, "The operating system refuses it", "ServiceUnavailable"),
    errors.SlowDown: (503, "Over capacity", "SlowDown"),
    errors.Invalid: (400, "The request is not valid", None),
    errors.Unsupported: (501, "Not offered by this platform", "NotImplemented"),
    errors.Conflict: (409, "The state of the store refuses it", None),
    errors.AlreadyExists: (409, "It exists already", None),
    errors.NotEmpty: (409, "It is not empty", None),
    errors.PreconditionFailed: (412, "A precondition did not hold", None),
    errors.Denied: (403, "Not allowed", None),
    errors.OverQuota: (409, "More than there is to promise", None),
    errors.NotFound: (404, "Not found", None),
    errors.CursorExpired: (410, "The cursor has expired", None),
    errors.Corrupt: (500, "An internal error", "InternalError"),
    errors.Misuse: (500, "An internal error", "InternalError"),
    errors.Closed: (500, "An internal error", "InternalError"),
    errors.ForkedHandle: (500, "An internal error", "InternalError"),
    errors.VersionMismatch: (500, "An internal error", "InternalError"),
}

CODES: Mapping[str, tuple[int, str]] = {
    "BodyTooLarge": (413, "The body is too large"),
    "MethodNotAllowed": (405, "The method is not offered here"),
    "NotSignedIn": (401, "Not signed in"),
    "UnsupportedMediaType": (415, "The body is not JSON"),
}
"""Codes with a status and title of their own."""

_RESERVED = frozenset(("type", "title", "status", "detail", "code", "instance"))


class Problem(msgspec.Struct, kw_only=True):
    """An error. `code` is a stable word for programs, `detail` a sentence for a person; further members belong to the code."""

    type: str
    title: str
    status: Annotated[int, msgspec.Meta(ge=400, le=599)]
    detail: str
    code: str


def problem(error: BaseException) -> tuple[int, Mapping[str, object], Mapping[str, str]]:
    """(status, members of the document, headers) of any exception."""
    status, title, code = _row(error)
    internal = status == 500 or not isinstance(error, IsothermError)
    told: dict[str, object] = {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": status,
        "detail": "We encountered an internal error. Please try again." if internal else str(error),
        "code": code,
    }
    detail = {} if internal or not isinstance(error, IsothermError) else error.detail
    told |= {name: value for name, value in detail.items() if name not in _RESERVED and value is not None}
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = "30" if isinstance(error, errors.NoSpace) else "1"
    elif status == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    elif status == 405:
        headers["Allow"] = str(detail.get("allow", "GET"))
    return status, told, headers


def _row(error: BaseException) -> tuple[int, str, str]:
    kinds = type(error).__mro__ if isinstance(error, IsothermError) else (IsothermError,)
    status, title, code = next(CLASSES[kind] for kind in kinds if kind in CLASSES)
    if code is not None or not isinstance(error, IsothermError):
        return status, title, code or "InternalError"
    status, title = CODES.get(error.code, (status, title))
    return status, title, error.code
