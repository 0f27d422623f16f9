"""Waiting for changes: one look at the feed's end for all who follow it, and only while somebody does.

The feed is read, never announced: what wakes a follower is an end that has moved. Used on one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from isotherm.errors import IsothermError

LOOK_S = 0.02


class FeedEnd:
    """Tells followers that something was appended.

    Args:
        end: the cursor after which only records yet to come lie.
    """

    def __init__(self, end: Callable[[], Awaitable[bytes]]) -> None:
        self._end = end
        self._moved = asyncio.Condition()
        self._followers = 0
        self._watch: asyncio.Task[None] | None = None

    async def end(self) -> bytes:
        return await self._end()

    async def moved(self, since: bytes, limit_s: float) -> bool:
        """Wait until the feed's end is another than `since`; False when that takes longer than `limit_s`."""
        self._followers += 1
        try:
            async with asyncio.timeout(limit_s), self._moved:
                while await self._end() == since:
                    if self._watch is None or self._watch.done():
                        self._watch = asyncio.create_task(self._look(since))
                    await self._moved.wait()
            return True
        except TimeoutError:
            return False
        finally:
            self._followers -= 1

    async def _look(self, known: bytes) -> None:
        while self._followers:
            try:
                end = await self._end()
            except IsothermError:  # whoever reads the feed will be told
                end = b""
            if end != known:
                known = end
                async with self._moved:
                    self._moved.notify_all()
            await asyncio.sleep(LOOK_S)
