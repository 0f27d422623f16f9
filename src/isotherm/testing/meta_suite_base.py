"""What the parts of the `meta` suite share: a store of their own for every test, and a loop to use it in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar, TypeVar

from isotherm.clock import Clock, SystemClock
from isotherm.meta.port import Committed, Meta, Transaction
from isotherm.testing.meta_children import Opener

T = TypeVar("T")


class StoreSuite:
    """Base of the parts. Subclasses set `opener` and offer a fixture `place`."""

    opener: ClassVar[Opener]

    def use(self, place: str, body: Callable[[Meta], Awaitable[T]], clock: Clock | None = None) -> T:
        """Open the store at `place`, run `body` on it in an event loop, close it."""

        async def run() -> T:
            meta = await type(self).opener(place, clock or SystemClock())
            try:
                return await body(meta)
            finally:
                meta.close()

        return asyncio.run(run())


async def put_all(meta: Meta, pairs: dict[bytes, bytes]) -> Committed:
    """One transaction that puts them all."""

    async def fn(txn: Transaction) -> None:
        for key, value in pairs.items():
            txn.put(key, value)

    return (await meta.transact(fn))[1]


async def delete_all(meta: Meta, *keys: bytes) -> None:
    async def fn(txn: Transaction) -> None:
        for key in keys:
            txn.delete(key)

    await meta.transact(fn)


async def everything(meta: Meta) -> dict[bytes, bytes]:
    return dict(await meta.range(b"", b"\xff", 1_000_000))


def counter(value: int) -> bytes:
    """A counter as it is stored."""
    return value.to_bytes(8, "little", signed=True)
