"""What the parts of the `meta` suite share: a store of their own for every test, and a loop to use it in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, TypeVar

from isotherm.clock import Clock, SystemClock
from isotherm.ids import SeededIds
from isotherm.meta.port import Committed, Meta, Transaction
from isotherm.testing.meta_children import Opener

T = TypeVar("T")


class Draw:
    """Repeatable choices."""

    def __init__(self, seed: int) -> None:
        self._ids = SeededIds(seed)

    def below(self, bound: int) -> int:
        return int.from_bytes(self._ids.token(4), "big") % bound

    def coin(self) -> bool:
        return self.below(2) == 0

    def choice(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]


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
