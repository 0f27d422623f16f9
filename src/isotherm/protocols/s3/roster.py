"""The open connections of one process, and the one look that is kept on all of them. On one loop's thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from isotherm.protocols.s3.expiry import Spare


class Watched(Protocol):
    """A connection, as far as the roster needs to know it."""

    @property
    def spare(self) -> Spare: ...

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

    __slots__ = ("_counted", "_known", "_strangers", "now", "retiring")

    def __init__(self, now: float, counted: Callable[[int], None] | None = None) -> None:
        self._strangers: dict[Watched, None] = {}  # in the order they came
        self._known: dict[Watched, None] = {}
        self._counted = counted
        self.now = now
        self.retiring = False

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known)

    def __iter__(self) -> Iterator[Watched]:
        """Those open now, strangers first; they may come and go meanwhile."""
        return iter((*self._strangers, *self._known))

    def enter(self, connection: Watched) -> None:
        self._strangers[connection] = None
        self._count()

    def know(self, connection: Watched) -> bool:
        """Somebody has proved on it who he is. Returns True."""
        if connection in self._strangers:
            self._known[connection] = self._strangers.pop(connection)
        return True

    def leave(self, connection: Watched) -> None:
        self._strangers.pop(connection, None)
        self._known.pop(connection, None)
        self._count()

    def _count(self) -> None:
        if self._counted is not None:
            self._counted(len(self))

    def sweep(self, now: float) -> None:
        self.now = now
        for connection in self:
            connection.expire(now)

    def oldest(self, spare: Spare) -> Watched | None:
        """The oldest connection that is spared in this way."""
        among = self._known if spare is Spare.IDLE else self._strangers
        return next((connection for connection in among if connection.spare is spare), None)

    def retire(self) -> None:
        self.retiring = True
        for connection in self:
            connection.retire()

    def abort(self) -> None:
        for connection in self:
            connection.abort()
