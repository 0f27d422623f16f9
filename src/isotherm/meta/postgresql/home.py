"""The event loop a PostgreSQL engine lives on, and the way there from everywhere else.

A connection belongs to one loop. Callers on that loop await as usual; those on another, or on none, hand their coroutine
over and wait for a `Completion`, so that one set of coroutines serves all (devices/waiting.py). A program without a loop
gets one on a thread of the engine's own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from isotherm.devices.fork import ForkGuard
from isotherm.devices.waiting import Completion, resolve_all
from isotherm.errors import Closed

T = TypeVar("T")


class Home:
    """`adopt` the running loop, or `settle` on a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: threading.Thread | None) -> None:
        self.loop = loop
        self._thread = thread
        self._guard = ForkGuard("the connection to PostgreSQL")
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    def here(cls) -> Home:
        """On the running loop, or on a thread when none is running."""
        try:
            return cls(asyncio.get_running_loop(), None)
        except RuntimeError:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="postgresql", daemon=True)
            thread.start()
            return cls(loop, thread)

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine at home and wait for it here. Raises ForkedHandle, Closed, and what it raises."""
        try:
            self._guard.check()
            if self.loop.is_closed():
                raise Closed("the metadata store is closed")
        except BaseException:
            coroutine.close()
            raise
        if _running_loop() is self.loop:
            return await coroutine
        return await self._send(coroutine)  # it is the home's from here on, whatever becomes of the caller

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine at home and block the calling thread, which must not be the home's."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the background; on the home loop."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def leave(self) -> None:
        """End the thread, if this is one."""
        if self._thread is not None and not self._guard.forked:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()

    @property
    def elsewhere(self) -> bool:
        """Whether the calling thread may block for the home: it runs, on another thread."""
        return _running_loop() is not self.loop and self.loop.is_running()

    def check(self) -> None:
        """Raises `ForkedHandle`."""
        self._guard.check()

    @property
    def forked(self) -> bool:
        return self._guard.forked

    def _send(self, coroutine: Coroutine[Any, Any, T]) -> Completion[T]:
        completion: Completion[T] = Completion()

        async def carry() -> None:
            try:
                outcome: Any = await coroutine
            except BaseException as error:
                outcome = error
            resolve_all([(completion, outcome)])

        self.loop.call_soon_threadsafe(self.spawn, carry())
        return completion


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
