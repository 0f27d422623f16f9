"""The least data model there can be over `meta` and `segments`: named values. For suites, torture and benchmarks.

A value is a row `x ‖ name → packed extents`, and its owner is the row's key. Small values are placed, larger ones
streamed. It shows how a data model uses the two ports, and is the `Referrer` of its owners.

A coroutine for any loop, or none; one `Shelf` may be used by many at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from isotherm.errors import NotFound
from isotherm.meta.port import Meta, Reader, Transaction
from isotherm.segments.port import BLOCK_BYTES, Buffer, Extent, Media, Segments, unpack_extents

OWNER = b"x"
"""First byte of its owners, under which it is registered as their `Referrer`."""

_LAST = b"\xff"
_MOVED_MOST = 10
_PLACED_BYTES_MOST = 4 * BLOCK_BYTES


def key_of(name: bytes) -> bytes:
    """The row of a value, which is also its owner."""
    return OWNER + name


class Shelf:
    def __init__(self, meta: Meta, segments: Segments) -> None:
        self._meta = meta
        self._segments = segments

    async def put(self, name: bytes, value: Buffer, media: Media = Media.PERFORMANCE) -> list[Extent]:
        """Durable on return; replaces what was there."""
        if len(value) > _PLACED_BYTES_MOST:
            extents = await self.write(name, value, media)
            await self._meta.transact(lambda txn: self.assign(txn, name, extents))
            return extents
        extent, placed = await self._segments.place(key_of(name), value, media)

        async def assign(txn: Transaction) -> None:
            if placed is not None:
                txn.after(placed)
            await self.assign(txn, name, [extent])

        await self._meta.transact(assign)
        return [extent]

    async def write(self, name: bytes, value: Buffer, media: Media = Media.PERFORMANCE) -> list[Extent]:
        """The bytes alone: nothing refers to them yet."""
        if len(value) <= _PLACED_BYTES_MOST:
            return [await self._segments.append(key_of(name), value, media)]
        stream = self._segments.stream(key_of(name), media)
        try:
            await stream.write(value)
        except BaseException:
            await stream.abort()
            raise
        return await stream.finish()

    async def assign(self, txn: Transaction, name: bytes, extents: Collection[Extent]) -> None:
        """Within `txn`: the name refers to what was just written."""
        key = key_of(name)
        before = await txn.get(key)
        await self._segments.refer(txn, extents)
        if before is not None:
            await self._segments.discard(txn, unpack_extents(before), key)
        txn.put(key, b"".join(extent.pack() for extent in extents))

    async def copy(self, name: bytes, to: bytes) -> None:
        """`to` refers to the same bytes from now on."""

        async def share(txn: Transaction) -> None:
            packed = await txn.get(key_of(name))
            if packed is None:
                raise NotFound(f"no value {name!r}")
            before = await txn.get(key_of(to))
            if before == packed:
                return
            await self._segments.share(txn, unpack_extents(packed), key_of(name), key_of(to))
            if before is not None:
                await self._segments.discard(txn, unpack_extents(before), key_of(to))
            txn.put(key_of(to), packed)

        await self._meta.transact(share)

    async def delete(self, name: bytes) -> None:
        async def remove(txn: Transaction) -> None:
            packed = await txn.get(key_of(name))
            if packed is not None:
                await self._segments.discard(txn, unpack_extents(packed), key_of(name))
                txn.delete(key_of(name))

        await self._meta.transact(remove)

    async def extents(self, name: bytes, reader: Reader | None = None) -> list[Extent] | None:
        packed = await (reader or self._meta).get(key_of(name))
        return None if packed is None else unpack_extents(packed)

    async def get(self, name: bytes) -> bytes | None:
        """The value; None where there is none.

        Raises:
            NotFound: it was moved again each time it was resolved.
        """
        for attempt in range(_MOVED_MOST):
            extents = await self.extents(name)
            if extents is None:
                return None
            try:
                return b"".join([await self._segments.read(extent, 0, extent.length) for extent in extents])
            except NotFound:
                if attempt == _MOVED_MOST - 1:
                    raise
        return None

    async def names(self, limit: int = 100_000) -> list[bytes]:
        return [key[len(OWNER) :] for key, _ in await self._meta.range(OWNER, OWNER + _LAST, limit)]

    async def referenced(self, reader: Reader, wanted: Mapping[bytes, Collection[Extent]]) -> dict[bytes, set[Extent]]:
        found = {}
        for owner, extents in wanted.items():
            packed = await reader.get(owner)
            found[owner] = set() if packed is None else set(unpack_extents(packed)) & set(extents)
        return found

    async def relocate(self, txn: Transaction, owner: bytes, moves: Mapping[Extent, Extent]) -> set[Extent]:
        packed = await txn.get(owner)
        if packed is None:
            return set()
        now = unpack_extents(packed)
        txn.put(owner, b"".join(moves.get(extent, extent).pack() for extent in now))
        return set(now) & set(moves)
