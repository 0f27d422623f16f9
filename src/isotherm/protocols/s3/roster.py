"""The open connections of one process, and the one look that is kept on all of them. On one loop's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Watched(Protocol):
    """A connection, as far as the roster needs to know it."""

    @property
    def idle(self) -> bool:
        """Nothing is under way, and has not been for a second."""
        ...

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

    Args:
        counted: called with the number of connections whenever it changes.
    """

    __slots__ = ("_connections", "_counted", "now", "retiring")

    def __init__(self, now: float, counted: Callable[[int], None] | None = None) -> None:
        self._connections: dict[Watched, None] = {}  # in the order they came
        self._counted = counted
        self.now = now
        self.retiring = False

    def __len__(self) -> int:
        return len(self._connections)

    def enter(self, connection: Watched) -> None:
        self._connections[connection] = None
        if self._counted is not None:
            self._counted(len(self._connections))

    def leave(self, connection: Watched) -> None:
        self._connections.pop(connection, None)
        if self._counted is not None:
            self._counted(len(self._connections))

    def sweep(self, now: float) -> None:
        self.now = now
        for connection in tuple(self._connections):
            connection.expire(now)

    def make_room(self) -> bool:
        """Ask the oldest idle connection to end, as a client must expect of a kept-alive one; False if none is idle."""
        for connection in self._connections:
            if connection.idle:
                connection.retire()
                return True
        return False

    def retire(self) -> None:
        self.retiring = True
        for connection in tuple(self._connections):
            connection.retire()

    def abort(self) -> None:
        for connection in tuple(self._connections):
            connection.abort()
