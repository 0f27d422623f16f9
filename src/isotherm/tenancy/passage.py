"""One request's way through the gate, and the lane of its tenant.

    passage.take(bytes, ahead) or wait        before each further piece of a large transfer
    passage.spend(bytes)                      for what is too little to wait for
    passage.rest()                            while the client is waited for: a slow client holds nothing up
    passage.end()                             once and for all, whatever happened; again is harmless

Invariant: a passage gives back what it holds by what its ticket says, never by what somebody remembers. On one loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableSequence
from typing import TYPE_CHECKING

from isotherm.tenancy.qos import Node, State, Ticket
from isotherm.tenancy.standing import Line

if TYPE_CHECKING:
    from isotherm.tenancy.gate import Gate

_PIECE_LEAST_BYTES = 256 << 10
_USUAL_MOST_BYTES = 64 << 10
_CREDIT_MOST_BYTES = 1 << 20

_RUNNING, _WAITING = State.RUNNING, State.WAITING

COUNTED = ("admitted", "waited", "refused", "bytes")
ADMITTED, WAITED, REFUSED, BYTES = range(4)


class Lane:
    """A tenant as this process serves it."""

    __slots__ = (
        "barred",
        "batch",
        "counts",
        "credit_bytes",
        "free",
        "left",
        "line",
        "node",
        "open",
        "seen",
        "tenant",
        "turn",
        "used",
        "used_s",
        "usual_bytes",
    )

    def __init__(self, tenant: int, line: Line, node: Node, counts: MutableSequence[int] | memoryview) -> None:
        self.tenant = tenant
        self.counts = counts
        self.batch = 1
        """So many short requests are asked for at once while nobody else is at it."""
        self.left = 0
        """Of the last batch."""
        self.free: Free | None = None
        self.line = line
        self.node = node
        self.open = 0
        """Passages that have not ended."""
        self.turn = -1
        """Of the loop, in which it asked last."""
        self.used = False
        """Since the last refresh."""
        self.used_s = 0.0
        self.seen, self.barred = -1, False
        self.usual_bytes = 0
        """Of what is read, by what was read lately. Nobody knows before how much a request will read; each is charged so
        much, and what that was too much is the next one's."""
        self.credit_bytes = 0

    def guess(self) -> tuple[int, int]:
        """What the next request is taken to read, and how much of that is still to be charged."""
        usual = self.usual_bytes
        spared = min(usual, self.credit_bytes)
        self.credit_bytes -= spared
        return usual, usual - spared

    def give_back(self, size_bytes: int) -> None:
        self.credit_bytes = min(self.credit_bytes + size_bytes, _CREDIT_MOST_BYTES)

    def learn(self, size_bytes: int) -> None:
        self.usual_bytes += (min(size_bytes, _USUAL_MOST_BYTES) - self.usual_bytes) // 4


class Free:
    """The passage of short requests of a tenant that is alone, paid for by the batch: it never waits and holds nothing."""

    __slots__ = ("_gate", "lane")

    running = True

    def __init__(self, gate: Gate, lane: Lane) -> None:
        self._gate = gate
        self.lane = lane

    def joined(self) -> Passage:
        """The request turned out to be a long one, and needs a passage of its own. Raises SlowDown."""
        return self._gate.enter(self.lane, 0, 0)

    async def wait(self) -> None:
        return

    def spend(self, size_bytes: int) -> None:
        self.lane.learn(size_bytes)

    def end(self) -> None:
        return


class Passage:
    """One request's way through the gate."""

    __slots__ = ("_future", "_gate", "_paid_bytes", "lane", "ticket")

    def __init__(self, gate: Gate, lane: Lane, paid_bytes: int, ticket: Ticket) -> None:
        self._gate = gate
        self._future: asyncio.Future[None] | None = None
        self._paid_bytes = paid_bytes
        self.lane = lane
        self.ticket = ticket
        ticket.bearer = self

    @property
    def running(self) -> bool:
        return self.ticket.state is _RUNNING

    @property
    def waiting(self) -> bool:
        return self.ticket.state is _WAITING

    def joined(self) -> Passage:
        return self

    async def wait(self) -> None:
        """Until it runs. Raises SlowDown where that took too long, Denied where the tenant is served no more."""
        if self.ticket.state is not _WAITING:
            return
        self._future = asyncio.get_running_loop().create_future()
        try:
            await self._future
        finally:
            self._future = None

    def take(self, size_bytes: int, ahead_bytes: int) -> bool:
        """Asks to move the next bytes; False: `wait`, then ask again.

        Args:
            size_bytes: what is to be moved now.
            ahead_bytes: what could be moved at once, that included.
        """
        if self._paid_bytes < size_bytes:
            lacking = size_bytes - self._paid_bytes
            piece = max(lacking, min(_PIECE_LEAST_BYTES, ahead_bytes - self._paid_bytes))
            self._paid_bytes += piece
            if not self._gate.charge(self.ticket, piece):
                return False
        self._paid_bytes -= size_bytes
        return True

    def spend(self, size_bytes: int) -> None:
        """So much was read in all, and it is too little to wait for."""
        lacking, self._paid_bytes = size_bytes - self._paid_bytes, 0
        self.lane.learn(size_bytes)
        if lacking > 0:
            self._gate.spend(self, lacking)
        elif lacking:
            self.lane.give_back(-lacking)

    def rest(self) -> None:
        """Of what was paid for nothing must be left."""
        if self.ticket.state is _RUNNING and not self._paid_bytes:
            self._gate.rest(self.ticket)

    def end(self) -> None:
        if self._paid_bytes:
            self.lane.give_back(self._paid_bytes)
            self._paid_bytes = 0
        self._gate.end(self)

    def wake(self, error: Exception | None = None) -> None:
        future = self._future
        if future is None or future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
