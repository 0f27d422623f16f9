"""A virtual clock, a device behind it, and tenants who load it through the scheduler: no real time passes.

The device does its work in order of arrival, at so many units a second; a unit is one operation, or `op_bytes` bytes. So
what the scheduler has in flight is a queue inside the device, as in a real one. A source is one tenant's clients: closed
(so many requests wait or run at any time: a tenant that always wants more) or open (bursts that arrive by themselves), and
may be told to fall silent and to come back.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random

from isotherm.errors import SlowDown
from isotherm.tenancy.qos import Budget, Contract, Node, Scheduler, Slots, State, Ticket

Path = tuple[str, ...]


@dataclass(slots=True)
class Source:
    """Args:
    path: of its tenant.
    depth: requests that wait or run at any time; 0 for an open one.
    sizes: what the next request moves, in bytes.
    burst, every_s: an open source's requests at once, and the mean time between.
    pieces: how many further pieces of the same size each request moves.
    """

    path: Path
    depth: int = 0
    sizes: Callable[[Random], int] = lambda _: 4096
    burst: int = 0
    every_s: float = 1.0
    pieces: int = 0
    active: bool = True
    outstanding: int = 0
    log: list[tuple[float, float]] = field(default_factory=list)
    """(when it was started, its cost in units) of each request, in order."""
    latencies_s: list[float] = field(default_factory=list)
    refused: int = 0


@dataclass(slots=True)
class _Flow:
    source: Source
    asked_s: float
    size_bytes: int
    left: int


class Simulation:
    """One gateway, one device, any number of sources. `run` may be called again and again; change sources in between."""

    def __init__(
        self,
        contracts: dict[Path, Contract],
        units_per_s: float,
        budget: Budget | None = None,
        *,
        seed: int = 1,
        slots: Slots | None = None,
    ) -> None:
        self.budget = budget or Budget(requests=32, queue_node=10**9, queue_total=10**9)
        self.scheduler = Scheduler(self.budget, lambda path: contracts.get(path, Contract()), slots)
        self.units_per_s = units_per_s
        self.now_s = 0.0
        self.sources: list[Source] = []
        self._nodes: dict[Path, Node] = {}
        self._random = Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order: Iterator[int] = count()
        self._device_free_s = 0.0
        self._wakes: set[float] = set()

    def add(self, source: Source) -> Source:
        self.sources.append(source)
        self._nodes[source.path] = self.scheduler.node(source.path)
        if source.burst:
            self.at(self.now_s + self._random.expovariate(1 / source.every_s), lambda: self._burst(source))
        self.fill(source)
        return source

    def at(self, when_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when_s, next(self._order), act))

    def run(self, until_s: float) -> None:
        self.settle()
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, act = heapq.heappop(self._events)
            act()
            self.settle()
        self.now_s = until_s

    def fill(self, source: Source) -> None:
        """Has a closed source ask until it has its depth outstanding."""
        while source.active and source.outstanding < source.depth:
            if not self._ask(source):
                return

    def settle(self) -> None:
        """What a gateway does after everything: dispatch, and set the timer."""
        for ticket in self.scheduler.dispatch(self.now_s):
            self._serve(ticket)
        wake_s = self.scheduler.wake_s()
        if wake_s is not None and wake_s not in self._wakes:
            wake_s = max(wake_s, self.now_s)
            self._wakes.add(wake_s)
            self.at(wake_s, lambda: self._wakes.discard(wake_s))

    def _burst(self, source: Source) -> None:
        if source.active:
            for _ in range(source.burst):
                self._ask(source)
        self.at(self.now_s + self._random.expovariate(1 / source.every_s), lambda: self._burst(source))

    def _ask(self, source: Source) -> bool:
        size_bytes = source.sizes(self._random)
        flow = _Flow(source, self.now_s, size_bytes, source.pieces)
        try:
            ticket = self.scheduler.admit(self._nodes[source.path], 1, size_bytes, self.now_s, flow)
        except SlowDown:
            source.refused += 1
            return False
        source.outstanding += 1
        if ticket.state is State.RUNNING:
            self._serve(ticket)
        return True

    def _serve(self, ticket: Ticket) -> None:
        units = ticket.ops + ticket.size_bytes / self.budget.op_bytes
        ticket.bearer.source.log.append((self.now_s, units))
        self._device_free_s = max(self._device_free_s, self.now_s) + units / self.units_per_s
        self.at(self._device_free_s, lambda: self._served(ticket))

    def _served(self, ticket: Ticket) -> None:
        flow: _Flow = ticket.bearer
        if flow.left:
            flow.left -= 1
            if self.scheduler.charge(ticket, flow.size_bytes, self.now_s):
                self._serve(ticket)
            return
        self.scheduler.complete(ticket, self.now_s)
        flow.source.outstanding -= 1
        flow.source.latencies_s.append(self.now_s - flow.asked_s)
        self.fill(flow.source)


def served(source: Source, start_s: float, end_s: float) -> tuple[int, float]:
    """Requests and units that a source was served in [start, end)."""
    units = [cost for when_s, cost in source.log if start_s <= when_s < end_s]
    return len(units), sum(units)
