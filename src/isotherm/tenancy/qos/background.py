"""The platform's own work beside the gateways of its node: a tenant with a small share, in a process that serves nobody.

It runs freely while no gateway is full. Where requests wait because one is, each piece of work is paid for by what the gateways
have let run out of their queues meanwhile, times the share: so it goes on at that pace, and never stands still for good.
While a latency objective is missed, the share shrinks by the square of what the gateways hold back (`Pace`).

Invariants: reads the gateways' cells and writes none. Idle time earns nothing, and leaves no debt behind. Pure but for these
reads: time is an argument. One belongs to one thread.
"""

from __future__ import annotations

from isotherm.tenancy.qos.burn import LEAST
from isotherm.tenancy.qos.sharing import Slots, told_of

SHARE = 0.05
"""Of what is served while gateways are full."""
STUCK_S = 1.0
"""Gateways that are full and let nothing run for so long say nothing of what the device can do."""


class Background:
    """Args:
    slots: of the node's gateways.
    op_bytes: so many bytes cost as much as an operation; see `Budget`.
    """

    __slots__ = ("_debt", "_moved_s", "_op_bytes", "_served", "_share", "_slots")

    def __init__(self, slots: Slots, op_bytes: int, share: float = SHARE) -> None:
        self._slots = slots
        self._op_bytes = op_bytes
        self._share = share
        self._debt = 0.0
        self._served = told_of(slots).served
        self._moved_s: float | None = None

    def may(self, now_s: float) -> bool:
        """Whether the next piece may begin; else ask again soon."""
        told = told_of(self._slots)
        news, self._served = told.served - self._served, told.served
        if not told.full:
            self._debt, self._moved_s = 0.0, None
            return True
        if news or self._moved_s is None:
            self._moved_s = now_s
        self._debt = max(0.0, self._debt - news * self._share * max(told.pace, LEAST) ** 2)
        return not self._debt or now_s - self._moved_s >= STUCK_S

    def spend(self, ops: int, size_bytes: int) -> None:
        """A piece begins."""
        self._debt += ops * self._op_bytes + size_bytes
