"""LIST: pages of keys, versions and uploads, with prefix and delimiter.

A listing walks rows in order and, on meeting a common prefix, seeks past it: a page costs what it shows, not what lies
under its prefixes. Reads grow while rows are shown and shrink where prefixes are skipped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from isotherm.errors import Invalid
from isotherm.meta.port import NO_STAMP, STAMP_BYTES, Reader, invert
from isotherm.objects.context import Context
from isotherm.objects.entries import as_entries, as_entry
from isotherm.objects.history import version_at
from isotherm.objects.layout import (
    escape,
    live_table,
    parse_version_id,
    successor,
    unescape,
    uploads_table,
    versions_table,
)
from isotherm.objects.model import Bucket, Entry, Listing, Upload, UploadListing
from isotherm.objects.names import check_limit, encode_text
from isotherm.objects.records import decode_upload, is_marker

Payload = TypeVar("Payload")
Rows = list[tuple[bytes, bytes, Payload]]
Fetch = Callable[[bytes, bytes, int], Awaitable[Rows[Payload]]]
"""(key, tie, limit) → up to `limit` rows (key, tie, payload) at or after that position, in order of key and tie."""

_FIRST = b""


class Walk(Generic[Payload]):
    """One page: rows and common prefixes in order, at most `limit` of both together.

    `within`: what all keys must begin with beside the prefix; what they are rolled up by counts from the prefix.
    """

    def __init__(self, fetch: Fetch[Payload], prefix: bytes, delimiter: bytes, limit: int, within: bytes = b"") -> None:
        self._fetch = fetch
        self._prefix = prefix
        self._within = within if within.startswith(prefix) else prefix
        self._apart = not self._within.startswith(within)
        self._delimiter = delimiter
        self._limit = limit
        self.rows: Rows[Payload] = []
        self.prefixes: list[bytes] = []
        self.last: tuple[bytes, bytes] | None = None  # where the page ended, when more follows

    async def run(self, key: bytes, tie: bytes) -> None:
        """Fill the page with what lies at or after the position."""
        if self._apart:
            return
        if key < self._within:
            key, tie = self._within, _FIRST
        if not self._delimiter:
            await self._run_plainly(key, tie)
            return
        shown: tuple[bytes, bytes] | None = None
        size = 32
        while True:
            size = min(size, self._limit + 1 - len(self.rows) - len(self.prefixes))
            rows = await self._fetch(key, tie, size)
            skipped = False
            for row in rows:
                if not row[0].startswith(self._within):
                    return
                common = self._common(row[0])
                if len(self.rows) + len(self.prefixes) == self._limit:
                    self.last = shown
                    return
                if common is None:
                    self.rows.append(row)
                    shown = row[0], row[1]
                else:
                    self.prefixes.append(common)
                    shown = common, _FIRST
                    key, tie, skipped = successor(common), _FIRST, True
                    break
            if skipped:
                size = max(2, size // 2)
            elif len(rows) < size:
                return
            else:
                key, tie = rows[-1][0], rows[-1][1] + b"\0"
                size *= 4

    async def _run_plainly(self, key: bytes, tie: bytes) -> None:
        """Without a delimiter a page is one run of rows, of which the last tells whether all have the prefix."""
        rows = await self._fetch(key, tie, self._limit + 1)
        if rows and not rows[-1][0].startswith(self._within):
            rows = rows[: bisect_left(rows, True, key=lambda row: not row[0].startswith(self._within))]
        if len(rows) > self._limit:
            rows.pop()
            self.last = rows[-1][:2] if rows else None
        self.rows = rows

    def _common(self, key: bytes) -> bytes | None:
        at = key.find(self._delimiter, len(self._prefix))
        return None if at < 0 else key[: at + len(self._delimiter)]


def _start(after: bytes, prefix: bytes, delimiter: bytes) -> bytes:
    """The least key a page after `after` may show: past the whole common prefix that `after` is, if it is one."""
    if delimiter and after.startswith(prefix):
        at = after.find(delimiter, len(prefix))
        if at >= 0:
            common = after[: at + len(delimiter)]
            if after == common:
                return successor(common)
    return after + b"\0"


async def list_objects(
    context: Context, bucket_name: str, *, prefix: str, delimiter: str, after: str, limit: int, within: str
) -> Listing:
    """See `Space.list`."""
    limit = check_limit(limit)
    with context.meta.snapshot() as snapshot:
        bucket = await context.bucket(snapshot, bucket_name)
        table = live_table(context.tenant, bucket.id)
        skip, end = len(table), successor(table)

        async def fetch(key: bytes, tie: bytes, size: int) -> Rows[bytes]:
            pairs = await snapshot.range(table + key + tie, end, size)
            return [(row[skip:], _FIRST, value) for row, value in pairs]

        walk = Walk(fetch, encode_text(prefix), encode_text(delimiter), limit, encode_text(within))
        start = (
            _start(encode_text(after), encode_text(prefix), encode_text(delimiter)) if after else encode_text(prefix)
        )
        if limit:
            await walk.run(start, _FIRST)
    entries = as_entries([value for _, _, value in walk.rows], [key for key, _, _ in walk.rows])
    return Listing(entries, [p.decode() for p in walk.prefixes], walk.last[0].decode() if walk.last else None)


_Placed = tuple[bytes, bool]
"""A version's row, and whether it is live."""


class _VersionRows:
    """Live rows and the other versions of a bucket, merged: of each key the newest first, which is the live one if any.

    A row's tie is its inverted stamp, wherever it lies: between two pages a version may become live, or cease to be.
    """

    def __init__(self, context: Context, reader: Reader, bucket: Bucket) -> None:
        self._reader = reader
        self._live = live_table(context.tenant, bucket.id)
        self._others = versions_table(context.tenant, bucket.id)

    async def fetch(self, key: bytes, tie: bytes, size: int) -> Rows[_Placed]:
        live = await self._reader.range(self._live + key, successor(self._live), size + 1)
        other_from = self._others + (escape(key) + tie if tie else escape(key)[:-2])
        others = await self._reader.range(other_from, successor(self._others), size)
        rows: Rows[_Placed] = [
            (row[len(self._live) :], invert(value[:STAMP_BYTES]), (value, True)) for row, value in live
        ]
        for row, value in others:
            owner, at = unescape(row[len(self._others) :])
            rows.append((owner, row[len(self._others) + at :], (value, False)))
        rows.sort(key=lambda row: row[:2])
        if rows and rows[0][:2] < (key, tie):
            del rows[0]
        return rows[:size]


async def list_versions(
    context: Context,
    bucket_name: str,
    *,
    prefix: str,
    delimiter: str,
    after: str,
    after_version: str,
    limit: int,
    within: str,
) -> Listing:
    """See `Space.list_versions`."""
    limit = check_limit(limit)
    if after_version and not after:
        raise Invalid(
            "A version-id marker cannot be specified without a key marker.",
            code="InvalidArgument",
            ArgumentName="version-id-marker",
        )
    with context.meta.snapshot() as snapshot:
        bucket = await context.bucket(snapshot, bucket_name)
        source = _VersionRows(context, snapshot, bucket)
        walk = Walk(source.fetch, encode_text(prefix), encode_text(delimiter), limit, encode_text(within))
        key, tie = encode_text(prefix), _FIRST
        if after and after_version:
            key, tie = (
                encode_text(after),
                await _tie_after(context, snapshot, bucket, encode_text(after), after_version),
            )
        elif after:
            key = _start(encode_text(after), encode_text(prefix), encode_text(delimiter))
        if limit:
            await walk.run(key, tie)
        entries = await _version_entries(context, snapshot, bucket, walk.rows)
    last = walk.last
    version = None
    if last and last[1]:
        # by its stamp even where its id is "null": a page may be deleted before the next one is asked for
        version = invert(last[1]).hex()
    return Listing(entries, [p.decode() for p in walk.prefixes], last[0].decode() if last else None, version)


async def _tie_after(context: Context, reader: Reader, bucket: Bucket, key: bytes, version: str) -> bytes:
    """The least tie older than a version of `key`, whether or not that version still exists.

    Where a null version stood that is gone cannot be known: then all of the key's versions follow.
    """
    stamp = parse_version_id(version)
    if stamp == NO_STAMP:
        raise Invalid("Invalid version id specified", code="InvalidArgument", ArgumentName="version-id-marker")
    if stamp is None:
        found = await version_at(reader, context.tenant, bucket.id, key, None)
        if found is None:
            return _FIRST
        stamp = found[0][:STAMP_BYTES]
    return invert(stamp) + b"\0"


async def _version_entries(context: Context, reader: Reader, bucket: Bucket, rows: Rows[_Placed]) -> list[Entry]:
    """The newest row of a key is the live one or, where there is none, the first of the others."""
    entries: list[Entry] = []
    previous: bytes | None = None
    for key, tie, (value, live) in rows:
        latest = live
        if not live and key != previous and is_marker(value):  # a marker may be the newest; another version never is
            newest = await _newest_tie(context, reader, bucket, key)
            latest = newest == tie
        entries.append(as_entry(value, key, latest))
        previous = key
    return entries


async def _newest_tie(context: Context, reader: Reader, bucket: Bucket, key: bytes) -> bytes:
    rows = await _VersionRows(context, reader, bucket).fetch(key, _FIRST, 1)
    return rows[0][1]


async def list_uploads(
    context: Context,
    bucket_name: str,
    *,
    prefix: str,
    delimiter: str,
    after: str,
    after_upload: str,
    limit: int,
    within: str,
) -> UploadListing:
    """See `Space.uploads`."""
    limit = check_limit(limit)
    with context.meta.snapshot() as snapshot:
        bucket = await context.bucket(snapshot, bucket_name)
        table = uploads_table(context.tenant, bucket.id)

        async def fetch(key: bytes, tie: bytes, size: int) -> Rows[bytes]:
            start = table + (escape(key) + tie if tie else escape(key)[:-2])
            rows: Rows[bytes] = []
            for row, value in await snapshot.range(start, successor(table), size):
                owner, at = unescape(row[len(table) :])
                rows.append((owner, row[len(table) + at :], value))
            return rows

        walk = Walk(fetch, encode_text(prefix), encode_text(delimiter), limit, encode_text(within))
        key, tie = encode_text(prefix), _FIRST
        if after and after_upload:
            key, tie = encode_text(after), _upload_bytes(after_upload) + b"\0"
        elif after:
            key = _start(encode_text(after), encode_text(prefix), encode_text(delimiter))
        if limit:
            await walk.run(key, tie)
    uploads: list[Upload] = [decode_upload(value, tie.hex(), key.decode()) for key, tie, value in walk.rows]
    last = walk.last
    return UploadListing(
        uploads,
        [p.decode() for p in walk.prefixes],
        last[0].decode() if last else None,
        last[1].hex() if last else None,
    )


def _upload_bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Invalid("Invalid uploadId marker", code="InvalidArgument", ArgumentName="upload-id-marker") from None
