"""Histories of a bucket: what clients ask, how they are answered, and how that is written down.

Values are named by their etags; every write of a history writes another value, but copies, which carry on their source's.
`number` tells the writes of a history apart. Pure; a history is JSON (`encode`, `decode`), so that a violation found once can
be looked at again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from isotherm.testing.linearizability import Call


class Put(msgspec.Struct, frozen=True, tag=True):
    """PUT, or the completion of a multipart upload. Of the conditions at most one is given; `if_none_match` is "*"."""

    number: int
    key: str
    value: str
    if_match: str | None = None
    if_none_match: str | None = None
    multipart: bool = False


class Copy(msgspec.Struct, frozen=True, tag=True):
    """Of the newest version of `source`, which must be `source_match` where that is given."""

    number: int
    source: str
    key: str
    source_match: str | None = None
    if_match: str | None = None
    if_none_match: str | None = None


class Get(msgspec.Struct, frozen=True, tag=True):
    """GET, or HEAD; of a version where `version` names one."""

    key: str
    if_none_match: str | None = None
    version: str | None = None
    head: bool = False


class Delete(msgspec.Struct, frozen=True, tag=True):
    """Of the newest version, or of the one that `version` names."""

    number: int
    key: str
    if_match: str | None = None
    version: str | None = None


class DeleteMany(msgspec.Struct, frozen=True, tag=True):
    """DeleteObjects of different keys, without conditions: one change of all of them."""

    number: int
    keys: tuple[str, ...]


class List(msgspec.Struct, frozen=True, tag=True):
    """One page that shows all of `keys`, with their versions where `versions`; `keys` are all that the history names."""

    keys: tuple[str, ...]
    versions: bool = False


class Found(msgspec.Struct, frozen=True, tag=True):
    """200: what is there; its version id where versions are kept."""

    value: str
    version: str | None = None


class Missing(msgspec.Struct, frozen=True, tag=True):
    """404, of the key or the source. `marker`: the delete marker that is the reason; of the version asked for, 405."""

    marker: str | None = None


class Refused(msgspec.Struct, frozen=True, tag=True):
    """412: a condition does not hold."""


class Unchanged(msgspec.Struct, frozen=True, tag=True):
    """304: If-None-Match of a read."""


class Done(msgspec.Struct, frozen=True, tag=True):
    """A write was carried out; `versions` of what it made: of the object, or of each key's marker."""

    versions: tuple[str, ...] = ()


class Listed(msgspec.Struct, frozen=True, tag=True):
    """(key, value, version id) in order; of each key the newest first. The value of a marker is ""."""

    entries: tuple[tuple[str, str, str | None], ...]


class Cut(msgspec.Struct, frozen=True, tag=True):
    """The request was never sent whole: nothing may come of it."""


Request = Put | Copy | Get | Delete | DeleteMany | List
Answer = Found | Missing | Refused | Unchanged | Done | Listed | Cut
ObjectCall = Call[Request, Answer]


class Event(msgspec.Struct, frozen=True):
    """Something that happened to the server while a history was recorded."""

    at: int
    what: str


class History(msgspec.Struct, frozen=True):
    """A recorded history: `versioned` tells whether its bucket keeps versions."""

    name: str
    versioned: bool
    calls: tuple[ObjectCall, ...]
    events: tuple[Event, ...] = ()


def narrowed(calls: Sequence[ObjectCall]) -> list[ObjectCall]:
    """The same history, in which a listing promises less: of each key apart what it saw, not of all in one instant."""
    return [apart for call in calls for apart in _apart(call)]


def _apart(call: ObjectCall) -> Iterator[ObjectCall]:
    request, answer = call.request, call.answer
    if not isinstance(request, List):
        yield call
        return
    for key in request.keys:
        seen = answer
        if isinstance(answer, Listed):
            seen = Listed(tuple(entry for entry in answer.entries if entry[0] == key))
        yield replace(call, request=List((key,), request.versions), answer=seen)


def encode(history: History) -> bytes:
    return msgspec.json.format(msgspec.json.encode(history))


def decode(text: bytes) -> History:
    """Raises msgspec.DecodeError for what is no history."""
    return msgspec.json.decode(text, type=History)
