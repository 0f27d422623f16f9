"""Verified reads of extents of a bucket: nothing is returned whose checksum was not compared in this call.

An extent of at most one block is fetched whole, and kept in memory, bounded, for who asks again. Of a longer one the touched
blocks are fetched, with the checksums of all where they are not known yet. What fails its checksum is fetched once more: the
way may have damaged it, not the store.

`cached` never waits and belongs on the event loop; `read` awaits, or blocks where no loop runs. Any thread.
"""

from __future__ import annotations

from collections import OrderedDict

from isotherm.clock import Clock
from isotherm.errors import Corrupt, Invalid
from isotherm.segments.format import crc32c, trailer_bytes
from isotherm.segments.known import KnownExtent, KnownExtents
from isotherm.segments.port import BLOCK_BYTES, EXTENT_BYTES_MOST, Extent
from isotherm.segments.remote.bucket import Bucket
from isotherm.segments.remote.objects import object_name
from isotherm.segments.remote.settings import RemoteSettings

_ENTRY_BYTES = 250  # Python objects of an entry, about
_VERIFIED_S = 0.0  # every read compares


class ExtentFetcher:
    def __init__(self, bucket: Bucket, clock: Clock, settings: RemoteSettings) -> None:
        self._bucket = bucket
        self._known = KnownExtents(clock, settings.known_bytes, _VERIFIED_S)
        self._cache = ExtentCache(settings.cache_bytes)

    def cached(self, extent: Extent, offset: int, length: int) -> bytes | None:
        """The range if it is in memory, verified."""
        data = self._cache.get(extent)
        if data is None or crc32c(data) != extent.check:
            return None
        return data if length == extent.length else data[offset : offset + length]

    async def read(self, extent: Extent, offset: int, length: int) -> bytes:
        """See `Segments.read`; the range lies within the extent and is not empty."""
        try:
            return await self._read(extent, offset, length)
        except Corrupt:
            self._known.entries.pop(extent, None)
            return await self._read(extent, offset, length)

    async def _read(self, extent: Extent, offset: int, length: int) -> bytes:
        name = object_name(extent.segment)
        if extent.length <= BLOCK_BYTES:
            (view,) = await self._bucket.get(name, [(extent.offset, extent.length)])
            if crc32c(view) != extent.check:
                raise _damaged(extent, 0)
            data = bytes(view)
            self._cache.add(extent, data)
            return data if length == extent.length else data[offset : offset + length]
        first = offset // BLOCK_BYTES
        start = first * BLOCK_BYTES
        end = min(-(-(offset + length) // BLOCK_BYTES) * BLOCK_BYTES, extent.length)
        known = self._known.entries.get(extent)
        spans = [(extent.offset + start, end - start)]
        if known is None:
            if extent.length > EXTENT_BYTES_MOST:  # a damaged reference must not ask for memory that nobody has
                raise Corrupt("no extent is that long", segment=extent.segment, offset=extent.offset)
            spans.append((extent.offset + extent.length, trailer_bytes(extent.length)))
        view, *trailers = await self._bucket.get(name, spans)
        if known is None:
            known = self._learn(extent, bytes(trailers[0]))
        for at in range(0, len(view), BLOCK_BYTES):
            block = first + at // BLOCK_BYTES
            if crc32c(view[at : at + BLOCK_BYTES]) != known.checks[block]:
                raise _damaged(extent, block)
        return bytes(view[offset - start : offset - start + length])

    def _learn(self, extent: Extent, trailer: bytes) -> KnownExtent:
        if crc32c(trailer) != extent.check:
            raise Corrupt("damaged block checksums", segment=extent.segment, offset=extent.offset)
        return self._known.add(extent, trailer)


class ExtentCache:
    """Payloads of about `most_bytes`; who was asked for longest ago goes first. A race forgets, and never invents."""

    def __init__(self, most_bytes: int) -> None:
        self._entries: OrderedDict[Extent, bytes] = OrderedDict()
        self._most_bytes = most_bytes
        self._bytes = 0

    def get(self, extent: Extent) -> bytes | None:
        data = self._entries.get(extent)
        if data is not None:
            try:
                self._entries.move_to_end(extent)
            except KeyError:
                return data
        return data

    def add(self, extent: Extent, data: bytes) -> None:
        if len(data) + _ENTRY_BYTES > self._most_bytes:
            return
        if self._entries.setdefault(extent, data) is data:
            self._bytes += len(data) + _ENTRY_BYTES
        while self._bytes > self._most_bytes:
            try:
                _, forgotten = self._entries.popitem(last=False)
            except KeyError:
                break
            self._bytes -= len(forgotten) + _ENTRY_BYTES


def check_range(extent: Extent, offset: int, length: int) -> None:
    """Raises `Invalid` for a range that is not within the extent."""
    if offset < 0 or length < 0 or offset + length > extent.length:
        raise Invalid(f"bytes {offset}+{length} are not within an extent of {extent.length}")


def _damaged(extent: Extent, block: int) -> Corrupt:
    return Corrupt("stored bytes fail their checksum", segment=extent.segment, offset=extent.offset, block=block)
