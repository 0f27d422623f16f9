"""Time as a port: the only module that reads the machine's clocks.

Wall-clock time is for people (Last-Modified, logs, signatures); nothing is ever *ordered* by it. Durations come from the
monotonic clock. Clocks are passed in, never imported as a global, so that tests can step them.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """Wall-clock time, milliseconds since 1970-01-01 UTC. May step in either direction."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never steps back; meaningful only as differences within one process."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    monotonic = staticmethod(time.monotonic)


class VirtualClock:
    """A clock that moves only when told; `step_wall` moves wall time alone, as an operator or NTP would."""

    __slots__ = ("_monotonic_s", "_wall_ms")

    def __init__(self, wall_ms: int = 1_700_000_000_000) -> None:
        self._wall_ms = wall_ms
        self._monotonic_s = 0.0

    def now_ms(self) -> int:
        return self._wall_ms

    def monotonic(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        self._monotonic_s += seconds
        self._wall_ms += int(seconds * 1000)

    def step_wall(self, milliseconds: int) -> None:
        self._wall_ms += milliseconds
