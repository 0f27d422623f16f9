"""A tenant's view of the segments: all it writes is sealed under its key, and all it reads is opened with it.

What wraps an engine so is `Segments` itself, so that data models know nothing of keys. Extents that were written before their
tenant was sealed are read as they are. Keys are asked for as they are needed: what is at hand costs a look in a dictionary.

Sealing and opening of more than a few blocks run where they hold up nobody. Any thread or coroutine, as the engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from isotherm.devices.waiting import offload
from isotherm.meta.port import Prerequisite, Transaction
from isotherm.segments.port import (
    BLOCK_BYTES,
    Buffer,
    Extent,
    ExtentStream,
    Frames,
    Hold,
    Media,
    Payload,
    Seal,
    Sealed,
    Sealing,
    Segments,
    Witness,
)

_ON_LOOP_BYTES = BLOCK_BYTES


class Seals(Protocol):
    """Where a tenant's seal comes from. Errors of the coroutines: `Denied` where the key is gone or does not fit;
    `Unavailable` where it cannot be had now."""

    def at_hand(self, tenant: int) -> Seal | None:
        """The seal, if it is remembered."""
        ...

    async def to_read(self, tenant: int) -> Seal:
        """The seal of a tenant that has sealed something."""
        ...

    async def to_write(self, tenant: int) -> Seal:
        """The seal of a tenant, made where it has none."""
        ...


class TenantSegments:
    """See the module and `Segments`."""

    __slots__ = ("_inner", "_seals", "_tenant")

    def __init__(self, inner: Segments, seals: Seals, tenant: int) -> None:
        self._inner = inner
        self._seals = seals
        self._tenant = tenant

    async def append(self, owner: bytes, data: Payload, media: Media = Media.PERFORMANCE) -> Extent:
        return await self._inner.append(owner, await self._sealed(data), media)

    async def place(
        self, owner: bytes, data: Payload, media: Media = Media.PERFORMANCE
    ) -> tuple[Extent, Prerequisite | None]:
        return await self._inner.place(owner, await self._sealed(data), media)

    def stream(
        self,
        owner: bytes,
        media: Media = Media.PERFORMANCE,
        witness: Witness | None = None,
        seal: Sealing | None = None,
    ) -> ExtentStream:
        if seal is not None:
            return self._inner.stream(owner, media, witness, seal)
        pending = _Pending()
        return _SealedStream(self, self._inner.stream(owner, media, witness, pending), pending)

    def read_now(self, extent: Extent, offset: int, length: int, seal: Seal | None = None) -> bytes | None:
        if not extent.sealed:
            return self._inner.read_now(extent, offset, length)
        seal = seal or self._seals.at_hand(self._tenant)
        return None if seal is None else self._inner.read_now(extent, offset, length, seal)

    async def read(self, extent: Extent, offset: int, length: int, seal: Seal | None = None) -> bytes:
        if not extent.sealed:
            return await self._inner.read(extent, offset, length)
        return await self._inner.read(extent, offset, length, seal or await self._opening())

    async def chunks(self, extent: Extent, offset: int, length: int, seal: Seal | None = None) -> AsyncIterator[bytes]:
        if extent.sealed:
            seal = seal or await self._opening()
        async for piece in self._inner.chunks(extent, offset, length, seal):
            yield piece

    def sendable(self, extent: Extent, offset: int, length: int) -> tuple[int, int] | None:
        return self._inner.sendable(extent, offset, length)

    def reading(self) -> AbstractAsyncContextManager[None]:
        return self._inner.reading()

    async def hold(self) -> Hold:
        return await self._inner.hold()

    async def settled(self, stamp: bytes) -> bool:
        return await self._inner.settled(stamp)

    async def refer(self, txn: Transaction, extents: Collection[Extent]) -> None:
        await self._inner.refer(txn, extents)

    async def share(self, txn: Transaction, extents: Collection[Extent], owner: bytes, also: bytes) -> None:
        await self._inner.share(txn, extents, owner, also)

    async def discard(
        self, txn: Transaction, extents: Collection[Extent], owner: bytes, *, shared: bool = True
    ) -> list[Extent]:
        return await self._inner.discard(txn, extents, owner, shared=shared)

    def close(self) -> None:
        """The engine's, for all who share it."""
        self._inner.close()

    async def writing(self) -> Seal:
        """The seal to write with."""
        return self._seals.at_hand(self._tenant) or await self._seals.to_write(self._tenant)

    async def _opening(self) -> Seal:
        return self._seals.at_hand(self._tenant) or await self._seals.to_read(self._tenant)

    async def _sealed(self, data: Payload) -> Payload:
        if isinstance(data, Sealed):
            return data
        if isinstance(data, memoryview):
            data = data.cast("B")
        if not data:
            return data  # which the engine refuses
        seal = await self.writing()
        return seal.seal(data) if len(data) <= _ON_LOOP_BYTES else await offload(seal.seal, _unchanging(data))


class _SealedStream:
    """A stream whose seal is asked for when its first bytes come: an engine asks a seal for nothing before."""

    __slots__ = ("_inner", "_pending", "_view")

    def __init__(self, view: TenantSegments, inner: ExtentStream, pending: _Pending) -> None:
        self._view = view
        self._inner = inner
        self._pending = pending

    async def write(self, data: Buffer) -> None:
        if self._pending.seal is None:
            self._pending.seal = await self._view.writing()
        await self._inner.write(data)

    async def finish(self) -> list[Extent]:
        return await self._inner.finish()

    async def abort(self) -> None:
        await self._inner.abort()


class _Pending:
    """A `Frames` maker that gets its seal before it is needed."""

    __slots__ = ("seal",)

    def __init__(self) -> None:
        self.seal: Seal | None = None

    def begin(self) -> Frames:
        assert self.seal is not None
        return self.seal.begin()


def _unchanging(data: Buffer) -> bytes:
    """The bytes as they are now: the caller's to change as soon as he gets his turn."""
    return data if isinstance(data, bytes) else bytes(data)
