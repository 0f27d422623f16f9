"""`GET /v1/feed`: the change feed of a tenant over HTTP, by long poll or as server-sent events. See docs/formats/feed-http.md.

Parameters: `bucket`, `prefix`, `cursor` (a cursor, "now", or none for the oldest retained), `limit`, `wait` (seconds, long poll).
With `Accept: text/event-stream` the answer is a stream of events whose ids are cursors, so that `Last-Event-ID` goes on where
it broke off (WHATWG HTML §9.2); every few seconds an event without data carries the cursor on. A revoked key ends its streams.

Used on one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from isotherm.clock import Clock
from isotherm.errors import CursorExpired, Denied, Invalid, IsothermError
from isotherm.objects.model import Change
from isotherm.objects.space import Space
from isotherm.protocols.admin.authentication import CHALLENGE, Credentials, NotSignedIn, authenticate, found
from isotherm.protocols.admin.following import FeedEnd
from isotherm.tenancy.identity import Credential
from isotherm.tenancy.roles import Role

LIMIT_MOST = 10_000
WAIT_MOST_S = 60.0
HEARTBEAT_S = 10.0
_TURN_S = 0.5  # how often a follower's key is looked at: it must end within a second of its revocation

_SNAPSHOT = "List what you follow, then go on from the cursor given here: it was taken before your listing."


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a follower asked for."""

    bucket: str | None
    prefix: str
    cursor: str | None
    limit: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class _Page:
    """`cursor`: where to go on. `end`: of the whole feed, from before the page was read."""

    changes: Sequence[Change]
    cursor: str
    end: bytes


class FeedOverHttp:
    """The endpoint.

    Args:
        space_of: a tenant's space.
        end: of the feed.
        stopping: set when the server ends; streams then end, and long polls answer with what they have.
    """

    def __init__(
        self,
        credentials: Credentials,
        space_of: Callable[[int], Space],
        end: FeedEnd,
        clock: Clock,
        stopping: asyncio.Event,
    ) -> None:
        self._credentials = credentials
        self._space_of = space_of
        self._end = end
        self._clock = clock
        self._stopping = stopping

    async def answer(self, request: Request) -> Response:
        """Errors come back as JSON with `code` and `message`."""
        try:
            credential = await authenticate(request.headers.get("authorization"), self._credentials)
            credential.demand(Role.DATA)
            wanted = await self._wanted(request)
            if "text/event-stream" in request.headers.get("accept", ""):
                first = await self._next(credential, wanted, wanted.cursor)
                return StreamingResponse(
                    self._events(credential, wanted, first),
                    media_type="text/event-stream",
                    headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
                )
            return await self._poll(credential, wanted)
        except IsothermError as error:
            return await self._refused(error)

    async def _wanted(self, request: Request) -> Wanted:
        query = request.query_params
        unknown = set(query) - {"bucket", "prefix", "cursor", "limit", "wait"}
        if unknown:
            raise Invalid(f"unknown parameter {sorted(unknown)[0]!r}")
        cursor: str | None = query.get("cursor") or request.headers.get("last-event-id") or None
        if cursor == "now":
            cursor = (await self._end.end()).hex()
        return Wanted(
            query.get("bucket") or None,
            query.get("prefix", ""),
            cursor,
            int(_number(query, "limit", 1, LIMIT_MOST, 1_000)),
            _number(query, "wait", 0, WAIT_MOST_S, 0),
        )

    async def _poll(self, credential: Credential, wanted: Wanted) -> Response:
        until_s = self._clock.monotonic() + wanted.wait_s
        cursor = wanted.cursor
        while True:
            page = await self._next(credential, wanted, cursor)
            cursor = page.cursor
            left_s = until_s - self._clock.monotonic()
            if page.changes or left_s <= 0 or not await self._more(credential, page.end, left_s):
                return _json({"changes": [asdict(change) for change in page.changes], "cursor": cursor})

    async def _next(self, credential: Credential, wanted: Wanted, cursor: str | None) -> _Page:
        """The next page with a change the follower wants, or the last one there is."""
        space = self._space_of(credential.tenant)
        while True:
            end = await self._end.end()
            changes, reached = await space.changes(
                cursor, bucket=wanted.bucket, prefix=wanted.prefix, limit=wanted.limit
            )
            if changes or reached == cursor:
                return _Page(changes, reached, end)
            cursor = reached
            await asyncio.sleep(0)  # a long stretch of others' changes must not keep the loop

    async def _more(self, credential: Credential, end: bytes, limit_s: float) -> bool:
        """Wait until the feed ends elsewhere; False when time is over, the server ends or the key is no longer good."""
        until_s = self._clock.monotonic() + limit_s
        while not self._stopping.is_set() and (left_s := until_s - self._clock.monotonic()) > 0:
            if await self._end.moved(end, min(left_s, _TURN_S)):
                return True
            if not await self._served(credential):
                return False
        return False

    async def _served(self, credential: Credential) -> bool:
        """Whether a follower that was let in still would be."""
        now = await found(self._credentials, credential.access_key)
        if now is None or now.secret != credential.secret:
            return False
        try:
            now.demand(Role.DATA)
        except Denied:
            return False
        return True

    async def _events(self, credential: Credential, wanted: Wanted, page: _Page) -> AsyncIterator[bytes]:
        told_s = float("-inf")
        try:
            while not self._stopping.is_set() and await self._served(credential):
                now_s = self._clock.monotonic()
                for change in page.changes:
                    yield b"id: %s\ndata: %s\n\n" % (change.cursor.encode(), msgspec.json.encode(change))
                if not page.changes:
                    if now_s - told_s >= HEARTBEAT_S:
                        told_s = now_s
                        yield b"id: %s\n\n" % page.cursor.encode()
                    await self._more(credential, page.end, HEARTBEAT_S)
                page = await self._next(credential, wanted, page.cursor)
        except IsothermError as error:
            refused = await self._refused(error)
            yield b"event: error\ndata: %s\n\n" % bytes(refused.body)

    async def _refused(self, error: IsothermError) -> Response:
        told: dict[str, object] = {"code": error.code, "message": str(error)}
        match error:
            case CursorExpired():
                told |= {"do": _SNAPSHOT, "cursor": (await self._end.end()).hex()}
                return _json(told, 410)
            case NotSignedIn():
                return _json(told | {"code": Denied.code}, 401, {"WWW-Authenticate": CHALLENGE})
            case Denied():
                return _json(told, 403)
            case Invalid():
                return _json(told, 400)
            case _:
                return _json(told, 503, {"Retry-After": "1"})


def _number(query: Mapping[str, str], name: str, least: float, most: float, default: float) -> float:
    text = query.get(name, "")
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise Invalid(f"{name} is {text!r}; it must be a number from {least:g} to {most:g}")
    return number


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(value), status, {"Cache-Control": "no-store", **(headers or {})}, "application/json"
    )
