"""A request's place in the scheduler, from admission to completion. Made by `Scheduler.admit`, read by its caller."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isotherm.tenancy.qos.burn import Burn
    from isotherm.tenancy.qos.node import Node


class State(Enum):
    WAITING = "waiting"
    """It will be among what `Scheduler.dispatch` returns."""
    RUNNING = "running"
    """It may run; `Scheduler.complete` is owed."""
    RESTING = "resting"
    """A transfer that waits for its client: it holds nothing until its next piece is asked for."""
    DONE = "done"
    """Completed or cancelled."""


class Ticket:
    """One request, or the piece of a transfer that flows now.

    `bearer` is the caller's own: a gateway keeps there whom to wake. `arrived_s` is
    when it asked, in the scheduler's time.
    """

    __slots__ = ("after", "arrived_s", "bearer", "node", "ops", "promises", "size_bytes", "state")

    def __init__(self, node: Node, ops: int, size_bytes: int, arrived_s: float, bearer: Any, state: State) -> None:
        self.node = node
        self.ops = ops
        self.size_bytes = size_bytes
        self.arrived_s = arrived_s
        self.bearer = bearer
        self.state = state
        self.after: Ticket | None = None
        """The next in its node's queue."""
        self.promises: tuple[tuple[Burn, float], ...] = ()
        """The objectives that its latency counts for, and since when."""
