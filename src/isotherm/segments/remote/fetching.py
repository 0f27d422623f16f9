"""Verified reads of extents of a bucket: nothing is returned whose checksum was not compared in this call.

An extent of at most one block is fetched whole, and kept in memory, bounded, for who asks again. Of a longer one the touched
blocks are fetched, with the checksums of all where they are not known yet. What fails its checksum is fetched once more: the
way may have damaged it, not the store.

`cached` never waits and belongs on the event loop; `read` awaits, or blocks where no loop runs. Any thread.
"""

from __future__ import annotations

from collections import OrderedDict

from isotherm.clock import Clock
from isotherm.devices.waiting import offload
from isotherm.errors import Corrupt, Invalid
from isotherm.segments.format import SALT_BYTES, TAG_BYTES, crc32c, trailer_bytes
from isotherm.segments.known import KnownExtent, KnownExtents
from isotherm.segments.port import BLOCK_BYTES, EXTENT_BYTES_MOST, Extent, Seal
from isotherm.segments.reader import damaged
from isotherm.segments.remote.bucket import Bucket
from isotherm.segments.remote.objects import object_name
from isotherm.segments.remote.settings import RemoteSettings
from isotherm.segments.sealed_blocks import demand_seal, open_blocks, open_small, whole_blocks

_ENTRY_BYTES = 250  # Python objects of an entry, about
_VERIFIED_S = 0.0  # every read compares


class ExtentFetcher:
    def __init__(self, bucket: Bucket, clock: Clock, settings: RemoteSettings) -> None:
        self._bucket = bucket
        self._known = KnownExtents(clock, settings.known_bytes, _VERIFIED_S)
        self._cache = ExtentCache(settings.cache_bytes)

    def cached(self, extent: Extent, offset: int, length: int, seal: Seal | None) -> bytes | None:
        """The range if it is in memory, verified. Of a sealed extent it is ciphertext that is kept."""
        stored = self._cache.get(extent)
        if stored is None:
            return None
        try:
            data = _whole(extent, stored, seal)
        except Corrupt:
            return None
        return data if length == extent.length else data[offset : offset + length]

    async def read(self, extent: Extent, offset: int, length: int, seal: Seal | None) -> bytes:
        """See `Segments.read`; the range lies within the extent and is not empty."""
        try:
            return await self._read(extent, offset, length, seal)
        except Corrupt:
            self._known.entries.pop(extent, None)
            return await self._read(extent, offset, length, seal)

    async def _read(self, extent: Extent, offset: int, length: int, seal: Seal | None) -> bytes:
        if extent.length > BLOCK_BYTES:
            return await self._read_blocks(extent, offset, length, seal)
        around = (SALT_BYTES, TAG_BYTES) if extent.sealed else (0, 0)
        span = (extent.offset - around[0], extent.length + sum(around))
        (view,) = await self._bucket.get(object_name(extent.segment), [span])
        stored = bytes(view)
        data = _whole(extent, stored, seal)
        self._cache.add(extent, stored)
        return data if length == extent.length else data[offset : offset + length]

    async def _read_blocks(self, extent: Extent, offset: int, length: int, seal: Seal | None) -> bytes:
        start, end = whole_blocks(extent, offset, length)
        first = start // BLOCK_BYTES
        known = self._known.entries.get(extent)
        spans = [(extent.offset + start, end - start)]
        if known is None:
            if extent.length > EXTENT_BYTES_MOST:  # a damaged reference must not ask for memory that nobody has
                raise Corrupt("no extent is that long", segment=extent.segment, offset=extent.offset)
            spans.append((extent.offset + extent.length, trailer_bytes(extent.length, extent.sealed)))
            if extent.sealed:
                spans.append((extent.offset - SALT_BYTES, SALT_BYTES))
        view, *around = await self._bucket.get(object_name(extent.segment), spans)
        if known is None:
            known = self._learn(extent, *map(bytes, around))
        for at in range(0, len(view), BLOCK_BYTES):
            block = first + at // BLOCK_BYTES
            if crc32c(view[at : at + BLOCK_BYTES]) != known.checks[block]:
                raise damaged(extent, block)
        if extent.sealed:
            opened = await offload(open_blocks, demand_seal(extent, seal), extent, known, first, view)
            view = memoryview(opened)
        return bytes(view[offset - start : offset - start + length])

    def _learn(self, extent: Extent, trailer: bytes, salt: bytes = b"") -> KnownExtent:
        if crc32c(trailer) != extent.check:
            raise Corrupt("damaged block checksums", segment=extent.segment, offset=extent.offset)
        return self._known.add(extent, trailer, salt)


def _whole(extent: Extent, stored: bytes, seal: Seal | None) -> bytes:
    """The payload of an extent of at most one block, given as it lies, verified. Raises Corrupt, Denied."""
    if extent.sealed:
        return open_small(demand_seal(extent, seal), extent, memoryview(stored))
    if crc32c(stored) != extent.check:
        raise damaged(extent, 0)
    return stored


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
