"""The asynchronous face of a `PayloadSink`: gathers small writes, and lets the device work while the next bytes arrive.

Invariants: at most one piece is with the device and one being gathered, so memory stays bounded whatever the payload.
Bytes of the caller are copied unless they are immutable, or written before `write` returns.

One coroutine at a time. Cancelling a `write` leaves a stream that can only be aborted sensibly, as `finish` would make a
payload with a hole durable; so after a cancellation every further call but `abort` raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import Protocol, TypeVar

from isotherm.devices.fork import ForkGuard
from isotherm.errors import Closed, IsothermError
from isotherm.segments.port import Buffer, Extent

T = TypeVar("T")


class PayloadSink(Protocol):
    """Where a stream's bytes go. Blocks; any thread. After a failure every call but `abort` raises it again."""

    def take(self, pieces: Sequence[Buffer]) -> None:
        """The next bytes of the payload; the caller's to reuse afterwards."""
        ...

    def finish(self, pieces: Sequence[Buffer]) -> list[Extent]:
        """The last bytes, and all of it durable."""
        ...

    def abort(self) -> None:
        """Give up. Idempotent; too late after `finish`."""
        ...


class LaneStream:
    """See `ExtentStream`.

    Args:
        executor: where the device is written, apart from the loop's own, so that cold reads need not wait behind syncs.
    """

    def __init__(self, sink: PayloadSink, piece_bytes: int, executor: Executor) -> None:
        self._sink = sink
        self._piece_bytes = piece_bytes
        self._executor = executor
        self._guard = ForkGuard("an extent stream")
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._under_way: asyncio.Future[None] | None = None
        self._torn = False

    async def write(self, data: Buffer) -> None:
        self._check()
        size = memoryview(data).nbytes
        self._torn = True
        if size >= self._piece_bytes:
            await self._settle()
            gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
            await self._run(self._sink.take, [*gathered, memoryview(data).cast("B")])
        elif size:
            self._gathered.append(data if isinstance(data, bytes) else bytes(data))
            self._gathered_bytes += size
            if self._gathered_bytes >= self._piece_bytes:
                await self._settle()
                gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
                self._start(gathered)
        self._torn = False

    async def finish(self) -> list[Extent]:
        self._check()
        self._torn = True
        await self._settle()
        gathered, self._gathered = self._gathered, []
        return await self._run(self._sink.finish, gathered)

    async def abort(self) -> None:
        self._guard.check()
        self._torn = True
        self._gathered = []
        try:
            with suppress(IsothermError, OSError):  # it may have failed before it was given up
                await self._settle()
        finally:
            await self._run(self._sink.abort)

    def _check(self) -> None:
        self._guard.check()
        if self._torn:
            raise Closed("the stream has ended, or a write to it was cancelled or failed")

    def _start(self, gathered: list[bytes]) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._sink.take(gathered)
        else:
            self._under_way = loop.run_in_executor(self._executor, self._sink.take, gathered)

    async def _run(self, call: Callable[..., T], *args: object) -> T:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return call(*args)
        # Shielded, so that a cancelled caller cannot take back what was handed over but not begun.
        return await asyncio.shield(loop.run_in_executor(self._executor, call, *args))

    async def _settle(self) -> None:
        """Wait for the piece that is with the device."""
        if self._under_way is not None:
            await asyncio.shield(self._under_way)
            self._under_way = None
