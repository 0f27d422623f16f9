"""The open connections of one process, and the one timer that watches all of them. On one loop's thread."""

from __future__ import annotations

from typing import Protocol


class Watched(Protocol):
    """A connection, as far as the roster needs to know it."""

    def expire(self, now: float) -> None:
        """Act on what has lasted too long."""
        ...

    def retire(self) -> None:
        """End as soon as no request is under way."""
        ...

    def abort(self) -> None: ...


class Roster:
    """`now` is the loop's time in seconds at the last sweep: cheap to read, and exact enough for time-outs of seconds.

    `retiring`: no connection is kept alive any more.
    """

    __slots__ = ("connections", "now", "retiring")

    def __init__(self, now: float) -> None:
        self.connections: set[Watched] = set()
        self.now = now
        self.retiring = False

    def sweep(self, now: float) -> None:
        self.now = now
        for connection in tuple(self.connections):
            connection.expire(now)

    def retire(self) -> None:
        self.retiring = True
        for connection in tuple(self.connections):
            connection.retire()
