"""Conditional requests: whether a read or write may go on, given the current version. Pure.

Source: RFC 9110 §13.2.2 for the order of reads' preconditions; S3 "Conditional requests" for those of writes.
"""

from __future__ import annotations

from isotherm.errors import Invalid, NotFound, PreconditionFailed
from isotherm.objects.model import Condition, ReadCondition, Version
from isotherm.objects.records import MARKER, Record, etag_text

NO_CONDITION = Condition()


def demand_sound(condition: Condition) -> None:
    """A condition that compares with nothing would be one that is ignored. Raises Invalid(InvalidArgument)."""
    for name, etag in (("if_match", condition.if_match), ("if_none_match", condition.if_none_match)):
        if etag is not None and (not isinstance(etag, str) or not etag or '"' in etag):
            raise Invalid(f'{name} is an etag without quotes, or "*", not {etag!r}', code="InvalidArgument")


def check_write(condition: Condition, current: Record | None, key: str) -> None:
    """`current` is the current version, or None where there is none or it is a delete marker.

    Raises:
        PreconditionFailed; NotFound(NoSuchKey) for If-Match where there is nothing to match.
    """
    etag = etag_text(current.etag, current.etag_parts) if current is not None else None
    if condition.if_match is not None:
        if etag is None:
            raise NotFound("The specified key does not exist.", code="NoSuchKey", Key=key)
        if condition.if_match not in ("*", etag):
            raise PreconditionFailed(Condition="If-Match")
    if condition.if_none_match is not None and etag is not None and condition.if_none_match in ("*", etag):
        raise PreconditionFailed(Condition="If-None-Match")


def check_delete(condition: Condition, doomed: Record) -> None:
    """`doomed` is what the delete would remove or hide: a version, or the marker that stands in its place.

    Raises PreconditionFailed. Where there is nothing, nothing is asked: deleting what is not there succeeds.
    """
    if condition.if_match not in (None, "*"):
        etag = None if doomed.flags & MARKER else etag_text(doomed.etag, doomed.etag_parts)
        if condition.if_match != etag:
            raise PreconditionFailed(Condition="If-Match")


def check_read(condition: ReadCondition, version: Version) -> None:
    """Raises PreconditionFailed, with code NotModified where the answer is 304; detail `version` in both cases."""
    # HTTP dates have whole seconds
    modified_ms = version.modified_ms // 1000 * 1000
    if condition.if_match:
        if "*" not in condition.if_match and version.etag not in condition.if_match:
            raise PreconditionFailed(version=version, Condition="If-Match")
    elif condition.if_unmodified_since_ms is not None and modified_ms > condition.if_unmodified_since_ms:
        raise PreconditionFailed(version=version, Condition="If-Unmodified-Since")
    if condition.if_none_match:
        if "*" in condition.if_none_match or version.etag in condition.if_none_match:
            raise PreconditionFailed(code="NotModified", version=version)
    elif condition.if_modified_since_ms is not None and modified_ms <= condition.if_modified_since_ms:
        raise PreconditionFailed(code="NotModified", version=version)
