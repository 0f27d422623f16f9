"""What ends in one turn of the event loop: its replies go out together, and are counted and logged together.

A write wakes its reader, and drags the kernel's half of a connection through the processor's caches between two requests. On
32 connections of one machine the same requests cost a third less when their replies are written one after another at the
turn's end (`make bench ROOM=s3`, get_4k_cpu). No reply waits for long: at most `TOGETHER_MOST` wait for each other, and none
for a request that begins when the first of them is `HELD_S` old.

One `Turn` a process, on its loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

from isotherm.clock import Clock

if TYPE_CHECKING:
    from isotherm.protocols.s3.exchange import Exchange

TOGETHER_MOST = 32
HELD_S = 0.0005


class Held(Protocol):
    """What keeps a reply until the turn's end."""

    def flush(self) -> None: ...


class Turn:
    __slots__ = ("_clock", "_ended", "_held", "_open", "_since")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: deque[Held] = deque()
        self._ended: deque[Exchange] = deque()
        self._since = 0.0
        self._open = False

    def hold(self, held: Held) -> None:
        """`held` is flushed at the turn's end, or earlier."""
        waiting = self._held
        if not waiting:
            self._since = self._clock.monotonic()
            self._begin()
        waiting.append(held)
        if len(waiting) >= TOGETHER_MOST:
            self._release()

    def work_begins(self, now_s: float) -> None:
        """A request is about to take time. `now_s`: of the clock's `monotonic`."""
        if self._held and now_s - self._since > HELD_S:
            self._release()

    def ended(self, exchange: Exchange) -> None:
        """To be counted and logged."""
        self._begin()
        self._ended.append(exchange)

    def end(self) -> None:
        """Called by the loop; once more when the process ends."""
        self._open = False
        try:
            self._release()
            if self._ended:
                now_s = self._clock.monotonic()
                while self._ended:
                    self._ended.popleft().record(now_s)
        finally:
            if self._held or self._ended:  # one of them failed, which is no reason to forget the others
                self._begin()

    def _begin(self) -> None:
        if not self._open:
            self._open = True
            asyncio.get_running_loop().call_soon(self.end)

    def _release(self) -> None:
        while self._held:
            self._held.popleft().flush()
